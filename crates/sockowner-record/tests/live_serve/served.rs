//! What each user is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use sockowner::os::linux::record::Reader;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock, eventually};

use super::asking::{OTHER_UID, Recorder, SHARED, Serving, Who};

tests! {
    Alone everybody_is_told_of_his_own_processes;
    Alone a_setuid_program_is_not_told;
    Alone what_may_not_be_looked_into_is_not_told;
    Alone the_group_is_told_everything;
    Alone who_shares_a_socket_is_told_his_part;
    Alone numbers_are_those_of_the_askers_namespace;
    HidePid few_rights_are_enough;
    Alone what_he_had_has_its_owner;
    Alone closed_sockets_are_told_to_those_who_had_them;
    Alone many_sockets_come_in_many_answers;
    Alone without_a_server_it_is_not_permitted;
    Alone another_recorder_is_served_too;
}

const MINE: Who = Who::User(ORDINARY_UID);
const THEIRS: Who = Who::User(OTHER_UID);

fn actor(uid: u32, name: &str) -> Actor {
    Actor::builder().exe(format!("{SHARED}/{name}")).uid(uid).gid(uid).spawn()
}

/// He is in all roles of a listener.
fn whole(actor: &Actor, name: &str) -> String {
    let role = format!("{}/{name}/call", actor.pid());
    format!("{role} {role} {role} - dated")
}

fn everybody_is_told_of_his_own_processes() {
    let _recorder = Recorder::start();
    let _serving = Serving::start();
    let (alpha, beta, root) = (actor(ORDINARY_UID, "alpha"), actor(OTHER_UID, "beta"), actor(0, "gamma"));
    beta.set_comm("secret-name");
    let [mine, theirs, roots] = [&alpha, &beta, &root].map(|actor| actor.tcp_listen("127.0.0.1:0"));
    let all = [&mine, &theirs, &roots];
    let [of_alpha, of_beta, of_root] = [whole(&alpha, "alpha"), whole(&beta, "beta"), whole(&root, "gamma")];
    let no = || "NotPermitted".to_owned();
    assert_eq!(MINE.sees(&all), [of_alpha.clone(), no(), no()]);
    assert_eq!(THEIRS.sees(&all), [no(), of_beta.clone(), no()]);
    assert_eq!(Who::User(OTHER_UID + 1).sees(&all), [no(), no(), no()]);
    assert_eq!(Who::Root.sees(&all), [of_alpha, of_beta, of_root]);
    // By their bytes.
    let cookies = all.map(|sock| sock.cookie.to_string());
    let asked = MINE.run("a_question_tells", &cookies);
    assert!(asked.contains("alpha"), "{asked}");
    for others in ["beta", "gamma", "secret-name"] {
        assert!(!asked.contains(others), "{asked}");
    }
    let asked = Who::Root.run("a_question_tells", &cookies);
    for everybodys in ["alpha", "beta", "gamma", "secret-name", "sees_all: true"] {
        assert!(asked.contains(everybodys), "{asked}");
    }
}

fn a_setuid_program_is_not_told() {
    let _recorder = Recorder::start();
    let _serving = Serving::start();
    let path = format!("{SHARED}/risen");
    let other = Actor::builder().exe(&path).spawn();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
    let alpha = actor(ORDINARY_UID, "alpha");
    let before = alpha.tcp_listen("127.0.0.1:0");
    alpha.exec_at(&path);
    let after = alpha.tcp_listen("127.0.0.1:0");
    let pid = alpha.pid();
    let told = MINE.sees(&[&before, &after]);
    assert_eq!(told[1], "NotPermitted");
    assert!(told[0].starts_with(&format!("{pid}/alpha/call")), "{told:?}");
    assert!(Who::Root.sees(&[&after])[0].starts_with(&format!("{pid}/risen/call")));
    drop(other);
}

fn what_may_not_be_looked_into_is_not_told() {
    let _recorder = Recorder::start();
    let _serving = Serving::start();
    let alpha = actor(ORDINARY_UID, "alpha");
    let before = alpha.tcp_listen("127.0.0.1:0");
    alpha.drop_dumpable();
    let after = alpha.tcp_listen("127.0.0.1:0");
    assert_eq!(MINE.sees(&[&before, &after]), [whole(&alpha, "alpha"), "NotPermitted".to_owned()]);
}

fn the_group_is_told_everything() {
    let _recorder = Recorder::start();
    let _serving = Serving::start();
    let beta = actor(OTHER_UID, "beta");
    let theirs = beta.tcp_listen("127.0.0.1:0");
    // In the tables, and at the socket.
    assert_eq!(Who::Root.lines("a_member_is_told", &[&theirs]), [whole(&beta, "beta")]);
    let asked = Who::Root.run("a_member_asks", &[theirs.cookie.to_string()]);
    assert!(asked.contains("beta") && asked.contains("sees_all: true"), "{asked}");
}

