//! Compiles programs into a directory of their own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockowner_testkit::Requirement;
use tempfile::TempDir;

/// The C compiler, with what a static program needs.
pub(super) const GCC: Requirement = Requirement::Custom("gcc", || found("gcc"));
pub(super) const MUSL: Requirement = Requirement::Custom("musl-gcc", || found("musl-gcc"));
pub(super) const RUSTC: Requirement = Requirement::Custom("rustc", || found("rustc"));
/// The right to trace one's children, which some containers refuse.
pub(super) const TRACING: Requirement = Requirement::Custom("ptrace", || {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if scope.trim() == "3" { Err(String::from("tracing is off on this machine")) } else { Ok(()) }
});

/// Where the programs' sources are; the tests of another crate use them as well.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sockowner-component/tests/live_component/c");

/// The program is on the path and runs.
pub(super) fn found(program: &str) -> Result<(), String> {
    let output = Command::new(program).arg("--version").output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program} --version: {}", output.status)),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// A directory with what was compiled.
#[derive(Debug)]
pub(super) struct Workshop(TempDir);

impl Workshop {
    pub(super) fn open() -> Self {
        Self(tempfile::tempdir().expect("a directory for programs"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Compiles `source`, a file of [`SOURCES`] or a path, to `name`. What is in this directory can be linked by `-l:NAME`,
    /// and is found at run time.
    pub(super) fn cc(&self, compiler: &str, source: &str, name: &str, flags: &[&str]) -> PathBuf {
        let path = self.path(name);
        let source = Path::new(SOURCES).join(source);
        let mut command = Command::new(compiler);
        command.args(["-Wall", "-Wextra", "-Werror", "-O2", "-o"]).arg(&path).arg(source);
        command.arg("-L").arg(self.0.path()).args(flags);
        if flags.iter().any(|flag| flag.starts_with("-l:")) {
            command.arg(format!("-Wl,-rpath,{}", self.0.path().display()));
        }
        run(&mut command);
        path
    }

    pub(super) fn library(&self, source: &str, name: &str, flags: &[&str]) -> PathBuf {
        let soname = format!("-Wl,-soname,{name}");
        self.cc("gcc", source, name, &[&["-shared", "-fPIC", &soname], flags].concat())
    }

    pub(super) fn program(&self, source: &str, name: &str, flags: &[&str]) -> PathBuf {
        self.cc("gcc", source, name, flags)
    }

    pub(super) fn tool(&self, program: &str, arguments: &[&OsStr]) {
        run(Command::new(program).args(arguments).current_dir(self.0.path()));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
