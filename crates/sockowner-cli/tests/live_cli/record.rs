//! `record`, from its start to its end. What it attaches is the whole machine's, so there is one test, and all that it
//! leaves is removed however it ends.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::{Actor, Requirement, Scenario, eventually};

use super::program::{Answer, PublicCopy, ask, program};

tests! {
    Scene the_recorder_starts;
    Alone recording_begins_goes_on_and_ends needs RECORDER, OtherUser;
}

const RECORDER: Requirement = Requirement::Custom("recorder", records);
/// A group that every system has.
const GROUP: &str = "daemon";
const DIR: &str = "/run/sockowner/record";
const WHOM: &str = "root and the group daemon can read it, for every user's sockets";

fn records() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    let look = || {
        let output = Scenario::new("the_recorder_starts").run();
        let refused = output.lines().find_map(|line| line.strip_prefix("REFUSED "));
        refused.map_or(Ok(()), |why| Err(why.to_owned()))
    };
    ANSWER.get_or_init(look).clone()
}

/// Says why not.
fn the_recorder_starts() {
    let _end = private_run();
    let started = ask(&["record", "start", "--group", GROUP, "--hooks-only"]);
    if started.status() != 0 || started.stderr().contains(" is refused: ") {
        println!("REFUSED {}", started.stderr().lines().next().unwrap_or("?"));
    }
}

/// On drop nothing is recorded any more.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        let _ = program(&["record", "stop"]).output();
    }
}

/// What is done below `/run` is not seen outside, and ends with the test.
fn private_run() -> End {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
    End
}

fn recorder() -> Value {
    let told = ask(&["record", "status", "--json"]);
    told.assert_complete();
    let mut told = told.json();
    assert_eq!(told["schema"], 1);
    told["recorder"].take()
}

fn hook(name: &str) -> Value {
    let mut recorder = recorder();
    let hooks = recorder["hooks"].as_array_mut().unwrap();
    hooks.iter_mut().find(|hook| hook["name"] == name).unwrap().take()
}

fn start(more: &[&str]) -> Answer {
    ask(&[&["record", "start", "--group", GROUP], more].concat())
}

/// The processes that tend, and nobody's children any more.
fn tenders() -> Vec<u32> {
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let tends = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with(b"sockowner\0record\0run\0--tend-only\0")
    };
    pids.filter(tends).collect()
}

