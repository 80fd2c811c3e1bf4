//! A recorder that is served, and processes of other users that ask.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use rustix::mount::{MountFlags, mount};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use sockowner::os::linux::record;
use sockowner::{Filter, Gap, GapReason, Query, Record, Recorded, RoleKind};
use sockowner_record::serve::{Error, Limits, Served, Server};
use sockowner_testkit::privileges::{ORDINARY_UID, become_member};
use sockowner_testkit::{Scenario, Sock};
use sockowner_wire::ask::{Answer, Request};

tests! {
    Scene it_is_recorded_and_served;
    Scene a_query_tells;
    Scene a_member_is_told;
    Scene a_question_tells;
    Scene a_member_asks;
    Scene closed_ones_are_told;
    Scene he_asks_for_his_own;
}

/// A group that every system has.
const GROUP: &str = "daemon";
pub(super) const SOCKET: &str = "/run/sockowner/record.sock";
/// What a process that asks is told to ask for.
const QUESTION: &str = "/run/question";
/// Everybody can write here.
pub(super) const SHARED: &str = "/run/shared";
/// Yet another user.
pub(super) const OTHER_UID: u32 = ORDINARY_UID + 1;

fn gid() -> u32 {
    let groups = fs::read_to_string("/etc/group").unwrap();
    let line = groups.lines().find_map(|line| line.strip_prefix("daemon:x:")).unwrap();
    line.split(':').next().unwrap().parse().unwrap()
}

/// What is done below `/run` is not seen outside, and ends with the test.
pub(super) fn private_run() {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
    fs::create_dir(SHARED).unwrap();
    fs::set_permissions(SHARED, fs::Permissions::from_mode(0o1777)).unwrap();
}

fn it_is_recorded_and_served() {
    private_run();
    match record::start(GROUP, false) {
        Err(error) => return println!("REFUSED {error:#}"),
        Ok(started) => {
            if let Some(hook) = started.hooks.iter().find(|hook| hook.in_use != Some(true)) {
                println!("REFUSED {}: {}", hook.name, hook.refused.as_deref().unwrap_or("?"));
            }
        }
    }
    match Server::bind(Path::new(SOCKET)) {
        Err(error @ Error::UserNamespace) => println!("REFUSED {error}"),
        other => drop(other.unwrap()),
    }
    record::stop().unwrap();
}

/// Records, without anybody who serves; on drop no more.
pub(super) struct Recorder;

impl Recorder {
    pub(super) fn start() -> Self {
        private_run();
        let started = record::start(GROUP, false).unwrap();
        assert!(started.hooks.iter().all(|hook| hook.in_use == Some(true)), "{started:?}");
        Self
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let stopped = record::stop();
        if !std::thread::panicking() {
            assert!(stopped.unwrap());
        }
    }
}

/// Serves it in a thread.
pub(super) struct Serving {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Served>>,
}

impl Serving {
    pub(super) fn start() -> Self {
        Self::start_with(Limits::default())
    }

    pub(super) fn start_with(limits: Limits) -> Self {
        Self::start_after(limits, || {})
    }

    /// With the rights that its unit has.
    pub(super) fn start_with_few_rights() -> Self {
        let few = CapabilitySet::BPF | CapabilitySet::DAC_OVERRIDE;
        let sets = CapabilitySets { effective: few, permitted: few, inheritable: CapabilitySet::empty() };
        Self::start_after(Limits::default(), move || set_capabilities(None, sets).unwrap())
    }

    fn start_after(limits: Limits, prepare: impl FnOnce() + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let (bound, listens) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            prepare();
            let mut server = Server::bind_with(Path::new(SOCKET), limits).unwrap();
            bound.send(()).unwrap();
            server.run(&seen).unwrap();
            server.served()
        });
        listens.recv().unwrap();
        Self { is_over, thread: Some(thread) }
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Served {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// Who asks, and in which pid namespace.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    Root,
    User(u32),
    /// In a pid namespace of its own.
    UserInside(u32),
}

impl Who {
    /// Has him do one of the scenes, for these sockets, and returns what it printed.
    #[track_caller]
    pub(super) fn run(self, scene: &str, words: &[String]) -> String {
        // Some ask for nothing, while others ask.
        if !words.is_empty() {
            fs::write(QUESTION, words.join(" ")).unwrap();
        }
        let scenario = Scenario::new(scene).shared_network();
        match self {
            Self::Root => scenario.shared_pids(),
            Self::User(uid) => scenario.shared_pids().user(uid, uid),
            Self::UserInside(uid) => scenario.user(uid, uid),
        }
        .run()
    }

    /// What a query tells him of each of these.
    #[track_caller]
    pub(super) fn sees(self, sockets: &[&Sock]) -> Vec<String> {
        self.lines("a_query_tells", sockets)
    }

