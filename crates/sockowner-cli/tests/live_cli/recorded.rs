//! What is told of sockets that a recorder noted: pages and JSON.

use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use rustix::fs::{major, minor};
use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};
use sockowner::os::linux::record;
use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::{Actor, Requirement, Scenario, Sock, eventually};
use tempfile::TempDir;

use super::golden::{Template, assert_text};
use super::machine::{NAMES, Program, WEB};
use super::program::{Answer, PublicCopy, ask, public_dir};
use super::seen::netns;

tests! {
    Scene what_is_told_can_be_recorded;
    Alone a_listener_whose_maker_is_gone needs RECORDER, Cgroup2;
    Alone time_wait_has_its_recorded_owner needs RECORDER, Cgroup2;
    Alone an_accepted_connection_and_one_that_is_not needs RECORDER, Cgroup2;
    Alone the_library_of_a_call_is_told needs RECORDER, Cgroup2;
    Alone closed_sockets_are_told_the_last_one_first needs RECORDER, Cgroup2;
    Alone a_closed_socket_that_nobody_had needs RECORDER, Cgroup2;
    Alone what_is_closed_is_hinted_at needs RECORDER, Cgroup2;
    Alone what_is_closed_elsewhere_is_counted needs RECORDER, Requirement::Netns;
    Alone where_nothing_is_recorded_nothing_closed_is_known;
    Alone what_the_recorder_has_nothing_on needs RECORDER, Cgroup2;
    Alone what_others_may_not_read needs RECORDER, Cgroup2, OtherUser;
}

pub(super) const RECORDER: Requirement = Requirement::Custom("recorder", records);
/// A group that every system has.
const GROUP: &str = "daemon";

fn records() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    let look = || {
        let output = Scenario::new("what_is_told_can_be_recorded").run();
        let refused = output.lines().find_map(|line| line.strip_prefix("REFUSED "));
        refused.map_or(Ok(()), |why| Err(why.to_owned()))
    };
    ANSWER.get_or_init(look).clone()
}

/// Says why not.
fn what_is_told_can_be_recorded() {
    let _recorder = private_run();
    match record::start(GROUP, false) {
        Err(error) => println!("REFUSED {error:#}"),
        Ok(started) => {
            let refused = started.hooks.iter().find(|hook| hook.in_use != Some(true));
            if let Some(hook) = refused {
                println!("REFUSED {}: {}", hook.name, hook.refused.as_deref().unwrap_or("?"));
            }
        }
    }
}

/// On drop nothing is recorded any more.
struct Recorder;

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = record::stop();
    }
}

/// What is done below `/run` is not seen outside, and ends with the test.
fn private_run() -> Recorder {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
    Recorder
}

fn recorder() -> Recorder {
    let recorder = private_run();
    record::start(GROUP, false).unwrap();
    recorder
}

/// Waits until it is closed: whoever looks at a descriptor meanwhile has the file a moment longer.
#[track_caller]
fn close(actor: &Actor, sock: &Sock) {
    actor.close(sock.fd);
    let reader = record::Reader::open().unwrap().unwrap();
    eventually("its end", || reader.socket(sock.cookie).unwrap().and_then(|told| told.closed_at));
}

#[track_caller]
fn assert_page(page: &Answer, text: &str, names: &[(&str, String)]) {
    let mut golden = Template::new(text);
    for (name, value) in names {
        golden.fill(name, value);
    }
    golden.fill("netns", netns());
    assert_text(page.stdout(), &golden.into_text());
}

fn numbers(sock: &Sock) -> [(&'static str, String); 2] {
    [("inode", sock.inode.to_string()), ("cookie", sock.cookie.to_string())]
}

/// The only endpoint that is told, in a document and in a line.
fn only(words: &[&str]) -> Value {
    let answer = ask(words);
    answer.assert_complete();
    let mut endpoints = answer.endpoints();
    assert_eq!(endpoints.len(), 1, "{}", answer.stdout());
    let of_line: Vec<_> = words.iter().map(|word| if *word == "--json" { "--jsonl" } else { word }).collect();
    let lines = ask(&of_line).json_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["cookie"], endpoints[0]["cookie"]);
    endpoints.remove(0)
}