/// The one that tends; what it starts looks as it does for a moment.
fn the_tender() -> u32 {
    eventually("one tends", || <[u32; 1]>::try_from(tenders()).ok().map(|[tender]| tender))
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// In the foreground, from when it tends.
fn run() -> Child {
    let mut run = program(&["record", "run", "--group", GROUP]);
    let child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("somebody tends", || (recorder()["tended"] == true).then_some(()));
    child
}

/// What it said, once it ended well.
#[track_caller]
fn said(run: Child) -> String {
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn recording_begins_goes_on_and_ends() {
    let _end = private_run();
    nothing_is_recorded();
    it_begins();
    what_happens_is_counted();
    a_second_start_is_no_failure();
    a_hook_that_is_missing_is_told();
    others_learn_what_they_may();
    it_goes_on_without_a_process();
    a_stop_ends_it();
}

fn nothing_is_recorded() {
    let status = ask(&["record", "status"]);
    status.assert_ended(1, "");
    assert_eq!(status.stdout(), "nothing is recorded\n");
    let document = ask(&["record", "status", "--json"]);
    document.assert_ended(1, "");
    assert_eq!(document.stdout(), "{\n  \"schema\": 1,\n  \"recorder\": null\n}\n");
    ask(&["record", "stop"]).assert_ended(0, "sockowner: nothing was recorded\n");
    let nothing = "sockowner: tend what is recorded: nothing is; 'sockowner record start' begins\n";
    ask(&["record", "run", "--tend-only"]).assert_ended(2, nothing);
    let no_group = "sockowner: record for the group no-such: there is no such group; \
                    create it: groupadd --system no-such\n";
    ask(&["record", "start", "--group", "no-such"]).assert_ended(2, no_group);
    assert!(!PathBuf::from(DIR).exists());
}

fn it_begins() {
    let said = format!(
        "sockowner: from now on it is recorded who makes and uses sockets, by 9 of 9 hooks; {WHOM}\n"
    );
    start(&[]).assert_ended(0, &said);
    let tender = the_tender();
    let link = |name: &str| fs::read_link(format!("/proc/{tender}/{name}")).unwrap();
    assert_eq!(link("cwd"), PathBuf::from("/"));
    for stream in ["fd/0", "fd/1", "fd/2"] {
        assert_eq!(link(stream), PathBuf::from("/dev/null"));
    }
    let stat = fs::read_to_string(format!("/proc/{tender}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // The session and its terminal.
    assert_eq!((fields[3], fields[4]), (tender.to_string().as_str(), "0"));
}

fn what_happens_is_counted() {
    let before = recorder();
    assert_eq!((&before["tended"], &before["group"]["name"]), (&true.into(), &GROUP.into()));
    let actor = Actor::spawn();
    let sockets = [0; 3].map(|_| actor.udp_bind("127.0.0.1:0"));
    actor.close(sockets[0].fd);
    let number = |told: &Value, key: &str| told[key].as_u64().unwrap();
    // Others on the machine make sockets too, and whoever looks at a descriptor keeps it open for a moment.
    let after = eventually("all is counted", || {
        let after = recorder();
        let is_all = number(&after, "events") >= number(&before, "events") + 7;
        (is_all && number(&after, "closed") >= 1).then_some(after)
    });
    assert!(number(&after, "open") >= 2, "{after}");
    assert!(number(&after, "processes") >= 1 && number(&after, "memory_bytes") > 0, "{after}");
    assert!(after["oldest_closed_seconds"].is_u64() && after["running_for_seconds"].is_u64(), "{after}");
    // What is dropped may be anybody's.
    assert!(number(&after, "capacity") == 131_072 && after["dropped"].is_u64(), "{after}");
    assert_eq!((number(&after, "not_recorded"), &after["not_recorded_of"]), (0, &Value::Array(vec![])));
    let status = ask(&["record", "status"]);
    status.assert_complete();
    for line in [
        "readable by   root and the group daemon",
        "tended        yes",
        "hooks         sock_create         in use",
        "              sock_recv_length    not asked for",
        "                                  not known: who first received on a connection",
        "not recorded  0",
    ] {
        assert!(status.stdout().lines().any(|told| told == line), "{line:?} is not in {}", status.stdout());
    }
}

fn a_second_start_is_no_failure() {
    let again = |hooks| {
        format!("sockowner: it was recorded already, and goes on with {hooks} of {hooks} hooks; {WHOM}\n")
    };
    let before = the_tender();
    start(&[]).assert_ended(0, &again(9));
    assert_eq!(the_tender(), before);
    let first_use = start(&["--first-use"]);
    assert_eq!(first_use.status(), 0, "{}", first_use.stderr());
    let noted = hook("sock_recv_length");
    assert_eq!(noted["asked_for"], true);
    // Linux 6.3 has it.
    assert!(noted["in_use"] == true || noted["refused"].is_string(), "{noted}");
    start(&[]).assert_ended(0, &again(9));
    let noted = hook("sock_recv_length");
    assert_eq!(
        (&noted["asked_for"], &noted["in_use"], &noted["refused"]),
        (&false.into(), &false.into(), &Value::Null)
    );
    let other = "sockowner: record for the group adm: it is recorded for the group daemon already; \
                 'sockowner record stop' ends that, and forgets what was noted\n";
    ask(&["record", "start", "--group", "adm"]).assert_ended(2, other);
}

fn a_hook_that_is_missing_is_told() {
    fs::remove_file(format!("{DIR}/own/sock_release")).unwrap();
    let status = ask(&["record", "status"]);
    let told = "sock_release        not in use\n                                  not known: when a socket was closed";
    assert!(status.stdout().contains(told), "{}", status.stdout());
    assert_eq!(start(&["--hooks-only"]).status(), 0);
    assert_eq!(hook("sock_release")["in_use"], true);
}

fn others_learn_what_they_may() {
    let sockowner = PublicCopy::new();
    let refused = "sockowner: only root and the group that it is recorded for are told: \
                   examine /run/sockowner/record: Permission denied (os error 13)\n";
    sockowner.ask(&["record", "status"]).assert_ended(2, refused);
    assert_eq!(sockowner.ask(&["record", "stop"]).status(), 2);
    let gid = std::os::unix::fs::MetadataExt::gid(&fs::metadata(format!("{DIR}/maps")).unwrap());
    let told = sockowner.ask_in_group(gid, &["record", "status", "--json"]);
    told.assert_complete();
    let recorder = &told.json()["recorder"];
    assert_eq!((&recorder["tended"], &recorder["hooks"][0]["in_use"]), (&Value::Null, &Value::Null));
    sockowner.ask_in_group(gid, &["record", "status", "--strict"]).assert_ended(3, "");
    assert_eq!(sockowner.ask_in_group(gid, &["record", "start", "--group", GROUP]).status(), 2);
    assert_eq!(recorder["hooks"].as_array().unwrap().len(), 11);
}

fn it_goes_on_without_a_process() {
    let tender = the_tender();
    signal(tender, Signal::KILL);
    eventually("nobody tends", || (recorder()["tended"] == false).then_some(()));
    let status = ask(&["record", "status"]);
    assert!(status.stdout().contains("\ntended        no: the tables fill up"), "{}", status.stdout());
    let actor = Actor::spawn();
    let before = recorder()["events"].as_u64().unwrap();
    actor.udp_bind("127.0.0.1:0");
    assert!(recorder()["events"].as_u64().unwrap() >= before + 2);
    // In the foreground until it is told to end.
    for ending in [Signal::TERM, Signal::INT] {
        let run = run();
        signal(run.id(), ending);
        let again = "sockowner: it was recorded already, and goes on with 9 of 9 hooks; ";
        assert!(said(run).starts_with(again));
        assert_eq!(recorder()["tended"], false);
        assert_eq!(hook("sock_create")["in_use"], true);
    }
    // In the background again.
    assert_eq!(start(&[]).status(), 0);
    the_tender();
    assert_eq!(recorder()["tended"], true);
}

fn a_stop_ends_it() {
    let waiting = program(&["record", "run", "--tend-only"]).stderr(Stdio::piped()).spawn().unwrap();
    ask(&["record", "stop"])
        .assert_ended(0, "sockowner: nothing is recorded any more, and what was noted is gone\n");
    let ended = waiting.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(0) || said.contains("nothing is; "), "{said}");
    eventually("nobody tends", || tenders().is_empty().then_some(()));
    ask(&["record", "status"]).assert_ended(1, "");
    assert_eq!(fs::read_dir(DIR).unwrap().count(), 0);
    let left: Vec<_> =
        fs::read_dir("/run/sockowner").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "record" || name == "record.lock"), "{left:?}");
    ask(&["record", "stop"]).assert_ended(0, "sockowner: nothing was recorded\n");
}
