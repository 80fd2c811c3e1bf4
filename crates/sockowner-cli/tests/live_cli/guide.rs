//! GUIDE.md: each of its commands, on a machine that is as the guide tells.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::mount::{MountFlags, mount, mount_bind};
use rustix::net::sockopt::set_socket_linger;
use serde_json::Value;
use sockowner_testkit::Requirement::{self, Cgroup2};
use sockowner_testkit::guide::{Section, titles};
use sockowner_testkit::{eventually, netns};
use tempfile::TempDir;

use super::components::has_lost;
use super::machine::{NAMES, Program, WEB};
use super::program::{PROGRAM, ask, public_dir};
use super::recorded::RECORDER;

tests! {
    Alone the_guide_tells_which_unit_opened_a_port needs Cgroup2, JQ;
    Alone the_guide_tells_who_made_a_time_wait needs Cgroup2, RECORDER;
    Alone the_guide_tells_which_library_connects_out needs RECORDER, CURL, JQ;
    Alone the_guide_tells_how_to_wait needs Cgroup2;
    Alone the_guide_tells_of_other_namespaces needs Cgroup2;
    Alone the_guide_tells_how_to_choose_columns needs Cgroup2, JQ;
    Alone the_guide_tells_how_to_ask_from_a_script needs JQ;
    Alone the_guide_tells_how_to_ask_from_rust needs Cgroup2;
    Outside no_section_of_the_guide_is_untried;
}

const CURL: Requirement = Requirement::Custom("curl", || found("curl"));
const JQ: Requirement = Requirement::Custom("jq", || found("jq"));

const GUIDE: &str = include_str!("../../../../GUIDE.md");
const UNIT: &str = "Which unit opened this port?";
const TIME_WAIT: &str = "Who made this TIME_WAIT?";
const LIBRARY: &str = "Which library connects out?";
const WAIT: &str = "Wait until a service listens";
const NAMESPACES: &str = "Look into other network namespaces";
const COLUMNS: &str = "Choose columns, sort, and take it elsewhere";
const SCRIPT: &str = "Ask from a script";
const RUST: &str = "Use it from Rust";
/// What the tests of `watch` try, on a terminal.
const OF_WATCH: &str = "See it come and go";
/// Those that the C library's tests try.
const OF_THE_C_LIBRARY: [&str; 2] = ["Port a Windows program", "Use it from C"];

fn found(program: &str) -> Result<(), String> {
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program} --version: {}", output.status)),
        Err(error) => Err(error.to_string()),
    }
}

/// Whatever a process of ours starts ends with it.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the guide calls otherwise than this machine: what stands there, and what is here.
fn names(dir: &TempDir) -> Vec<(&'static str, String)> {
    vec![
        ("/srv/shop", dir.path().display().to_string()),
        ("shop.service", "sockowner-web.service".into()),
        ("client.service", "sockowner-names.service".into()),
        // A group that every system has.
        ("record start", "record start --group daemon".into()),
    ]
}