/// Without its times, which are times.
#[track_caller]
fn timeless(role: &Value) -> Value {
    let mut role = role.clone();
    for key in ["start_time", "time"] {
        if let Some(time) = role[key].as_str() {
            assert!(time.ends_with('Z') && time.len() == 24, "{role}");
            role[key] = "time".into();
        }
    }
    role
}

fn role(program: &Program, name: &str, pid: u32, evidence: &str) -> Value {
    let time = if evidence == "inherited" { Value::Null } else { "time".into() };
    json!({
        "pid": pid, "start_time": "time", "name": name, "path": program.path.to_str(), "uid": 0,
        "unit": {"name": "sockowner-web.service", "kind": "unit", "manager": "system", "uid": null},
        "time": time, "evidence": evidence, "component": null,
    })
}

fn a_listener_whose_maker_is_gone() {
    let _recorder = recorder();
    let dir = public_dir();
    let maker = Program::start(&dir, "maker", 0, WEB);
    let server = Program::start(&dir, "server", 0, NAMES);
    let sock = maker.actor.tcp_listen("127.0.0.1:80");
    let sock = maker.actor.pass_fd(sock.fd, &server.actor);
    let pid = maker.pid();
    maker.actor.kill();
    let page = ask(&["who", ":80"]);
    page.assert_complete();
    let names = [
        ("pid", server.pid().to_string()),
        ("maker", pid.to_string()),
        ("dir", dir.path().display().to_string()),
        ("cgroup", maker.cgroup.id().to_string()),
        ("fd", sock.fd.to_string()),
    ];
    assert_page(&page, PASSED, &[&names[..], &numbers(&sock)].concat());
    let told = only(&["who", ":80", "--json"]);
    let roles = &told["roles"];
    for kind in ["creator", "binder", "listener"] {
        assert_eq!(timeless(&roles[kind]), role(&maker, "maker", pid, "call"));
    }
    assert_eq!((&roles["acceptor"], &roles["reasons"]), (&Value::Null, &json!({})));
    assert_eq!(told["created_at"].as_str().unwrap().len(), 24);
    assert_eq!(told["owner"]["name"], "server");
    // A list has the same.
    assert_eq!(only(&["--json", "-l"])["roles"], *roles);
    let columns = "name,evidence,binder,binder_pid,created_at";
    let records = ask(&["-l", "--csv", "--no-header", "-o", columns]).csv();
    let expected = ["server", "holder", "maker", &pid.to_string(), told["created_at"].as_str().unwrap()];
    assert_eq!(records, [expected.to_vec()]);
}

const PASSED: &str = "\
tcp 127.0.0.1:80 LISTEN
  owner       server, pid <pid>
              the only process that has it
              <dir>/server
              started <time> by user root (uid 0)
              command line: <dir>/server --sockowner-testkit-actor
              now in sockowner-names.service
  service     sockowner-web.service
  container   none
  cgroup      /system.slice/sockowner-web.service (id <cgroup>)
  user        root (uid 0)
  holders     server pid <pid> fd <fd>
  socket      inode <inode>, cookie <cookie>, network namespace <netns>
  created     maker, pid <maker>, <time>
              <dir>/maker
  bound by    maker, pid <maker>, <time>
  listened    maker, pid <maker>, <time>
";

/// A client and a server, connected at this address.
fn connected(dir: &TempDir, at: &str, from_where: bool) -> (Program, Program, [Sock; 3]) {
    // Every test that wants both cgroups takes them in this order.
    let server = Program::start(dir, "server", 0, WEB);
    let client = Program::start(dir, "client", 0, NAMES);
    let listener = server.actor.tcp_listen(at);
    let near = client.actor.tcp_connect(listener.addr);
    let accept = if from_where { Actor::accept_from } else { Actor::accept };
    let far = accept(&server.actor, listener.fd);
    (client, server, [listener, near, far])
}

