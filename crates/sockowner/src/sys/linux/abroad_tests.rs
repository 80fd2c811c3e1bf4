//! Every network namespace of a made-up machine, while it fails and changes.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use sockowner_wire::inet_diag::{IPPROTO_TCP, Row};

use super::System;
use super::door::FileKind;
use super::fake::{Fake, FakeProcess, Node, World, sock, stat};
use super::tests::{OPTIONS, all, row, small};
use crate::sys::Search;
use crate::{Entry, Gap, GapReason, Reason, Result};

const BLUE: u64 = 9001;
const GREEN: u64 = 9002;
const EMPTY: u64 = 9003;

fn lives_in(world: &mut World, pid: u32, netns: u64) {
    let link = Node::Link { text: Vec::new(), stat: stat(FileKind::Other, 4, netns) };
    world.nodes.insert(format!("/proc/{pid}/ns/net").into_bytes(), link);
}

fn named(world: &mut World, name: &str, netns: u64) {
    world.dir("/run/netns", 50, 0);
    let link = Node::Link { text: Vec::new(), stat: stat(FileKind::Other, 4, netns) };
    world.nodes.insert(format!("/run/netns/{name}").into_bytes(), link);
}

/// The same address at home, in a namespace with a name and in one without.
fn three() -> World {
    let mut world = small();
    for pid in [100, 200] {
        lives_in(&mut world, pid, super::fake::NETNS);
    }
    for (pid, netns, inode) in [(600, BLUE, 60), (700, GREEN, 70)] {
        world.process(FakeProcess { pid, fds: vec![(3, sock(inode.into()))], ..FakeProcess::default() });
        lives_in(&mut world, pid, netns);
        world.rows_abroad.insert(netns, vec![(IPPROTO_TCP, Row { ..row("127.0.0.1:80", inode) })]);
    }
    named(&mut world, "blue", BLUE);
    named(&mut world, "empty", EMPTY);
    world.file("/run/netns/leftover", "");
    world
}

fn everywhere(door: Fake) -> Result<(Vec<Entry>, Vec<Gap>)> {
    System::open_with(door, OPTIONS)?.everywhere(&all(), Search::Everywhere)
}

/// Namespace, name and holder of each endpoint.
fn told(entries: &[Entry]) -> BTreeSet<(u64, &str, Option<u32>)> {
    let owner = |entry: &Entry| entry.attribution.primary_owner().map(|(process, _)| process.pid);
    let set: BTreeSet<_> = entries
        .iter()
        .map(|e| (e.socket.netns.unwrap(), e.netns_name.as_deref().unwrap(), owner(e)))
        .collect();
    assert_eq!(set.len(), entries.len(), "none is told twice");
    set
}

#[test]
fn equal_addresses_in_three_namespaces_have_three_owners() {
    for iterates in [false, true] {
        let (entries, gaps) = everywhere(Fake::new(World { iterates, ..three() })).unwrap();
        let expected = [
            (super::fake::NETNS, "pid:100", Some(100)),
            (BLUE, "blue", Some(600)),
            (GREEN, "pid:700", Some(700)),
        ];
        assert_eq!(told(&entries), BTreeSet::from(expected));
        assert_eq!(gaps, []);
    }
}

#[test]
fn one_that_may_not_be_entered_is_a_gap() {
    // What stands for blue may be opened by nobody.
    let mut world = three();
    for path in ["/run/netns/blue", "/proc/600/ns/net"] {
        world.nodes.insert(path.into(), Node::Fails(13));
    }
    let (entries, gaps) = everywhere(Fake::new(world)).unwrap();
    let names: BTreeSet<_> = entries.iter().map(|entry| entry.netns_name.as_deref().unwrap()).collect();
    assert_eq!((entries.len(), names), (2, BTreeSet::from(["pid:100", "pid:700"])));
    let refused: Vec<_> = gaps.iter().map(|gap| (gap.source, &*gap.object, gap.reason)).collect();
    let reason = GapReason::NotPermitted;
    assert_eq!(refused, [("netns", "blue", reason), ("netns", "/proc/*/ns/net", reason)]);
}

