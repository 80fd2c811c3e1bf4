//! Executables: any name, deleted, replaced, and paths that lie.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sockowner::{Executable, Filter, Process, Query};
use sockowner_testkit::Requirement::{OtherUser, UserNamespace};
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock};

use super::ask::{assert_held, at, builder, query, told};
use super::seen::{file_id, proc_dir, public_dir, told_id};

tests! {
    Alone a_deleted_executable_is_told_without_the_kernels_suffix;
    Alone a_name_that_ends_in_deleted_is_kept;
    Alone another_file_with_the_kernels_suffix_is_not_mistaken;
    Alone a_replaced_executable_is_told_as_deleted;
    Alone a_renamed_executable_is_told_by_its_new_name;
    Alone names_are_bytes;
    Alone long_paths_are_whole;
    Alone a_process_may_call_itself_anything;
    Alone a_forged_path_is_not_verified needs OtherUser, UserNamespace;
    Alone arguments_are_read_on_request;
}

/// A process that runs a copy at `path`, with a listener.
fn run(path: &Path) -> (Actor, Sock) {
    let actor = Actor::builder().exe(path).spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    (actor, listener)
}

/// The only holder, and its executable.
fn holder(query: &Query, actor: &Actor, listener: &Sock) -> (Process, Executable) {
    let entry = told(query, listener);
    assert_held(&entry, &[at(actor, listener)]);
    let process = Process::clone(&entry.attribution.holders()[0].process);
    let executable = process.executable.clone().unwrap();
    (process, executable)
}

/// Path, verified, deleted.
fn described(executable: &Executable) -> (&Path, bool, bool) {
    (&executable.path, executable.verified, executable.deleted)
}

fn a_deleted_executable_is_told_without_the_kernels_suffix() {
    let dir = public_dir();
    let path = dir.path().join("program");
    let (actor, listener) = run(&path);
    let id = file_id(&path);
    let query = query();
    let (_, executable) = holder(&query, &actor, &listener);
    assert_eq!(described(&executable), (&*path, true, false));
    actor.unlink_self_exe();
    let (process, executable) = holder(&query, &actor, &listener);
    assert_eq!(described(&executable), (&*path, false, true));
    assert_eq!(told_id(executable.file), id, "the file lives as long as it runs");
    assert_eq!(process.name, "program");
}

fn a_name_that_ends_in_deleted_is_kept() {
    let dir = public_dir();
    let path = dir.path().join("program (deleted)");
    let (actor, listener) = run(&path);
    let query = query();
    let (process, executable) = holder(&query, &actor, &listener);
    assert_eq!(described(&executable), (&*path, true, false));
    assert_eq!(process.name, "program (deleted)");
    actor.unlink_self_exe();
    let (process, executable) = holder(&query, &actor, &listener);
    assert_eq!(described(&executable), (&*path, false, true));
    assert_eq!(process.name, "program (deleted)");
}

fn another_file_with_the_kernels_suffix_is_not_mistaken() {
    let dir = public_dir();
    let path = dir.path().join("program");
    let (actor, listener) = run(&path);
    fs::write(dir.path().join("program (deleted)"), "a decoy").unwrap();
    actor.unlink_self_exe();
    let (_, executable) = holder(&query(), &actor, &listener);
    assert_eq!(described(&executable), (&*path, false, true));
}

/// As an update does: the path names a file, but another one.
fn a_replaced_executable_is_told_as_deleted() {
    let dir = public_dir();
    let (path, update) = (dir.path().join("program"), dir.path().join("update"));
    let (actor, listener) = run(&path);
    let id = file_id(&path);
    fs::copy(&path, &update).unwrap();
    fs::rename(&update, &path).unwrap();
    let (_, executable) = holder(&query(), &actor, &listener);
    assert_eq!(described(&executable), (&*path, false, true));
    assert_eq!(told_id(executable.file), id);
    assert_ne!(told_id(executable.file), file_id(&path));
}

fn a_renamed_executable_is_told_by_its_new_name() {
    let dir = public_dir();
    let (path, renamed) = (dir.path().join("program"), dir.path().join("renamed"));
    let (actor, listener) = run(&path);
    fs::rename(&path, &renamed).unwrap();
    let (process, executable) = holder(&query(), &actor, &listener);
    assert_eq!(described(&executable), (&*renamed, true, false));
    assert_eq!((process.name, process.comm), ("renamed".into(), "program".into()));
}

