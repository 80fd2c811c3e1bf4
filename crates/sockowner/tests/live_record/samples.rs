//! Samples of the calls that put a process into a role.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::mount::{MountFlags, mount};
use rustix::net::{AddressFamily, SocketType};
use rustix::thread::{CapabilitySet, CapabilitySets};
use sockowner::RoleKind::{self, Acceptor, Binder, Listener};
use sockowner::os::linux::record::SampledCall::{self, Accept, Accept4, Bind, Connect, Listen};
use sockowner::os::linux::record::SampledMappings::{All, OfSite, Untold};
use sockowner::os::linux::record::{self, CallSample, CallSite, HookState, Noted, Sampler, Store};
use sockowner::{Component, ComponentEvidence, RoleReason};
use sockowner_testkit::{Actor, Requirement, Sock, eventually};

use super::ask::{GROUP, Recorder, gid, private_run};

tests! {
    Alone every_call_yields_one_sample;
    Alone a_sample_is_of_the_call;
    Alone who_has_a_port_is_not_bound_again;
    Alone a_listen_that_binds_is_both;
    Alone the_mappings_of_who_has_ended_are_told needs MAPPINGS;
    Alone of_a_known_site_its_mapping_is_told needs MAPPINGS;
    Alone a_site_that_is_nowhere_tells_all needs MAPPINGS;
    Alone a_deleted_file_is_told_as_it_was needs MAPPINGS;
    Alone a_file_is_told_as_the_process_has_it needs MAPPINGS, OVERLAY;
    Scene mappings_are_told;
    Alone a_component_is_told_of_the_call_alone;
    Alone a_component_goes_with_the_call;
    Alone a_component_is_told_by_every_way_to_ask;
    Alone samplers_do_not_meet needs MAPPINGS;
    Alone who_samples_needs_no_more_than_he_must;
    Alone nothing_is_sampled_without_a_recorder;
    Alone every_call_is_taken_or_counted;
    Alone a_killed_sampler_leaves_nothing needs SHOWS_OBJECTS;
    Scene samples_until_killed;
    Alone nothing_of_the_stack_is_shown;
}

const SHOWS_OBJECTS: Requirement = Requirement::Custom("bpftool", shows_objects);

/// With room for what others on the machine do meanwhile.
fn attach() -> Sampler {
    let (sampler, states) = Sampler::attach_with(64 * 1024 * 1024).unwrap();
    let is_refused = |state: &&HookState| state.in_use != Some(true) && state.name != "find_vma";
    assert!(states.iter().find(is_refused).is_none(), "{states:?}");
    assert!(states.len() == 8 && states.iter().all(|state| !state.lacking.is_empty()));
    sampler
}

const MAPPINGS: Requirement = Requirement::Custom("mappings", tells_mappings);

/// Whether the kernel's cgroup programs can look for them.
fn tells_mappings() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER.get_or_init(|| super::starts("mappings_are_told")).clone()
}

fn mappings_are_told() {
    private_run();
    let started = record::start(GROUP, false);
    let states = started.and_then(|_| Sampler::attach()).map(|(_, states)| states);
    let refused = match states {
        Err(error) => Some(format!("{error:#}")),
        Ok(states) => states.into_iter().find_map(|state| state.refused),
    };
    if let Some(why) = refused {
        println!("REFUSED {why}");
    }
    record::stop().unwrap();
}

/// What there is of this process.
fn take(sampler: &mut Sampler, pid: u32) -> Vec<CallSample> {
    let mut samples = Vec::new();
    sampler
        .take(100_000, |sample| samples.extend((sample.pid == Some(pid)).then(|| sample.clone())))
        .unwrap();
    samples
}

fn calls(samples: &[CallSample]) -> Vec<(u64, RoleKind, SampledCall)> {
    samples.iter().map(|sample| (sample.cookie, sample.role, sample.call)).collect()
}