#[test]
fn whichever_call_fails_nobody_is_named_for_anothers() {
    for iterates in [false, true] {
        let world = World { iterates, ..three() };
        let door = Fake::new(world.clone());
        let calls = door.counter();
        everywhere(door).unwrap();
        let total = calls.load(Ordering::SeqCst);
        for errno in [13, 2, super::call::ESRCH, 5, super::call::EMFILE] {
            for n in 1..=total + 20 {
                let Ok((entries, gaps)) = everywhere(Fake::new(world.clone()).failing(n, errno)) else {
                    continue;
                };
                let context = format!("call {n} failing with {errno}: {gaps:?}");
                check(&entries, &context);
                // What is not there is nobody's.
                let is_gone = matches!(errno, 2 | super::call::ESRCH);
                assert!(entries.len() == 3 || is_gone || !gaps.is_empty(), "{context}");
            }
        }
    }
}

#[test]
fn a_namespace_that_vanishes_takes_nothing_with_it() {
    for iterates in [false, true] {
        let world = World { iterates, ..three() };
        let door = Fake::new(world.clone());
        let calls = door.counter();
        everywhere(door).unwrap();
        let total = calls.load(Ordering::SeqCst);
        let mut left_out = 0;
        for n in 1..=total {
            let door = Fake::new(world.clone()).changing(n, |world| {
                world.kill(700);
                world.rows_abroad.remove(&GREEN);
            });
            let (entries, gaps) = everywhere(door).unwrap();
            let context = format!("before call {n}: {gaps:?}");
            check(&entries, &context);
            let at = |netns| entries.iter().filter(|entry| entry.socket.netns == Some(netns)).count();
            assert_eq!((at(super::fake::NETNS), at(BLUE)), (1, 1), "{context}");
            assert!(
                gaps.iter().all(|gap| gap.source != "netns" || gap.reason == GapReason::Gone),
                "{context}"
            );
            left_out += usize::from(gaps.iter().any(|gap| gap.source == "netns"));
        }
        assert!(left_out > 0, "it vanished between its being told and entered, too");
    }
}

/// So many without a holder that each namespace is listed anew: none is taken for gone, or for another's.
#[test]
fn many_without_a_holder_are_looked_at_again_where_they_are() {
    for iterates in [false, true] {
        let mut world = World { iterates, ..three() };
        for inode in 1000..1100 {
            let (one, other) = (row("127.0.0.1:90", inode), row("127.0.0.1:90", inode + 1000));
            world.rows.push((IPPROTO_TCP, one));
            world.rows_abroad.get_mut(&GREEN).unwrap().push((IPPROTO_TCP, other));
        }
        let (entries, gaps) = everywhere(Fake::new(world)).unwrap();
        assert_eq!(gaps, []);
        let unheld: Vec<_> = entries.iter().filter(|entry| entry.socket.inode >= 1000).collect();
        assert_eq!(unheld.len(), 200);
        for entry in unheld {
            assert_eq!(entry.attribution.reason(), Some(Reason::NoVisibleHolder), "{entry:?}");
        }
    }
}

/// Who is named is who has it.
fn check(entries: &[Entry], context: &str) {
    for entry in entries {
        let owner = entry.attribution.primary_owner().map(|(process, _)| process.pid);
        let truth = match entry.socket.netns {
            Some(BLUE) => 600,
            Some(GREEN) => 700,
            // Or it cannot be told where the query is.
            Some(super::fake::NETNS) | None => 100,
            other => panic!("{other:?} is no namespace: {context}"),
        };
        let inode = match truth {
            100 => 10,
            pid => u64::from(pid) / 10,
        };
        assert_eq!(entry.socket.inode, inode, "{context}");
        assert!(owner.is_none_or(|pid| pid == truth), "{owner:?} is named for {truth}'s: {context}");
        let reason = entry.attribution.reason();
        assert!(owner.is_some() || reason.is_some_and(|reason| reason != Reason::NoHolder), "{context}");
    }
}
