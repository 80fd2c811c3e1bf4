//! A native listener is named to a Windows program, by Wine. Run on Linux; it takes Wine, its prefix in `WINEPREFIX`, this
//! package built (`cargo build -p sockowner-wine-bridge`), and in `SOCKOWNER_WINDOWS_TARGET` the directory where it was
//! built for Windows, its example too.

#[cfg(target_os = "linux")]
#[path = "wine_bridge/trials.rs"]
mod trials;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    trials::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED wine_bridge: its host is Linux");
}
