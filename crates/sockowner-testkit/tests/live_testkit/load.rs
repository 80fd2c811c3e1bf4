//! The load generator: what it says is there, is there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::load::{Load, Shape, sample};
use sockowner_testkit::{Requirement, eventually, live_test, netns, netns_test};

use crate::seen::{alive, proc_dir};

const SMALL: Shape = Shape { processes: 3, sockets: 5, others: 7 };

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        netns_test("a load holds what it says", &[], holds_what_it_says),
        netns_test("processes of a load enter the cgroups they are given", &[Requirement::Cgroup2], cgroups),
        netns_test("a load that cannot be made says why", &[], refused),
        live_test("a dropped load leaves no process", &[Requirement::Netns], dropped),
        live_test("a program is measured", &[], measured),
        live_test("a program that is not there is told", &[], absent),
    ]
}

/// Local and remote address of every TCP socket in the thread's namespace, as `/proc` writes them.
fn rows() -> Vec<(String, String)> {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    let row = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        (fields[1].to_owned(), fields[2].to_owned())
    };
    table.lines().skip(1).map(row).collect()
}

fn as_in_proc(address: Option<std::net::SocketAddrV4>) -> String {
    let Some(address) = address else { return String::from("00000000:0000") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

fn holds_what_it_says() {
    // Standard error may be it.
    let inherited = netns::inside(|| {
        let load = Load::start(Shape { others: 0, ..SMALL }, |_| None).unwrap();
        links(load.pids()[0], "/dev/null")
    });
    let load = Load::start(SMALL, |_| None).unwrap();
    let mut told: Vec<_> =
        load.truth().iter().map(|held| (as_in_proc(Some(held.local)), as_in_proc(held.remote))).collect();
    let mut seen = rows();
    told.sort();
    seen.sort();
    assert_eq!(told, seen);
    assert_eq!(seen.len(), SMALL.rows());
    for pid in load.pids() {
        assert_eq!(links(pid, "socket:["), SMALL.sockets);
        assert_eq!(links(pid, "/dev/null"), SMALL.others + inherited);
    }
}

/// How many descriptors of a process lead to what begins so.
fn links(pid: u32, target: &str) -> usize {
    let links = fs::read_dir(proc_dir(pid).join("fd")).unwrap().flatten();
    let links = links.flat_map(|entry| fs::read_link(entry.path()));
    links.filter(|link| link.to_string_lossy().starts_with(target)).count()
}

fn cgroups() {
    let scratch = Scratch::new("/sockowner-testkit-load");
    let load = Load::start(SMALL, |index| (index == 1).then(|| scratch.dir().to_owned())).unwrap();
    assert_eq!(scratch.procs(), [load.pids()[1]]);
    drop(load);
}

fn refused() {
    let error = Load::start(SMALL, |_| Some("/dev/null".into())).unwrap_err();
    assert!(error.starts_with("a process of the load: enter the cgroup: "), "{error}");
}

fn dropped() {
    let pids = netns::inside(|| Load::start(SMALL, |_| None).unwrap().pids());
    assert_eq!(pids.len(), 3);
    for pid in pids {
        eventually("the end of the process", || (!alive(pid)).then_some(()));
    }
}

fn measured() {
    let script = "echo out; echo err >&2; exit 3";
    let sample = sample(Path::new("sh"), &["-c".into(), script.into()]).unwrap();
    assert_eq!((sample.output.as_slice(), sample.errors.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(sample.status.code(), Some(3));
    assert!(sample.wall > Duration::ZERO && sample.peak > 100_000, "{sample:?}");
}

fn absent() {
    assert_eq!(sample(Path::new("no-such-program"), &[]).unwrap_err(), "not installed");
}
