//! Sockets of other network namespaces.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mount::{MountFlags, mount, mount_bind};
use sockowner::os::linux::netns::open;
use sockowner::{Entry, ErrorKind, Filter, GapReason, Protocol, Query, Reason, Snapshot, State};
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::{CapabilitySet, ORDINARY_UID, become_user, become_user_with};
use sockowner_testkit::{Actor, Sock, eventually, netns};

use super::ask::{assert_complete, assert_held, assert_unheld, at, builder, holders, owner_of, query, told};

tests! {
    Host the_same_addresses_in_two_namespaces_are_two_endpoints;
    Alone a_named_namespace_without_a_process_is_told;
    Alone a_holder_elsewhere_has_what_is_made_here;
    Alone who_may_enter_nothing_is_told_what_is_missing needs OtherUser;
    Alone who_may_enter_and_not_look_sees_sockets_without_owners needs OtherUser;
    Alone namespaces_come_and_go;
    Alone a_query_inside_another_namespace;
    Alone a_place_that_cannot_be_entered_is_an_error needs OtherUser;
}

const PORT: u16 = 4713;

/// An actor with a listener and a datagram socket, and the namespace it lives in.
fn spread() -> (Actor, Sock, Sock, u64) {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen(format!("[::1]:{PORT}"));
    let datagrams = actor.udp_bind(format!("127.0.0.1:{PORT}"));
    (actor, listener, datagrams, netns::inode())
}

fn everywhere(query: &Query) -> Snapshot {
    query.snapshot(&Filter::new().every_namespace()).unwrap()
}

fn find(all: &Snapshot, sock: &Sock, netns: u64) -> Entry {
    let is_it = |e: &&Entry| e.socket.netns == Some(netns) && e.socket.cookie == sock.cookie;
    let mut found = all.iter().filter(is_it);
    let entry = found.next().unwrap_or_else(|| panic!("{sock:?} is not told: {:?}", all.gaps())).clone();
    assert!(found.next().is_none());
    entry
}

/// What is done below `/run` is not seen outside.
fn private_run() {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
    fs::create_dir("/run/netns").unwrap();
}

/// As ip-netns(8) names the calling thread's namespace.
fn name(name: &str) {
    let path = format!("/run/netns/{name}");
    File::create(&path).unwrap();
    mount_bind("/proc/thread-self/ns/net", &path).unwrap();
}

fn give_root_up() {
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
}

fn the_same_addresses_in_two_namespaces_are_two_endpoints() {
    let here = spread();
    let there = netns::inside(spread);
    let query = query();
    let all = everywhere(&query);
    for (actor, listener, datagrams, netns) in [&here, &there] {
        let entry = find(&all, listener, *netns);
        assert_held(&entry, &[at(actor, listener)]);
        assert_held(&owner_of(&query, &entry.socket), &[at(actor, listener)]);
        assert_eq!(entry.socket.endpoint.to_string(), format!("tcp [::1]:{PORT} LISTEN"));
        assert_eq!(entry.netns_name.as_deref(), Some(&*format!("pid:{}", actor.pid())));
        // As sock_diag tells it at home.
        let home = find(&all, &here.1, here.3).socket;
        assert_eq!((entry.socket.v6only, entry.socket.uid), (home.v6only, home.uid));
        assert_eq!((entry.socket.cgroup, home.uid), (home.cgroup, Some(0)));
        let entry = find(&all, datagrams, *netns);
        assert_held(&entry, &[at(actor, datagrams)]);
        assert_eq!(entry.socket.endpoint.state, State::UNCONNECTED);
    }
    let (actor, listener, _, netns) = &there;
    let old = find(&all, listener, *netns).socket;
    actor.close(listener.fd);
    let reason = owner_of(&query, &old).attribution.reason();
    assert!(
        matches!(reason, Some(Reason::NoVisibleHolder | Reason::NotPermitted)),
        "{reason:?}: it cannot be looked up"
    );
    let there = netns::inside(spread);
    let tcp = query.snapshot(&Filter::new().every_namespace().protocol(Protocol::Tcp)).unwrap();
    assert!(tcp.iter().all(|entry| entry.socket.endpoint.protocol == Protocol::Tcp));
    assert!(tcp.iter().any(|entry| entry.socket.netns == Some(there.3)));
    let alone = query.snapshot(&Filter::new().every_namespace().without_owners()).unwrap();
    for (_, listener, _, netns) in [&here, &there] {
        assert_eq!(find(&alone, listener, *netns).attribution, sockowner::Attribution::NotAsked);
    }
    let home = query.snapshot(&Filter::new()).unwrap();
    assert_eq!(home.iter().map(|e| e.socket.netns).collect::<BTreeSet<_>>(), BTreeSet::from([Some(here.3)]));
    assert!(home.iter().all(|entry| entry.netns_name.is_none()), "nobody asked");
}