fn time_wait_has_its_recorded_owner() {
    let _recorder = recorder();
    let dir = public_dir();
    let (client, server, [listener, near, far]) = connected(&dir, "127.0.0.1:80", true);
    client.actor.close_first(near.fd, &server.actor, far.fd);
    server.actor.close(listener.fd);
    let words = ["who", &near.addr.to_string(), "127.0.0.1:80"];
    let json = [&words[..], &["--json"]].concat();
    let living = eventually("TIME_WAIT", || {
        let told = ask(&json).endpoints();
        told.into_iter().find(|told| told["state"] == "TIME_WAIT")
    });
    let owner = &living["owner"];
    assert_eq!((&owner["pid"], &owner["exited"]), (&client.pid().into(), &false.into()));
    assert_eq!((&owner["evidence"], &living["reason"]), (&"recorded".into(), &Value::Null));
    let pid = client.pid();
    let file = std::fs::metadata(&client.path).unwrap();
    client.actor.kill();
    let told = eventually("its end", || Some(only(&json)).filter(|told| told["owner"]["exited"] == true));
    assert_eq!((&told["owner"]["pid"], &told["holders"]), (&pid.into(), &json!([])));
    assert_eq!(told["roles"], living["roles"]);
    let page = ask(&words);
    page.assert_complete();
    let names = [
        ("pid", pid.to_string()),
        ("dir", dir.path().display().to_string()),
        ("port", near.addr.port().to_string()),
        ("device", format!("{}:{}", major(file.dev()), minor(file.dev()))),
        ("file", file.ino().to_string()),
        ("cookie", near.cookie.to_string()),
    ];
    assert_page(&page, WAITING, &names);
    let list = ask(&["-a"]);
    list.assert_complete();
    assert!(list.stdout().contains("client (exited)"), "{}", list.stdout());
    // What he was is his, and his number may be another's.
    let taken = |option: &str, value: &str| ask(&["--state", "time-wait", option, value]).status();
    assert_eq!((taken("--exe", "client"), taken("--exe", "server")), (0, 1));
    assert_eq!(taken("--pid", &pid.to_string()), 1);
    let columns = "pid,process,evidence,exited,reason,holders";
    let records = ask(&["--csv", "--no-header", "--state", "time-wait", "-o", columns]).csv();
    assert_eq!(records, [vec![pid.to_string().as_str(), "client (exited)", "recorded", "true", "", ""]]);
}

const WAITING: &str = "\
tcp 127.0.0.1:<port> -> 127.0.0.1:80 TIME_WAIT
  owner       client, pid <pid>
              recorded: it bound or connected it; no process has it any more; it has exited
              <dir>/client
              (as its own mount namespace has it, not verified; device <device>, inode <file>)
              started <time> by user root (uid 0)
              was in sockowner-names.service
  service     not known: the kernel tells no cgroup of this socket
  container   not known
  user        not known: the kernel tells none of a socket without a file
  socket      no inode (no file stands for it), cookie <cookie>, network namespace <netns>
  created     client, pid <pid>, <time>
  bound by    client, pid <pid>, <time>
              by a connect or listen that had the kernel choose a port
  closed      <time>
";

