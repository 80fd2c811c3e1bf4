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
    for needed in ["Exit status:", "Examples:", "sockowner who :443", "--no-owners", "UNIT"] {
        assert!(stdout(&help).contains(needed), "{needed}");
    }
    assert_eq!(stdout(&help).contains("sockowner record "), cfg!(target_os = "linux"));
}

#[test]
fn columns_are_listed_for_who_asks() {
    for args in [&["-o", "help"][..], &["--columns", "HELP"], &["--sort", "help"], &["--csv", "-o", "help"]] {
        let output = run(args);
        assert_eq!((status(&output), stderr(&output)), (0, ""), "{args:?}");
        assert!(stdout(&output).contains("\n  local_port          Local port\n"), "{}", stdout(&output));
    }
}

#[test]
fn a_listener_is_told_in_columns_of_choice() {
    let (_listener, port) = listener();
    let pid = std::process::id();
    let chosen = ["-o", "local_port,pid,protocol", "--pid", &pid.to_string()];
    let rows = |args: &[&str]| stdout(&run(&[&chosen[..], args].concat())).to_owned();
    assert!(rows(&["--csv"]).starts_with("local_port,pid,protocol\n"));
    assert!(rows(&["--csv"]).contains(&format!("\n{port},{pid},tcp\n")));
    assert!(!rows(&["--csv", "--no-header"]).contains("local_port"));
    let table = rows(&[]);
    let mut words = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(words.next().unwrap(), ["LOCAL_PORT", "PID", "PROTOCOL"]);
    assert!(words.any(|row| row == [&port.to_string(), &pid.to_string(), "tcp"]));
    assert!(!rows(&["--no-header"]).contains("PID"));
}

#[test]
fn where_nothing_matches_a_header_is_all_of_csv() {
    let none = |args: &[&str]| {
        let output = run(&[&["--unit", "no-such-unit-of-sockowner"], args].concat());
        assert_eq!(status(&output), 1);
        stdout(&output).to_owned()
    };
    assert_eq!(none(&["--csv", "-o", "pid,name"]), "pid,name\n");
    for args in [&["--csv", "--no-header"][..], &["--jsonl"], &["-o", "pid"]] {
        assert_eq!(none(args), "", "{args:?}");
    }
}

#[cfg(target_os = "linux")]
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

