//! Gives the shared library its soname, also in a plain `cargo build`, and the file that the soname names.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let version = |part: &str| std::env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default();
    // Before 1.0 each minor version may break the ABI.
    let major = match version("MAJOR").as_str() {
        "0" => format!("0.{}", version("MINOR")),
        other => other.to_owned(),
    };
    let soname = format!("libsockowner.so.{major}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");

    // A program linked against the library in the target directory looks for its soname there.
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    if let Some(profile) = out.ancestors().nth(3) {
        link(Path::new("libsockowner.so"), &profile.join(soname));
    }
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) {
    if std::fs::read_link(at).ok().as_deref() == Some(to) {
        return;
    }
    // What stands there may be of an older build; a link that cannot be made is told when a program does not start.
    let _ = std::fs::remove_file(at);
    if let Err(error) = std::os::unix::fs::symlink(to, at) {
        println!("cargo:warning=link {}: {error}", at.display());
    }
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) {}
