//! Which rows are listed: each option alone, and together.

use serde_json::Value;
use sockowner_testkit::Requirement::{Cgroup2, OtherUser};

use super::machine::Machine;
use super::program::ask;

tests! {
    Alone options_choose_rows needs Cgroup2, OtherUser;
}

const HTTP: &str = "tcp 0.0.0.0:80";
const SHELL: &str = "tcp 127.0.0.1:2222";
const STORE: &str = "tcp 127.0.0.1:6379";
const NOTES: &str = "tcp [::1]:8080";
const NAMES: &str = "udp 127.0.0.53:53";
const PENDING: &str = "tcp 127.0.0.1:80>40002";
const ACCEPTED: &str = "tcp 127.0.0.1:6379>40003";
const PAST: &str = "tcp 127.0.0.1:40001>80";
const WAITING: &str = "tcp 127.0.0.1:40002>80";
const CONNECTED: &str = "tcp 127.0.0.1:40003>6379";
const QUERY: &str = "udp 127.0.0.1:40053>53";
const ALL: [&str; 11] =
    [HTTP, SHELL, STORE, NOTES, NAMES, PENDING, ACCEPTED, PAST, WAITING, CONNECTED, QUERY];

/// The rows that are listed, named as above.
fn listed(words: &[&str]) -> Vec<String> {
    let name = |row: &Value| {
        let (address, port) = (row["local_address"].as_str().unwrap(), &row["local_port"]);
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let remote = row["remote_port"].as_u64().map(|port| format!(">{port}")).unwrap_or_default();
        format!("{} {address}:{port}{remote}", row["protocol"].as_str().unwrap())
    };
    let answer = ask(&[&["--json"], words].concat());
    let rows: Vec<_> = answer.endpoints().iter().map(name).collect();
    assert_eq!(answer.status(), i32::from(rows.is_empty()), "{words:?}");
    assert_eq!(answer.stderr().is_empty(), !rows.is_empty(), "{words:?}: {}", answer.stderr());
    // The table has the same.
    let table = ask(words);
    assert_eq!(table.stdout().lines().count(), if rows.is_empty() { 0 } else { rows.len() + 1 }, "{words:?}");
    rows
}

fn options_choose_rows() {
    let machine = Machine::start();
    let numbers = [&machine.nginx, &machine.redis, &machine.sshd, &machine.client]
        .map(|program| program.pid().to_string());
    let [nginx, redis, sshd, client] = numbers.each_ref().map(String::as_str);
    let worker = machine.workers[1].to_string();
    let paths = [&machine.redis, &machine.client].map(|program| program.path.to_str().unwrap());
    let both = format!("{redis},{client}");
    let expectations: &[(&[&str], &[&str])] = &[
        (&[], &ALL),
        (&["-anp"], &ALL),
        (&["-tu46"], &ALL),
        (&["-l"], &[HTTP, SHELL, STORE, NOTES, NAMES]),
        (&["-tl"], &[HTTP, SHELL, STORE, NOTES]),
        (&["-u"], &[NAMES, QUERY]),
        (&["-6"], &[NOTES]),
        (&["-u6"], &[]),
        // A unit, as what made it and as where its holder is; whoever named it.
        (&["--unit", "sockowner-web"], &[HTTP, PENDING]),
        (&["--unit", "sockowner-web.service", "--state", "listen"], &[HTTP]),
        (&["--unit", "ssh"], &[SHELL, NOTES]),
        (&["--unit", "ssh", "--unit", "sockowner-names"], &[SHELL, NOTES, NAMES]),
        (&["--unit", "sockowner"], &[]),
        (&["--unit", "session-sockowner.scope"], &[]),
        // Containers by the start of their ids.
        (&["--container", "3f1c7e0d5b2a"], &[STORE, ACCEPTED]),
        (&["--container", "3"], &[STORE, ACCEPTED]),
        (&["--container", "f1c7"], &[]),
        (&["--container", "3f1c", "--unit", "ssh"], &[]),
        (&["--container", "3f1c", "--state", "established"], &[ACCEPTED]),
        // Users, by number and by name. What has no user is nobody's.
        (&["--user", "1000"], &[SHELL, NOTES, WAITING, CONNECTED, QUERY]),
        (&["--user", "0"], &[HTTP, STORE, NAMES, ACCEPTED]),
        (&["--user", "root", "-u"], &[NAMES]),
        (&["--user", "0", "--user", "1000", "-t", "--state", "established"], &[ACCEPTED, WAITING, CONNECTED]),
        (&["--user", "no-such-user"], &[]),
        // Executables, by name and by path.
        (&["--exe", "nginx"], &[HTTP]),
        (&["--exe", "ngin"], &[]),
        (&["--exe", paths[0]], &[STORE, ACCEPTED]),
        (
            &["--exe", paths[0], "--exe", paths[1], "--state", "established", "-t"],
            &[ACCEPTED, WAITING, CONNECTED],
        ),
        (&["--exe", "sshd", "--user", "0"], &[]),
        // Processes, also those that are not the first to have it.
        (&["--pid", nginx], &[HTTP]),
        (&["--pid", &worker], &[HTTP]),
        (&["--pid", &both], &[STORE, ACCEPTED, WAITING, CONNECTED, QUERY]),
        (&["--pid", sshd, "--pid", redis, "-l"], &[SHELL, STORE, NOTES]),
        (
            &["--pid", sshd, "-6", "--unit", "ssh", "--user", "1000", "--exe", "sshd", "--state", "listen"],
            &[NOTES],
        ),
        (&["--pid", "1"], &[]),
        // States, in any spelling.
        (&["--state", "time-wait"], &[PAST]),
        (&["--state", "TIME_WAIT,LISTEN", "-4"], &[HTTP, SHELL, STORE, PAST]),
        (&["--state", "unconnected"], &[NAMES]),
        (&["--state", "syn-sent"], &[]),
    ];
    for (words, rows) in expectations {
        assert_eq!(listed(words), *rows, "{words:?}");
    }
    for (words, rows) in [
        (&["--no-owners", "--unit", "sockowner-web"][..], &[HTTP, PENDING][..]),
        (&["--no-owners", "--container", "3f", "--user", "0"], &[STORE, ACCEPTED]),
    ] {
        assert_eq!(listed(words), rows, "{words:?}");
    }
}