#[cfg(target_os = "linux")]
#[test]
fn who_is_told_what_is_recorded_and_which_rights_it_takes_is_told() {
    let output = run(&["record", "--help"]);
    let told = stdout(&output);
    let rights = ["CAP_BPF", "CAP_DAC_OVERRIDE", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_SYS_PTRACE"];
    let opening = ["CAP_DAC_READ_SEARCH", "CAP_CHECKPOINT_RESTORE"];
    let words = ["`component`", "/run/sockowner/record.sock", "FOR THE SOCKETS OF EVERY USER", "x86-64"];
    for needed in rights.iter().chain(&opening).chain(&words) {
        assert!(told.contains(needed), "{needed} is not in {told}");
    }
    assert!(told.lines().all(|line| line.len() <= 100), "{told}");
}

#[cfg(target_os = "linux")]
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

/// Each of these ends with 2, and says what is wrong.
fn assert_refused(wrong: &[(&[&str], &str)]) {
    for &(args, message) in wrong {
        let output = run(args);
        assert_eq!((status(&output), stdout(&output)), (2, ""), "{args:?}");
        let said = stderr(&output);
        assert!(said.starts_with("sockowner: ") && said.contains(message), "{args:?}: {said}");
        assert!(!said.contains(['\u{1b}', '\t']), "{args:?}: {said:?}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    assert_refused(&[
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
        (&["--nonsense"], "'--nonsense'"),
        (&["--state", "\u{1b}[2J\u{202e}"], r"\u{202e}'"),
        (&["who", "\u{1b}[2J:1"], r"\u{1b}[2J"),
    ]);
}

#[cfg(target_os = "linux")]
#[test]
fn wrong_usage_of_what_is_linuxs_alone_is_refused_alike() {
    assert_refused(&[
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
        (&["--json", "--csv"], "'--json' cannot be used with '--csv'"),
        (&["--jsonl", "--csv"], "cannot be used with"),
        (&["--json", "-o", "pid"], "JSON has every key always"),
        (&["--jsonl", "--no-header"], "JSON has no line of headings"),
        (&["who", ":1", "--jsonl", "--json"], "'--json' cannot be used with '--jsonl'"),
        (&["--csv", "who", ":1"], "'--csv' is about how the list is printed: it has no meaning with 'who'"),
        (&["--jsonl", "status"], "'--jsonl' is about how the list is printed"),
        (
            &["-o", "pids"],
            "possible values: proto, state, local, remote, user, pid, process, unit, protocol,",
        ),
        (&["-o", "\u{1b}[2J\u{202e}"], r"\u{202e}"),
        (&["--sort", "cmdline"], "'--sort <COLUMN>'"),
        (&["--sort", "-frob"], "'frob'"),
        (&["--state", "\u{1b}[2J\u{202e}"], r"\u{202e}'"),
        (&["who", "\u{1b}[2J:1"], r"\u{1b}[2J"),
    ]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_zone_that_is_no_interface_is_told() {
    let told = "sockowner: there is no network interface nosuch\n";
    let output = run(&["who", "[fe80::1%nosuch]:22"]);
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
    for zone in ["lo", "4000000000"] {
        let output = run(&["who", &format!("[fe80::1%{zone}]:9")]);
        assert!(!stderr(&output).contains("network interface"), "{}", stderr(&output));
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
    for needed in [format!(", pid {pid}\n"), "  not known ".to_owned()] {
        assert!(said.contains(&needed), "{needed:?} is not in {said}");
    }
    // Where the system noted who bound it, nobody need have been seen to have it.
    let by = if cfg!(target_os = "linux") { "fd" } else { "handle" };
    let has = format!(" pid {pid} {by} ");
    assert!(said.contains(&has) || cfg!(windows) && said.contains("the system noted"), "{said}");

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

// The tables of Windows tell no peer of a UDP socket.
#[cfg(target_os = "linux")]
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
    if cfg!(target_os = "linux") {
        assert_eq!(keys(&ours["owner"]["exe"]), sorted(["device", "inode"]));
    }
    if ours["owner"]["evidence"] != "recorded" {
        assert_eq!(keys(&ours["holders"][0]), sorted(["pid", "tid", "fd", "start_time", "name", "path"]));
    }
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
        ("closed_at", Value::Null),
        ("changed", false.into()),
    ] {
        assert_eq!(ours[key], value, "{key}");
    }
    let owner = &ours["owner"];
    assert_eq!((&owner["pid"], &owner["exited"]), (&std::process::id().into(), &false.into()));
    let own = std::env::current_exe().unwrap();
    assert_eq!(owner["path"].as_str(), own.to_str().map(|path| path.trim_start_matches(r"\\?\")));
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
    let words = ours["owner"]["cmdline"].as_array();
    let own: Vec<_> = std::env::args().map(Value::from).collect();
    // Windows does not tell them.
    assert!(words == Some(&own) || cfg!(windows) && words.is_none(), "{words:?}");
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
    for args in [
        &["--no-owners"][..],
        &["--json"],
        &["--jsonl"],
        &["--csv"],
        &["-o", "help"],
        &["--help"],
        &["-h"],
        &["who", ":1"],
        &["--version"],
    ] {
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
    for args in
        [&["-l"][..], &["--json"], &["--jsonl"], &["--csv"], &["-o", "help"], &["--help"], &["--version"]]
    {
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

const ENDPOINT: [&str; 26] = [
    "protocol",
    "family",
    "state",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "netns",
    "netns_name",
    "interface",
    "inode",
    "cookie",
    "subflow",
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
    "closed_at",
    "changed",
];

const OWNER: [&str; 15] = [
    "pid",
    "start_time",
    "start_ticks",
    "name",
    "comm",
    "path",
    "path_verified",
    "deleted",
    "exe",
    "uid",
    "user",
    "service",
    "container",
    "exited",
    "evidence",
];
