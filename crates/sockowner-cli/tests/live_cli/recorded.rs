//! What is told of sockets that a recorder noted: pages and JSON.

use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use rustix::fs::{major, minor};
use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};
use sockowner::os::linux::record;
use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::{Requirement, Scenario, Sock, eventually};
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
    Alone what_the_recorder_has_nothing_on needs RECORDER, Cgroup2;
    Alone what_others_may_not_read needs RECORDER, Cgroup2, OtherUser;
}

const RECORDER: Requirement = Requirement::Custom("recorder", records);
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

/// The only endpoint that is told.
fn only(words: &[&str]) -> Value {
    let answer = ask(words);
    answer.assert_complete();
    let mut endpoints = answer.endpoints();
    assert_eq!(endpoints.len(), 1, "{}", answer.stdout());
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

/// A client and a server, connected.
fn connected(dir: &TempDir, from_where: bool) -> (Program, Program, [Sock; 3]) {
    // Every test that wants both cgroups takes them in this order.
    let server = Program::start(dir, "server", 0, WEB);
    let client = Program::start(dir, "client", 0, NAMES);
    let listener = server.actor.tcp_listen("127.0.0.1:80");
    let near = client.actor.tcp_connect("127.0.0.1:80");
    let accept =
        if from_where { sockowner_testkit::Actor::accept_from } else { sockowner_testkit::Actor::accept };
    let far = accept(&server.actor, listener.fd);
    (client, server, [listener, near, far])
}

fn time_wait_has_its_recorded_owner() {
    let _recorder = recorder();
    let dir = public_dir();
    let (client, server, [listener, near, far]) = connected(&dir, true);
    client.actor.close(near.fd);
    server.actor.close(far.fd);
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
";

fn an_accepted_connection_and_one_that_is_not() {
    let _recorder = recorder();
    let dir = public_dir();
    for (is_noted, tail) in [(true, ACCEPTED), (false, TAKEN)] {
        let (client, server, [listener, near, far]) = connected(&dir, is_noted);
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
    let said = "  not known   who created and bound it, when, and from which library: a recorder notes that, for root and its group alone\n";
    assert!(page.stdout().ends_with(said), "{}", page.stdout());
    let told = program.ask(&["who", ":8080", "--json"]).endpoints().remove(0);
    let reasons = json!({"creator": "not_permitted", "binder": "not_permitted", "listener": "not_permitted"});
    assert_eq!((&told["roles"]["creator"], &told["roles"]["reasons"]), (&Value::Null, &reasons));
    assert_eq!(told["owner"]["name"], "server");
}
