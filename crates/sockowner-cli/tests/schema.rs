//! The published schema, and what the program prints.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "schema/mod.rs"]
mod validate;

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use self::validate::Schema;

fn stdout(args: &[&str]) -> String {
    // What one test starts has the sockets of all until it executes the program.
    static STARTS: Mutex<()> = Mutex::new(());
    let _one = STARTS.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(env!("CARGO_BIN_EXE_sockowner")).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Sockets of this process in several states; the ports of the listener and of a UDP socket.
fn sockets() -> (impl Sized, [u16; 2]) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ports = [listener.local_addr().unwrap().port(), udp.local_addr().unwrap().port()];
    ((listener, client, server, udp), ports)
}

#[test]
fn documents_and_lines_are_as_the_schema_says() {
    let schema = Schema::get();
    let (_open, [tcp, udp]) = sockets();
    let [tcp, udp] = [tcp, udp].map(|port| format!(":{port}"));
    for args in [
        &["--json"][..],
        &["--json", "--no-owners"],
        &["--json", "--source", "proc"],
        &["--json", "--sort", "-pid"],
        &["--json", "--unit", "no-such-unit-of-sockowner"],
        &["--json", "who", &tcp],
        &["--json", "who", &udp],
        &["--json", "who", "203.0.113.9:9"],
    ] {
        let document = serde_json::from_str(&stdout(args)).unwrap();
        assert_eq!(schema.faults_of_document(&document), None, "{args:?}");
    }
    for args in [&["--jsonl"][..], &["--jsonl", "--sort", "local"], &["who", "--jsonl", &tcp]] {
        let lines = stdout(args);
        assert!(lines.lines().count() > 1 && lines.ends_with('\n'), "{args:?}: {lines}");
        for line in lines.lines() {
            let line = serde_json::from_str(line).unwrap();
            assert_eq!(schema.faults_of_line(&line), None, "{args:?}: {line}");
        }
    }
    assert_eq!(stdout(&["--jsonl", "who", "203.0.113.9:9"]), "");
}

#[test]
fn a_line_is_an_endpoint_of_the_document() {
    let (_open, [port, _]) = sockets();
    let asked = format!(":{port}");
    let document: Value = serde_json::from_str(&stdout(&["--json", "who", &asked])).unwrap();
    let lines = stdout(&["--jsonl", "who", &asked]);
    let without_schema = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line.as_object_mut().unwrap().remove("schema"), Some(1.into()));
        line
    };
    let endpoints: Vec<_> = lines.lines().map(without_schema).collect();
    assert_eq!(document["endpoints"], Value::from(endpoints));
    assert!(lines.starts_with("{\"schema\":1,\"protocol\":\"tcp\","), "{lines}");
}

#[test]
fn what_the_schema_does_not_allow_is_found() {
    let schema = Schema::get();
    let (_open, [port, _]) = sockets();
    let document: Value = serde_json::from_str(&stdout(&["--json", "who", &format!(":{port}")])).unwrap();
    assert_eq!(schema.faults_of_document(&document), None);
    let changed = |place: &str, value: Value| {
        let mut document = document.clone();
        let (above, key) = place.rsplit_once('/').unwrap();
        document.pointer_mut(above).unwrap()[key] = value;
        assert!(schema.faults_of_document(&document).is_some(), "{place}");
    };
    changed("/schema", 2.into());
    changed("/gaps", json!([{"source": "proc", "object": "x", "reason": "unknown", "count": 1}]));
    changed("/endpoints/0/protocol", "sctp".into());
    changed("/endpoints/0/state", "HALF".into());
    changed("/endpoints/0/local_port", 65_536.into());
    changed("/endpoints/0/remote_address", "::1".into());
    changed("/endpoints/0/reason", "gone".into());
    changed("/endpoints/0/new_key", Value::Null);
    changed("/endpoints/0/owner/evidence", "guess".into());
    changed("/endpoints/0/owner/start_time", "yesterday".into());
    changed("/endpoints/0/owner/new_key", 1.into());
    changed("/endpoints/0/holders/0/fd", "7".into());
    changed("/endpoints/0/roles/binder", json!({}));
    changed("/endpoints/0/roles/reasons/binder", "forgotten".into());
    let mut line = document["endpoints"][0].clone();
    assert!(schema.faults_of_line(&line).is_some(), "a line has the schema's number");
    line["schema"] = 1.into();
    assert_eq!(schema.faults_of_line(&line), None);
    line.as_object_mut().unwrap().remove("netns");
    assert!(schema.faults_of_line(&line).is_some());
}

#[test]
fn keys_that_come_later_are_allowed() {
    let schema: Value = serde_json::from_str(include_str!("../../../schema/sockowner-1.json")).unwrap();
    assert!(!schema.to_string().contains("additionalProperties"), "readers pass over keys they do not know");
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let Some(named) = definition["properties"].as_object() else { continue };
        for key in definition["required"].as_array().unwrap() {
            assert!(named.contains_key(key.as_str().unwrap()), "{name}: {key}");
        }
    }
}