/// A line of `/proc/PID/maps`: start, end, rights, offset, device, inode.
fn mapped_at(pid: u32, address: u64) -> (u64, u64, String, u64, (u32, u32), u64) {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let lines = maps.lines().map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let (start, end) = words[0].split_once('-').unwrap();
        let (major, minor) = words[3].split_once(':').unwrap();
        let number = |text| u32::from_str_radix(text, 16).unwrap();
        let device = (number(major), number(minor));
        (hex(start), hex(end), words[1].to_owned(), hex(words[2]), device, words[4].parse().unwrap())
    });
    let mut found = lines.filter(|(start, end, ..)| (*start..*end).contains(&address));
    found.next().unwrap_or_else(|| panic!("{address:#x} is nowhere"))
}

fn every_call_yields_one_sample() {
    let _recorder = Recorder::start();
    let mut sampler = attach();
    let (near, far) = (Actor::spawn(), Actor::spawn());
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = far.tcp_listen(address);
        let client = near.tcp_connect(listener.addr);
        let server = far.accept_from(listener.fd);
        let bound = far.udp_bind(address);
        let unbound = near.udp_unbound(bound.addr.is_ipv6());
        let connected = near.udp_connect(unbound.fd, bound.addr);
        let of_both: Vec<_> = [near.pid(), far.pid()].into_iter().collect();
        let mut all = BTreeMap::<u32, Vec<CallSample>>::new();
        let mut keep = |sample: &CallSample| {
            let pid = sample.pid.filter(|pid| of_both.contains(pid));
            all.entry(pid.unwrap_or(0)).or_default().push(sample.clone());
        };
        let count = sampler.take(100_000, &mut keep).unwrap();
        assert_eq!(all.values().map(Vec::len).sum::<usize>(), count);
        let (of_near, of_far) = (&all[&near.pid()], &all[&far.pid()]);
        assert_eq!(calls(of_near), [(client.cookie, Binder, Connect), (connected.cookie, Binder, Connect)]);
        assert_eq!(
            calls(of_far),
            [
                (listener.cookie, Binder, Bind),
                (listener.cookie, Listener, Listen),
                (server.cookie, Acceptor, Accept4),
                (bound.cookie, Binder, Bind),
            ]
        );
        for (actor, samples) in [(&near, of_near), (&far, of_far)] {
            for sample in samples {
                assert_is_of(sample, actor);
            }
        }
    }
    assert_eq!((sampler.lost().unwrap(), sampler.too_old()), (0, 0));
}

/// All that can be seen in `/proc` of a process that still is there.
#[track_caller]
fn assert_is_of(sample: &CallSample, actor: &Actor) {
    let pid = actor.pid();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let start: u64 = fields.split_ascii_whitespace().nth(19).unwrap().parse().unwrap();
    assert_eq!(sample.start_ticks, start);
    assert!(sample.time > sample.start && sample.uid == 0 && sample.process != 0 && sample.when != 0);
    assert!(!sample.worker && !sample.compat && !sample.io_uring);
    let (.., rights, _, _, inode) = mapped_at(pid, sample.registers.rip);
    assert!(rights.contains('x') && inode != 0, "{rights}");
    let (_, end, rights, ..) = mapped_at(pid, sample.registers.rsp);
    assert!(rights.starts_with("rw"), "{rights}");
    assert_eq!(sample.stack.len(), 512.min(usize::try_from(end - sample.registers.rsp).unwrap()));
    let All(mappings) = &sample.mappings else {
        assert_eq!(sample.mappings, Untold);
        return;
    };
    for mapping in mappings {
        let (start, end, rights, offset, device, inode) = mapped_at(pid, mapping.start);
        assert_eq!((mapping.start, mapping.end, mapping.offset), (start, end, offset));
        assert_eq!((mapping.device, mapping.inode, mapping.deleted), (device, inode, false));
        assert!(rights.contains('x'));
        let path = mapping.path.as_ref().unwrap();
        assert_eq!(fs::metadata(path).unwrap().ino(), inode, "{}", path.display());
    }
    assert!(mappings.iter().any(|mapping| (mapping.start..mapping.end).contains(&sample.registers.rip)));
}

const MARK: [u64; 4] =
    [0x5eed_0001_5eed_0001, 0x5eed_0002_5eed_0002, 0x5eed_0003_5eed_0003, 0x5eed_0004_5eed_0004];

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn socket(kind: SocketType) -> OwnedFd {
    rustix::net::socket(AddressFamily::INET, kind, None).unwrap()
}

