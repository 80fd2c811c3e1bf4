//! The halves are installed by the script, used, and removed again.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

/// Where everything is.
#[derive(Clone, Debug)]
struct Place {
    prefix: PathBuf,
    so: PathBuf,
    dll: PathBuf,
    program: PathBuf,
}

pub(crate) fn main() -> ExitCode {
    let place = Place::find();
    if let Err(why) = &place {
        eprintln!("SKIPPED wine_bridge: {why}");
    }
    let ignored = place.is_err();
    let whole = move || place.clone().map_err(Failed::from).and_then(|place| place.whole());
    let trial = Trial::test("a_native_listener_is_named_while_the_bridge_is_there", whole);
    libtest_mimic::run(&Arguments::from_args(), vec![trial.with_ignored_flag(ignored)]).exit_code()
}

impl Place {
    fn find() -> Result<Self, String> {
        let directory = |variable: &str| {
            let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_dir());
            set.ok_or_else(|| format!("{variable} is no directory"))
        };
        let windows = directory("SOCKOWNER_WINDOWS_TARGET")?;
        let prefix = directory("WINEPREFIX")?;
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        // Of this profile: the package is built apart, tests do not link it.
        let built = own.ancestors().nth(2).unwrap_or(Path::new("/"));
        let place = Self {
            prefix,
            so: built.join("libsockowner_bridge.so"),
            dll: windows.join("sockowner_bridge.dll"),
            program: windows.join("examples/owner_of.exe"),
        };
        for file in [&place.so, &place.dll, &place.program] {
            if !file.is_file() {
                return Err(format!("{} was not built", file.display()));
            }
        }
        let wine = Command::new("wine").arg("--version").output();
        wine.map_err(|error| format!("there is no wine: {error}")).map(|_| place)
    }

    fn whole(&self) -> Result<(), Failed> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let before = self.files();
        let unknown = ["unknown Some(NoVisibleHolder)", "gap wine sockets of native programs"];
        expect(&self.ask(address, true)?, &unknown)?;

        let _removed = Removed(self);
        expect(&self.script("install")?, &["WINEDLLPATH="])?;
        let own = std::env::current_exe()?.display().to_string();
        let flagged = std::process::id() | 0x8000_0000;
        let told = self.ask(address, true)?;
        expect(&told, &[&format!("owner {flagged:#x} {own}"), &format!("module {own}")])?;
        if told.contains("sockets of native programs") {
            return Err(format!("a gap although there is a bridge: {told}").into());
        }

        // Wine does not find the half in Linux.
        expect(&self.ask(address, false)?, &unknown)?;

        self.script("remove")?;
        expect(&self.ask(address, true)?, &unknown)?;
        if self.files() != before {
            return Err(format!("{:?} were there before, {:?} now", before, self.files()).into());
        }
        Ok(())
    }

    /// What a Windows program tells of the listener there.
    fn ask(&self, address: SocketAddr, finds_it: bool) -> Result<String, Failed> {
        let mut wine = Command::new("wine");
        wine.arg(&self.program).arg(address.to_string()).env_remove("WINEDLLPATH");
        if finds_it {
            wine.env("WINEDLLPATH", self.prefix.join("sockowner-bridge"));
        }
        run(&mut wine)
    }

    fn script(&self, verb: &str) -> Result<String, Failed> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/wine/sockowner-bridge.sh");
        let mut command = Command::new("sh");
        run(command.arg(script).arg(verb).arg(&self.prefix).env("SO", &self.so).env("DLL", &self.dll))
    }

    /// The files of the prefix where the script puts something, by name. Not those of a moment: Wine's server saves its
    /// registry every so often.
    fn files(&self) -> Vec<PathBuf> {
        let places = [self.prefix.clone(), self.prefix.join("drive_c/windows/system32")];
        let entries = places.iter().filter_map(|place| place.read_dir().ok()).flatten();
        let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_none_or(|extension| extension != "tmp"));
        files.sort();
        files
    }
}

/// Whatever happens, it does not stay.
struct Removed<'a>(&'a Place);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.script("remove") {
            eprintln!("remove the bridge: {error:?}");
        }
    }
}

fn run(command: &mut Command) -> Result<String, Failed> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
    if !output.status.success() {
        return Err(format!("{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(text)
}

fn expect(text: &str, parts: &[&str]) -> Result<(), Failed> {
    match parts.iter().find(|part| !text.contains(*part)) {
        Some(part) => Err(format!("no '{part}' in: {text}").into()),
        None => Ok(()),
    }
}
