//! What the children may do, and what is left of a sample.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

use sockowner::ComponentEvidence::Cfi;
use sockowner_record::resolve;
use sockowner_testkit::Requirement::Root;

use super::components::library_and_user;
use super::daemon::{Daemon, Facts, assert_told, sample};
use super::tracer::trace;
use super::workshop::{GCC, TRACING, Workshop};

tests! {
    Outside the_children_have_no_rights_but_to_open needs Root;
    Outside a_child_without_a_daemon_ends needs Root;
    Outside nothing_of_a_stack_is_left needs GCC, TRACING, Root;
}

fn field(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} in {status}")).trim().to_owned()
}

/// CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE and CAP_CHECKPOINT_RESTORE.
const OPENING: u64 = 1 << 2 | 1 << 19 | 1 << 40;

fn the_children_have_no_rights_but_to_open() {
    let daemon = Daemon::start();
    let [parser, opener] = daemon.children();
    let own = u64::from_str_radix(&field(std::process::id(), "CapPrm"), 16).unwrap();
    for (pid, may) in [(parser, 0), (opener, own & OPENING)] {
        for set in ["CapEff", "CapPrm"] {
            assert_eq!(u64::from_str_radix(&field(pid, set), 16).unwrap(), may, "{set}");
        }
        for set in ["CapBnd", "CapInh", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&field(pid, set), 16).unwrap(), 0, "{set}");
        }
        assert_eq!(field(pid, "NoNewPrivs"), "1");
        assert_eq!(field(pid, "Seccomp"), "2");
        assert_eq!(field(pid, "Threads"), "1");
        for ids in ["Uid", "Gid"] {
            assert_eq!(field(pid, ids), ["2147507214"; 4].join("\t"));
        }
        assert_eq!(field(pid, "Groups"), "");
        // What cannot be dumped belongs to root.
        assert_eq!(fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(), 0);
        assert_eq!(fs::read(format!("/proc/{pid}/environ")).unwrap(), b"");
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        for name in ["Max core file size", "Max file size", "Max processes"] {
            let limit = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            assert_eq!(limit.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{name}");
        }
        let memory = limits.lines().find_map(|line| line.strip_prefix("Max address space")).unwrap();
        assert!(!memory.trim().starts_with("unlimited"));
        let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        assert_ne!(network(&pid.to_string()), network("self"));
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
            let leads_to = fs::read_link(entry.unwrap().path()).unwrap();
            let leads_to = leads_to.to_str().unwrap();
            assert!(leads_to.starts_with("socket:") || leads_to == "/dev/null", "{leads_to}");
        }
    }
}

/// Neither is given what it waits for: each ends by itself, and not by a signal.
fn a_child_without_a_daemon_ends() {
    use std::os::unix::process::ExitStatusExt;
    for name in ["opener", "parser"] {
        let program = std::env::current_exe().unwrap();
        let status = Command::new(program).arg(name).stdin(std::process::Stdio::null()).status().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(1), None), "{name}");
    }
}

/// Where these bytes are in the memory of a process that may be written.
fn found(pid: u32, marker: &[u8]) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut places = Vec::new();
    let mut read = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            read += bytes.len();
            let at = bytes.windows(marker.len()).position(|window| window == marker);
            places.extend(at.map(|at| format!("{:#x} in {line}", start + at as u64)));
        }
    }
    assert!(read > 1 << 16, "{read} bytes of memory could be read");
    places
}

fn nothing_of_a_stack_is_left() {
    // In the process under test it stands only on the stack of the sample.
    const MARKER: [u8; 8] = *b"\xa7Secret\x9d";
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let daemon = Daemon::start();
    let mut marked = 0;
    trace(&mut Command::new(program), |stop| {
        let plain = daemon.one(sample(stop, 1, Facts::Noted)).unwrap();
        let mut secret = sample(stop, 2, Facts::Noted);
        // Wherever nothing that the answer needs stands; in the frame pointer, too.
        for at in (0..secret.stack.len() - 8).step_by(8) {
            let mut other = sample(stop, 3, Facts::Noted);
            other.stack[at..at + 8].copy_from_slice(&MARKER);
            if daemon.one(other).is_ok_and(|told| told == plain) {
                secret.stack[at..at + 8].copy_from_slice(&MARKER);
                marked += 1;
            }
        }
        secret.registers.rbp = u64::from_le_bytes(MARKER);
        let mut untold = secret.clone();
        (untold.mappings, untold.facts) = (Vec::new(), resolve::Facts::None);
        for sample in [&secret, &untold] {
            let twice = vec![sample.clone(), sample.clone()];
            daemon.resolve(twice).iter().for_each(|answer| assert_told(answer, &library, Cfi));
        }
        for pid in daemon.children() {
            assert_eq!(found(pid, &MARKER), Vec::<String>::new());
        }
        // It would be found.
        assert!(!found(std::process::id(), &MARKER).is_empty());
    });
    assert!(marked > 100, "{marked}");
}
