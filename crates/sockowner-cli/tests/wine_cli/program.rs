//! Running the program under Wine, and Windows programs with sockets beside it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// Names the directory that the program for Windows was built in.
const BUILT: &str = "SOCKOWNER_WINDOWS_TARGET";
const COMPILER: &str = "x86_64-w64-mingw32-gcc";

/// Whether there is something to run, and to run it with.
pub(super) fn supported() -> Result<(), String> {
    let built = std::env::var_os(BUILT).ok_or("nothing was built for it: run `cargo xtask windows`")?;
    let program = Path::new(&built).join("sockowner.exe");
    if !program.is_file() {
        return Err(format!("there is no {}", program.display()));
    }
    for tool in ["wine", COMPILER] {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|dir| dir.join(tool).is_file()) {
            return Err(format!("{tool} is not installed"));
        }
    }
    Ok(())
}

/// The program, as a user of Wine would start it: without a DLL that tests need.
pub(super) fn sockowner(words: &[&str]) -> Command {
    let mut command = Command::new("wine");
    command.arg(built("sockowner.exe")).args(words).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI", "COLUMNS", "TERM", "WINEDLLPATH", "WINEPATH"]
    {
        command.env_remove(name);
    }
    command
}

/// The bridge to Linux in the prefix, until this is dropped.
pub(super) struct Bridge {
    prefix: PathBuf,
    /// Its half in Linux.
    native: PathBuf,
}

impl Bridge {
    /// Whether both of its halves were built.
    pub(super) fn supported() -> Result<(), String> {
        Self::place().map(drop)
    }

    fn place() -> Result<Self, String> {
        let prefix = std::env::var_os("WINEPREFIX").ok_or("WINEPREFIX is not set")?;
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        // Of this profile: the package is built apart, tests do not link it.
        let native = own.ancestors().nth(2).unwrap_or(Path::new("/")).join("libsockowner_bridge.so");
        for file in [&native, &built("sockowner_bridge.dll")] {
            if !file.is_file() {
                return Err(format!("{} was not built", file.display()));
            }
        }
        Ok(Self { prefix: prefix.into(), native })
    }

    pub(super) fn install() -> Self {
        let bridge = Self::place().unwrap();
        bridge.script("install");
        bridge
    }

    /// Where the asking program's Wine has to look for it.
    pub(super) fn directory(&self) -> PathBuf {
        self.prefix.join("sockowner-bridge")
    }

    fn script(&self, verb: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/wine/sockowner-bridge.sh");
        let mut command = Command::new("sh");
        command.args([script, verb]).arg(&self.prefix).stdout(Stdio::null());
        command.env("SO", &self.native).env("DLL", built("sockowner_bridge.dll"));
        let status = command.status().unwrap();
        assert!(status.success(), "{verb}: {status}");
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.script("remove");
    }
}

/// A file that was built for Windows.
fn built(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(BUILT).unwrap()).join(name)
}

/// What it said to the end.
pub(super) struct Answer {
    pub(super) status: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Answer {
    /// What it said that it could not see, but for what other tests' programs closed at that moment.
    pub(super) fn complaints(&self) -> Vec<&str> {
        let lines = self.stderr.lines();
        lines.filter(|line| !line.contains("changed while it was looked at")).collect()
    }
}

/// Runs it to its end.
pub(super) fn ask(words: &[&str]) -> Answer {
    answer(&mut sockowner(words))
}

pub(super) fn answer(command: &mut Command) -> Answer {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { status: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}

/// Its JSON document.
pub(super) fn json(words: &[&str]) -> Value {
    document(&ask(&[words, &["--json"]].concat()))
}

/// The JSON document that it said.
#[track_caller]
pub(super) fn document(said: &Answer) -> Value {
    serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", said.stdout, said.stderr))
}

/// The only endpoint of a document that `is` says yes to.
#[track_caller]
pub(super) fn only(document: &Value, is: impl Fn(&Value) -> bool) -> &Value {
    let found: Vec<_> = document["endpoints"].as_array().unwrap().iter().filter(|row| is(row)).collect();
    assert_eq!(found.len(), 1, "{document:#}");
    found[0]
}

/// A running Windows program; it ends when this is dropped.
pub(super) struct Windows {
    child: Child,
    pub(super) sockets: Vec<Held>,
}

/// A socket of such a program, as it tells of it itself.
pub(super) struct Held {
    pub(super) pid: u32,
    pub(super) port: u16,
    pub(super) handle: u64,
}

impl Windows {
    /// With sockets of these kinds.
    pub(super) fn with(kinds: &[&str]) -> Self {
        Self::of(listener(), kinds)
    }

    /// The same program in another file.
    pub(super) fn of(program: &Path, kinds: &[&str]) -> Self {
        let mut command = Command::new("wine");
        command.arg(program).args(kinds).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut sockets = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line.trim() == "ready" {
                break;
            }
            let words: Vec<_> = line.split_whitespace().collect();
            let [_, pid, port, handle] = words.as_slice() else { panic!("{line}") };
            sockets.push(Held {
                pid: pid.parse().unwrap(),
                port: port.parse().unwrap(),
                handle: handle.parse().unwrap(),
            });
        }
        assert_eq!(sockets.len(), kinds.len(), "{kinds:?}");
        Self { child, sockets }
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        // It reads to the end of its input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The program with sockets, compiled once.
pub(super) fn listener() -> &'static Path {
    static COMPILED: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = COMPILED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("listener.exe");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wine_cli/listener.c");
        let mut compiler = Command::new(COMPILER);
        compiler.args(["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-D_WIN32_WINNT=0x0600", "-o"]);
        let status = compiler.arg(&program).args([source, "-lws2_32"]).status().unwrap();
        assert!(status.success(), "{source}: {status}");
        (dir, program)
    });
    program
}