fn an_accepted_connection_and_one_that_is_not() {
    let _recorder = recorder();
    let dir = public_dir();
    for (is_noted, tail) in [(true, ACCEPTED), (false, TAKEN)] {
        let (client, server, [listener, near, far]) = connected(&dir, "127.0.0.1:80", is_noted);
        let (from, to) = (far.addr.to_string(), near.addr.to_string());
        let page = ask(&["who", &from, &to]);
        page.assert_complete();
        let at = page.stdout().find("created ").unwrap();
        let mut golden = Template::new(tail);
        golden.fill("pid", server.pid());
        assert_text(&page.stdout()[at..], &golden.into_text());
        let roles = only(&["who", &from, &to, "--json"])["roles"].take();
        for kind in ["creator", "listener"] {
            assert_eq!(timeless(&roles[kind]), role(&server, "server", server.pid(), "inherited"));
        }
        if is_noted {
            assert_eq!(timeless(&roles["acceptor"]), role(&server, "server", server.pid(), "call"));
            assert_eq!(roles["reasons"], json!({}));
        } else {
            assert_eq!(roles["acceptor"], Value::Null);
            assert_eq!(roles["reasons"], json!({"acceptor": "not_recorded"}));
        }
        // Who is not known by his own call is not told as if he were.
        let port = far.addr.port().to_string();
        let records =
            ask(&["--csv", "--no-header", "-t", "-o", "local_port,remote_port,creator,listener,acceptor"])
                .csv();
        let record = records.iter().find(|record| record[0] == port && !record[1].is_empty()).unwrap();
        let acceptor = if is_noted { "server" } else { "(not recorded)" };
        assert_eq!(
            (&record[2], &record[3], &record[4]),
            ("server (inherited)", "server (inherited)", acceptor)
        );
        // Without a row in TIME_WAIT, which the next listener would not mind.
        client.actor.set_linger_zero(near.fd);
        drop(client);
        server.actor.close(listener.fd);
    }
}

const ACCEPTED: &str = "\
  created     server, pid <pid>
              its listener's
              the connection was established <time>
  listened    server, pid <pid>
              its listener's
  accepted by server, pid <pid>, <time>
";

const TAKEN: &str = "\
  created     server, pid <pid>
              its listener's
              the connection was established <time>
  listened    server, pid <pid>
              its listener's
  accepted by not recorded
";

fn closed_sockets_are_told_the_last_one_first() {
    let _recorder = recorder();
    let dir = public_dir();
    // All of the machine is recorded: a port of the kernel's choice is nobody else's, as far as can be.
    let (client, server, [listener, near, far]) = connected(&dir, "127.0.0.1:0", true);
    // No row is left of it.
    client.actor.set_linger_zero(near.fd);
    close(&client.actor, &near);
    close(&server.actor, &far);
    close(&server.actor, &listener);
    let pid = client.pid();
    let file = std::fs::metadata(&client.path).unwrap();
    client.actor.kill();
    // A connection is found by both its sides, from either of them.
    let (from, to) = (near.addr.to_string(), listener.addr.to_string());
    let port = format!(":{}", listener.addr.port());
    let page = ask(&["who", "--closed", &from, &to]);
    page.assert_complete();
    let names = [
        ("pid", pid.to_string()),
        ("dir", dir.path().display().to_string()),
        ("from", from.clone()),
        ("to", to.clone()),
        ("device", format!("{}:{}", major(file.dev()), minor(file.dev()))),
        ("file", file.ino().to_string()),
        ("cgroup", client.cgroup.id().to_string()),
        ("cookie", near.cookie.to_string()),
    ];
    assert_page(&page, CLOSED, &names);
    let both = ask(&["who", "--closed", &port, "--json"]);
    both.assert_complete();
    let told = both.endpoints();
    let cookies: Vec<_> = told.iter().map(|told| told["cookie"].as_u64().unwrap()).collect();
    assert_eq!(cookies, [listener.cookie, far.cookie]);
    for told in &told {
        assert_eq!(
            (&told["state"], &told["inode"], &told["match"]),
            (&"CLOSE".into(), &0.into(), &"exact".into())
        );
        assert_eq!((&told["owner"]["pid"], &told["owner"]["exited"]), (&server.pid().into(), &false.into()));
        assert_eq!((&told["owner"]["evidence"], &told["reason"]), (&"recorded".into(), &Value::Null));
        assert!(told["closed_at"].as_str().unwrap() >= told["created_at"].as_str().unwrap(), "{told}");
    }
    assert_eq!(timeless(&told[1]["roles"]["acceptor"]), role(&server, "server", server.pid(), "call"));
    assert_eq!(only(&["who", "--closed", &to, &from, "--json"])["cookie"], far.cookie);
    assert_eq!(only(&["who", "--closed", "--json", &format!("{from},{to}")])["cookie"], near.cookie);
    let none = format!(
        "sockowner: no closed endpoint matches udp/{from}: one is kept for ten minutes, or until very many others are closed\n"
    );
    ask(&["who", "--closed", &format!("udp/{from}")]).assert_ended(1, &none);
}

