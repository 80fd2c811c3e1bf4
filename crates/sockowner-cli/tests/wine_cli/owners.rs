//! Who owns what.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use serde_json::Value;
use sockowner_testkit::Requirement;

use super::program::{Bridge, Held, Windows, answer, ask, document, json, listener, only, sockowner};

const BRIDGE: Requirement = Requirement::Custom("bridge", Bridge::supported);

tests! {
    Outside a_windows_program_is_named_for_all_that_it_has;
    Outside the_page_of_a_listener_names_program_and_handle;
    Outside both_ends_of_a_connection_are_told_apart;
    Outside a_native_programs_listener_is_nobodys_without_a_bridge;
    Outside a_native_programs_listener_is_told_through_the_bridge needs BRIDGE;
    Outside a_peer_that_is_native_does_not_hide_the_own_end;
    Outside a_name_that_would_turn_the_line_round_is_escaped;
    Outside endpoints_alone_name_nobody;
}

fn at<'a>(document: &'a Value, protocol: &str, port: u16) -> &'a Value {
    only(document, |row| {
        row["protocol"] == protocol && row["local_port"] == port && row["remote_port"].is_null()
    })
}

#[track_caller]
fn assert_owned(row: &Value, held: &Held) {
    let owner = &row["owner"];
    assert_eq!((&owner["pid"], &owner["name"]), (&held.pid.into(), &"listener.exe".into()), "{row:#}");
    assert!(owner["path"].as_str().unwrap().ends_with(r"\listener.exe"), "{row:#}");
    assert!(owner["start_time"].is_string() && row["reason"].is_null(), "{row:#}");
    match owner["evidence"].as_str() {
        // Wine did not note who bound it, so it is who has it.
        Some("holder") => {
            let holders = row["holders"].as_array().unwrap();
            assert_eq!(holders.len(), 1, "{row:#}");
            assert_eq!(
                (&holders[0]["pid"], &holders[0]["fd"]),
                (&held.pid.into(), &held.handle.into()),
                "{row:#}"
            );
        }
        Some("recorded") => {}
        other => panic!("{other:?}: {row:#}"),
    }
}

fn a_windows_program_is_named_for_all_that_it_has() {
    let program = Windows::with(&["tcp4", "tcp6", "udp4", "udp6"]);
    let all = json(&[]);
    for (held, (protocol, family)) in
        program.sockets.iter().zip([("tcp", "ipv4"), ("tcp", "ipv6"), ("udp", "ipv4"), ("udp", "ipv6")])
    {
        let row = only(&all, |row| {
            row["protocol"] == protocol && row["family"] == family && row["local_port"] == held.port
        });
        assert_owned(row, held);
        assert!(row["inode"].is_null() && row["cookie"].is_null(), "{row:#}");
    }
    let held = &program.sockets[0];
    for name in ["listener.exe", "LISTENER.exe"] {
        at(&json(&["--exe", name]), "tcp", held.port);
    }
    let listed = ask(&["-tl", "-4"]);
    let address = format!("127.0.0.1:{} ", held.port);
    let line = listed.stdout.lines().find(|line| line.contains(&address)).unwrap();
    let user = line.split_whitespace().nth(4).unwrap();
    assert!(user.starts_with(|c: char| c.is_alphanumeric()), "{line}");
    // CSV tells him too, and it is an order.
    let csv = ask(&["-tl", "-4", "--csv", "--sort", "user"]);
    assert!(csv.stdout.lines().next().unwrap().ends_with(",netns,owner_user"), "{}", csv.stdout);
    let port = format!(",127.0.0.1,{},", held.port);
    let record = csv.stdout.lines().find(|record| record.contains(&port)).unwrap();
    assert!(record.ends_with(&format!(",{user}")), "{record}");
    let sorted = ask(&["-tl", "-4", "--sort", "user", "--no-header", "-o", "owner_user"]).stdout;
    let users: Vec<&str> = sorted.lines().filter(|user| *user != "-").collect();
    assert!(users.is_sorted() && users.contains(&user), "{sorted}");
}

fn the_page_of_a_listener_names_program_and_handle() {
    let program = Windows::with(&["tcp4"]);
    let held = &program.sockets[0];
    let said = ask(&["who", &format!("127.0.0.1:{}", held.port)]);
    assert_eq!((said.status, said.complaints()), (0, vec![]));
    let page = &said.stdout;
    assert!(page.contains(&format!("  owner       listener.exe, pid {}\n", held.pid)), "{page}");
    assert!(page.contains(r"\listener.exe"), "{page}");
    assert!(!page.contains("cgroup") && !page.contains("container") && !page.contains("inode"), "{page}");
    let has = format!("listener.exe pid {} handle {}\n", held.pid, held.handle);
    assert!(page.contains(&has) || page.contains("recorded: the system noted"), "{page}");
    let listed = ask(&["-tl"]);
    let address = format!("127.0.0.1:{} ", held.port);
    let line = listed.stdout.lines().find(|line| line.contains(&address)).unwrap();
    assert!(line.contains(&format!(" {}  listener.exe", held.pid)), "{line}");
}

