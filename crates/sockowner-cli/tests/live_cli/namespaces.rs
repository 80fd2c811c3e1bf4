//! `--all-netns` and `--netns`.

use std::fs::{self, File};

use rustix::mount::{MountFlags, mount, mount_bind};
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock, netns};

use super::program::{PublicCopy, ask};

tests! {
    Alone rows_of_all_namespaces_are_labelled;
    Alone questions_in_another_namespace;
    Alone what_is_hinted_at_is_in_the_same_namespace;
    Alone a_namespace_is_not_called_after_the_program_itself;
    Alone a_name_of_digits_is_not_taken_for_a_process;
    Alone one_endpoint_is_explained_in_every_namespace;
    Alone a_place_that_is_none_is_an_error;
    Alone without_root_it_is_said_what_is_missing needs OtherUser;
}

/// A listener at the same address here, in a namespace that has a name, and in one that has none.
fn three() -> [(Actor, Sock, u64); 3] {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
    fs::create_dir("/run/netns").unwrap();
    let listen = || {
        let actor = Actor::spawn();
        let sock = actor.tcp_listen("127.0.0.1:4711");
        (actor, sock, netns::inode())
    };
    let blue = || {
        File::create("/run/netns/blue").unwrap();
        mount_bind("/proc/thread-self/ns/net", "/run/netns/blue").unwrap();
        listen()
    };
    [listen(), netns::inside(blue), netns::inside(listen)]
}

fn rows_of_all_namespaces_are_labelled() {
    let all = three();
    let table = ask(&["--all-netns", "-tl"]);
    table.assert_complete();
    let rows: Vec<Vec<&str>> = table.stdout().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["NETNS", "PROTO", "STATE", "LOCAL"]);
    assert_eq!(rows.len(), 4);
    let names = ["pid:1".to_owned(), "blue".to_owned(), format!("pid:{}", all[2].0.pid())];
    let json = ask(&["--all-netns", "-tl", "--json"]);
    json.assert_complete();
    let endpoints = json.endpoints();
    for ((actor, sock, inode), name) in all.iter().zip(&names) {
        let row = rows.iter().find(|row| row[0] == *name).unwrap();
        assert_eq!(row[1..5], ["tcp", "LISTEN", "127.0.0.1:4711", "*"]);
        assert_eq!(row[6], actor.pid().to_string());
        let mut same = endpoints.iter().filter(|row| row["cookie"] == sock.cookie);
        let told = same.next().unwrap();
        assert!(same.next().is_none());
        assert_eq!((&told["netns"], &told["netns_name"]), (&(*inode).into(), &name.as_str().into()));
        assert_eq!(told["owner"]["pid"], actor.pid());
    }
    // Records of more than one namespace tell theirs, by the name that can be asked for.
    let csv = ask(&["--all-netns", "-tl", "--csv"]);
    let mut records = csv.stdout().lines();
    assert!(records.next().unwrap().ends_with(",netns,netns_name"), "{}", csv.stdout());
    let blue = format!(",{},blue", all[1].2);
    assert_eq!(records.filter(|record| record.ends_with(&blue)).count(), 1, "{}", csv.stdout());
    // Where they were not asked for there is no such column.
    let home = ask(&["-tl"]);
    assert!(home.stdout().starts_with("PROTO ") && home.stdout().lines().count() == 2);
    assert!(ask(&["--json"]).endpoints()[0]["netns_name"].is_null());
    let alone = ask(&["--all-netns", "--no-owners"]);
    alone.assert_complete();
    assert_eq!(alone.stdout().lines().count(), 4);
}

