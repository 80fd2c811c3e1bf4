//! The recorder's own life: who may start and read it, and what is left of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use sockowner::ErrorKind;
use sockowner::os::linux::record::{self, Reader};
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::{ORDINARY_UID, become_member, become_user};
use sockowner_testkit::{Actor, eventually};

use super::FIRST_USE;
use super::ask::{GROUP, Recorder, called, gid, private_run, who};

tests! {
    Alone nothing_is_left_after_a_stop;
    Alone what_is_there_is_picked_up;
    Alone a_hook_that_is_missing_is_put_back;
    Alone first_use_can_be_had_later_and_given_up needs FIRST_USE;
    Alone what_is_another_versions_is_replaced;
    Alone the_group_may_read needs OtherUser;
    Alone only_root_records needs OtherUser;
    Alone what_only_looks_recorded_is_refused;
    Alone a_group_must_exist;
    Alone another_group_is_not_told_that_it_may_read;
    Alone the_status_tells_what_there_is;
}

const DIR: &str = "/run/sockowner/record";

fn is_mounted() -> bool {
    fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&format!(" {DIR} "))
}

/// The programs would go on writing into the maps, of which the reader keeps descriptors.
fn nothing_is_left_after_a_stop() {
    private_run();
    let actor = Actor::spawn();
    assert!(!record::stop().unwrap());
    let begins_and_ends = || {
        assert_eq!(record::status().unwrap(), None);
        record::start(GROUP, false).unwrap();
        let reader = Reader::open().unwrap().unwrap();
        let during = actor.tcp_listen("127.0.0.1:0");
        assert!(record::stop().unwrap());
        assert!(reader.socket(during.cookie).unwrap().is_some());
        let after = actor.tcp_listen("127.0.0.1:0");
        let noted = reader.socket(after.cookie).unwrap();
        actor.close(during.fd);
        let closed_at = reader.socket(during.cookie).unwrap().unwrap().closed_at;
        assert!(!is_mounted());
        assert_eq!(fs::read_dir(DIR).unwrap().count(), 0);
        assert!(!record::stop().unwrap());
        assert!(Reader::open().unwrap().is_none());
        (noted.is_none() && closed_at.is_none()).then_some(())
    };
    for _ in 0..2 {
        // The kernel lets go of programs by and by.
        eventually("nothing is noted after a stop", begins_and_ends);
    }
}

fn what_is_there_is_picked_up() {
    let recorder = Recorder::start();
    let actor = Actor::spawn();
    let first = actor.tcp_listen("127.0.0.1:0");
    let before = recorder.told(&first);
    let running_for = record::status().unwrap().unwrap().running_for;
    let started = record::start(GROUP, false).unwrap();
    assert!(started.hooks.iter().all(|hook| hook.in_use == Some(true) && hook.refused.is_none()));
    let second = actor.tcp_listen("127.0.0.1:0");
    let anew = Reader::open().unwrap().unwrap();
    let creator = |told: Option<sockowner::Recorded>| told.unwrap().roles.creator.as_ref().map(who);
    assert_eq!(creator(anew.socket(first.cookie).unwrap()), before.roles.creator.as_ref().map(who));
    assert_eq!(creator(anew.socket(second.cookie).unwrap()), called(&actor));
    assert!(record::status().unwrap().unwrap().running_for > running_for);
}

/// New programs write into the tables that are there.
fn a_hook_that_is_missing_is_put_back() {
    let recorder = Recorder::start();
    let actor = Actor::spawn();
    let in_use = |name: &str| {
        let hooks = record::status().unwrap().unwrap().hooks;
        hooks.iter().find(|hook| hook.name == name).unwrap().in_use
    };
    for name in ["sock_create", "inet_sock_set_state"] {
        fs::remove_file(Path::new(DIR).join("own").join(name)).unwrap();
        assert_eq!(in_use(name), Some(false));
        // The kernel lets go of a program by and by.
        eventually("a listener without that hook", || {
            let roles = recorder.told(&actor.tcp_listen("127.0.0.1:0")).roles;
            (roles.creator.is_none() || roles.listener.is_none()).then_some(())
        });
        record::start(GROUP, false).unwrap();
        assert_eq!(in_use(name), Some(true));
        let with = actor.tcp_listen("127.0.0.1:0");
        super::ask::assert_roles(
            &recorder.told(&with),
            [called(&actor), called(&actor), called(&actor), None],
        );
    }
}