    #[track_caller]
    pub(super) fn lines(self, scene: &str, sockets: &[&Sock]) -> Vec<String> {
        let words: Vec<_> = sockets.iter().map(|sock| sock.cookie.to_string()).collect();
        let told = self.run(scene, &words);
        let lines: Vec<_> = told.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), sockets.len(), "{told}");
        lines
    }
}

/// What is asked for.
pub(super) fn words() -> Vec<String> {
    fs::read_to_string(QUESTION).unwrap().split_ascii_whitespace().map(str::to_owned).collect()
}

fn cookies() -> Vec<u64> {
    words().iter().map(|word| word.parse().unwrap()).collect()
}

/// A line for each socket: each role's process by number and name, or why there is none; whether the time of creation is
/// told; who owned it, if that is known by the record alone.
fn a_query_tells() {
    // Who asks for two seconds in vain has a gap, which a loaded machine alone may bring about; but not time and again.
    let query = Query::new().unwrap();
    let ask = || query.snapshot(&Filter::new()).unwrap();
    let is_late = |gap: &Gap| gap.source == "record" && gap.reason == GapReason::Interrupted;
    let mut found = ask();
    for _ in 0..4 {
        if !found.gaps().iter().any(is_late) {
            break;
        }
        found = ask();
    }
    assert!(found.gaps().iter().all(|gap| gap.source != "record"), "{:?}", found.gaps());
    for cookie in cookies() {
        let entry = found.iter().find(|entry| entry.socket.cookie == cookie).unwrap();
        let mut line = match &entry.record {
            Record::Known(recorded) => described(recorded),
            other => format!("{other:?}"),
        };
        if let sockowner::Attribution::Recorded(owner) = &entry.attribution {
            write!(line, " owner={}", owner.process.pid).unwrap();
        }
        println!("{line}");
    }
}

fn a_member_is_told() {
    become_member(ORDINARY_UID, ORDINARY_UID, &[gid()]).unwrap();
    a_query_tells();
}

pub(super) fn described(recorded: &Recorded) -> String {
    let roles = RoleKind::ALL.map(|kind| match (recorded.roles.get(kind), recorded.roles.reason(kind)) {
        (Some(role), _) => {
            let pid = role.process.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
            format!("{pid}/{}/{}", role.process.name.display(), role.evidence)
        }
        (None, Some(reason)) => reason.to_string(),
        (None, None) => "-".to_owned(),
    });
    let created = if recorded.created_at.is_some() { "dated" } else { "undated" };
    format!("{} {created}", roles.join(" "))
}

/// The packet that answers this one.
pub(super) fn exchange(packet: &[u8]) -> rustix::io::Result<Vec<u8>> {
    let socket = line()?;
    send(&socket, packet, SendFlags::NOSIGNAL)?;
    let mut answer = vec![0; 1 << 20];
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    answer.truncate(length);
    Ok(answer)
}

/// A connection.
pub(super) fn line() -> rustix::io::Result<rustix::fd::OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(SOCKET)?)?;
    Ok(socket)
}

/// The answer to a question, and the bytes as text.
fn a_question_tells() {
    let packet = exchange(&Request::Sockets(cookies()).encode()).unwrap();
    println!("{:?}", Answer::decode(&packet).unwrap());
    println!("{}", packet.escape_ascii());
}

fn a_member_asks() {
    become_member(ORDINARY_UID, ORDINARY_UID, &[gid()]).unwrap();
    a_question_tells();
}

/// A line for each closed socket that was called as any of the words.
fn closed_ones_are_told() {
    for word in words() {
        let pattern = word.parse().unwrap();
        let ask = || record::closed(&pattern).ok().flatten();
        // As above: who is not answered in time is not told.
        let closed = (0..5).find_map(|_| ask()).unwrap_or_else(|| panic!("{:?}", record::closed(&pattern)));
        println!("{word} withheld={}", closed.withheld);
        for recorded in &closed.sockets {
            assert!(recorded.closed_at.is_some());
            println!("{} {} {}", recorded.cookie, recorded.endpoint.unwrap(), described(recorded));
        }
    }
}

/// By his own number?
fn he_asks_for_his_own() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let query = Query::new().unwrap();
    let ask = || {
        let found = query.who(&sockowner::Pattern::port(port)).unwrap();
        let [entry] = found.entries() else { panic!("{found:?}") };
        Some(entry.record.role(RoleKind::Creator)?.process.pid)
    };
    let creator = (0..5).find_map(|_| ask()).expect("its creator is told");
    println!("{}", if creator == Some(std::process::id()) { "own number" } else { "another" });
}
