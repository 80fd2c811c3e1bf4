//! The program as its users meet it: what it prints where, and how it ends. These run for any user, in a container
//! or not; they look at sockets that they open themselves.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockowner"));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

fn run(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = run(args);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", stderr(&output)))
}

/// A listener on the loopback, and its port.
fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted<const N: usize>(mut keys: [&'static str; N]) -> Vec<&'static str> {
    keys.sort_unstable();
    keys.into()
}

#[test]
fn help_and_version_go_to_stdout() {
    for args in [&["-h"][..], &["--help"], &["help"], &["who", "--help"], &["--version"], &["-V"]] {
        let output = run(args);
        assert_eq!((status(&output), stderr(&output)), (0, ""), "{args:?}");
        assert!(!stdout(&output).is_empty(), "{args:?}");
    }
    assert_eq!(stdout(&run(&["-V"])), concat!("sockowner ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(stdout(&run(&["-h"])).lines().count() < 24, "it fits a screen");
    let help = run(&["--help"]);
    for needed in
        ["Exit status:", "Examples:", "sockowner who :443", "--no-owners", "UNIT", "sockowner record "]
    {
        assert!(stdout(&help).contains(needed), "{needed}");
    }
}

#[test]
fn the_price_of_noting_first_use_is_told() {
    for args in [&["record", "--help"][..], &["record", "-h"], &["help", "record"]] {
        let output = run(args);
        assert_eq!((status(&output), stderr(&output)), (0, ""), "{args:?}");
        assert!(stdout(&output).contains("EACH SEND AND RECEIVE of every socket"), "{}", stdout(&output));
    }
    for args in [["record", "start", "--help"], ["record", "run", "--help"]] {
        let output = run(&args);
        let words: Vec<_> = stdout(&output).split_whitespace().collect();
        let told = words.join(" ");
        assert!(
            told.contains("costs something at each send and receive") && !told.contains("--detached"),
            "{told}"
        );
    }
}

#[test]
fn status_tells_every_source_and_why_one_is_not_used() {
    let told = json(&["status", "--json"]);
    assert_eq!(keys(&told), ["schema", "shared", "sources"]);
    let sources = told["sources"].as_array().unwrap();
    let names: Vec<_> = sources.iter().map(|source| source["source"].as_str().unwrap()).collect();
    assert_eq!(names, ["bpf", "proc"]);
    assert!(sources.iter().any(|source| source["in_use"] == true));
    for source in sources {
        assert_eq!(keys(source), ["detail", "in_use", "refused", "source"]);
        assert!(source["in_use"] == false || source["refused"].as_array().unwrap().is_empty());
    }
    let forced = run(&["status", "--source", "proc"]);
    assert_eq!((status(&forced), stderr(&forced)), (0, ""));
    assert!(stdout(&forced).contains("proc    in use"), "{}", stdout(&forced));
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    for (args, message) in [
        (&["who", ":70000"][..], "port 70000 is not in 1 to 65535"),
        (&["who", "22"], "a port is written with a colon, as in ':22'"),
        (&["who", "::1:80"], "an IPv6 address is written in brackets"),
        (&["who", "127.0.0.1:80-"], "quote 'LOCAL->REMOTE'"),
        (&["who", "tcp/:1", "udp/:2"], "the two sides name different protocols"),
        (&["who"], "<ENDPOINT>"),
        (&["who", ":1", ":2", ":3"], "':3'"),
        (&["who", ":1", "--pid", "1"], "'--pid'"),
        (&["-t", "who", ":1"], "'--tcp' chooses what is listed: it has no meaning with 'who'"),
        (&[":22"], "To explain one endpoint: sockowner who :22"),
        (&["--state", "HALF"], "a state is one of LISTEN, SYN_SENT"),
        (&["--pid", "0"], "'--pid <PID>'"),
        (&["--pid", "many"], "'--pid <PID>'"),
        (&["--no-owners", "--pid", "1"], "'--no-owners' cannot be used with '--pid <PID>'"),
        (&["--source", "ebpf"], "'--source <SOURCE>'"),
        (&["share"], "sockowner share [OPTIONS] <COMMAND>"),
        (&["share", "enable", "--group", ""], "'--group <GROUP>'"),
        (&["record"], "sockowner record [OPTIONS] <COMMAND>"),
        (&["record", "start", "--group", ""], "'--group <GROUP>'"),
        (&["record", "run", "--tend-only", "--first-use"], "'--tend-only' cannot be used with '--first-use'"),
        (
            &["-l", "record", "status"],
            "'--listening' chooses what is listed: it has no meaning with 'record'",
        ),
        (&["--nonsense"], "'--nonsense'"),
        (&["--state", "\u{1b}[2J\u{202e}"], r"\u{202e}'"),
        (&["who", "\u{1b}[2J:1"], r"\u{1b}[2J"),
    ] {
        let output = run(args);
        assert_eq!((status(&output), stdout(&output)), (2, ""), "{args:?}");
        let said = stderr(&output);
        assert!(said.starts_with("sockowner: ") && said.contains(message), "{args:?}: {said}");
        assert!(!said.contains(['\u{1b}', '\t']), "{args:?}: {said:?}");
    }
}

#[test]
fn a_listener_is_listed_with_its_process() {
    let (_listener, port) = listener();
    let pid = std::process::id().to_string();
    let output = run(&["-tl", "--pid", &pid]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let mut lines = stdout(&output).lines();
    let head: Vec<_> =
        lines.next().unwrap().split("  ").filter(|title| !title.is_empty()).map(str::trim).collect();
    assert_eq!(head, ["PROTO", "STATE", "LOCAL", "REMOTE", "USER", "PID", "PROCESS", "UNIT"]);
    let address = format!("127.0.0.1:{port}");
    let row = lines.find(|line| line.contains(&address)).unwrap();
    let cells: Vec<_> = row.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect();
    assert_eq!(cells[..4], ["tcp", "LISTEN", &address, "*"]);
    assert_eq!(cells[5], pid, "{row}");
}

#[test]
fn families_and_protocols_are_told_apart() {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = udp.local_addr().unwrap().to_string();
    let pid = std::process::id().to_string();
    let shows = |args: &[&str], row: &str| {
        let output = run(&[&["--pid", &pid], args].concat());
        stdout(&output).lines().any(|line| line.starts_with(row) && line.contains(&address))
    };
    assert!(shows(&[], "udp ") && shows(&["-u", "-4"], "udp ") && shows(&["-tu46anp"], "udp "));
    assert!(!shows(&["-t"], "") && !shows(&["-6"], "") && !shows(&["--state", "listen"], ""));
    // A container may be without IPv6.
    if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        let address = listener.local_addr().unwrap().to_string();
        let output = run(&["--pid", &pid, "-6"]);
        let row = stdout(&output).lines().find(|line| line.contains(&address)).map(str::to_owned);
        assert!(row.unwrap().starts_with("tcp6 "));
    }
}

#[test]
fn who_explains_a_listener_and_both_sides_of_a_connection() {
    let (listener, port) = listener();
    let pid = std::process::id();
    let address = format!("127.0.0.1:{port}");
    let output = run(&["who", &address]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.starts_with(&format!("tcp {address} LISTEN\n")), "{said}");
    for needed in [format!(", pid {pid}\n"), format!(" pid {pid} fd "), "  not known ".to_owned()] {
        assert!(said.contains(&needed), "{needed:?} is not in {said}");
    }

    let client = TcpStream::connect(&address).unwrap();
    let (_server, _) = listener.accept().unwrap();
    let peer = client.local_addr().unwrap().to_string();
    let first = |args: &[&str]| stdout(&run(args)).lines().next().unwrap_or_default().to_owned();
    let connection = format!("tcp {peer} -> {address} ESTABLISHED");
    assert_eq!(first(&["who", &peer, &address]), connection);
    assert_eq!(first(&["who", &format!("{peer},{address}")]), connection);
    assert_eq!(first(&["who", &address, &peer]), format!("tcp {address} -> {peer} ESTABLISHED"));
}

#[test]
fn who_finds_the_wildcard_that_serves_an_address() {
    let wildcard = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = wildcard.local_addr().unwrap().port();
    let asked = format!("127.0.0.1:{port}");
    let output = run(&["who", &asked]);
    assert!(
        stdout(&output).starts_with(&format!("tcp 0.0.0.0:{port} LISTEN\n  match ")),
        "{}",
        stdout(&output)
    );
    assert!(stdout(&output).contains(&format!("serves {asked} too")));
    let found = json(&["who", &asked, "--json"]);
    assert_eq!(found["endpoints"][0]["match"], "wildcard");
}

#[test]
fn the_remote_side_of_a_connection_gets_a_hint() {
    // UDP connects without asking anybody, here to an address at which nobody is.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (_, unused) = listener();
    socket.connect((Ipv4Addr::new(127, 99, 98, 97), unused)).unwrap();
    let asked = format!("127.99.98.97:{unused}");
    let output = run(&["who", &format!("udp/{asked}")]);
    assert_eq!((status(&output), stdout(&output)), (1, ""));
    let said = stderr(&output);
    let command = format!("sockowner who {} {asked}\n", socket.local_addr().unwrap());
    assert!(
        said.contains(&format!("no endpoint matches udp/{asked}\n")) && said.contains(&command),
        "{said}"
    );
}

#[test]
fn nothing_matched_ends_with_1_and_says_so() {
    for (args, words) in [
        (
            &["--unit", "no-such-unit-of-sockowner"][..],
            ["no endpoint ", "belongs to unit no-such-unit-of-sockowner"],
        ),
        (
            &["-u", "--user", "no-such-user-of-sockowner"],
            ["no udp endpoint ", "user no-such-user-of-sockowner"],
        ),
        (&["--container", "no-such"], ["no endpoint ", "belongs to container no-such"]),
        (&["--exe", "no-such-program"], ["no endpoint ", "is held by a process that runs no-such-program"]),
        (&["--pid", "4294967295"], ["no endpoint ", "is held by pid 4294967295"]),
        (&["--no-owners", "--unit", "no-such"], ["no endpoint ", "belongs to unit no-such"]),
        (&["who", "203.0.113.9:9"], ["no endpoint matches", "203.0.113.9:9"]),
    ] {
        let output = run(args);
        assert_eq!((status(&output), stdout(&output)), (1, ""), "{args:?}");
        let said = stderr(&output);
        assert!(
            said.starts_with("sockowner: ") && words.iter().all(|word| said.contains(word)),
            "{args:?}: {said}"
        );
    }
    let nothing = json(&["who", "203.0.113.9:9", "--json"]);
    assert_eq!((&nothing["schema"], &nothing["endpoints"]), (&1.into(), &Value::Array(Vec::new())));
}

#[test]
fn json_has_exactly_the_documented_keys() {
    let (_listener, port) = listener();
    let found = json(&["--json", "-tl"]);
    assert_eq!(keys(&found), sorted(["schema", "endpoints", "gaps"]));
    assert_eq!(found["schema"], 1);
    let endpoints = found["endpoints"].as_array().unwrap();
    let ours = endpoints.iter().find(|endpoint| endpoint["local_port"] == port).unwrap();
    assert_eq!(keys(ours), sorted(ENDPOINT));
    assert_eq!(keys(&ours["owner"]), sorted(OWNER));
    assert_eq!(keys(&ours["owner"]["exe"]), sorted(["device", "inode"]));
    assert_eq!(keys(&ours["holders"][0]), sorted(["pid", "tid", "fd", "start_time", "name", "path"]));
    assert_eq!(keys(&ours["roles"]), sorted(["creator", "binder", "listener", "acceptor", "reasons"]));
    assert_eq!(keys(&ours["roles"]["reasons"]), sorted([]));
    for gap in found["gaps"].as_array().unwrap() {
        assert_eq!(keys(gap), sorted(["source", "object", "reason", "count"]));
    }
    for (key, value) in [
        ("protocol", "tcp".into()),
        ("family", "ipv4".into()),
        ("state", "LISTEN".into()),
        ("local_address", "127.0.0.1".into()),
        ("remote_address", Value::Null),
        ("remote_port", Value::Null),
        ("reason", Value::Null),
        ("created_at", Value::Null),
        ("changed", false.into()),
    ] {
        assert_eq!(ours[key], value, "{key}");
    }
    let owner = &ours["owner"];
    assert_eq!((&owner["pid"], &owner["exited"]), (&std::process::id().into(), &false.into()));
    assert_eq!(owner["path"].as_str(), std::env::current_exe().unwrap().to_str());
    let start = owner["start_time"].as_str().unwrap();
    assert!(start.ends_with("0Z") && start.len() == "2026-11-22T09:14:03.120Z".len(), "{start}");
}

#[test]
fn json_keys_stand_in_the_documented_order() {
    let (_listener, port) = listener();
    let output = run(&["who", &format!(":{port}"), "--json"]);
    let text = stdout(&output);
    assert!(text.starts_with("{\"schema\":1,\"endpoints\":[{") && text.ends_with("}\n"));
    assert_eq!(text.matches('\n').count(), 1);
    let mut rest = text;
    for key in ENDPOINT.iter().filter(|key| **key != "changed").chain(&["match", "changed"]) {
        let (_, after) = rest.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key} in {rest}"));
        rest = match *key {
            // What is inside has keys of its own.
            "owner" => after.split_once("\"holders\":").map_or(after, |(owner, _)| &after[owner.len()..]),
            _ => after,
        };
    }
}

#[test]
fn json_of_who_adds_the_match_and_the_command_line() {
    let (_listener, port) = listener();
    let found = json(&["--json", "who", &format!("tcp/:{port}")]);
    let ours = &found["endpoints"][0];
    assert_eq!(keys(ours).len(), ENDPOINT.len() + 1);
    assert_eq!(ours["match"], "exact");
    let words = ours["owner"]["cmdline"].as_array().unwrap();
    let own: Vec<_> = std::env::args().map(Value::from).collect();
    assert_eq!(*words, own);
}

#[test]
fn without_owners_no_process_is_named() {
    let (_listener, port) = listener();
    let found = json(&["--json", "--no-owners", "-l"]);
    let endpoints = found["endpoints"].as_array().unwrap();
    let ours = endpoints.iter().find(|endpoint| endpoint["local_port"] == port).unwrap();
    assert_eq!((&ours["owner"], &ours["reason"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&ours["holders"], &ours["candidates"]),
        (&Value::Array(Vec::new()), &Value::Array(Vec::new()))
    );
    let output = run(&["--no-owners"]);
    assert_eq!((status(&output), stderr(&output).contains("no process shown")), (0, false));
}

#[test]
fn strict_tells_by_its_status_that_something_is_missing() {
    let (_listener, _) = listener();
    let found = json(&["--json"]);
    let is_refused =
        |list: &str| found[list].as_array().unwrap().iter().any(|item| item["reason"] == "not_permitted");
    let expected = if is_refused("endpoints") || is_refused("gaps") { 3 } else { 0 };
    assert_eq!(status(&run(&["--strict"])), expected);
    assert_eq!(status(&run(&[])), 0);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let (_listener, _) = listener();
    for args in [&["--no-owners"][..], &["--json"], &["--help"], &["-h"], &["who", ":1"], &["--version"]] {
        let mut child = program().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let code = child.wait().unwrap().code();
        let expected = i32::from(args[0] == "who");
        assert_eq!(code, Some(expected), "{args:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("pipe"), "{args:?}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure() {
    let (_listener, _) = listener();
    for args in [&["-l"][..], &["--json"], &["--help"], &["--version"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = program().args(args).stdout(full).output().unwrap();
        assert_eq!(status(&output), 2, "{args:?}");
        assert!(stderr(&output).contains("No space left on device"), "{args:?}: {}", stderr(&output));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_or_full_stderr_is_no_panic() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let code =
        |args: &[&str]| program().args(args).stderr(full()).stdout(Stdio::null()).status().unwrap().code();
    assert_eq!(code(&["who", ":70000"]), Some(2));
    assert_eq!(code(&["who", "203.0.113.9:9"]), Some(1));
    assert_eq!(code(&["--nonsense"]), Some(2));
}

#[test]
fn colours_are_for_terminals() {
    let (_listener, port) = listener();
    let port = format!(":{port}");
    for args in [&["-l"][..], &["who", &port], &["--help"], &["--nonsense"]] {
        let output = run(args);
        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{args:?}");
    }
    let colored =
        |name: &str| program().args(["-l"]).env("CLICOLOR_FORCE", "1").env(name, "1").output().unwrap();
    assert!(colored("UNRELATED").stdout.contains(&0x1b), "where they are forced");
    assert!(!colored("NO_COLOR").stdout.contains(&0x1b), "NO_COLOR has the last word");
    let output = program().args(["--json"]).env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(!output.stdout.contains(&0x1b), "JSON has none");
}

#[test]
fn without_a_terminal_nothing_is_cut() {
    let (_listener, port) = listener();
    let output = program().args(["-l"]).env("COLUMNS", "20").output().unwrap();
    let row =
        stdout(&output).lines().find(|line| line.contains(&format!("127.0.0.1:{port} "))).map(str::to_owned);
    assert!(row.is_some() && !stdout(&output).contains('…'), "{}", stdout(&output));
}

const ENDPOINT: [&str; 22] = [
    "protocol",
    "family",
    "state",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "netns",
    "inode",
    "cookie",
    "uid",
    "user",
    "cgroup",
    "service",
    "container",
    "owner",
    "holders",
    "candidates",
    "reason",
    "roles",
    "created_at",
    "changed",
];

const OWNER: [&str; 13] = [
    "pid",
    "start_time",
    "start_ticks",
    "name",
    "comm",
    "path",
    "path_verified",
    "exe",
    "uid",
    "user",
    "service",
    "exited",
    "evidence",
];