/// Has a mark on its stack meanwhile.
fn marked<R>(call: impl FnOnce() -> R) -> R {
    holding(MARK, call)
}

/// Has this on its stack meanwhile.
#[inline(never)]
fn holding<T, R>(what: T, call: impl FnOnce() -> R) -> R {
    let what = black_box(what);
    let result = call();
    black_box(&what);
    result
}

fn has_mark(bytes: &[u8]) -> bool {
    let mark: Vec<u8> = MARK.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.windows(mark.len()).any(|window| window == mark)
}

fn own_calls(sampler: &mut Sampler) -> Vec<CallSample> {
    take(sampler, std::process::id())
}

/// As the kernel is given it.
fn encoded(address: SocketAddr) -> [u8; 8] {
    let [high, low] = address.port().to_be_bytes();
    [2, 0, high, low, 127, 0, 0, 1]
}

/// The test calls itself, without a library in between; the address that it gives is on its stack.
fn a_sample_is_of_the_call() {
    let _recorder = Recorder::start();
    let mut sampler = attach();
    assert_eq!(own_calls(&mut sampler).len(), 0);
    let listener = socket(SocketType::STREAM);
    // An optimized call may keep its argument below the stack pointer, where nothing is sampled.
    holding(encoded(any_port()), || rustix::net::bind(&listener, &any_port()).unwrap());
    marked(|| rustix::net::listen(&listener, 8).unwrap());
    let address: SocketAddr = rustix::net::getsockname(&listener).unwrap().try_into().unwrap();
    let connect = || {
        let client = socket(SocketType::STREAM);
        rustix::net::connect(&client, &address).unwrap();
        client
    };
    let clients = [connect(), connect(), connect()];
    let _first = rustix::net::acceptfrom(&listener).unwrap();
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let _second = rustix::net::acceptfrom_with(&listener, flags).unwrap();
    // None of these is a call that gives a role.
    rustix::net::getpeername(&clients[0]).unwrap();
    let _third = rustix::net::accept(&listener).unwrap();
    rustix::net::listen(&listener, 9).unwrap();
    let samples = own_calls(&mut sampler);
    let made: Vec<_> = samples.iter().map(|sample| (sample.role, sample.call)).collect();
    let [connects, accepts] = [(Binder, Connect), (Acceptor, Accept)];
    let expected =
        [(Binder, Bind), (Listener, Listen), connects, connects, connects, accepts, (Acceptor, Accept4)];
    assert_eq!(made, expected);
    let has = |sample: &CallSample, bytes: &[u8]| sample.stack.windows(bytes.len()).any(|part| part == bytes);
    let addresses: Vec<_> = samples.iter().map(|sample| has(sample, &encoded(address))).collect();
    assert_eq!(addresses[2..5], [true; 3]);
    assert!(has(&samples[0], &encoded(any_port())) && has_mark(&samples[1].stack));
    let exe = fs::metadata("/proc/self/exe").unwrap().ino();
    for sample in &samples {
        assert_eq!(mapped_at(std::process::id(), sample.registers.rip).5, exe);
        assert_eq!(sample.initial_tid, sample.initial_pid);
    }
}

fn who_has_a_port_is_not_bound_again() {
    let _recorder = Recorder::start();
    let mut sampler = attach();
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let client = near.tcp_connect_from("127.0.0.1:0", listener.addr);
    let bound = near.udp_bind("127.0.0.1:0");
    near.udp_connect(bound.fd, listener.addr);
    near.udp_connect(bound.fd, listener.addr);
    let made = calls(&take(&mut sampler, near.pid()));
    assert_eq!(made, [(client.cookie, Binder, Bind), (bound.cookie, Binder, Bind)]);
}

fn a_listen_that_binds_is_both() {
    let recorder = Recorder::start();
    let mut sampler = attach();
    let listener = socket(SocketType::STREAM);
    rustix::net::listen(&listener, 8).unwrap();
    let samples = own_calls(&mut sampler);
    let made: Vec<_> = samples.iter().map(|sample| (sample.role, sample.call)).collect();
    assert_eq!(made, [(Listener, Listen), (Binder, Listen)]);
    let cookie = samples[0].cookie;
    let noted: Vec<_> = samples.iter().map(|sample| noted(sample, keep(1))).collect();
    assert_eq!(sampler.note(&noted).unwrap(), 2);
    let roles = recorder.about(cookie).unwrap().roles;
    assert!(roles.binder.unwrap().component.is_some() && roles.listener.unwrap().component.is_some());
}

