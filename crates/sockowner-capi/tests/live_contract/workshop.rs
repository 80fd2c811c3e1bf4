//! The library and the C programs: built once, where the tests find them.
#![expect(unsafe_code, reason = "pre_exec")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use sockowner_testkit::cgroup::Scratch;
use tempfile::TempDir;

const MANIFEST_DIR: &str = env!("CARGO_MANIFEST_DIR");

/// A compiler, and what it is told about the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Compiler {
    Gcc,
    /// With the address and the undefined behaviour sanitizer.
    Sanitized,
    Clang,
    Gxx,
    Clangxx,
    /// For Windows, with its own headers: compiled and linked, not run.
    Mingw,
}

impl Compiler {
    /// Those whose programs run here, the first one is the one for tests that need but one.
    pub(super) const ALL: [Self; 5] = [Self::Gcc, Self::Sanitized, Self::Clang, Self::Gxx, Self::Clangxx];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gcc => "gcc",
            Self::Sanitized => "sanitized",
            Self::Clang => "clang",
            Self::Gxx => "gxx",
            Self::Clangxx => "clangxx",
            Self::Mingw => "mingw",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Gcc | Self::Sanitized => "gcc",
            Self::Clang => "clang",
            Self::Gxx => "g++",
            Self::Clangxx => "clang++",
            Self::Mingw => "x86_64-w64-mingw32-gcc",
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Gcc => &["-std=c99"],
            Self::Sanitized => &["-std=c99", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
            Self::Clang => &["-std=c11"],
            Self::Gxx => &["-xc++", "-std=c++11"],
            Self::Clangxx => &["-xc++", "-std=c++17"],
            Self::Mingw => &["-std=gnu99", "-D_WIN32_WINNT=0x0600", "-DWIN32_LEAN_AND_MEAN"],
        }
    }

    /// Whether it is installed and makes programs, else why not.
    pub(super) fn supported(self) -> Result<(), String> {
        static ANSWERS: Mutex<BTreeMap<Compiler, Result<(), String>>> = Mutex::new(BTreeMap::new());
        let try_it = || {
            if self == Self::Sanitized {
                are_addresses_free()?;
            }
            let mut command = Command::new(self.program());
            command.args(self.flags()).args(["-x", if self.is_cxx() { "c++" } else { "c" }, "-", "-o"]);
            command.arg(scratch().join(format!("probe-{}", self.name())));
            let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
            let child = child.as_mut().map_err(|error| format!("no {}: {error}", self.program()))?;
            child.stdin.take().unwrap().write_all(b"int main(void) { return 0; }\n").unwrap();
            let status = child.wait().unwrap();
            status.success().then_some(()).ok_or(format!("{} makes no program: {status}", self.program()))
        };
        ANSWERS.lock().unwrap().entry(self).or_insert_with(try_it).clone()
    }

    pub(super) fn is_cxx(self) -> bool {
        matches!(self, Self::Gxx | Self::Clangxx)
    }
}

/// The address sanitizer of gcc 12 and 13 has its shadow at fixed addresses, where a kernel that spreads mappings further
/// than that puts a program's own now and then: it ends at its start.
fn are_addresses_free() -> Result<(), String> {
    const FREE: u32 = 28;
    let bits: Option<u32> =
        std::fs::read_to_string("/proc/sys/vm/mmap_rnd_bits").ok().and_then(|bits| bits.trim().parse().ok());
    match bits {
        Some(bits) if bits > FREE => Err(format!(
            "vm.mmap_rnd_bits is {bits}: with more than {FREE} gcc's address sanitizer fails at random"
        )),
        _ => Ok(()),
    }
}

/// The directory in which programs are made, for as long as this lives.
#[derive(Debug)]
pub(super) struct Workshop(#[expect(dead_code, reason = "it is removed when this is dropped")] TempDir);

static SCRATCH: OnceLock<PathBuf> = OnceLock::new();

impl Workshop {
    /// Makes the directory, and builds the library: cargo builds no cdylib for its integration tests.
    pub(super) fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        SCRATCH.set(dir.path().to_owned()).unwrap();
        build_library();
        Self(dir)
    }

    /// In a re-execution, before which the library was built.
    pub(super) fn of_a_scene() -> Self {
        let dir = tempfile::tempdir().unwrap();
        SCRATCH.set(dir.path().to_owned()).unwrap();
        Self(dir)
    }
}

