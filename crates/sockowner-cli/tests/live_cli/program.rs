//! Running the program, and what it says.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sockowner_testkit::Requirement;
use sockowner_testkit::privileges::ORDINARY_UID;
use tempfile::TempDir;

use super::validate::Schema;

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_sockowner");

/// The program as this process's user would start it, with nothing of this process's environment.
pub(super) fn program(words: &[&str]) -> Command {
    called_sockowner(Path::new(PROGRAM), words)
}

/// Runs it to its end.
pub(super) fn ask(words: &[&str]) -> Answer {
    answer(&mut program(words))
}

/// Runs what was prepared to its end.
pub(super) fn answer(command: &mut Command) -> Answer {
    let output = command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    Answer { asked: format!("{command:?}"), output }
}

fn called_sockowner(path: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.arg0("sockowner").args(words).env_clear().env("TZ", "UTC");
    command
}

/// A copy of the program that every user can execute.
pub(super) struct PublicCopy {
    path: PathBuf,
    _dir: TempDir,
}

impl PublicCopy {
    pub(super) fn new() -> Self {
        let dir = public_dir();
        let path = dir.path().join("sockowner");
        fs::copy(PROGRAM, &path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self { path, _dir: dir }
    }

    /// Runs it as an ordinary user.
    pub(super) fn ask(&self, words: &[&str]) -> Answer {
        self.ask_in_group(ORDINARY_UID, words)
    }

    /// Runs it as an ordinary user of this group.
    pub(super) fn ask_in_group(&self, gid: u32, words: &[&str]) -> Answer {
        answer(self.program(words).gid(gid))
    }

    /// It, as an ordinary user would start it.
    pub(super) fn program(&self, words: &[&str]) -> Command {
        let mut command = called_sockowner(&self.path, words);
        command.uid(ORDINARY_UID).gid(ORDINARY_UID);
        command
    }

    /// Runs it as an ordinary user who is root of a user namespace of his own.
    pub(super) fn ask_in_user_namespace(&self, words: &[&str]) -> Answer {
        let mut command = in_user_namespace();
        answer(command.arg(&self.path).args(words))
    }
}

/// A directory that every user can enter.
pub(super) fn public_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    dir
}

/// What runs a program as [`PublicCopy::ask_in_user_namespace`] has it.
fn in_user_namespace() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--"]).uid(ORDINARY_UID).gid(ORDINARY_UID);
    command
}

pub(super) const OWN_USER_NAMESPACE: Requirement = Requirement::Custom("unshare --user", || {
    let output = in_user_namespace().arg("true").output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
});

/// How the program ended, and what it said.
pub(super) struct Answer {
    asked: String,
    output: Output,
}

impl Answer {
    /// The exit status; no signal ended it.
    #[track_caller]
    pub(super) fn status(&self) -> i32 {
        let code = self.output.status.code();
        code.unwrap_or_else(|| panic!("{}: {}", self.asked, self.output.status))
    }

    #[track_caller]
    pub(super) fn stdout(&self) -> &str {
        text(&self.output.stdout)
    }

    #[track_caller]
    pub(super) fn stderr(&self) -> &str {
        text(&self.output.stderr)
    }

    /// Both streams as they are.
    pub(super) fn bytes(&self) -> [&[u8]; 2] {
        [&self.output.stdout, &self.output.stderr]
    }

    /// It ended so, and said so on stderr.
    #[track_caller]
    pub(super) fn assert_ended(&self, status: i32, stderr: &str) {
        let said = (self.status(), self.stderr());
        assert_eq!(said, (status, stderr), "{}: stdout: {}", self.asked, self.stdout());
    }

    /// It found what it was asked for, and nothing was missing.
    #[track_caller]
    pub(super) fn assert_complete(&self) {
        self.assert_ended(0, "");
    }

    /// The JSON document; one of endpoints is as the schema says.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        let document: Value = serde_json::from_slice(&self.output.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.asked, self.stdout()));
        if document.get("endpoints").is_some() {
            let faults = Schema::get().faults_of_document(&document);
            assert_eq!(faults, None, "{}: {document}", self.asked);
        }
        document
    }

    /// The lines of JSON, each as the schema says.
    #[track_caller]
    pub(super) fn json_lines(&self) -> Vec<Value> {
        let schema = Schema::get();
        let lines = self.stdout().lines().map(|line| {
            let line = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!(schema.faults_of_line(&line), None, "{}: {line}", self.asked);
            line
        });
        lines.collect()
    }

    /// The records, a heading among them.
    #[track_caller]
    pub(super) fn csv(&self) -> Vec<csv::StringRecord> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*self.output.stdout);
        let records: Result<_, _> = reader.records().collect();
        records.unwrap_or_else(|error| panic!("{}: {error}: {}", self.asked, self.stdout()))
    }

    /// The endpoints of the JSON document.
    #[track_caller]
    pub(super) fn endpoints(&self) -> Vec<Value> {
        match self.json()["endpoints"].take() {
            Value::Array(endpoints) => endpoints,
            other => panic!("{}: endpoints are no array: {other}", self.asked),
        }
    }
}

#[track_caller]
fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => panic!("{error}: {}", bytes.escape_ascii()),
    }
}
