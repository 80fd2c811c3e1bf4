//! System calls that a sandbox refuses or an older kernel does not have.

use serde_json::Value;
use sockowner_testkit::seccomp::{self, Call, Errno};
use sockowner_testkit::{Actor, Requirement};

use super::program::{Answer, answer, program};

const SECCOMP: Requirement = Requirement::Custom("seccomp", seccomp::supported);

tests! {
    Outside without_netlink_nothing_can_be_told needs SECCOMP;
    Alone openat2_and_pidfds_are_not_needed needs SECCOMP;
    Alone without_kcmp_tables_of_threads_are_read_one_by_one needs SECCOMP;
    Alone without_bpf_owners_come_from_proc_and_the_reason_is_told needs SECCOMP;
    Alone without_statx_owners_are_told_all_the_same needs SECCOMP;
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

fn without_bpf_owners_come_from_proc_and_the_reason_is_told() {
    let (_actors, expected) = listeners();
    for errno in NO {
        let without = |words: &[&str]| ask_without(&[(Call::Bpf, errno)], words);
        let list = without(&["--json"]);
        list.assert_complete();
        assert_eq!(owners(&list), expected);
        let cause = std::io::Error::from(errno);
        let status = without(&["status"]);
        assert_eq!(status.status(), 0, "{}", status.stderr());
        let told: Vec<_> = status.stdout().split_whitespace().collect();
        let told = told.join(" ");
        assert!(told.contains(&format!("create a BPF map: {cause}")), "{told}");
        let demanded = without(&["--source", "bpf"]);
        assert_eq!(demanded.status(), 2);
        assert!(demanded.stderr().contains(&format!("create a BPF map: {cause}")), "{}", demanded.stderr());
    }
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
            let is_verified = |row: &Value| row["owner"]["path_verified"] == true;
            assert!(all.endpoints().iter().all(is_verified), "{refused:?}: {}", all.stdout());
            ask_without(&refused, &["who", ":8002"]).assert_complete();
        }
    }
}

fn without_kcmp_tables_of_threads_are_read_one_by_one() {
    let (actors, [first, second, third]) = listeners();
    actors[0].thread_with_own_fd_table("[::1]:8004");
    let owner = (8004, Some(u64::from(actors[0].pid())));
    for errno in NO {
        let all = ask_without(&[(Call::Kcmp, errno)], &["--json", "--strict"]);
        all.assert_complete();
        assert_eq!(owners(&all), [first, second, third, owner]);
        assert_eq!(all.json()["gaps"], Value::Array(Vec::new()));
        // What all threads share is told once.
        for row in all.endpoints() {
            assert_eq!(row["holders"].as_array().map(Vec::len), Some(1), "{row}");
        }
    }
}

fn without_statx_owners_are_told_all_the_same() {
    let (_actors, expected) = listeners();
    for errno in NO {
        let all = ask_without(&[(Call::Statx, errno)], &["--json", "--strict"]);
        all.assert_complete();
        assert_eq!(owners(&all), expected);
        let one = ask_without(&[(Call::Statx, errno)], &["--json", "who", ":8001"]);
        assert_eq!(owners(&one), expected[..1]);
    }
}