/// The directory for what a test makes.
pub(super) fn scratch() -> &'static Path {
    SCRATCH.get().expect("the workshop is open")
}

/// `target/debug` or the like: where cargo puts the library.
pub(super) fn profile_dir() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// Below the crate's directory.
pub(super) fn source(path: &str) -> PathBuf {
    Path::new(MANIFEST_DIR).join(path)
}

/// With the profile, and for the target, of this test.
fn build_library() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let profile_dir = profile_dir();
    let parts: Vec<&OsStr> = profile_dir.strip_prefix(target).unwrap().iter().collect();
    let profile = parts.last().unwrap().to_str().unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    cargo.args(["build", "--package", "sockowner-capi", "--lib", "--quiet", "--target-dir"]).arg(target);
    cargo.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
    if let [triple, _] = parts[..] {
        cargo.arg("--target").arg(triple);
    }
    succeed(cargo.current_dir(MANIFEST_DIR));
}

/// A program of `tests/c`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Below `tests/c`.
    pub(super) sources: &'static [&'static str],
}

impl Program {
    /// The executable, compiled at the first call.
    pub(super) fn compiled(self, compiler: Compiler) -> PathBuf {
        type Made = Arc<OnceLock<PathBuf>>;
        static MADE: Mutex<BTreeMap<(Compiler, &str), Made>> = Mutex::new(BTreeMap::new());
        let made = MADE.lock().unwrap().entry((compiler, self.name)).or_default().clone();
        made.get_or_init(|| self.compile(compiler)).clone()
    }

    fn compile(self, compiler: Compiler) -> PathBuf {
        let out = scratch().join(format!("{}-{}", self.name, compiler.name()));
        let mut command = compile(compiler);
        command.args(["-g", "-O1", "-pthread", "-Wundef", "-Wshadow"]).arg("-o").arg(&out);
        command.arg(concat!("-DVERSION=\"", env!("CARGO_PKG_VERSION"), "\""));
        command.args(self.sources.iter().map(|path| source("tests/c").join(path)));
        if compiler == Compiler::Mingw {
            command.args(["-liphlpapi", "-lws2_32"]);
        } else {
            link(&mut command);
        }
        succeed(&mut command);
        out
    }
}

/// The compiler with the flags that everything of ours is compiled with, and the headers' directory.
pub(super) fn compile(compiler: Compiler) -> Command {
    let mut command = Command::new(compiler.program());
    command.args(compiler.flags()).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]);
    command.arg(source("include"));
    command
}

/// Links with the shared library, as it was built, to be found where it is.
pub(super) fn link(command: &mut Command) {
    let dir = profile_dir();
    command.arg("-L").arg(&dir).arg("-lsockowner");
    command.arg(format!("-Wl,-rpath,{}", dir.display()));
}

/// Has the program start in this cgroup.
pub(super) fn start_in(command: &mut Command, cgroup: &Scratch) {
    let procs = File::options().write(true).open(cgroup.dir().join("cgroup.procs")).unwrap();
    // SAFETY: the closure makes one write system call and neither allocates nor locks, as the time between fork and
    // exec demands.
    unsafe { command.pre_exec(move || (&procs).write_all(b"0")) };
}

/// Runs a program that has to succeed, and yields what it printed.
#[track_caller]
pub(super) fn succeed(command: &mut Command) -> String {
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => panic!("start {:?}: {error}", command.get_program()),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}{errors}", output.status);
    text
}

/// Whether this program is there, else why not.
pub(super) fn installed(program: &str) -> Result<(), String> {
    match Command::new(program).arg("--version").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program} does not work: {}", output.status)),
        Err(error) => Err(format!("no {program}: {error}")),
    }
}