fn first_use_can_be_had_later_and_given_up() {
    let _recorder = Recorder::start();
    let in_use = || {
        let hooks = record::status().unwrap().unwrap().hooks;
        let of_use = |name: &str| ["sock_recv_length", "sock_send_length"].contains(&name);
        let states: Vec<_> = hooks.iter().filter(|hook| of_use(hook.name)).map(|hook| hook.in_use).collect();
        states
    };
    assert_eq!(in_use(), [Some(false); 2]);
    assert_eq!(record::start(GROUP, true).unwrap().hooks.len(), 11);
    assert_eq!(in_use(), [Some(true); 2]);
    assert_eq!(record::start(GROUP, false).unwrap().hooks.len(), 9);
    assert_eq!(in_use(), [Some(false); 2]);
}

fn what_is_another_versions_is_replaced() {
    let _recorder = Recorder::start();
    let maps = Path::new(DIR).join("maps");
    fs::remove_file(maps.join("sockets")).unwrap();
    fs::rename(maps.join("processes"), maps.join("sockets")).unwrap();
    assert!(Reader::open().is_err());
    record::start(GROUP, false).unwrap();
    let recorder = Reader::open().unwrap().unwrap();
    let actor = Actor::spawn();
    assert!(recorder.socket(actor.tcp_listen("127.0.0.1:0").cookie).unwrap().is_some());
}

fn the_group_may_read() {
    // Until the end of the test's mount namespace.
    std::mem::forget(Recorder::start());
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    become_member(ORDINARY_UID, ORDINARY_UID, &[gid()]).unwrap();
    let reader = Reader::open().unwrap().unwrap();
    let told = reader.socket(listener.cookie).unwrap().unwrap();
    assert_eq!(told.roles.binder.as_ref().map(who), called(&actor));
    let status = record::status().unwrap().unwrap();
    assert!(status.hooks.iter().all(|hook| hook.in_use.is_none()), "{status:?}");
    assert!(record::tend().unwrap_err().is_not_permitted());
    assert!(record::stop().is_err());
    // Whoever is in no group of it.
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap_err();
}

fn only_root_records() {
    private_run();
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    let error = record::start(GROUP, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error:#}");
    assert!(!Path::new("/run/sockowner").exists());
}

/// With the right names, owner and permissions, and on another file system.
fn what_only_looks_recorded_is_refused() {
    private_run();
    let maps = Path::new(DIR).join("maps");
    fs::create_dir_all(&maps).unwrap();
    for name in ["sockets", "processes", "executables", "settings"] {
        fs::write(maps.join(name), [0; 128]).unwrap();
        fs::set_permissions(maps.join(name), fs::Permissions::from_mode(0o440)).unwrap();
    }
    assert!(Reader::open().unwrap().is_none());
    assert_eq!(record::status().unwrap(), None);
    assert!(record::tend().is_err());
    // Everybody may put something into the directory.
    let _recorder = Recorder::start();
    fs::set_permissions(Path::new(DIR).join("maps"), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Reader::open().unwrap_err().to_string().starts_with("open the recorder's tables"));
}

fn a_group_must_exist() {
    private_run();
    let error = record::start("sockowner-no-such-group", false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().ends_with("create it: groupadd --system sockowner-no-such-group"), "{error}");
    assert_eq!(record::status().unwrap(), None);
}

fn the_status_tells_what_there_is() {
    let _recorder = Recorder::start();
    let before = record::status().unwrap().unwrap();
    let actor = Actor::spawn();
    let sockets = [0; 5].map(|_| actor.udp_bind("127.0.0.1:0"));
    actor.close(sockets[0].fd);
    // Others on the machine make sockets too, and whoever looks at a descriptor keeps it open for a moment.
    let after = eventually("all is told", || {
        let after = record::status().unwrap().unwrap();
        (after.events >= before.events + 11 && after.sockets.1 >= 1).then_some(after)
    });
    assert!(after.sockets.0 >= 4 && after.processes >= 1, "{after:?}");
    assert!(after.oldest_closed.is_some() && after.memory > 0);
    assert_eq!((after.capacity, after.not_recorded, after.not_recorded_of), (131_072, 0, vec![]));
    assert!(after.hooks.iter().all(|hook| !hook.lacking.is_empty() && hook.refused.is_none()));
}

fn another_group_is_not_told_that_it_may_read() {
    let recorder = Recorder::start();
    let error = record::start("adm", false).unwrap_err();
    let sentence = "record for the group adm: it is recorded for the group daemon already; \
                    'sockowner record stop' ends that, and forgets what was noted";
    assert_eq!(error.to_string(), sentence);
    // What is there goes on.
    assert_eq!(fs::metadata(Path::new(DIR).join("maps")).unwrap().gid(), gid());
    let actor = Actor::spawn();
    assert!(recorder.about(actor.tcp_listen("127.0.0.1:0").cookie).is_some());
    drop(recorder);
    record::start("adm", false).unwrap();
    assert!(record::stop().unwrap());
}
