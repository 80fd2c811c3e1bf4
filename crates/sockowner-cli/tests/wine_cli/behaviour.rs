//! How the program behaves: what it says where, and how it ends.

use std::io::Read as _;
use std::process::Stdio;

use super::program::{Windows, answer, ask, sockowner};

tests! {
    Outside what_is_linuxs_alone_is_absent_and_unknown;
    Outside the_exit_status_tells_what_was_found;
    Outside sources_are_told;
    Outside colours_are_for_terminals;
    Outside a_reader_that_leaves_is_no_failure;
}

fn what_is_linuxs_alone_is_absent_and_unknown() {
    const ABSENT: [&str; 12] = [
        "record ",
        "share",
        "--closed",
        "namespace",
        "sudo",
        "root",
        "cgroup",
        "/proc",
        "BPF",
        "mptcp",
        "kill(1)",
        "systemctl",
    ];
    for words in [&["-h"][..], &["--help"], &["who", "--help"], &["wait", "--help"], &["status", "--help"]] {
        let said = ask(words);
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{words:?}");
        for absent in ABSENT {
            assert!(!said.stdout.contains(absent), "{words:?}: {absent}: {}", said.stdout);
        }
    }
    assert!(ask(&["--help"]).stdout.contains("Run as administrator"));
    let columns = ask(&["-o", "help"]).stdout;
    for absent in ["cgroup", "container", "cookie", "netns", "binder", "clock ticks", "kernel"] {
        assert!(columns.contains("owner_user") && !columns.contains(absent), "{absent}: {columns}");
    }
    for (words, message) in [
        (&["record", "status"][..], "unrecognized subcommand 'record'"),
        (&["share", "status"], "unrecognized subcommand 'share'"),
        (&["who", "--closed", ":1"], "unexpected argument '--closed'"),
        (&["who", "--all-netns", ":1"], "unexpected argument '--all-netns'"),
        (&["--source", "bpf"], "invalid value 'bpf'"),
        (&["-M"], "unexpected argument '-M'"),
    ] {
        let said = ask(words);
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{words:?}");
        assert!(said.stderr.starts_with("sockowner: ") && said.stderr.contains(message), "{}", said.stderr);
    }
}

fn the_exit_status_tells_what_was_found() {
    let program = Windows::with(&["tcp4"]);
    let here = format!(":{}", program.sockets[0].port);
    assert_eq!(ask(&["who", &here]).status, 0);
    assert_eq!(ask(&["--pid", &program.sockets[0].pid.to_string()]).status, 0);
    let said = ask(&["who", "203.0.113.9:9"]);
    assert_eq!((said.status, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.contains("no endpoint matches 203.0.113.9:9"), "{}", said.stderr);
    assert_eq!(ask(&["who", ":70000"]).status, 2);
    assert_eq!(ask(&["-tl"]).status, 0);
}

fn sources_are_told() {
    let said = ask(&["status"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    for line in ["handles in use", "bridge  refused\n", "tables  in use: "] {
        assert!(said.stdout.contains(line), "{}", said.stdout);
    }
    assert!(!said.stdout.contains("sharing") && !said.stdout.contains("sudo"), "{}", said.stdout);
}

fn colours_are_for_terminals() {
    let _program = Windows::with(&["tcp4"]);
    assert!(!ask(&["-l"]).stdout.contains('\u{1b}'));
    let forced = |name: &str| {
        answer(sockowner(&["-l"]).env("CLICOLOR_FORCE", "1").env(name, "1")).stdout.contains('\u{1b}')
    };
    assert!(forced("UNRELATED") && !forced("NO_COLOR"));
}

fn a_reader_that_leaves_is_no_failure() {
    let _program = Windows::with(&["tcp4"]);
    for words in [&["--no-owners"][..], &["--json"], &["--help"]] {
        let mut child = sockowner(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{words:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("pipe"), "{words:?}: {said}");
    }
}
