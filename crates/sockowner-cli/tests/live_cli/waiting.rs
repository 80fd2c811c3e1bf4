//! `sockowner wait`.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sockowner_testkit::{Actor, eventually, netns};

use super::program::{ask, program};

tests! {
    Alone who_listens_already_is_told_at_once;
    Alone it_waits_until_somebody_listens;
    Alone nobody_until_the_timeout;
    Alone what_is_not_listening_is_not_enough;
    Alone no_process_is_looked_at_until_then;
    Alone an_interrupt_ends_it;
    Alone it_waits_in_another_namespace;
    Alone what_cannot_listen_is_refused;
}

/// As in the foreground of a terminal: whoever is started in the background of a script ignores interrupts.
fn start(words: &[&str]) -> Child {
    let asked = program(words);
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(asked.get_program()).args(asked.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// It has looked, and waits.
fn is_waiting(child: &Child) {
    let stack = format!("/proc/{}/wchan", child.id());
    eventually("it sleeps between two looks", || {
        let place = std::fs::read_to_string(&stack).unwrap();
        place.contains("nanosleep").then_some(())
    });
}

fn text(output: &Output) -> (Option<i32>, &str, &str) {
    let utf8 = |bytes| std::str::from_utf8(bytes).unwrap();
    (output.status.code(), utf8(&output.stdout), utf8(&output.stderr))
}

fn who_listens_already_is_told_at_once() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("0.0.0.0:4711");
    let _client = actor.tcp_connect("127.0.0.1:4711");
    let list = ask(&["-l"]);
    for words in
        [&["wait", ":4711"][..], &["wait", "127.0.0.1:4711", "--timeout", "0"], &["wait", "tcp/:4711"]]
    {
        let answer = ask(words);
        answer.assert_complete();
        assert_eq!(answer.stdout(), list.stdout(), "as the list has it");
    }
    let endpoints = ask(&["wait", "127.0.0.1:4711", "--json"]).endpoints();
    assert_eq!(endpoints.len(), 1);
    assert_eq!(endpoints[0]["cookie"], listener.cookie);
    assert_eq!(
        (&endpoints[0]["match"], &endpoints[0]["owner"]["pid"]),
        (&"wildcard".into(), &actor.pid().into())
    );
}

fn it_waits_until_somebody_listens() {
    let actor = Actor::spawn();
    for (endpoint, words) in
        [("127.0.0.1:4711", ["wait", "127.0.0.1:4711"]), ("[::1]:4712", ["wait", "tcp/:4712"])]
    {
        let child = start(&words);
        is_waiting(&child);
        let listener = actor.tcp_listen(endpoint);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(text(&ended), (Some(0), ask(&["-l"]).stdout(), ""));
        actor.close(listener.fd);
    }
    let child = start(&["wait", "udp/:4713", "--timeout", "600"]);
    is_waiting(&child);
    let sock = actor.udp_bind("127.0.0.1:4713");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(text(&ended), (Some(0), ask(&["-l"]).stdout(), ""));
    assert!(ask(&["-l"]).stdout().contains(&sock.addr.to_string()));
}

fn nobody_until_the_timeout() {
    for (timeout, after) in [("0", ""), ("0.2", " after 0.2 seconds"), ("1", " after 1 second")] {
        let answer = ask(&["wait", "127.0.0.1:4711", "--timeout", timeout]);
        answer.assert_ended(1, &format!("sockowner: nobody listens at 127.0.0.1:4711{after}\n"));
        assert_eq!(answer.stdout(), "");
    }
    let answer = ask(&["wait", ":4711", "--timeout", "0", "--json"]);
    assert_eq!((answer.status(), answer.endpoints().len()), (1, 0));
}

fn what_is_not_listening_is_not_enough() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:4711");
    let client = actor.tcp_connect_from("127.0.0.1:4712", listener.addr);
    let bound = actor.tcp_bind_only("127.0.0.1:4713");
    let udp = actor.udp_bind("127.0.0.1:4714");
    actor.udp_connect(udp.fd, "127.0.0.1:4711");
    for addr in [client.addr, bound.addr, udp.addr] {
        assert_eq!(ask(&["wait", &addr.to_string(), "--timeout", "0"]).status(), 1, "{addr}");
    }
    let other = listener.addr.to_string().replace("127.0.0.1", "127.0.0.2");
    assert_eq!(ask(&["wait", &other, "--timeout", "0"]).status(), 1);
    assert_eq!(ask(&["wait", "udp/:4711", "--timeout", "0"]).status(), 1);
}

/// Sockets of that port which do not listen cost no walk: the descriptors of a process are an open directory.
fn no_process_is_looked_at_until_then() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:4711");
    let _client = actor.tcp_connect_from("127.0.0.1:4712", listener.addr);
    let child = start(&["wait", ":4712", "--source", "proc"]);
    is_waiting(&child);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    assert!(status.contains("\nThreads:\t1\n"), "{status}");
    let io = std::fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap();
    is_waiting(&child);
    let reads = |io: &str| -> u64 {
        let line = io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap();
        line.parse().unwrap()
    };
    let before = reads(&io);
    // It looks many times, and reads no file meanwhile.
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:\t")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let first = switches();
    eventually("it looks ten times more", || (switches() >= first + 10).then_some(()));
    let after = reads(&std::fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap());
    assert_eq!(after, before, "files are read");
    end(child);
}

fn end(child: Child) {
    signal(&child, Signal::INT);
    child.wait_with_output().unwrap();
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn an_interrupt_ends_it() {
    for name in [Signal::INT, Signal::TERM] {
        let child = start(&["wait", ":4711"]);
        is_waiting(&child);
        signal(&child, name);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.signal(), Some(name.as_raw()));
        assert_eq!(text(&ended), (None, "", ""));
    }
}

fn it_waits_in_another_namespace() {
    let here = Actor::spawn();
    here.tcp_listen("127.0.0.1:4711");
    let there = netns::inside(Actor::spawn);
    let pid = there.pid().to_string();
    assert_eq!(ask(&["wait", ":4711", "--netns", &pid, "--timeout", "0"]).status(), 1);
    let child = start(&["wait", ":4711", "--netns", &pid, "--json"]);
    is_waiting(&child);
    let listener = there.tcp_listen("127.0.0.1:4711");
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0));
    let document: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(document["endpoints"][0]["cookie"], listener.cookie);
    assert_eq!(document["endpoints"][0]["owner"]["pid"], there.pid());
}

fn what_cannot_listen_is_refused() {
    let sentence =
        "sockowner: wait for 127.0.0.1:1,127.0.0.1:2: a connection does not listen; name one side\n";
    ask(&["wait", "127.0.0.1:1,127.0.0.1:2"]).assert_ended(2, sentence);
    for words in [&["wait"][..], &["wait", "4711"], &["wait", ":0"], &["wait", ":1", "--timeout", "soon"]] {
        assert_eq!(ask(words).status(), 2, "{words:?}");
    }
}