fn the_mappings_of_who_has_ended_are_told() {
    let _recorder = Recorder::start();
    let mut sampler = attach();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("short-lived");
    let actor = Actor::builder().exe(&path).spawn();
    let pid = actor.pid();
    let file = fs::metadata(&path).unwrap();
    actor.tcp_listen("127.0.0.1:0");
    drop(actor);
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    for sample in take(&mut sampler, pid) {
        let rip = sample.registers.rip;
        let of_rip = sample
            .mappings
            .told()
            .iter()
            .find(|mapping| (mapping.start..mapping.end).contains(&rip))
            .unwrap();
        assert_eq!(of_rip.path.as_ref(), Some(&path));
        assert_eq!((of_rip.inode, of_rip.deleted), (file.ino(), false));
        let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
        assert_eq!(of_rip.device, (major, minor));
    }
}

fn word(sample: &CallSample, slot: u16) -> u64 {
    u64::from_ne_bytes(*sample.stack[slot.into()..].first_chunk().unwrap())
}

fn site(sample: &CallSample, slot: Option<u16>) -> CallSite {
    let (process, rip) = (sample.process, sample.registers.rip);
    CallSite { process, rip, slot, word: slot.map_or(rip, |slot| word(sample, slot)) }
}

/// All that was told, of which the executable is a part.
#[track_caller]
fn assert_all(sample: &CallSample) {
    let All(mappings) = &sample.mappings else { panic!("{:?}", sample.mappings) };
    let rip = sample.registers.rip;
    assert!(mappings.iter().any(|mapping| (mapping.start..mapping.end).contains(&rip)));
}

/// Nothing but what holds this address.
#[track_caller]
fn assert_of_site(sample: &CallSample, address: u64) {
    let OfSite(mapping) = &sample.mappings else { panic!("{:?}", sample.mappings) };
    let (start, end, rights, offset, device, inode) = mapped_at(std::process::id(), address);
    assert!(rights.contains('x') && (mapping.path.as_ref(), mapping.deleted) == (None, false));
    assert_eq!((mapping.start, mapping.end, mapping.offset), (start, end, offset));
    assert_eq!((mapping.device, mapping.inode), (device, inode));
}

/// Has this word on its stack: as half of an address that it binds a socket to, though nobody has it. At the same place in
/// each call.
#[inline(never)]
fn bind_with(word: u64) {
    let sock = rustix::net::socket(AddressFamily::INET6, SocketType::DGRAM, None).unwrap();
    rustix::net::sockopt::set_ipv6_freebind(&sock, true).unwrap();
    let mut bytes = [0; 16];
    (bytes[0], bytes[1]) = (0x20, 0x01);
    bytes[8..].copy_from_slice(&word.to_ne_bytes());
    // The address need not begin at a multiple of eight; this is not among the nearest bytes where nothing is optimized.
    let beside = black_box([word; 2]);
    rustix::net::bind(&sock, &SocketAddr::from((Ipv6Addr::from(bytes), 0))).unwrap();
    black_box(&beside);
}