fn names_are_bytes() {
    let dir = public_dir();
    let query = query();
    for name in [&b"\xff\xfe not UTF-8"[..], b"two\nlines", b"tab\tand \\ and \"", b"\x1b[31m"] {
        let path = dir.path().join(OsStr::from_bytes(name));
        let (actor, listener) = run(&path);
        let (process, executable) = holder(&query, &actor, &listener);
        assert_eq!(executable.path.as_os_str().as_bytes(), path.as_os_str().as_bytes());
        assert_eq!((executable.verified, executable.deleted), (true, false));
        assert_eq!(process.name.as_bytes(), name);
        assert_eq!(process.comm.as_bytes(), &name[..name.len().min(15)]);
        let filter = Filter::new().executable(OsStr::from_bytes(name));
        assert_eq!(query.snapshot(&filter).unwrap().entries().len(), 1);
    }
}

fn long_paths_are_whole() {
    let dir = public_dir();
    let mut path = dir.path().to_owned();
    for part in ["a", "b", "c", "d"] {
        path.push(part.repeat(250));
    }
    fs::create_dir_all(&path).unwrap();
    path.push(OsStr::from_bytes(&[b'\xe9'; 255]));
    let (actor, listener) = run(&path);
    let query = query();
    let (process, executable) = holder(&query, &actor, &listener);
    assert!(path.as_os_str().len() > 1250);
    assert_eq!(described(&executable), (&*path, true, false));
    assert_eq!(process.name.as_bytes(), [b'\xe9'; 255]);
    assert_eq!(process.comm.as_bytes(), [b'\xe9'; 15]);
    actor.unlink_self_exe();
    assert_eq!(described(&holder(&query, &actor, &listener).1), (&*path, false, true));
}

fn a_process_may_call_itself_anything() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let query = query();
    let (before, executable) = holder(&query, &actor, &listener);
    for comm in [&b"sshd"[..], b"a) R 1 (b", b"\xff\n x", b""] {
        actor.set_comm(OsStr::from_bytes(comm));
        let (process, same) = holder(&query, &actor, &listener);
        assert_eq!(process.comm.as_bytes(), comm);
        assert_eq!((&process.name, process.start), (&before.name, with_clock(&before, &process)));
        assert_eq!(same, executable);
    }
}

/// The start time in ticks is exact; the same by the clock moves by a hair from reading to reading.
fn with_clock(one: &Process, other: &Process) -> sockowner::StartTime {
    let mut start = one.start;
    start.time = other.start.time;
    start
}

/// In a mount namespace of its own a process can have any path. Its file is told all the same.
fn a_forged_path_is_not_verified() {
    let dir = public_dir();
    let (copy, victim) = (dir.path().join("copy"), dir.path().join("sshd"));
    fs::write(&victim, "the administrator's").unwrap();
    let actor = Actor::builder().exe(&copy).uid(ORDINARY_UID).gid(ORDINARY_UID).new_user_namespace().spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let query = query();
    let (_, executable) = holder(&query, &actor, &listener);
    assert_eq!(described(&executable), (&*copy, true, false));
    actor.bind_mount(&copy, &victim);
    actor.exec_at(&victim);
    assert_eq!(fs::read_link(proc_dir(actor.pid()).join("exe")).unwrap(), victim, "so it shows itself");
    let (process, executable) = holder(&query, &actor, &listener);
    assert_eq!(described(&executable), (&*victim, false, false));
    assert_eq!(told_id(executable.file), file_id(&copy), "which file it is cannot be forged");
    assert_ne!(told_id(executable.file), file_id(&victim));
    assert_eq!(process.name, "sshd");
    // With what is below it, the mount goes: no path is left.
    fs::remove_file(&victim).unwrap();
    let (_, executable) = holder(&query, &actor, &listener);
    assert_eq!(described(&executable), (Path::new("/"), false, false));
    assert_eq!(told_id(executable.file), file_id(&copy));
}

fn arguments_are_read_on_request() {
    let dir = public_dir();
    let path: PathBuf = dir.path().join("program");
    let (actor, listener) = run(&path);
    let found = builder().command_lines(true).open().unwrap();
    let found = found.who(&sockowner::Pattern::port(listener.addr.port())).unwrap();
    let process = &found.entries()[0].attribution.holders()[0].process;
    let arguments: Vec<OsString> =
        fs::read(proc_dir(actor.pid()).join("cmdline")).unwrap()[..].strip_suffix(b"\0").map(split).unwrap();
    assert_eq!(arguments[0], path);
    assert_eq!(process.command_line.as_ref(), Some(&arguments));
}

fn split(text: &[u8]) -> Vec<OsString> {
    text.split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_owned()).collect()
}
