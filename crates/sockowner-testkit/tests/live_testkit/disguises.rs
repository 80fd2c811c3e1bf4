//! Actors as somebody else, somewhere else, under other names.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process;
use std::time::Duration;

use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::{Actor, Requirement, live_test, netns_test, privileges::ORDINARY_UID};

use crate::seen::{alive, exe, holds, owner, panic_message, proc_dir, status};

pub(crate) fn trials() -> Vec<Trial> {
    let other = Requirement::OtherUser;
    vec![
        live_test("another user has no groups and no capabilities", &[other], other_user),
        live_test("an undumpable process is root's", &[other], undumpable),
        live_test("a copy can have any name", &[], any_name),
        live_test("a copy can be unlinked", &[], unlinked),
        live_test("comm and directory change", &[], comm_and_directory),
        netns_test("an actor can be pid 1 elsewhere", &[Requirement::PidNamespace], pid_one),
        live_test(
            "an actor can be root of its own user namespace",
            &[Requirement::UserNamespace],
            user_namespace,
        ),
        live_test(
            "an unprivileged user can have a user namespace",
            &[other, Requirement::UserNamespace],
            || {
                let actor = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).new_user_namespace().spawn();
                assert_eq!(status(actor.pid(), "Uid"), "1000 1000 1000 1000");
            },
        ),
        live_test(
            "an actor can run under another file's path",
            &[other, Requirement::UserNamespace],
            another_path,
        ),
        live_test("an actor starts in its cgroup", &[Requirement::Cgroup2], cgroup),
        live_test("an actor moves between cgroups", &[Requirement::Cgroup2], moved),
        live_test("the host's cgroups are not taken", &[Requirement::Cgroup2], foreign_cgroup),
    ]
}

fn other_user() {
    let actor = Actor::builder().uid(ORDINARY_UID).gid(2000).spawn();
    assert_eq!(status(actor.pid(), "Uid"), "1000 1000 1000 1000");
    assert_eq!(status(actor.pid(), "Gid"), "2000 2000 2000 2000");
    assert_eq!(status(actor.pid(), "Groups"), "");
    assert_eq!(status(actor.pid(), "CapEff"), "0000000000000000");
    assert_eq!(owner(&proc_dir(actor.pid())), ORDINARY_UID);
    let name = std::env::current_exe().unwrap();
    let name = &name.file_name().unwrap().as_bytes()[..15];
    assert_eq!(status(actor.pid(), "Name").as_bytes(), name);
    actor.exec();
    assert_eq!(status(actor.pid(), "Name").as_bytes(), name);
}

fn undumpable() {
    let actor = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    actor.drop_dumpable();
    assert_eq!(owner(&proc_dir(actor.pid()).join("fd")), 0);
}

fn any_name() {
    let dir = tempfile::tempdir().unwrap();
    let long = [b'n'; 255];
    for name in [OsStr::from_bytes(b"not \xff utf-8\n"), OsStr::from_bytes(&long)] {
        let path = dir.path().join(name);
        let actor = Actor::builder().exe(&path).spawn();
        assert_eq!(exe(actor.pid()), path);
        let comm = fs::read(proc_dir(actor.pid()).join("comm")).unwrap();
        assert_eq!(&comm[..comm.len() - 1], &name.as_bytes()[..name.len().min(15)]);
        actor.exec();
        assert_eq!(exe(actor.pid()), path);
    }
}

fn unlinked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gone");
    let actor = Actor::builder().exe(&path).spawn();
    actor.unlink_self_exe();
    assert!(exe(actor.pid()).as_os_str().as_bytes().ends_with(b"gone (deleted)"));
    let listener = actor.udp_bind("127.0.0.1:0");
    assert!(holds(actor.pid(), listener.inode));
    let plain = Actor::spawn();
    assert!(panic_message(|| plain.unlink_self_exe()).contains("it runs the test's own"));
}