fn of_a_known_site_its_mapping_is_told() {
    let _recorder = Recorder::start();
    let mut sampler = attach();
    let of_call = |sampler: &mut Sampler, word: u64| {
        bind_with(word);
        let mut samples = own_calls(sampler);
        assert_eq!(samples.len(), 1);
        samples.pop().unwrap()
    };
    // Two addresses in code, as those of two call sites.
    let from_here = of_call(&mut sampler, 1).registers.rip;
    let from_there = from_here + 1;
    let [here, there] = [from_here, from_there].map(|word| of_call(&mut sampler, word));
    assert_eq!((here.registers.rip, here.process), (there.registers.rip, there.process));
    assert_all(&here);
    assert_all(&there);
    let has = |sample: &CallSample, slot: u16, planted: u64| word(sample, slot) == planted;
    let both = |slot: &u16| has(&here, *slot, from_here) && has(&there, *slot, from_there);
    let slot = (0..512).step_by(8).find(both).unwrap();
    let [site_here, site_there] = [&here, &there].map(|sample| site(sample, Some(slot)));
    sampler.knows(&site_here).unwrap();
    let again = of_call(&mut sampler, from_here);
    assert_of_site(&again, site_here.word - 1);
    assert_eq!((again.process, again.stack.len()), (here.process, here.stack.len()));
    assert_eq!(again.registers.rip, here.registers.rip);
    // Of another call site that calls the same, and of another process, all is told.
    assert_all(&of_call(&mut sampler, from_there));
    sampler.knows(&site_there).unwrap();
    assert_of_site(&of_call(&mut sampler, from_there), site_there.word - 1);
    assert_of_site(&of_call(&mut sampler, from_here), site_here.word - 1);
    sampler.forget(here.process ^ 1, here.registers.rip).unwrap();
    assert_of_site(&of_call(&mut sampler, from_here), site_here.word - 1);
    sampler.forget(here.process, here.registers.rip).unwrap();
    assert_all(&of_call(&mut sampler, from_here));
    sampler.knows(&CallSite { process: here.process ^ 1, ..site_here }).unwrap();
    assert_all(&of_call(&mut sampler, from_here));
    // Who makes the system call himself.
    sampler.knows(&site(&here, None)).unwrap();
    for call in [from_here, from_there] {
        assert_of_site(&of_call(&mut sampler, call), here.registers.rip);
    }
    sampler.knows(&CallSite { slot: Some(4), ..site_here }).unwrap_err();
}

/// What is on the stack there is no address of code that a file holds: then it proves nothing.
fn a_site_that_is_nowhere_tells_all() {
    let _recorder = Recorder::start();
    let mut sampler = attach();
    bind_with(0x5eed_0001_5eed_0001);
    let first = own_calls(&mut sampler).pop().unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let ranges: Vec<_> = maps
        .lines()
        .map(|line| {
            let (range, rest) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let hex = |text| u64::from_str_radix(text, 16).unwrap();
            (hex(start)..hex(end), rest.as_bytes()[2] == b'x')
        })
        .collect();
    let held = |slot: u16| ranges.iter().find(|(range, _)| range.contains(&(word(&first, slot) - 1)));
    let slots = || (0..512).step_by(8).filter(|slot| word(&first, *slot) != 0);
    let data = slots().find(|slot| held(*slot).is_some_and(|(_, is_code)| !is_code)).unwrap();
    let nowhere = slots().find(|slot| held(*slot).is_none()).unwrap();
    for slot in [data, nowhere] {
        sampler.knows(&site(&first, Some(slot))).unwrap();
        bind_with(0x5eed_0001_5eed_0001);
        let samples = own_calls(&mut sampler);
        assert_eq!(samples.len(), 1);
        assert_all(&samples[0]);
        sampler.forget(first.process, first.registers.rip).unwrap();
    }
    assert_eq!(sampler.lost().unwrap(), 0);
}

fn a_deleted_file_is_told_as_it_was() {
    let _recorder = Recorder::start();
    let mut sampler = attach();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deleted");
    let actor = Actor::builder().exe(&path).spawn();
    actor.unlink_self_exe();
    actor.udp_bind("127.0.0.1:0");
    let samples = take(&mut sampler, actor.pid());
    let own = |mapping: &&record::SampledMapping| mapping.path.as_ref() == Some(&path);
    let mapping = samples[0].mappings.told().iter().find(own).unwrap();
    assert!(mapping.deleted);
}

const OVERLAY: Requirement = Requirement::Custom("overlayfs", mounts_overlay);

fn mounts_overlay() -> Result<(), String> {
    let known = fs::read_to_string("/proc/filesystems").map_err(|error| error.to_string())?;
    known.contains("\toverlay\n").then_some(()).ok_or_else(|| "no overlayfs".into())
}