fn both_ends_of_a_connection_are_told_apart() {
    let server = Windows::with(&["tcp4"]);
    let port = server.sockets[0].port;
    let client = Windows::with(&[&format!("connect:{port}")]);
    let all = json(&["-t"]);
    let listens = only(&all, |row| row["state"] == "LISTEN" && row["local_port"] == port);
    assert_owned(listens, &server.sockets[0]);
    let other = client.sockets[0].port;
    // Ports of listeners are other connections' too.
    let end = |local: u16, remote: u16| {
        only(&all, |row| row["local_port"] == local && row["remote_port"] == remote)
    };
    assert_owned(end(other, port), &client.sockets[0]);
    // Nobody has accepted it yet: the listener's process does not have it.
    let waits = end(port, other);
    assert!(waits["owner"].is_null() && waits["reason"].is_string(), "{waits:#}");
}

/// A listener of this program, which is Linux's.
fn native() -> (TcpListener, String) {
    let native = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let name = format!("tcp/{}", native.local_addr().unwrap());
    (native, name)
}

#[track_caller]
fn assert_nobodys(native: &TcpListener, asked: &Value) {
    let row = at(asked, "tcp", native.local_addr().unwrap().port());
    assert_eq!((&row["state"], &row["owner"]), (&"LISTEN".into(), &Value::Null), "{row:#}");
    assert_eq!((&row["reason"], &row["holders"]), (&"no_visible_holder".into(), &Value::Array(Vec::new())));
    // It is said what could not be asked.
    let is_it = |gap: &Value| gap["object"] == "sockets of native programs" && gap["reason"] == "unsupported";
    assert!(asked["gaps"].as_array().unwrap().iter().any(is_it), "{asked:#}");
}

fn a_native_programs_listener_is_nobodys_without_a_bridge() {
    let (native, name) = native();
    assert_nobodys(&native, &json(&["who", &name]));
    let said = ask(&["who", &name]);
    assert_eq!(said.status, 0);
    let why = "(native programs', or not yet accepted) have no owner here: Wine does not tell native ones', and its bridge to Linux was not found";
    assert!(said.stderr.contains(why), "{}", said.stderr);
}

fn a_native_programs_listener_is_told_through_the_bridge() {
    let (native, name) = native();
    let program = Windows::with(&["tcp4"]);
    let bridge = Bridge::install();
    let directory = bridge.directory();
    let with = |words: &[&str]| answer(sockowner(words).env("WINEDLLPATH", &directory));
    let own = std::env::current_exe().unwrap();
    // A number that is no Windows process's.
    let pid = std::process::id() | 1 << 31;

    let all = document(&with(&["--json"]));
    let row = at(&all, "tcp", native.local_addr().unwrap().port());
    assert_eq!((&row["owner"]["pid"], &row["owner"]["path"]), (&pid.into(), &own.to_str().into()), "{row:#}");
    assert!(row["holders"][0]["fd"].is_null(), "{row:#}");
    assert_owned(at(&all, "tcp", program.sockets[0].port), &program.sockets[0]);
    let page = with(&["who", &name]);
    let as_native = format!("native, Linux pid {}\n", std::process::id());
    let line = format!("  owner       {}, {as_native}", own.file_name().unwrap().to_str().unwrap());
    assert!(page.stdout.contains(&line) && page.stdout.contains(own.to_str().unwrap()), "{}", page.stdout);
    assert!(
        page.stdout.matches(&as_native).count() == 2 && !page.stdout.contains("handle"),
        "{}",
        page.stdout
    );
    assert_eq!((page.status, page.complaints()), (0, vec![]));

    // Once it is removed nothing of it is left where it was looked for.
    drop(bridge);
    assert_nobodys(&native, &document(&with(&["who", &name, "--json"])));
}

fn a_peer_that_is_native_does_not_hide_the_own_end() {
    let native = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = native.local_addr().unwrap().port();
    let client = Windows::with(&[&format!("connect:{port}")]);
    let held = &client.sockets[0];
    let (_accepted, peer): (TcpStream, _) = native.accept().unwrap();
    assert_eq!(peer.port(), held.port);
    let all = json(&["-t"]);
    let end = |local: u16, remote: u16| {
        only(&all, |row| row["local_port"] == local && row["remote_port"] == remote)
    };
    assert_owned(end(held.port, port), held);
    let accepted = end(port, held.port);
    assert_ne!(accepted["owner"]["pid"], held.pid, "{accepted:#}");
}

fn a_name_that_would_turn_the_line_round_is_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a\u{202e}b.exe");
    fs::copy(listener(), &path).unwrap();
    let program = Windows::of(&path, &["tcp4"]);
    let port = program.sockets[0].port;
    let listed = ask(&["-tl"]);
    assert!(
        listed.stdout.contains(r#""a\u{202e}b.exe""#) && !listed.stdout.contains('\u{202e}'),
        "{}",
        listed.stdout
    );
    let page = ask(&["who", &format!(":{port}")]);
    assert!(page.stdout.contains(r"a\u{202e}b.exe") && !page.stdout.contains('\u{202e}'), "{}", page.stdout);
    let document = json(&["-tl"]);
    assert_eq!(at(&document, "tcp", port)["owner"]["name"], "a\u{202e}b.exe", "JSON has names as they are");
}

fn endpoints_alone_name_nobody() {
    let program = Windows::with(&["tcp4"]);
    let document = json(&["--no-owners", "-tl"]);
    let row = at(&document, "tcp", program.sockets[0].port);
    assert_eq!((&row["owner"], &row["reason"]), (&Value::Null, &Value::Null));
}