fn questions_in_another_namespace() {
    let [(home, _, _), (actor, ..), (other, ..)] = three();
    let asked = |words: &[&str]| {
        let answer = ask(words);
        answer.assert_complete();
        let endpoints = answer.endpoints();
        assert_eq!(endpoints.len(), 1, "{words:?}");
        endpoints[0]["owner"]["pid"].clone()
    };
    let pid = other.pid().to_string();
    let path = format!("/proc/{pid}/ns/net");
    for (place, expected) in [("blue", &actor), ("/run/netns/blue", &actor), (&pid, &other), (&path, &other)]
    {
        assert_eq!(asked(&["--json", "--netns", place]), expected.pid(), "{place}");
        let called = match place {
            "blue" | "/run/netns/blue" => "blue".to_owned(),
            place if place.starts_with('/') => place.to_owned(),
            number => format!("pid:{number}"),
        };
        for words in [&["--json", "--netns", place][..], &["who", ":4711", "--json", "--netns", place]] {
            assert_eq!(ask(words).endpoints()[0]["netns_name"], *called, "{words:?}");
        }
        assert_eq!(asked(&["who", ":4711", "--json", "--netns", place]), expected.pid(), "{place}");
        assert_eq!(asked(&["--netns", place, "wait", ":4711", "--json"]), expected.pid(), "{place}");
    }
    assert_eq!(asked(&["--json"]), home.pid());
    let empty = netns::inside(|| ask(&["--netns", "pid:1"]).stdout().to_owned());
    assert!(empty.contains(&format!(" {} ", home.pid())), "asked from elsewhere: {empty}");
}

fn what_is_hinted_at_is_in_the_same_namespace() {
    let [_, (blue, ..), _] = three();
    let bound = blue.udp_bind("127.0.0.1:4712");
    let connected = blue.udp_connect(bound.fd, "127.0.0.1:4799");
    let words = format!("{} 127.0.0.1:4799", connected.addr);
    for place in ["--netns blue", "--all-netns"] {
        let option: Vec<&str> = place.split(' ').collect();
        let said = format!(
            "sockowner: no endpoint matches udp/:4799\n\
             sockowner: it is the remote side of 1 connection: sockowner who {place} {words}\n"
        );
        ask(&[&["who", "udp/:4799"], &option[..]].concat()).assert_ended(1, &said);
    }
    let typed: Vec<&str> = ["who", "--netns", "blue"].into_iter().chain(words.split(' ')).collect();
    ask(&typed).assert_complete();
}

fn a_namespace_is_not_called_after_the_program_itself() {
    let _all = three();
    // A thread of this program's lives there, and the program that it starts.
    let (inode, answer) = netns::inside(|| {
        let _listener = std::net::TcpListener::bind("127.0.0.1:4713").unwrap();
        (netns::inode(), ask(&["--all-netns", "-tl", "--csv", "--no-header", "-o", "local_port,netns_name"]))
    });
    let rows: Vec<_> = answer.stdout().lines().filter(|row| row.starts_with("4713,")).collect();
    assert_eq!(rows, [format!("4713,{inode}")], "{}", answer.stdout());
}

fn a_name_of_digits_is_not_taken_for_a_process() {
    let [_, (blue, ..), (other, ..)] = three();
    let name = |name: &str| {
        let path = format!("/run/netns/{name}");
        File::create(&path).unwrap();
        mount_bind("/run/netns/blue", &*path).unwrap();
    };
    name("4000001");
    let answer = ask(&["--json", "--netns", "4000001"]);
    assert_eq!(answer.endpoints()[0]["owner"]["pid"], blue.pid());
    assert_eq!(answer.endpoints()[0]["netns_name"], "4000001");
    let pid = other.pid().to_string();
    name(&pid);
    let sentence = format!(
        "sockowner: enter the network namespace '{pid}': it is a name and a process: write /run/netns/{pid} or pid:{pid}\n"
    );
    ask(&["--netns", &pid]).assert_ended(2, &sentence);
    for (place, expected) in [(format!("pid:{pid}"), &other), (format!("/run/netns/{pid}"), &blue)] {
        let answer = ask(&["--json", "--netns", &place]);
        assert_eq!(answer.endpoints()[0]["owner"]["pid"], expected.pid(), "{place}");
    }
}