/// In a container's root the file lies below another one, of another device.
fn a_file_is_told_as_the_process_has_it() {
    let _recorder = Recorder::start();
    let mut sampler = attach();
    let dir = Path::new("/run/layers");
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    fs::copy(std::env::current_exe().unwrap(), dir.join("lower/program")).unwrap();
    let options = c"lowerdir=/run/layers/lower,upperdir=/run/layers/upper,workdir=/run/layers/work";
    let merged = dir.join("merged");
    mount(c"overlay", &merged, c"overlay", MountFlags::empty(), options).unwrap();
    let actor = Actor::spawn();
    actor.exec_at(merged.join("program"));
    let sock = actor.udp_bind("127.0.0.1:0");
    let samples = take(&mut sampler, actor.pid());
    assert_eq!(calls(&samples), [(sock.cookie, Binder, Bind)]);
    let rip = samples[0].registers.rip;
    let (start, end, _, offset, device, inode) = mapped_at(actor.pid(), rip);
    let mapping = samples[0].mappings.told().iter().find(|mapping| mapping.start == start).unwrap();

    assert_eq!((mapping.end, mapping.offset, mapping.device, mapping.inode), (end, offset, device, inode));
    assert_eq!(mapping.path.as_deref(), Some(merged.join("program").as_path()));
}

fn keep(offset: u64) -> u32 {
    let mut component = Component::new("libtest.so", ComponentEvidence::Cfi);
    component.offset = Some(offset);
    Store::open().unwrap().component(0, &component).unwrap().unwrap()
}

fn noted(sample: &CallSample, component: u32) -> Noted {
    let CallSample { cookie, role, when, process, .. } = *sample;
    Noted { cookie, role, when, process, component }
}

fn a_component_is_told_of_the_call_alone() {
    let recorder = Recorder::start();
    let mut sampler = attach();
    let (actor, other) = (Actor::spawn(), Actor::spawn());
    let sock = actor.udp_unbound(false);
    let target = other.udp_bind("127.0.0.1:0");
    let component = |sock: &Sock| {
        let role = recorder.about(sock.cookie).unwrap().roles.binder;
        role.and_then(|role| role.component).map(|component| component.offset)
    };
    assert_eq!(component(&target), None);
    let connected = actor.udp_connect(sock.fd, target.addr);
    let samples = take(&mut sampler, actor.pid());
    let right = noted(&samples[0], keep(1));
    // Of another call, process, socket or role.
    let wrong = [
        Noted { when: right.when ^ 1 << 40, ..right },
        Noted { process: right.process ^ 1, ..right },
        Noted { cookie: u64::MAX, ..right },
        Noted { role: Acceptor, ..right },
        Noted { role: Acceptor, when: 0, process: 0, ..right },
    ];
    assert_eq!(sampler.note(&wrong).unwrap(), 0);
    assert_eq!(component(&connected), None);
    let all = [&wrong[..], &[right]].concat();
    assert_eq!(sampler.note(&all).unwrap(), 1);
    assert_eq!(component(&connected), Some(Some(1)));
    // More than are noted in one run, the last of which counts.
    let many = [vec![wrong[0]; 600], vec![Noted { component: keep(2), ..right }]].concat();
    assert_eq!(sampler.note(&many).unwrap(), 1);
    assert_eq!(component(&connected), Some(Some(2)));
    // What is kept no more, or never was, is none.
    assert_eq!(sampler.note(&[Noted { component: 4_000_000, ..right }]).unwrap(), 1);
    assert_eq!(component(&connected), None);
}

/// A connection that is refused gives its port back; the next one is bound anew.
fn a_component_goes_with_the_call() {
    let recorder = Recorder::start();
    let mut sampler = attach();
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let closed = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let client = socket(SocketType::STREAM);
    rustix::net::connect(&client, &closed).unwrap_err();
    let first = own_calls(&mut sampler).pop().unwrap();
    assert_eq!(sampler.note(&[noted(&first, keep(1))]).unwrap(), 1);
    let binder = || recorder.about(first.cookie).unwrap().roles.binder.unwrap();
    assert!(binder().component.is_some());
    rustix::net::connect(&client, &listener.addr).unwrap();
    assert_eq!(binder().component, None);
    assert_eq!(sampler.note(&[noted(&first, keep(1))]).unwrap(), 0, "that call bound it no more");
    let second = own_calls(&mut sampler).pop().unwrap();
    assert_eq!((second.cookie, sampler.note(&[noted(&second, keep(2))]).unwrap()), (first.cookie, 1));
    assert_eq!(binder().component.unwrap().offset, Some(2));
}

