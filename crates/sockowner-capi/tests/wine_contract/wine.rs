//! Wine and the compiler for Windows: whether they are there, and how a program is compiled and run.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::Trial;
use sockowner_testkit::{Requirement, live_test_unless, netns};

use super::super::workshop::{Compiler, compile, installed, scratch, source, succeed};

/// Names the directory with `sockowner.dll` and its import library.
pub(super) const VARIABLE: &str = "SOCKOWNER_WINDOWS_TARGET";

/// What a program that hangs is ended after.
const PATIENCE: &str = "300";

/// The machine's means, or why there are none.
pub(super) type Means = Result<Arc<Machine>, String>;

/// A Wine that runs programs, a compiler that makes them, and the library.
#[derive(Debug)]
pub(super) struct Machine {
    /// Where `sockowner.dll` is.
    pub(super) library: PathBuf,
    /// Whose turn it is to be alone.
    alone: Mutex<()>,
    /// Keeps the prefix awake.
    awake: Option<Awake>,
}

impl Machine {
    /// Looks for all that there must be.
    pub(super) fn look() -> Result<Self, String> {
        let library = std::env::var_os(VARIABLE).ok_or(format!("{VARIABLE} is not set"))?;
        let library = std::fs::canonicalize(library).map_err(|error| format!("{VARIABLE}: {error}"))?;
        for file in ["sockowner.dll", "libsockowner.dll.a"] {
            std::fs::metadata(library.join(file)).map_err(|error| format!("{VARIABLE}: {file}: {error}"))?;
        }
        installed("wine")?;
        installed("x86_64-w64-mingw32-gcc")?;
        Ok(Self { library, alone: Mutex::default(), awake: None })
    }

    /// Puts the library where programs will be, and has one run until this is dropped, so that Wine's services, which come
    /// with the first program and go with the last, are up all the time.
    pub(super) fn prepare(mut self) -> Means {
        Compiler::Mingw.supported()?;
        let copy = |error| format!("copy sockowner.dll: {error}");
        std::fs::copy(self.library.join("sockowner.dll"), scratch().join("sockowner.dll")).map_err(copy)?;
        self.awake = Some(Awake::start()?);
        Ok(Arc::new(self))
    }

    /// Compiles for Windows and links with the library, before the system's as a program would have it.
    pub(super) fn compiled(&self, name: &str, sources: &[&str]) -> PathBuf {
        let out = scratch().join(format!("{name}.exe"));
        let mut command = compile(Compiler::Mingw);
        command.args(["-g", "-O1", "-Wshadow"]).arg("-o").arg(&out);
        command.arg(concat!("-DVERSION=\"", env!("CARGO_PKG_VERSION"), "\""));
        command.args(sources.iter().map(|path| source("tests/c").join(path)));
        command.arg("-L").arg(&self.library).args(["-lsockowner", "-liphlpapi", "-lws2_32"]);
        succeed(&mut command);
        out
    }

    /// Runs `work` where nobody else has sockets: in a network namespace, with a Wine server of its own.
    pub(super) fn alone<R: Send>(&self, work: impl FnOnce(&Path) -> R + Send) -> R {
        // A trial that failed left nothing half done.
        let _one_by_one = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = scratch().join("alone");
        std::fs::create_dir_all(&prefix).unwrap();
        netns::inside(|| {
            let _server = Server::start(&prefix);
            work(&prefix)
        })
    }
}

/// A program that is there until its input ends.
#[derive(Debug)]
struct Awake(Child);

impl Awake {
    /// Sees it run and print: what is not for this Wine ends with 0, having run nothing.
    fn start() -> Result<Self, String> {
        const SOURCE: &str = r#"
            #include <stdio.h>
            int main(void) { return puts("it runs") < 0 || fflush(stdout) || getchar() != EOF; }
        "#;
        let (text, program) = (scratch().join("awake.c"), scratch().join("awake.exe"));
        std::fs::write(&text, SOURCE).map_err(|error| format!("write {}: {error}", text.display()))?;
        succeed(compile(Compiler::Mingw).arg(&text).arg("-o").arg(&program));
        let mut command = Command::new("wine");
        with_defaults(command.arg(&program)).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Services that start with it would keep a pipe open.
        let child = command.stderr(Stdio::null()).spawn().map_err(|error| format!("start wine: {error}"))?;
        let mut awake = Self(child);
        let mut line = String::new();
        if let Some(stdout) = awake.0.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(|error| format!("read from wine: {error}"))?;
        }
        (line.trim() == "it runs").then_some(awake).ok_or(format!(
            "wine does not run a program: {line:?}; WINEDEBUG=err+all wine wineboot tells more"
        ))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            eprintln!("wait for wine: {error}");
        }
    }
}

/// Whether programs can be alone, else why not.
pub(super) fn can_be_alone() -> Result<(), String> {
    Requirement::Netns.check()
}

/// The server of a prefix of our own, ended with this.
pub(super) struct Server<'a>(&'a Path);

impl<'a> Server<'a> {
    /// Makes the prefix at the first time, and waits for what starts with its server.
    pub(super) fn start(prefix: &'a Path) -> Self {
        let server = Self(prefix);
        ran(wine(Path::new("wineboot")).env("WINEPREFIX", prefix));
        server
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        for what in ["-k", "-w"] {
            let mut command = Command::new("wineserver");
            let ended = command.arg(what).env("WINEPREFIX", self.0).stdin(Stdio::null()).status();
            if let Err(error) = ended {
                eprintln!("wineserver {what}: {error}");
            }
        }
    }
}

/// A program under Wine, in the prefix of the environment.
pub(super) fn wine(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", PATIENCE, "wine"]).arg(program);
    with_defaults(&mut command);
    command
}

/// Headless and silent, unless the environment says otherwise.
fn with_defaults(command: &mut Command) -> &mut Command {
    for (name, value) in [("WINEDEBUG", "-all"), ("WINEDLLOVERRIDES", "mscoree,mshtml=;winedbg.exe=")] {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null())
}

/// What a program under Wine said, and how it ended.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: ExitStatus,
    /// Without the carriage returns.
    pub(super) text: String,
    pub(super) errors: String,
}

/// Runs a program to its end. It writes into files: of a pipe the end would not come before that of Wine's services, which
/// start with a program and outlive it.
pub(super) fn finished(command: &mut Command) -> Said {
    let [mut output, mut errors] = [(); 2].map(|()| tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(errors.try_clone().unwrap());
    let status = command.status().unwrap();
    let [text, errors] = [&mut output, &mut errors].map(|file| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    });
    Said { status, text, errors }
}

/// Runs a program that has to succeed, and yields what it printed. One that fails is run again, for what Wine has to say.
#[track_caller]
pub(super) fn ran(command: &mut Command) -> String {
    let Said { status, text, errors } = finished(command);
    if !status.success() {
        let again = finished(command.env("WINEDEBUG", "err+all"));
        panic!(
            "{command:?}: {status}\n{text}{errors}\nand again: {}\n{}{}",
            again.status, again.text, again.errors
        );
    }
    text
}

/// How Wine calls a file of this system.
pub(super) fn wine_path(path: &Path) -> String {
    format!("Z:{}", path.to_str().unwrap().replace('/', "\\"))
}

/// A trial of what takes `means`; skipped without them.
pub(super) fn trial(name: &str, means: &Means, test: impl FnOnce(&Machine) + Send + 'static) -> Trial {
    match means {
        Ok(machine) => {
            let machine = Arc::clone(machine);
            live_test_unless(name, Ok(()), move || test(&machine))
        }
        Err(why) => live_test_unless(name, Err(why.clone()), || ()),
    }
}
