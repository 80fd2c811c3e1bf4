//! System calls that a sandbox refuses or an older kernel does not have.

use serde_json::Value;
use sockowner_testkit::seccomp::{self, Call, Errno};
use sockowner_testkit::{Actor, Requirement};

use super::program::{Answer, answer, ask, program};

const SECCOMP: Requirement = Requirement::Custom("seccomp", seccomp::supported);

tests! {
    Outside without_netlink_nothing_can_be_told needs SECCOMP;
    Alone openat2_and_pidfds_are_not_needed needs SECCOMP;
    Alone without_kcmp_tables_of_threads_are_missed needs SECCOMP;
    Alone without_statx_there_are_true_owners_or_none needs SECCOMP;
}

/// As a sandbox says no, and as an older kernel does.
const NO: [Errno; 2] = [Errno::PERM, Errno::NOSYS];

fn ask_without(refused: &[(Call, Errno)], words: &[&str]) -> Answer {
    let mut command = program(words);
    for (call, errno) in refused {
        seccomp::refuse(&mut command, *call, *errno);
    }
    answer(&mut command)
}

/// Port and owner of each endpoint.
fn owners(answer: &Answer) -> Vec<(u64, Option<u64>)> {
    let owner = |row: &Value| (row["local_port"].as_u64().unwrap(), row["owner"]["pid"].as_u64());
    answer.endpoints().iter().map(owner).collect()
}

/// Two actors, the first with one listener, the second with two.
fn listeners() -> ([Actor; 2], [(u64, Option<u64>); 3]) {
    let actors = [Actor::spawn(), Actor::spawn()];
    actors[0].tcp_listen("127.0.0.1:8001");
    actors[1].tcp_listen("127.0.0.1:8002");
    actors[1].tcp_listen("[::1]:8003");
    let [one, other] = actors.each_ref().map(|actor| Some(u64::from(actor.pid())));
    (actors, [(8001, one), (8002, other), (8003, other)])
}

fn without_netlink_nothing_can_be_told() {
    for (errno, cause) in [
        (Errno::PERM, "Operation not permitted (os error 1)"),
        (Errno::ACCESS, "Permission denied (os error 13)"),
        (Errno::PROTONOSUPPORT, "Protocol not supported (os error 93)"),
        (Errno::AFNOSUPPORT, "Address family not supported by protocol (os error 97)"),
    ] {
        let failed = format!("sockowner: open a sock_diag netlink socket: {cause}\n");
        for words in
            [&[][..], &["--json"], &["--no-owners"], &["--strict"], &["who", ":1"], &["who", ":1", "--json"]]
        {
            let refused = ask_without(&[(Call::NetlinkSocket, errno)], words);
            refused.assert_ended(2, &failed);
            assert_eq!(refused.stdout(), "", "{words:?}");
        }
        ask_without(&[(Call::NetlinkSocket, errno)], &["--version"]).assert_complete();
    }
}

fn openat2_and_pidfds_are_not_needed() {
    let (_actors, expected) = listeners();
    for errno in NO {
        for refused in [&[Call::Openat2][..], &[Call::PidfdOpen], &[Call::Openat2, Call::PidfdOpen]] {
            let refused: Vec<_> = refused.iter().map(|call| (*call, errno)).collect();
            let all = ask_without(&refused, &["--json", "--strict"]);
            all.assert_complete();
            assert_eq!(owners(&all), expected, "{refused:?}");
            assert_eq!(all.json()["gaps"], Value::Array(Vec::new()));
            // A path that could not be verified is not said to be.
            let is_verified = |row: &Value| row["owner"]["path_verified"] == true;
            let fails = refused.contains(&(Call::Openat2, Errno::PERM));
            assert!(
                all.endpoints().iter().all(|row| fails != is_verified(row)),
                "{refused:?}: {}",
                all.stdout()
            );
            ask_without(&refused, &["who", ":8002"]).assert_complete();
        }
    }
}

fn without_kcmp_tables_of_threads_are_missed() {
    let (actors, expected) = listeners();
    for errno in NO {
        // Of all processes here this one alone has several threads.
        let all = ask_without(&[(Call::Kcmp, errno)], &["--json"]);
        all.assert_complete();
        assert_eq!(owners(&all), expected);
        assert_kcmp_gap(&all, errno, "/proc/1/task", 1);
    }
    let thread = actors[0].thread_with_own_fd_table("[::1]:8004");
    let owner = (8004, Some(u64::from(actors[0].pid())));
    let [first, second, third] = expected;
    assert_eq!(owners(&ask(&["--json", "--strict"])), [first, second, third, owner]);
    for errno in NO {
        let all = ask_without(&[(Call::Kcmp, errno)], &["--json"]);
        assert_eq!(all.status(), 0);
        assert_eq!(owners(&all), [first, second, third, (8004, None)]);
        assert_kcmp_gap(&all, errno, "/proc/*/task", 2);
        let row = &all.endpoints()[3];
        assert_eq!((&row["reason"], &row["inode"]), (&"not_permitted".into(), &thread.sock.inode.into()));
        assert!(
            all.stderr().starts_with("sockowner: 1 of 4 endpoints has no process shown: "),
            "{}",
            all.stderr()
        );
        assert_eq!(all.stderr().lines().count(), 1);
    }
    let strict = ask_without(&[(Call::Kcmp, Errno::PERM)], &["--strict"]);
    assert_eq!(strict.status(), 3);
}

#[track_caller]
fn assert_kcmp_gap(all: &Answer, errno: Errno, object: &str, count: u64) {
    let gaps = &all.json()["gaps"];
    assert_eq!(gaps.as_array().map(Vec::len), Some(1), "{gaps}");
    let gap = &gaps[0];
    let told = (&gap["source"], &gap["object"], &gap["count"]);
    assert_eq!(told, (&"kcmp".into(), &object.into(), &count.into()));
    if errno == Errno::PERM {
        assert_eq!(gap["reason"], "not_permitted");
    }
}

/// The library needs it for owners. Whatever it does without: nobody is named who is not.
fn without_statx_there_are_true_owners_or_none() {
    let (_actors, expected) = listeners();
    for errno in NO {
        for words in [&["--json"][..], &["--json", "who", ":8001"]] {
            let all = ask_without(&[(Call::Statx, errno)], words);
            if all.status() == 0 {
                assert!(owners(&all).iter().all(|owner| expected.contains(owner)), "{}", all.stdout());
                continue;
            }
            assert_eq!((all.status(), all.stdout()), (2, ""));
            let said = all.stderr();
            assert!(said.starts_with("sockowner: look for the processes that hold sockets: "), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        let alone = ask_without(&[(Call::Statx, errno)], &["--json", "--no-owners"]);
        assert_eq!(alone.status(), 0, "{}", alone.stderr());
        assert_eq!(owners(&alone), expected.map(|(port, _)| (port, None)));
    }
}