/// Runs a command of the guide's, and yields both its streams, in the guide's words.
fn typed(command: &str, names: &[(&'static str, String)]) -> Option<String> {
    let here = names.iter().fold(command.to_owned(), |text, (there, here)| text.replace(there, here));
    let dir = std::path::Path::new(PROGRAM).parent().unwrap();
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1; {here}")]).env("PATH", path).env("TZ", "UTC");
    let output = shell.env("CARGO_NET_OFFLINE", "true").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let there = names.iter().fold(said, |text, (there, here)| text.replace(here, there));
    // What failed is told where nothing else is shown for long.
    if output.status.success() {
        Some(there)
    } else {
        eprintln!("{here}: {}: {there}", output.status);
        None
    }
}

/// What the recorder puts below `/run` is not seen outside, and ends with the test.
fn private_run() {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
}

fn the_guide_tells_which_unit_opened_a_port() {
    let dir = public_dir();
    let web = Program::start(&dir, "web", 0, WEB);
    web.actor.tcp_listen("0.0.0.0:8080");
    let names = names(&dir);
    let mut section = Section::of(GUIDE, UNIT);
    section.step(|command| typed(command, &names));
    section.step(|command| typed(command, &names));
    section.end();
}

fn the_guide_tells_who_made_a_time_wait() {
    private_run();
    let dir = public_dir();
    let names = names(&dir);
    let mut section = Section::of(GUIDE, TIME_WAIT);
    section.step(|command| typed(command, &names));
    let web = Program::start(&dir, "web", 0, WEB);
    let client = Program::start(&dir, "report", 0, NAMES);
    let listener = web.actor.tcp_listen("0.0.0.0:8080");
    let near = client.actor.tcp_connect_from("127.0.0.1:40112", "127.0.0.1:8080");
    let far = web.actor.accept(listener.fd);
    client.actor.close_first(near.fd, &web.actor, far.fd);
    client.actor.kill();
    section.step(|command| typed(command, &names));
    section.step(|command| typed(command, &names));
    section.end();
}

fn the_guide_tells_which_library_connects_out() {
    private_run();
    let dir = public_dir();
    let names = names(&dir);
    let listener = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
    // Where a loaded machine lets who reads modules wait too long, a library is never told: then from the beginning.
    let (mut section, _curl, _connection) = eventually("nobody who reads modules is replaced", || {
        let mut section = Section::of(GUIDE, LIBRARY);
        section.step(|command| typed(command, &names));
        let components = || {
            let status = ask(&["record", "status", "--json"]);
            if status.status() == 0 { status.json()["recorder"]["components"].take() } else { Value::Null }
        };
        eventually("calls are followed", || components()["hooks"].is_array().then_some(()));
        let mut curl = Command::new("curl");
        let curl = curl
            .args(["-s", "--local-port", "40300", "http://127.0.0.1:8080/"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let curl = Started(curl);
        let (connection, _) = listener.accept().unwrap();
        let is_told = eventually("the library is told, or who reads it was replaced", || {
            let is_lost = has_lost(&components());
            let found = ask(&["--json", "who", ":40300"]).endpoints();
            let is_told = found.iter().any(|endpoint| !endpoint["roles"]["binder"]["component"].is_null());
            (is_told || is_lost).then_some(is_told)
        });
        if !is_told {
            // A reset: the port is free at once.
            set_socket_linger(&connection, Some(Duration::ZERO)).unwrap();
            assert_eq!(ask(&["record", "stop"]).status(), 0);
        }
        is_told.then_some((section, curl, connection))
    });
    section.step(|command| typed(command, &names));
    section.step(|command| typed(command, &names));
    section.end();
}

fn the_guide_tells_how_to_wait() {
    let dir = public_dir();
    let web = Program::start(&dir, "web", 0, WEB);
    web.actor.tcp_listen("0.0.0.0:8080");
    let mut section = Section::of(GUIDE, WAIT);
    section.step(|command| typed(command, &names(&dir)));
    section.end();
}

fn the_guide_tells_of_other_namespaces() {
    private_run();
    fs::create_dir("/run/netns").unwrap();
    let dir = public_dir();
    let web = Program::start(&dir, "web", 0, WEB);
    web.actor.tcp_listen("0.0.0.0:8080");
    let _blue = netns::inside(|| {
        fs::File::create("/run/netns/blue").unwrap();
        mount_bind("/proc/thread-self/ns/net", "/run/netns/blue").unwrap();
        let db = Program::start(&dir, "db", 0, NAMES);
        db.actor.tcp_listen("0.0.0.0:8080");
        db
    });
    let mut section = Section::of(GUIDE, NAMESPACES);
    section.step(|command| typed(command, &names(&dir)));
    section.end();
}

fn the_guide_tells_how_to_choose_columns() {
    let dir = public_dir();
    let web = Program::start(&dir, "web", 0, WEB);
    web.actor.tcp_listen("0.0.0.0:8080");
    let db = Program::start(&dir, "db", 0, NAMES);
    db.actor.tcp_listen("127.0.0.1:5432");
    let mut section = Section::of(GUIDE, COLUMNS);
    section.step(|command| typed(command, &names(&dir)));
    section.end();
}

fn the_guide_tells_how_to_ask_from_a_script() {
    let dir = public_dir();
    let _listener = std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
    let mut section = Section::of(GUIDE, SCRIPT);
    section.step(|command| typed(command, &names(&dir)));
    section.end();
}

fn the_guide_tells_how_to_ask_from_rust() {
    let dir = public_dir();
    let web = Program::start(&dir, "web", 0, WEB);
    web.actor.tcp_listen("0.0.0.0:8080");
    let mut section = Section::of(GUIDE, RUST);
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap();
    section.step(|command| typed(command, &names(&dir)));
    section.end();
    let example = include_str!("../../../sockowner/examples/listeners.rs");
    let code = GUIDE.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(example.contains(code), "the example does not have the guide's\n{code}");
}

fn no_section_of_the_guide_is_untried() {
    let tried = [
        &[UNIT, TIME_WAIT, LIBRARY, OF_WATCH, WAIT, NAMESPACES, COLUMNS, SCRIPT, RUST][..],
        &OF_THE_C_LIBRARY,
    ]
    .concat();
    let mut found = titles(GUIDE);
    found.sort_unstable();
    let mut tried = tried;
    tried.sort_unstable();
    assert_eq!(found, tried);
}
