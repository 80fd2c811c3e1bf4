//! Iterators that root shares: who sees what through them, and what is not believed.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::mount::{MountFlags, mount};
use sockowner::os::linux::share::{self, Shared};
use sockowner::{Entry, ErrorKind, Filter, GapReason, Protocol, Query, Reason, Source, SourceState};
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::{
    CapabilitySet, ORDINARY_UID, become_member, become_user, become_user_with,
};
use sockowner_testkit::{Actor, Sock, SocketOptions, bpf, netns};
use sockowner_wire::iterator::{HolderRow, ProcessRow};

use super::ask::{assert_held, assert_unheld, at};

tests! {
    Alone the_group_sees_everybodys needs OtherUser;
    Alone everybody_sees_his_own_and_no_more needs OtherUser;
    Alone what_an_open_file_shows_is_its_openers needs OtherUser;
    Alone two_capabilities_are_enough needs OtherUser;
    Alone what_may_not_be_entered_is_told_as_far_as_it_is_held needs OtherUser;
    Alone what_only_looks_shared_is_refused needs OtherUser;
    Alone a_group_must_exist;
    Alone only_root_shares needs OtherUser;
    Alone sharing_ends_and_begins_again;
    Alone readers_at_once_are_never_mixed_up;
}

/// A group that every system has.
const GROUP: &str = "daemon";

/// Another user than the tests' usual one.
const OTHER_UID: u32 = ORDINARY_UID + 1;

fn gid() -> u32 {
    let groups = fs::read_to_string("/etc/group").unwrap();
    let line = groups.lines().find_map(|line| line.strip_prefix("daemon:x:")).unwrap();
    line.split(':').next().unwrap().parse().unwrap()
}

/// What is done below `/run` is not seen outside.
fn private_run() {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
}

fn shared() {
    private_run();
    share::enable(GROUP).unwrap();
    assert_eq!(share::status().unwrap(), Some(Shared { group: Some(gid()) }));
}

fn iterators(query: &Query) -> SourceState {
    query.sources().into_iter().find(|state| state.source == Source::Bpf).unwrap()
}

/// What is told to whoever asks, though he may not look into `/proc` to compare.
fn told(query: &Query, sock: &Sock) -> Entry {
    let all = query.snapshot(&Filter::new()).unwrap();
    let found = all.iter().find(|entry| entry.socket.cookie == sock.cookie).unwrap().clone();
    let alone = query.owner_of(&found.socket).unwrap();
    assert_eq!(alone.attribution.reason(), found.attribution.reason());
    found
}

/// In a group that changes nothing but what it may read.
fn the_group_sees_everybodys() {
    let roots = Actor::spawn();
    let listener = roots.tcp_listen("127.0.0.1:0");
    shared();
    become_member(ORDINARY_UID, ORDINARY_UID, &[gid()]).unwrap();
    let query = Query::new().unwrap();
    assert_eq!(iterators(&query).detail, Some("shared by root"));
    let entry = told(&query, &listener);
    assert_held(&entry, &[at(&roots, &listener)]);
    let process = &entry.attribution.holders()[0].process;
    assert_eq!((process.uid, process.executable.as_ref().unwrap().verified), (Some(0), true));
}

fn everybody_sees_his_own_and_no_more() {
    let roots = Actor::spawn();
    let listener = roots.tcp_listen("127.0.0.1:0");
    let own = Actor::builder().uid(OTHER_UID).gid(OTHER_UID).spawn();
    let mine = own.tcp_listen("127.0.0.1:0");
    // In a process that this user may not look into.
    let handed = own.pass_fd(mine.fd, &roots);
    shared();
    become_user(OTHER_UID, OTHER_UID).unwrap();
    let query = Query::new().unwrap();
    assert_eq!(iterators(&query).detail, Some("shared by root: the sockets of this user"));
    assert_unheld(&told(&query, &listener), Reason::NotPermitted);
    assert_held(&told(&query, &mine), &[at(&roots, &handed), at(&own, &mine)]);
}

fn what_an_open_file_shows_is_its_openers() {
    let roots = Actor::spawn();
    let _listener = roots.tcp_listen("127.0.0.1:0");
    let own = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let mine = own.tcp_listen("127.0.0.1:0");
    shared();
    let euid = |uid| rustix::thread::set_thread_res_uid(uid, uid, rustix::process::Uid::ROOT).unwrap();
    euid(rustix::process::Uid::from_raw(ORDINARY_UID));
    let mut file = File::open("/run/sockowner/bpf/own").unwrap();
    File::open("/run/sockowner/bpf/all/holders").unwrap_err();
    euid(rustix::process::Uid::ROOT);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let mut rest = bytes.as_slice();
    let mut shown = Vec::new();
    while let Some((row, after)) = HolderRow::take(rest) {
        shown.push(row.fixed.cookie);
        rest = after;
    }
    assert_eq!(shown, [mine.cookie]);
}

fn two_capabilities_are_enough() {
    let roots = Actor::spawn();
    let listener = roots.tcp_listen("127.0.0.1:0");
    become_user_with(ORDINARY_UID, ORDINARY_UID, CapabilitySet::BPF | CapabilitySet::PERFMON).unwrap();
    let query = Query::builder().source(Source::Bpf).open().unwrap();
    assert_held(&told(&query, &listener), &[at(&roots, &listener)]);
}

