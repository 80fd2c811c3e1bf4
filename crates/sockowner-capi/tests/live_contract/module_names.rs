//! c22 to c28: what is told of owners other than the caller.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sockowner_testkit::Requirement::{Cgroup2, OtherUser, PidNamespace};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::privileges::{ORDINARY_UID, become_user};
use sockowner_testkit::{Actor, Requirement, Scenario};
use tempfile::TempDir;

use super::call::{INSUFFICIENT_BUFFER, ask, both, executable, load, module, row_at};
use super::row::{Kind, Row};
use super::service::NO_SERVICE;

tests! {
    Host c20_a_listener_of_another_process_is_its_program needs NO_SERVICE;
    Alone c22_what_may_not_be_inspected_is_two_empty_strings needs OtherUser;
    Host c23_a_kernel_thread_is_system_for_everybody needs KERNEL_THREAD, PidNamespace, OtherUser;
    Scene c23_as_an_ordinary_user;
    Alone c24_a_service_is_its_unit_twice needs Cgroup2;
    Alone c25_a_forged_service_is_the_process needs Cgroup2;
    Host c26_a_path_longer_than_260_units_is_whole needs NO_SERVICE;
    Host c27_a_path_that_is_not_utf8_has_replacement_characters needs NO_SERVICE;
    Host c28_a_deleted_executable_has_its_name_and_path needs NO_SERVICE;
}

const KERNEL_THREAD: Requirement = Requirement::Custom("a kernel thread", || {
    const PF_KTHREAD: u64 = 0x0020_0000;
    let stat = fs::read_to_string("/proc/2/stat").unwrap_or_default();
    let flags = stat.rsplit(')').next().and_then(|fields| fields.split(' ').nth(7)?.parse::<u64>().ok());
    match flags {
        Some(flags) if flags & PF_KTHREAD != 0 => Ok(()),
        _ => Err(String::from("none can be seen in this pid namespace")),
    }
});

/// The first of them, which never ends.
const KTHREADD: u32 = 2;

/// A directory that every user can enter.
fn public_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// What everybody who may look is told of an actor that runs a copy of the executable, by rows of all kinds.
fn assert_runs(path: &Path) -> Actor {
    let actor = Actor::builder().exe(path).spawn();
    assert_is(&actor, path);
    actor
}

fn assert_is(actor: &Actor, path: &Path) {
    let listener = actor.tcp_listen("127.0.0.1:0");
    let row = row_at(Kind::Tcp, listener.addr);
    assert_eq!(row.pid(), actor.pid());
    assert_eq!(module(&row), executable(path));
    for kind in Kind::ALL {
        assert_eq!(module(&Row::by_hand(kind, actor.pid())), executable(path));
    }
    actor.close(listener.fd);
}

fn c20_a_listener_of_another_process_is_its_program() {
    let actor = Actor::spawn();
    let path = fs::read_link(format!("/proc/{}/exe", actor.pid())).unwrap();
    for kind in Kind::ALL {
        assert_eq!(module(&Row::by_hand(kind, actor.pid())), executable(&path));
    }
    let sockets = [
        (Kind::Tcp, actor.tcp_listen("127.0.0.1:0")),
        (Kind::Tcp6, actor.tcp_listen("[::1]:0")),
        (Kind::Udp, actor.udp_bind("127.0.0.1:0")),
        (Kind::Udp6, actor.udp_bind("[::1]:0")),
    ];
    for (kind, socket) in sockets {
        let row = row_at(kind, socket.addr);
        assert_eq!((row.pid(), row.created()), (actor.pid(), 0));
        assert_eq!((row.info()[0], module(&row)), (0, executable(&path)));
    }
}

fn c22_what_may_not_be_inspected_is_two_empty_strings() {
    let roots = Actor::spawn();
    let listener = roots.tcp_listen("127.0.0.1:0");
    let as_root_saw_it = row_at(Kind::Tcp, listener.addr);
    assert_eq!(as_root_saw_it.pid(), roots.pid());
    let own = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let undumpable = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    undumpable.drop_dumpable();
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    let by_hand = [&roots, &undumpable].map(|actor| Kind::ALL.map(|kind| Row::by_hand(kind, actor.pid())));
    for row in by_hand.as_flattened().iter().chain([&as_root_saw_it]) {
        assert_eq!(module(row), both(""));
        let needed = u32::try_from(2 * size_of::<usize>() + 4).unwrap();
        assert_eq!(ask(row, None, 0), (INSUFFICIENT_BUFFER, needed));
    }
    assert!(module(&Row::by_hand(Kind::Tcp, own.pid())).is_ok_and(|(name, _)| !name.is_empty()));
    // A row that was made now has no owner: nobody could be seen.
    assert_eq!(row_at(Kind::Tcp, listener.addr).pid(), 0);
}