fn who_shares_a_socket_is_told_his_part() {
    let _recorder = Recorder::start();
    let _serving = Serving::start();
    let (alpha, beta) = (actor(ORDINARY_UID, "alpha"), actor(OTHER_UID, "beta"));
    let listener = alpha.tcp_listen("127.0.0.1:0");
    let client = alpha.tcp_connect(listener.addr);
    // Who accepts is not he who listens.
    let passed = alpha.pass_fd(listener.fd, &beta);
    let server = beta.accept_from(passed.fd);
    let (a, b) = (alpha.pid(), beta.pid());
    let inherited = format!("{a}/alpha/inherited");
    assert_eq!(
        MINE.sees(&[&server, &client]),
        [
            format!("{inherited} - {inherited} not_permitted dated"),
            format!("{a}/alpha/call {a}/alpha/call - - dated")
        ]
    );
    assert_eq!(
        THEIRS.sees(&[&server, &client]),
        [format!("not_permitted - not_permitted {b}/beta/call dated"), "NotPermitted".to_owned()]
    );
}

fn numbers_are_those_of_the_askers_namespace() {
    let _recorder = Recorder::start();
    let _serving = Serving::start();
    let alpha = actor(ORDINARY_UID, "alpha");
    // The first of a namespace below, which has a number here too.
    let inner = Actor::builder()
        .exe(format!("{SHARED}/inner"))
        .uid(ORDINARY_UID)
        .gid(ORDINARY_UID)
        .new_pid_namespace()
        .spawn();
    let (one, other) = (alpha.tcp_listen("127.0.0.1:0"), inner.tcp_listen("127.0.0.1:0"));
    assert_eq!(MINE.sees(&[&one, &other]), [whole(&alpha, "alpha"), whole(&inner, "inner")]);
    let told = Who::UserInside(ORDINARY_UID).sees(&[&one, &other]);
    let nobodys = |name: &str| format!("?/{name}/call ?/{name}/call ?/{name}/call - dated");
    assert_eq!(told, [nobodys("alpha"), nobodys("inner")]);
    // One of his own has a number there.
    let told = Who::UserInside(ORDINARY_UID).run("he_asks_for_his_own", &[]);
    assert_eq!(told.trim(), "own number");
}

/// Others' processes are not even seen.
fn few_rights_are_enough() {
    let _recorder = Recorder::start();
    let _serving = Serving::start_with_few_rights();
    let alpha = actor(ORDINARY_UID, "alpha");
    let mine = alpha.tcp_listen("127.0.0.1:0");
    assert_eq!(MINE.sees(&[&mine]), [whole(&alpha, "alpha")]);
    assert_eq!(THEIRS.sees(&[&mine]), ["NotPermitted"]);
    // Of which namespace whoever asks is takes more.
    assert!(Who::UserInside(ORDINARY_UID).sees(&[&mine])[0].starts_with("?/alpha/call "));
    let told = Who::UserInside(ORDINARY_UID).run("he_asks_for_his_own", &[]);
    assert_eq!(told.trim(), "another");
}

fn what_he_had_has_its_owner() {
    let _recorder = Recorder::start();
    let _serving = Serving::start();
    let (alpha, beta) = (actor(ORDINARY_UID, "alpha"), actor(OTHER_UID, "beta"));
    // Who does nothing after the tick of the clock in which he started is told from a successor by the iterators alone,
    // which he may not use.
    thread::sleep(Duration::from_millis(25));
    let listener = beta.tcp_listen("127.0.0.1:0");
    let client = alpha.tcp_connect(listener.addr);
    let server = beta.accept_from(listener.fd);
    alpha.close_first(client.fd, &beta, server.fd);
    let owner = format!("owner={}", alpha.pid());
    eventually("TIME_WAIT", || MINE.sees(&[&client])[0].ends_with(&owner).then_some(()));
    assert_eq!(THEIRS.sees(&[&client]), ["NotPermitted"]);
    assert_eq!(Who::User(OTHER_UID + 1).sees(&[&client]), ["NotPermitted"]);
}

/// Waits until so many are closed: whoever looks at a descriptor meanwhile has the file a moment longer.
fn await_closed(pattern: &str, count: usize) {
    let (reader, pattern) = (Reader::open().unwrap().unwrap(), pattern.parse().unwrap());
    eventually("their end", || (reader.closed(&pattern).unwrap().len() == count).then_some(()));
}