const CLOSED: &str = "\
tcp <from> -> <to> CLOSE
  owner       client, pid <pid>
              recorded: it bound or connected it; no process has it any more; it has exited
              <dir>/client
              (as its own mount namespace has it, not verified; device <device>, inode <file>)
              started <time> by user root (uid 0)
  service     sockowner-names.service
  container   none
  cgroup      /system.slice/sockowner-names.service (id <cgroup>)
  user        not known: the kernel tells none of a socket without a file
  socket      no inode (no file stands for it), cookie <cookie>, network namespace <netns>
  created     client, pid <pid>, <time>
  bound by    client, pid <pid>, <time>
              by a connect or listen that had the kernel choose a port
  closed      <time>
";

fn a_closed_socket_that_nobody_had() {
    let _recorder = recorder();
    let dir = public_dir();
    let server = Program::start(&dir, "server", 0, WEB);
    let client = Program::start(&dir, "client", 0, NAMES);
    let listener = server.actor.tcp_listen("127.0.0.1:0");
    let near = client.actor.tcp_connect(listener.addr);
    client.actor.set_linger_zero(near.fd);
    close(&client.actor, &near);
    close(&server.actor, &listener);
    let (from, to) = (listener.addr.to_string(), near.addr.to_string());
    let page = eventually("the end of what nobody accepted", || {
        Some(ask(&["who", "--closed", &from, &to])).filter(|page| page.status() == 0)
    });
    page.assert_complete();
    let owner = "\n  owner       (no holder) who had it last is not recorded, or nobody ever had\n";
    assert!(page.stdout().contains(owner), "{}", page.stdout());
    let told = only(&["who", "--closed", &from, &to, "--json"]);
    assert_eq!((&told["owner"], &told["reason"]), (&Value::Null, &"no_holder".into()));
    assert_eq!(timeless(&told["roles"]["listener"]), role(&server, "server", server.pid(), "inherited"));
    assert_eq!(told["roles"]["reasons"], json!({"acceptor": "not_recorded"}));
}

fn what_is_closed_is_hinted_at() {
    let _recorder = recorder();
    let dir = public_dir();
    let server = Program::start(&dir, "server", 0, WEB);
    let first = server.actor.tcp_listen("[::]:0");
    let port = first.addr.port();
    close(&server.actor, &first);
    let asked = format!("[::1]:{port}");
    let nothing = format!("sockowner: no endpoint matches {asked}\n");
    let hints = ["1 endpoint that is closed was called so", "2 endpoints that are closed were called so"];
    for (told, hint) in hints.into_iter().enumerate() {
        let hint = format!("{nothing}sockowner: {hint}: sockowner who --closed '{asked}'\n");
        ask(&["who", &asked]).assert_ended(1, &hint);
        let closed = ask(&["who", "--closed", &asked, "--json"]).endpoints();
        assert_eq!(closed.len(), told + 1);
        assert!(closed.iter().all(|told| told["match"] == "wildcard"), "{closed:?}");
        let next = server.actor.tcp_listen(format!("[::]:{port}"));
        close(&server.actor, &next);
    }
    let page = ask(&["who", "--closed", &asked]);
    page.assert_complete();
    let wildcard =
        format!("  match       wildcard: it listened on every address, so it served {asked} too\n");
    assert_eq!(page.stdout().matches(&wildcard).count(), 3, "{}", page.stdout());
}