fn c23_a_kernel_thread_is_system_for_everybody() {
    for kind in Kind::ALL {
        assert_eq!(module(&Row::by_hand(kind, KTHREADD)), both("System"));
    }
    // It has no executable, and neither has a process whose main thread has ended: the flag is what tells.
    let actor = Actor::spawn();
    actor.listen_in_thread_and_exit_main("127.0.0.1:0");
    assert!(fs::read_link(format!("/proc/{}/exe", actor.pid())).is_err());
    assert_eq!(module(&Row::by_hand(Kind::Tcp, actor.pid())), executable(&std::env::current_exe().unwrap()));
    Scenario::new("c23_as_an_ordinary_user").shared_pids().run();
}

fn c23_as_an_ordinary_user() {
    load();
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    assert_eq!(module(&Row::by_hand(Kind::Tcp, KTHREADD)), both("System"));
}

fn c24_a_service_is_its_unit_twice() {
    let unit = Scratch::new("/system.slice/sockowner-contract.service");
    let other = Scratch::new("/system.slice/sockowner-contract-other.service");
    let actor = Actor::builder().cgroup(&unit).spawn();
    let process = executable(&std::env::current_exe().unwrap());
    let sockets = [
        (Kind::Tcp, actor.tcp_listen("127.0.0.1:0")),
        (Kind::Tcp6, actor.tcp_listen("[::1]:0")),
        (Kind::Udp, actor.udp_bind("127.0.0.1:0")),
        (Kind::Udp6, actor.udp_bind("[::1]:0")),
    ];
    let rows = sockets.each_ref().map(|(kind, socket)| row_at(*kind, socket.addr));
    for row in &rows {
        assert_eq!(row.pid(), actor.pid());
        assert_ne!(row.info()[0], 0, "there is a service");
        assert_eq!(module(row), both("sockowner-contract.service"));
        assert_eq!(module(&Row::by_hand(row.kind, row.pid())), process, "a row by hand names no service");
    }
    // The process has left its unit: what it made there is not a service's any more.
    other.move_in(actor.pid());
    for (row, (kind, socket)) in rows.iter().zip(&sockets) {
        assert_eq!(module(row), process);
        let now = row_at(*kind, socket.addr);
        assert_eq!((now.pid(), now.info()[0]), (actor.pid(), 0));
        assert_eq!(module(&now), process);
    }
    let later = actor.tcp_listen("127.0.0.1:0");
    assert_eq!(module(&row_at(Kind::Tcp, later.addr)), both("sockowner-contract-other.service"));
}

fn c25_a_forged_service_is_the_process() {
    let id = "a".repeat(64);
    for path in [
        "/user.slice/user-1000.slice/user@1000.service/ssh.service".to_owned(),
        "/user.slice/user-1000.slice/user@1000.service/app.slice/ssh.service".to_owned(),
        "/user.slice/user-1000.slice/user@1000.service/system.slice/ssh.service".to_owned(),
        format!("/docker/{id}/system.slice/ssh.service"),
        format!("/system.slice/docker-{id}.scope/system.slice/ssh.service"),
        "/system.slice/ssh.service.scope".to_owned(),
    ] {
        let unit = Scratch::new(&path);
        let actor = Actor::builder().cgroup(&unit).spawn();
        let listener = actor.tcp_listen("127.0.0.1:0");
        let row = row_at(Kind::Tcp, listener.addr);
        assert_eq!((row.pid(), row.info()[0]), (actor.pid(), 0), "{path}");
        assert_eq!(module(&row), executable(&std::env::current_exe().unwrap()), "{path}");
        // Nor does a row that says so make it one.
        let forged = row.with_info(0, unit.id()).with_info(4, unit.id());
        assert_eq!(module(&forged), executable(&std::env::current_exe().unwrap()), "{path}");
    }
}

fn c26_a_path_longer_than_260_units_is_whole() {
    let dir = public_dir();
    let deep = dir.path().join("a".repeat(200)).join("\u{fc}".repeat(100)).join("c".repeat(200));
    fs::create_dir_all(&deep).unwrap();
    // Characters of 1, 2 and 4 units' and bytes' worth.
    let path = deep.join("a-rather-long-name-\u{20ac}-\u{1f600}");
    assert!(path.to_str().unwrap().encode_utf16().count() > 520);
    drop(assert_runs(&path));
}

fn c27_a_path_that_is_not_utf8_has_replacement_characters() {
    let dir = public_dir();
    let odd = dir.path().join(OsStr::from_bytes(b"dir-\xff"));
    fs::create_dir(&odd).unwrap();
    let path = odd.join(OsStr::from_bytes(b"name-\xfe-\xe2\x82-\xed\xa0\x80"));
    drop(assert_runs(&path));
    let (name, _) = executable(&path).unwrap();
    assert_eq!(name, "name-\u{fffd}-\u{fffd}-\u{fffd}\u{fffd}\u{fffd}");
}

fn c28_a_deleted_executable_has_its_name_and_path() {
    let dir = public_dir();
    for name in ["program", "program (deleted)"] {
        let path = dir.path().join(name);
        let actor = assert_runs(&path);
        actor.unlink_self_exe();
        assert_is(&actor, &path);
    }
}