fn closed_sockets_are_told_to_those_who_had_them() {
    let _recorder = Recorder::start();
    let _serving = Serving::start();
    let (alpha, beta) = (actor(ORDINARY_UID, "alpha"), actor(OTHER_UID, "beta"));
    let udp = |actor: &Actor| {
        let sock = actor.udp_bind("127.0.0.1:0");
        actor.close(sock.fd);
        sock
    };
    let (mine, theirs) = (udp(&alpha), udp(&beta));
    let pattern = |sock: &Sock| format!("udp/127.0.0.1:{}", sock.addr.port());
    let patterns = [&mine, &theirs].map(pattern);
    await_closed(&patterns[0], 1);
    await_closed(&patterns[1], 1);
    let told = MINE.run("closed_ones_are_told", &patterns);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert_eq!(lines[0], format!("{} withheld=true", patterns[0]));
    assert!(lines[1].starts_with(&format!("{} ", mine.cookie)) && lines[1].contains("/alpha/call"), "{told}");
    // Nothing tells whether there is one.
    assert_eq!(lines[2], format!("{} withheld=true", patterns[1]));
    let told = Who::Root.run("closed_ones_are_told", &patterns);
    assert_eq!(told.matches("withheld=false").count(), 2, "{told}");
    assert!(told.contains("/alpha/call") && told.contains("/beta/call"), "{told}");
}

/// More than one packet has room for.
fn many_sockets_come_in_many_answers() {
    const COUNT: usize = 1500;
    let _recorder = Recorder::start();
    let serving = Serving::start();
    let (alpha, beta) = (actor(ORDINARY_UID, "alpha"), actor(OTHER_UID, "beta"));
    let sockets: Vec<_> = (0..COUNT).map(|_| alpha.udp_bind("127.0.0.1:0")).collect();
    let others: Vec<_> = (0..COUNT).map(|_| beta.udp_bind("127.0.0.1:0")).collect();
    let all: Vec<_> = sockets.iter().chain(&others).collect();
    let told = MINE.sees(&all);
    let mine = format!("{0}/alpha/call {0}/alpha/call - - dated", alpha.pid());
    assert_eq!(told.iter().filter(|line| **line == mine).count(), COUNT);
    assert!(told[..COUNT].iter().all(|line| *line == mine));
    assert!(told[COUNT..].iter().all(|line| line == "NotPermitted"));
    // All of one name, one after the other.
    let listener = alpha.tcp_listen("127.0.0.1:0");
    for _ in 0..COUNT {
        let client = alpha.tcp_connect(listener.addr);
        let server = alpha.accept_from(listener.fd);
        alpha.set_linger_zero(server.fd);
        alpha.close(server.fd);
        alpha.close(client.fd);
    }
    let asked = format!(":{}", listener.addr.port());
    await_closed(&asked, COUNT);
    let told = MINE.run("closed_ones_are_told", &[asked]);
    let mut cookies: Vec<_> =
        told.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(cookies.len(), COUNT);
    cookies.sort();
    cookies.dedup();
    assert_eq!(cookies.len(), COUNT);
    assert!(serving.end().answers >= 8);
}

fn without_a_server_it_is_not_permitted() {
    let _recorder = Recorder::start();
    let alpha = actor(ORDINARY_UID, "alpha");
    let mine = alpha.tcp_listen("127.0.0.1:0");
    assert_eq!(MINE.sees(&[&mine]), ["NotPermitted"]);
    let serving = Serving::start();
    assert_eq!(MINE.sees(&[&mine]), [whole(&alpha, "alpha")]);
    let served = serving.end();
    assert_eq!((served.malformed, served.let_go), (0, 0));
    assert!(served.answers > 0 && !fs::exists(super::asking::SOCKET).unwrap());
    assert_eq!(MINE.sees(&[&mine]), ["NotPermitted"]);
    // What one that was killed has left is replaced.
    let left = std::os::unix::net::UnixListener::bind(super::asking::SOCKET).unwrap();
    fs::set_permissions(super::asking::SOCKET, fs::Permissions::from_mode(0o666)).unwrap();
    drop(left);
    assert_eq!(MINE.sees(&[&mine]), ["NotPermitted"]);
    let _serving = Serving::start();
    assert_eq!(MINE.sees(&[&mine]), [whole(&alpha, "alpha")]);
}

fn another_recorder_is_served_too() {
    let _recorder = Recorder::start();
    let _serving = Serving::start();
    let alpha = actor(ORDINARY_UID, "alpha");
    let before = alpha.tcp_listen("127.0.0.1:0");
    assert_eq!(MINE.sees(&[&before]), [whole(&alpha, "alpha")]);
    sockowner::os::linux::record::stop().unwrap();
    assert_eq!(MINE.sees(&[&before]), ["Nowhere"]);
    sockowner::os::linux::record::start("daemon", false).unwrap();
    let after = alpha.tcp_listen("127.0.0.1:0");
    assert_eq!(MINE.sees(&[&before, &after]), ["NotRecorded".to_owned(), whole(&alpha, "alpha")]);
}