fn what_is_closed_elsewhere_is_counted() {
    let _recorder = recorder();
    let here = Actor::spawn();
    let there = sockowner_testkit::netns::inside(Actor::spawn);
    let listener = here.tcp_listen("127.0.0.1:0");
    let asked = listener.addr.to_string();
    let closed = |told: &str| {
        let answer = ask(&["who", "--closed", &asked, "--json"]);
        let more = "sockowner: 1 more was in other network namespaces: --all-netns tells them too\n";
        assert!(answer.stderr().ends_with(more), "{told}: {}", answer.stderr());
        (answer.status(), answer.endpoints().len())
    };
    let other = there.tcp_listen(&asked);
    close(&there, &other);
    assert_eq!(closed("none here"), (1, 0));
    close(&here, &listener);
    assert_eq!(closed("one here"), (0, 1));
    let all = ask(&["who", "--closed", "--all-netns", &asked, "--json"]);
    all.assert_complete();
    let told: Vec<_> = all.endpoints().iter().map(|told| told["cookie"].as_u64().unwrap()).collect();
    assert_eq!(told, [listener.cookie, other.cookie]);
    assert_eq!(all.endpoints()[0]["netns"], netns());
    let place = format!("/proc/{}/ns/net", there.pid());
    let hint = format!(
        "sockowner: no endpoint matches {asked}\nsockowner: 1 endpoint that is closed was called so: \
         sockowner who --closed --netns {place} {asked}\n"
    );
    ask(&["who", &asked, "--netns", &place]).assert_ended(1, &hint);
    // Its former name.
    let same = ask(&["who", "--closed", "--every-namespace", &asked, "--json"]);
    assert_eq!(same.stdout(), all.stdout());
}

fn where_nothing_is_recorded_nothing_closed_is_known() {
    let _end = private_run();
    let said = "sockowner: nothing is recorded, so no closed endpoint is kept: 'sudo sockowner record start' begins\n";
    ask(&["who", "--closed", ":80"]).assert_ended(1, said);
    let document = ask(&["who", "--closed", ":80", "--json"]);
    document.assert_ended(1, said);
    assert_eq!(document.stdout(), "{\"schema\":1,\"endpoints\":[],\"gaps\":[]}\n");
    ask(&["who", ":80"]).assert_ended(1, "sockowner: no endpoint matches :80\n");
}

fn what_the_recorder_has_nothing_on() {
    let dir = public_dir();
    let server = Program::start(&dir, "server", 0, WEB);
    server.actor.tcp_listen("127.0.0.1:80");
    let _recorder = recorder();
    let page = ask(&["who", ":80"]);
    page.assert_complete();
    let said = "  not known   who created and bound it, when, and from which library: the recorder has nothing on this socket\n";
    assert!(page.stdout().ends_with(said), "{}", page.stdout());
    let told = only(&["who", ":80", "--json"]);
    assert_eq!(
        told["roles"],
        json!({"creator": null, "binder": null, "listener": null, "acceptor": null, "reasons": {
            "creator": "not_recorded", "binder": "not_recorded", "listener": "not_recorded",
        }})
    );
    assert_eq!(told["created_at"], Value::Null);
}

fn what_others_may_not_read() {
    let _recorder = recorder();
    let dir = public_dir();
    let server = Program::start(&dir, "server", sockowner_testkit::privileges::ORDINARY_UID, WEB);
    server.actor.tcp_listen("127.0.0.1:8080");
    let program = PublicCopy::new();
    let page = program.ask(&["who", ":8080"]);
    let said = "  not known   who created and bound it, when, and from which library: a recorder notes that, for root, its group, and whose process it was\n";
    assert!(page.stdout().ends_with(said), "{}", page.stdout());
    let told = program.ask(&["who", ":8080", "--json"]).endpoints().remove(0);
    let reasons = json!({"creator": "not_permitted", "binder": "not_permitted", "listener": "not_permitted"});
    assert_eq!((&told["roles"]["creator"], &told["roles"]["reasons"]), (&Value::Null, &reasons));
    assert_eq!(told["owner"]["name"], "server");
    let closed = program.ask(&["who", "--closed", ":8080"]);
    let refused = "sockowner: only root and the group that it is recorded for are told what is closed, as nobody tends it: ";
    assert_eq!((closed.status(), closed.stdout()), (2, ""));
    assert!(closed.stderr().starts_with(refused), "{}", closed.stderr());
    // It is a hint alone.
    program.ask(&["who", ":8081"]).assert_ended(1, "sockowner: no endpoint matches :8081\n");
}