fn comm_and_directory() {
    let actor = Actor::spawn();
    actor.set_comm(OsStr::from_bytes(b"a) R \xff"));
    assert_eq!(fs::read(proc_dir(actor.pid()).join("comm")).unwrap(), b"a) R \xff\n");
    actor.chdir("/dev");
    assert_eq!(fs::read_link(proc_dir(actor.pid()).join("cwd")).unwrap().as_os_str(), "/dev");
    assert!(panic_message(|| actor.chdir("/nowhere to be found")).contains("No such file"));
}

fn pid_one() {
    let actor = Actor::builder().new_pid_namespace().spawn();
    assert_eq!(status(actor.pid(), "NSpid"), format!("{} 1", actor.pid()));
    let listener = actor.tcp_listen("127.0.0.1:0");
    assert!(holds(actor.pid(), listener.inode));
    let child = actor.fork();
    assert!(status(child, "NSpid").starts_with(&format!("{child} ")));
    assert!(holds(child, listener.inode));
    let thread = actor.thread_with_own_fd_table("127.0.0.1:0");
    assert!(crate::seen::thread_holds(actor.pid(), thread.tid, thread.sock.inode));
    actor.kill_child(child);
    assert!(!alive(child));
    let child = actor.fork();
    drop(actor);
    assert!(!alive(child));
}

fn user_namespace() {
    let actor = Actor::builder().new_user_namespace().spawn();
    let link = |pid| fs::read_link(proc_dir(pid).join("ns/user")).unwrap();
    assert_ne!(link(actor.pid()), link(process::id()));
    assert_ne!(status(actor.pid(), "CapEff"), "0000000000000000");
}

fn another_path() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (copy, other) = (dir.path().join("copy"), dir.path().join("other"));
    fs::write(&other, "another file").unwrap();
    let actor = Actor::builder().exe(&copy).uid(ORDINARY_UID).gid(ORDINARY_UID).new_user_namespace().spawn();
    let listener = actor.udp_bind("127.0.0.1:0");
    actor.bind_mount(&copy, &other);
    actor.exec_at(&other);
    assert_eq!(exe(actor.pid()), other);
    assert_eq!(fs::read(&other).unwrap(), b"another file", "for the actor alone");
    assert!(holds(actor.pid(), listener.inode));
    assert!(panic_message(|| actor.unlink_self_exe()).contains("it runs the test's own"));
}

fn cgroup() {
    let path = format!("/system.slice/sockowner-test-{}.service", process::id());
    let scratch = Scratch::new(&path);
    let actor = Actor::builder().cgroup(&scratch).spawn();
    assert_eq!((scratch.path(), scratch.procs()), (&*path, vec![actor.pid()]));
    let lines = fs::read_to_string(proc_dir(actor.pid()).join("cgroup")).unwrap();
    assert!(lines.lines().any(|line| line == format!("0::{path}")), "{lines}");
    assert_eq!(scratch.id(), fs::metadata(scratch.dir()).unwrap().ino());
}

fn moved() {
    let unit = Scratch::new("/user.slice/user-1000.slice/user@1000.service/ssh.service");
    let scope = Scratch::new("/user.slice/user-1000.slice/session-1.scope");
    let actor = Actor::builder().cgroup(&unit).spawn();
    scope.move_in(actor.pid());
    assert!(unit.procs().is_empty());
    assert_eq!(scope.procs(), [actor.pid()]);
}

fn foreign_cgroup() {
    let theirs = sockowner_testkit::cgroup::mount_point().unwrap();
    let theirs = theirs.join(format!("testkit-theirs-{}", process::id()));
    fs::create_dir(&theirs).unwrap();
    let name = theirs.file_name().unwrap().to_str().unwrap();
    let refused = Scratch::try_within(name, Duration::from_millis(100)).map(drop).unwrap_err();
    let inner = Scratch::new(&format!("{name}/inner"));
    drop(inner);
    fs::remove_dir(&theirs).unwrap();
    assert_eq!(refused, "it exists and is not a test's");
}