fn a_component_is_told_by_every_way_to_ask() {
    let recorder = Recorder::start();
    let mut sampler = attach();
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let samples = take(&mut sampler, actor.pid());
    let mut component = Component::new("libtest.so.1", ComponentEvidence::CfiIndirect);
    component.path = Some("/opt/libtest.so.1".into());
    component.build_id = Some(vec![1; 20]);
    component.offset = Some(0x1234);
    component.generated = true;
    for offset in 0..10 {
        let mut frame = sockowner::ComponentFrame::new(if offset == 1 { "" } else { "libc.so.6" }, offset);
        frame.path = (offset != 1).then(|| "/lib/libc.so.6".into());
        component.chain.push(frame);
    }
    let mut store = Store::open().unwrap();
    let key = store.component(0, &component).unwrap().unwrap();
    sampler.note(&[noted(&samples[0], key)]).unwrap();
    // So many frames are kept.
    component.chain.truncate(8);
    let binder = |told: Option<sockowner::Recorded>| told.unwrap().roles.binder.unwrap().component;
    assert_eq!(binder(recorder.about(listener.cookie)).as_deref(), Some(&component));
    let all = recorder.reader.sockets(&[listener.cookie]).unwrap();
    assert_eq!(binder(all.into_iter().next().unwrap()).as_deref(), Some(&component));
    assert_eq!(recorder.about(listener.cookie).unwrap().roles.listener.unwrap().component, None);
    let _client = actor.tcp_connect(listener.addr);
    let server = actor.accept_from(listener.fd);
    let roles = recorder.about(server.cookie).unwrap().roles;
    assert!(roles.listener.is_some() && roles.reason(Listener) != Some(RoleReason::NotRecorded));
    assert_eq!(roles.listener.unwrap().component, None);
    actor.close(listener.fd);
    let pattern = sockowner::Pattern::local(listener.addr.ip(), listener.addr.port());
    let closed = eventually("the listener's end", || {
        let closed = recorder.reader.closed(&pattern).unwrap();
        closed.into_iter().find(|told| told.cookie == listener.cookie)
    });
    assert_eq!(binder(Some(closed)).as_deref(), Some(&component));
    let status = record::status().unwrap().unwrap();
    assert_eq!((status.components, status.modules), (1, 2));
}

fn samplers_do_not_meet() {
    let _recorder = Recorder::start();
    let (mut one, mut other) = (attach(), attach());
    let actor = Actor::spawn();
    actor.udp_bind("127.0.0.1:0");
    let first = take(&mut one, actor.pid());
    one.knows(&site(&first[0], None)).unwrap();
    drop(one);
    let second = take(&mut other, actor.pid());
    assert_eq!((second.len(), first.len()), (1, 1));
    actor.udp_bind("127.0.0.1:0");
    assert_all(&take(&mut other, actor.pid())[0]);
    let told = |sample: &CallSample| (sample.cookie, sample.when, sample.registers, sample.stack.clone());
    assert!(told(&second[0]) == told(&first[0]));
}

fn who_samples_needs_no_more_than_he_must() {
    let _recorder = Recorder::start();
    let actor = Actor::spawn();
    let kept = CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::NET_ADMIN;
    let work = move || {
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        rustix::thread::set_capabilities(None, sets).unwrap();
        let mut sampler = attach();
        let sock = actor.udp_bind("127.0.0.1:0");
        let made = calls(&take(&mut sampler, actor.pid()));
        assert_eq!(made, [(sock.cookie, Binder, Bind)]);
    };
    std::thread::spawn(work).join().unwrap();
}

fn nothing_is_sampled_without_a_recorder() {
    private_run();
    let error = Sampler::attach().unwrap_err();
    assert_eq!(error.kind(), sockowner::ErrorKind::NotFound, "{error:#}");
    record::start(GROUP, false).unwrap();
    let mut sampler = attach();
    record::stop().unwrap();
    let actor = Actor::spawn();
    actor.udp_bind("127.0.0.1:0");
    assert_eq!(take(&mut sampler, actor.pid()).len(), 0);
    assert_ne!(gid(), 0);
}