fn one_endpoint_is_explained_in_every_namespace() {
    let all = three();
    // What listens on every address serves its own namespace, whoever has the very address in others.
    let lone = netns::inside(|| {
        let actor = Actor::spawn();
        let sock = actor.tcp_listen("0.0.0.0:4711");
        (actor, sock)
    });
    let answer = ask(&["who", "--all-netns", "tcp/127.0.0.1:4711", "--json"]);
    answer.assert_complete();
    let told: Vec<_> = answer
        .endpoints()
        .iter()
        .map(|told| {
            let number = |value: &serde_json::Value| value.as_u64().unwrap();
            (
                number(&told["cookie"]),
                number(&told["owner"]["pid"]),
                told["match"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let mut expected: Vec<_> = all
        .iter()
        .map(|(actor, sock, _)| (sock.cookie, u64::from(actor.pid()), "exact".to_owned()))
        .collect();
    expected.push((lone.1.cookie, u64::from(lone.0.pid()), "wildcard".to_owned()));
    let sorted = |mut list: Vec<_>| {
        list.sort();
        list
    };
    assert_eq!(sorted(told), sorted(expected));
    let page = ask(&["who", ":4711", "--all-netns"]);
    page.assert_complete();
    let blue = format!("network namespace blue ({})", all[1].2);
    assert_eq!(page.stdout().matches(&blue).count(), 1, "{}", page.stdout());
    assert_eq!(page.stdout().matches("tcp 127.0.0.1:4711 LISTEN").count(), 3, "{}", page.stdout());
    assert_eq!(
        ask(&["--all-netns", "who", ":4711"]).stdout(),
        page.stdout(),
        "before the command's name, too"
    );
    for words in [
        &["who", "--all-netns", "--netns", "blue", ":1"][..],
        &["--all-netns", "who", "--netns", "blue", ":1"],
    ] {
        let refused = ask(words);
        assert_eq!(refused.status(), 2);
        assert!(refused.stderr().contains("cannot be used with"), "{}", refused.stderr());
    }
}

fn a_place_that_is_none_is_an_error() {
    let _all = three();
    File::create("/run/netns/leftover").unwrap();
    for (place, why) in [
        ("nosuch", "open /run/netns/nosuch: No such file or directory (os error 2)"),
        ("leftover", "/run/netns/leftover is no network namespace"),
        ("4000000", "open /proc/4000000/ns/net: No such file or directory (os error 2)"),
        ("/proc/self/ns/pid", "/proc/self/ns/pid is no network namespace"),
    ] {
        let sentence = format!("sockowner: enter the network namespace '{place}': {why}\n");
        for words in
            [&["--netns", place][..], &["who", ":1", "--netns", place], &["wait", ":1", "--netns", place]]
        {
            ask(words).assert_ended(2, &sentence);
        }
    }
}

fn without_root_it_is_said_what_is_missing() {
    let _all = three();
    let own = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    own.udp_bind("127.0.0.1:4712");
    let copy = PublicCopy::new();
    let answer = copy.ask(&["--all-netns", "-u"]);
    assert_eq!(answer.status(), 0);
    let (rows, said) = (answer.stdout(), answer.stderr());
    let row = rows.lines().nth(1).unwrap();
    assert!(row.starts_with("pid:") && row.contains(&format!(" {} ", own.pid())), "{rows}");
    assert_eq!(rows.lines().count(), 2, "{rows}");
    for sentence in [
        "sockowner: network namespace blue could not be entered: permission denied\n",
        "sockowner: network namespaces of processes could not be told, so some may be missing: permission denied (",
    ] {
        assert!(said.contains(sentence), "{said}");
    }
    assert_eq!(copy.ask(&["--all-netns", "--strict"]).status(), 3);
    let refused = copy.ask(&["--netns", "blue"]);
    let sentence = "sockowner: enter the network namespace 'blue', which takes root (CAP_SYS_ADMIN): open a sock_diag netlink socket: Operation not permitted (os error 1)\n";
    refused.assert_ended(2, sentence);
}