/// What nobody holds, in a namespace in which nobody lives.
fn a_named_namespace_without_a_process_is_told() {
    private_run();
    let (client, server, netns) = netns::inside(|| {
        name("blue");
        // A file that stands for nothing.
        File::create("/run/netns/leftover").unwrap();
        let actor = Actor::spawn();
        let listener = actor.tcp_listen(format!("127.0.0.1:{PORT}"));
        let client = actor.tcp_connect(listener.addr);
        let server = actor.accept(listener.fd);
        actor.close_first(client.fd, &actor, server.fd);
        eventually("the connection waits, and nothing else is left of it", || {
            let all = query().snapshot(&Filter::new()).unwrap();
            let mut connected = all.iter().filter(|entry| entry.socket.endpoint.remote.is_some());
            let is_waiting = |entry: &Entry| entry.socket.endpoint.state == State::TIME_WAIT;
            (connected.next().is_some_and(is_waiting) && connected.next().is_none()).then_some(())
        });
        (client, server, netns::inode())
    });
    let home = Actor::spawn();
    let listener = home.tcp_listen(format!("127.0.0.1:{PORT}"));
    let all = everywhere(&query());
    assert_complete(all.gaps());
    assert_held(&find(&all, &listener, netns::inode()), &[at(&home, &listener)]);
    let theirs: Vec<_> = all.iter().filter(|entry| entry.socket.netns == Some(netns)).collect();
    let [entry] = theirs[..] else { panic!("{theirs:?}") };
    assert_unheld(entry, Reason::NoHolder);
    assert_eq!((entry.socket.endpoint.state, entry.netns_name.as_deref()), (State::TIME_WAIT, Some("blue")));
    assert_eq!(entry.socket.endpoint.local, client.addr.into());
    assert_eq!(entry.socket.endpoint.remote, Some(server.addr.into()));
    let own = all.iter().find(|entry| entry.socket.cookie == listener.cookie).unwrap();
    // Not after this process, which asks.
    assert_eq!(own.netns_name.as_deref(), Some(&*format!("pid:{}", home.pid())));
}

fn a_holder_elsewhere_has_what_is_made_here() {
    private_run();
    let (maker, made, netns) = netns::inside(|| {
        name("blue");
        let maker = Actor::spawn();
        let made = maker.tcp_listen(format!("127.0.0.1:{PORT}"));
        (maker, made, netns::inode())
    });
    let holder = Actor::spawn();
    let own = holder.tcp_listen(format!("127.0.0.1:{PORT}"));
    let passed = maker.pass_fd(made.fd, &holder);
    drop(maker);
    let query = query();
    let all = everywhere(&query);
    assert_complete(all.gaps());
    assert_held(&find(&all, &passed, netns), &[at(&holder, &passed)]);
    assert_held(&find(&all, &own, netns::inode()), &[at(&holder, &own)]);
    assert_eq!(all.entries().len(), 2);
}

fn who_may_enter_nothing_is_told_what_is_missing() {
    private_run();
    let (roots, theirs, there) = netns::inside(|| {
        name("blue");
        let actor = Actor::spawn();
        let listener = actor.tcp_listen(format!("127.0.0.1:{PORT}"));
        (actor, listener, netns::inode())
    });
    let own = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let mine = own.tcp_listen(format!("127.0.0.1:{PORT}"));
    give_root_up();
    let all = everywhere(&query());
    assert_held(&find(&all, &mine, netns::inode()), &[at(&own, &mine)]);
    assert!(all.iter().all(|entry| entry.socket.netns != Some(there)), "{theirs:?} of {roots:?}");
    let refused: Vec<_> = all.gaps().iter().filter(|gap| gap.source == "netns").collect();
    assert!(refused.iter().all(|gap| gap.reason == GapReason::NotPermitted), "{refused:?}");
    let objects: Vec<_> = refused.iter().map(|gap| &*gap.object).collect();
    assert_eq!(objects, ["/proc/*/ns/net", "blue"]);
    assert!(all.lacks_permission());
    let error = open("blue", builder()).unwrap_err();
    assert!(error.is_not_permitted(), "{error:#}");
    assert!(
        format!("{error:#}")
            .starts_with("enter the network namespace 'blue', which takes root (CAP_SYS_ADMIN): "),
        "{error:#}"
    );
}

/// `CAP_SYS_ADMIN` alone: its sockets are told, others' processes are not.
fn who_may_enter_and_not_look_sees_sockets_without_owners() {
    private_run();
    let (_roots, listener, there) = netns::inside(|| {
        name("blue");
        let actor = Actor::spawn();
        let listener = actor.tcp_listen(format!("127.0.0.1:{PORT}"));
        (actor, listener, netns::inode())
    });
    become_user_with(ORDINARY_UID, ORDINARY_UID, CapabilitySet::SYS_ADMIN).unwrap();
    let query = Query::builder().source(sockowner::Source::Proc).open().unwrap();
    let all = everywhere(&query);
    let entry = find(&all, &listener, there);
    assert_unheld(&entry, Reason::NotPermitted);
    assert_eq!(entry.netns_name.as_deref(), Some("blue"));
    let inside = open("blue", Query::builder().source(sockowner::Source::Proc)).unwrap();
    let entry = find(&inside.snapshot(&Filter::new()).unwrap(), &listener, there);
    assert_unheld(&entry, Reason::NotPermitted);
}