fn every_call_is_taken_or_counted() {
    const CALLS: u64 = 10_000;
    let _recorder = Recorder::start();
    let bind = || rustix::net::bind(socket(SocketType::DGRAM), &any_port()).unwrap();
    let own_pid = Some(std::process::id());
    // There is not room for all of them.
    let (mut sampler, _) = Sampler::attach().unwrap();
    (0..CALLS).for_each(|_| bind());
    let mut own = 0;
    let mut taken = sampler.take(usize::MAX, |sample| own += u64::from(sample.pid == own_pid)).unwrap();
    let (made, lost) = (sampler.made().unwrap(), sampler.lost().unwrap());
    // What others did since.
    taken += sampler.take(usize::MAX, |sample| assert_ne!(sample.pid, own_pid)).unwrap();
    let all = u64::try_from(taken).unwrap() + sampler.too_old();
    assert!(made >= CALLS && all + lost >= made, "{made} were made, {all} taken, {lost} lost");
    assert!(lost > 0 && own <= CALLS && own + lost >= CALLS, "{own} of {CALLS}, {lost} lost");
    drop(sampler);
    // Who takes them in time loses none.
    let mut sampler = attach();
    let mut own = 0;
    for _ in 0..CALLS / 100 {
        (0..100).for_each(|_| bind());
        sampler.take(usize::MAX, |sample| own += u64::from(sample.pid == own_pid)).unwrap();
    }
    assert_eq!((own, sampler.lost().unwrap()), (CALLS, 0));
}

const BPFTOOL: &str = "/usr/sbin/bpftool";

/// Whether the kernel can be asked what it holds.
fn shows_objects() -> Result<(), String> {
    let output = Command::new(BPFTOOL).arg("version").output();
    output.map(drop).map_err(|error| format!("{BPFTOOL}: {error}"))
}

/// The BPF objects that a process has descriptors of: `prog id 7`.
fn objects(pid: u32) -> BTreeSet<[String; 2]> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        for (line, kind) in [("map_id:", "map"), ("prog_id:", "prog"), ("link_id:", "link")] {
            let id = text.lines().find_map(|text| text.strip_prefix(line));
            found.extend(id.map(|id| [kind.to_owned(), id.trim().to_owned()]));
        }
    }
    found
}

fn exists([kind, id]: &[String; 2]) -> bool {
    let output = Command::new(BPFTOOL).args([kind, "show", "id", id]).output().unwrap();
    output.status.success()
}

/// The recorder's own stay, of which the sampler has descriptors too.
fn a_killed_sampler_leaves_nothing() {
    let _recorder = Recorder::start();
    let before = objects(std::process::id());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--sockowner-testkit-scenario", "samples_until_killed", "Fresh", "-", "true", "true"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("READY"))));
    let new: Vec<_> = objects(child.id()).into_iter().filter(|object| !before.contains(object)).collect();
    let of = |kind: &str| new.iter().filter(|[object, _]| object == kind).count();
    // The links at the cgroups and the tracepoint, note, and the maps that are not the recorder's.
    assert!(of("link") >= 6 && of("prog") >= 1 && of("map") >= 2, "{new:?}");
    assert!(new.iter().all(exists));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the end of all that was loaded", || (!new.iter().any(exists)).then_some(()));
    let sampler = attach();
    drop(sampler);
}

fn samples_until_killed() {
    let _sampler = attach();
    println!("READY");
    std::thread::park();
}

fn nothing_of_the_stack_is_shown() {
    let _recorder = Recorder::start();
    let mut sampler = attach();
    let sock = socket(SocketType::STREAM);
    marked(|| rustix::net::listen(&sock, 8).unwrap());
    let mut shown = String::new();
    sampler
        .take(usize::MAX, |sample| {
            if has_mark(&sample.stack) {
                shown = format!("{sample:?} {:?}", sample.registers);
                let rsp = sample.registers.rsp;
                assert!(!shown.contains(&rsp.to_string()) && !shown.contains(&format!("{rsp:x}")));
            }
        })
        .unwrap();
    let number = MARK[0].to_string();
    assert!(shown.contains("CallSample") && !shown.contains(&number), "{shown}");
}