/// As the recorder's user part would put it there.
fn note(sock: &Sock, sampler: &mut record::Sampler, component: &sockowner::Component) {
    let id = record::Store::open().unwrap().component(0, component).unwrap().unwrap();
    let mut noted = Vec::new();
    let took = sampler.take(10_000, |sample| {
        if sample.cookie == sock.cookie {
            let (role, when, process) = (sample.role, sample.when, sample.process);
            noted.push(record::Noted { cookie: sock.cookie, role, when, process, component: id });
        }
    });
    took.unwrap();
    assert_eq!(sampler.note(&noted).unwrap(), 2, "bind and listen");
}

fn the_library_of_a_call_is_told() {
    let _recorder = recorder();
    let dir = public_dir();
    let server = Program::start(&dir, "server", 0, WEB);
    let (mut sampler, _) = record::Sampler::attach().unwrap();
    let listener = server.actor.tcp_listen("127.0.0.1:0");
    let mut component = sockowner::Component::new("lib\x1b.so", sockowner::ComponentEvidence::CfiIndirect);
    component.path = Some("/lib/lib\x1b.so".into());
    component.build_id = Some(vec![0xab, 0xcd]);
    component.offset = Some(0x10);
    let mut frame = sockowner::ComponentFrame::new("libc.so.6", 0x20);
    frame.path = Some("/lib/libc.so.6".into());
    let mut own = sockowner::ComponentFrame::new("lib\x1b.so", 0x10);
    (own.path, own.build_id) = (component.path.clone(), component.build_id.clone());
    component.chain = vec![frame, own];
    note(&listener, &mut sampler, &component);
    let asked = listener.addr.to_string();
    for closed in [false, true] {
        let words = if closed { vec!["who", "--closed", &asked] } else { vec!["who", &asked] };
        let page = ask(&words);
        page.assert_complete();
        for line in LIBRARY.split_inclusive('\n') {
            assert!(page.stdout().contains(line), "{line:?} is not in {}", page.stdout());
        }
        assert_eq!(page.stdout().matches("build-id").count(), 1, "{}", page.stdout());
        let roles = only(&[&words[..], &["--json"]].concat())["roles"].take();
        let component = json!({
            "name": "lib\u{1b}.so", "path": "/lib/lib\u{1b}.so", "build_id": "abcd", "offset": 16,
            "evidence": "cfi_indirect", "generated": false,
            "chain": [
                {"name": "libc.so.6", "path": "/lib/libc.so.6", "build_id": null, "offset": 32},
                {"name": "lib\u{1b}.so", "path": "/lib/lib\u{1b}.so", "build_id": "abcd", "offset": 16},
            ],
        });
        assert_eq!(
            (&roles["creator"]["component"], &roles["binder"]["component"]),
            (&Value::Null, &component)
        );
        assert_eq!(roles["listener"]["component"], component);
        if !closed {
            let columns =
                "creator,creator_pid,binder,binder_component,listener_pid,listener_component,acceptor";
            let records = ask(&["-l", "--csv", "--no-header", "-o", columns]);
            let library = r#""lib\x1b.so" (cfi_indirect)"#;
            let pid = &server.pid().to_string();
            assert_eq!(records.csv(), [vec!["server", pid, "server", library, pid, library, ""]]);
            close(&server.actor, &listener);
        }
    }
}

const LIBRARY: &str = r#"              by "lib\x1b.so" +0x10 (cfi_indirect)
              on its stack, but reached by a pointer: another may have made the call for it
              "/lib/lib\x1b.so", build-id abcd
              stack: libc.so.6 +0x20 < "lib\x1b.so" +0x10
"#;