fn namespaces_come_and_go() {
    const ROUNDS: usize = 60;
    let home = Actor::spawn();
    let listener = home.tcp_listen(format!("127.0.0.1:{PORT}"));
    let query = query();
    let is_over = AtomicBool::new(false);
    let own = netns::inode();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                netns::inside(|| Actor::spawn().tcp_listen(format!("127.0.0.1:{PORT}")));
            }
        });
        let rounds = std::panic::catch_unwind(|| {
            for _ in 0..ROUNDS {
                let all = everywhere(&query);
                assert_held(&find(&all, &listener, own), &[at(&home, &listener)]);
                for gap in all.gaps() {
                    assert!(matches!(gap.reason, GapReason::Gone | GapReason::Unsupported), "{gap}");
                }
                for entry in all.iter().filter(|entry| entry.socket.netns != Some(own)) {
                    assert!(holders(entry).iter().all(|(pid, ..)| *pid != home.pid()), "{entry:?}");
                }
            }
        });
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = rounds {
            std::panic::resume_unwind(panic);
        }
    });
}

fn a_query_inside_another_namespace() {
    private_run();
    let home = Actor::spawn();
    let at_home = home.tcp_listen(format!("127.0.0.1:{PORT}"));
    let (actor, listener, there) = netns::inside(|| {
        name("blue");
        let actor = Actor::spawn();
        let listener = actor.tcp_listen(format!("127.0.0.1:{PORT}"));
        (actor, listener, netns::inode())
    });
    let own = netns::inode();
    let pid = actor.pid();
    let places =
        [pid.to_string(), format!("pid:{pid}"), format!("/proc/{pid}/ns/net"), "/run/netns/blue".into()];
    for place in places.iter().map(String::as_str).chain(["blue"]) {
        let inside = open(place, builder()).unwrap();
        assert_eq!(netns::inode(), own, "this thread stays where it is");
        let entry = told(&inside, &listener);
        assert_held(&entry, &[at(&actor, &listener)]);
        assert_eq!(entry.socket.netns, Some(there));
        // From in there home is another one.
        let all = everywhere(&inside);
        assert_held(&find(&all, &at_home, own), &[at(&home, &at_home)]);
        assert_eq!(find(&all, &listener, there).netns_name.as_deref(), Some("blue"));
    }
    // It is held, whoever leaves it.
    let inside = open("blue", builder()).unwrap();
    drop(actor);
    rustix::mount::unmount("/run/netns/blue", rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(inside.snapshot(&Filter::new()).unwrap().entries().len(), 0);
    assert_eq!(open("blue", builder()).unwrap_err().kind(), ErrorKind::InvalidInput);
}

fn a_place_that_cannot_be_entered_is_an_error() {
    private_run();
    let say = |place: &str| {
        let error = open(place, builder()).unwrap_err();
        (error.kind(), format!("{error:#}"))
    };
    let missing = "No such file or directory (os error 2)";
    for (place, path) in [
        ("nosuch", "/run/netns/nosuch"),
        ("4000000", "/proc/4000000/ns/net"),
        ("/nosuch/file", "/nosuch/file"),
    ] {
        let sentence = format!("enter the network namespace '{place}': open {path}: {missing}");
        assert_eq!(say(place), (ErrorKind::NotFound, sentence));
    }
    File::create("/run/netns/leftover").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        "/run/netns/queue",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(Path::new("/run/netns/queue").exists(), "it would be waited for");
    for (place, path) in [
        ("leftover", "/run/netns/leftover"),
        ("queue", "/run/netns/queue"),
        ("/proc/self/ns/mnt", "/proc/self/ns/mnt"),
        ("/", "/"),
    ] {
        let sentence = format!("enter the network namespace '{place}': {path} is no network namespace");
        assert_eq!(say(place), (ErrorKind::InvalidInput, sentence));
    }
    let stranger = Actor::spawn();
    let own = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    give_root_up();
    let takes_root = ", which takes root (CAP_SYS_ADMIN): open a sock_diag netlink socket";
    for (pid, step) in [(stranger.pid(), ": open /proc"), (own.pid(), takes_root)] {
        let (kind, sentence) = say(&pid.to_string());
        assert_eq!(kind, ErrorKind::NotPermitted, "{sentence}");
        assert!(sentence.starts_with(&format!("enter the network namespace '{pid}'{step}")), "{sentence}");
    }
}