/// Iterators tell what somebody has there; that there may be more is a gap.
fn what_may_not_be_entered_is_told_as_far_as_it_is_held() {
    private_run();
    let options = || SocketOptions { mptcp: has_mptcp(), ..SocketOptions::default() };
    let (roots, listener, netns) = netns::inside(|| {
        let roots = Actor::spawn();
        let listener = roots.tcp_listen_with("127.0.0.1:4711", options());
        let client = roots.tcp_connect(listener.addr);
        roots.close(roots.accept(listener.fd).fd);
        roots.close(client.fd);
        (roots, listener, netns::inode())
    });
    let here = Actor::spawn();
    let own = here.tcp_listen("127.0.0.1:4711");
    become_user_with(ORDINARY_UID, ORDINARY_UID, CapabilitySet::BPF | CapabilitySet::PERFMON).unwrap();
    let query = Query::builder().source(Source::Bpf).open().unwrap();
    let all = query.snapshot(&Filter::new().every_namespace()).unwrap();
    let there: Vec<_> = all.iter().filter(|entry| entry.socket.netns == Some(netns)).collect();
    let [entry] = there[..] else { panic!("{there:?}") };
    assert_held(entry, &[at(&roots, &listener)]);
    let protocol = if has_mptcp() { Protocol::Mptcp } else { Protocol::Tcp };
    assert_eq!((entry.socket.endpoint.protocol, entry.socket.inode), (protocol, listener.inode));
    assert_eq!(entry.netns_name.as_deref(), Some(&*netns.to_string()), "nothing names it to this user");
    let home: Vec<_> = all.iter().filter(|entry| entry.socket.cookie == own.cookie).collect();
    assert_held(home[0], &[at(&here, &own)]);
    let gaps: Vec<_> = all.gaps().iter().map(|gap| (gap.source, gap.object.clone(), gap.reason)).collect();
    assert!(gaps.contains(&("netns", netns.to_string(), GapReason::Unsupported)), "{gaps:?}");
    assert!(gaps.contains(&("netns", "/proc/*/ns/net".to_owned(), GapReason::NotPermitted)), "{gaps:?}");
}

fn has_mptcp() -> bool {
    fs::read_to_string("/proc/sys/net/mptcp/enabled").is_ok_and(|enabled| enabled.trim() == "1")
}

/// With the right names, owner and permissions, and on another file system.
fn what_only_looks_shared_is_refused() {
    private_run();
    let all = Path::new("/run/sockowner/bpf/all");
    fs::create_dir_all(all).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for file in ["all/holders", "all/processes", "own"] {
        let path = Path::new("/run/sockowner/bpf").join(file);
        fs::write(&path, HolderRow::default().encode()).unwrap();
        mode(&path, 0o444);
    }
    mode(all, 0o750);
    std::os::unix::fs::chown(all, Some(0), Some(gid())).unwrap();
    let roots = Actor::spawn();
    let listener = roots.tcp_listen("127.0.0.1:0");
    become_member(ORDINARY_UID, ORDINARY_UID, &[gid()]).unwrap();
    let query = Query::new().unwrap();
    let state = iterators(&query);
    assert!(!state.in_use);
    assert!(state.refused.iter().any(|why| why.contains("not on a BPF file system")), "{state:?}");
    assert_unheld(&told(&query, &listener), Reason::NotPermitted);
}

fn a_group_must_exist() {
    private_run();
    let error = share::enable("sockowner-no-such-group").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().ends_with("create it: groupadd --system sockowner-no-such-group"), "{error}");
    assert_eq!(share::status().unwrap(), None);
}

fn only_root_shares() {
    private_run();
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    let error = share::enable(GROUP).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error:#}");
    assert!(!Path::new("/run/sockowner").exists());
}

fn sharing_ends_and_begins_again() {
    shared();
    share::enable(GROUP).unwrap();
    assert!(share::disable().unwrap());
    assert!(!share::disable().unwrap());
    assert_eq!(share::status().unwrap(), None);
    assert_eq!(fs::read_dir("/run/sockowner/bpf").unwrap().count(), 0);
    share::enable(GROUP).unwrap();
    assert!(share::disable().unwrap());
}

/// What a processor has: `PLACES` of `bpf/snapshot.bpf.c`.
const PLACES: u32 = 4;

/// Other readers that were preempted while they wrote are played by this one, which takes their places.
fn readers_at_once_are_never_mixed_up() {
    shared();
    let dir = tempfile::tempdir().unwrap();
    let exe = dir.path().join("program");
    let actor = Actor::builder().exe(&exe).spawn();
    let path = Path::new("/run/sockowner/bpf/all/processes");
    let program = bpf::program_of_link(path).unwrap().unwrap();
    let take = |taken| bpf::set_first_words(&program, "scratch", PLACES, taken).unwrap();
    let mut file = File::open(path).unwrap();
    let mut bytes = vec![0; 32 * 1024];
    take(1);
    for _ in 0..3 {
        let error = file.read(&mut bytes).unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::AGAIN.raw_os_error()),
            "nothing is written in another's place"
        );
    }
    take(0);
    bytes.clear();
    file.read_to_end(&mut bytes).unwrap();
    let mut rest = bytes.as_slice();
    let mut shown = Vec::new();
    while let Some((row, after)) = ProcessRow::take(rest) {
        shown.push((row.fixed.pid, row.path.to_vec()));
        rest = after;
    }
    let its: Vec<_> = shown.iter().filter(|(pid, _)| *pid == actor.pid()).collect();
    assert_eq!(its, [&(actor.pid(), exe.as_os_str().as_encoded_bytes().to_vec())]);
    assert_eq!(shown.iter().filter(|(pid, _)| *pid == std::process::id()).count(), 1, "from the first on");
    // Each gave its place back.
    let again = fs::read(path).unwrap();
    assert!(!again.is_empty());
}
