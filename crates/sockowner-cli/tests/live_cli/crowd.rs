//! Many endpoints, and endpoints that come and go.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use sockowner_testkit::Actor;

use super::program::{ask, program};

tests! {
    Alone twenty_thousand_endpoints_are_all_told;
    Alone no_output_is_in_memory_as_a_whole;
    Alone a_reader_that_leaves_is_no_failure;
    Alone a_full_disk_is_a_failure;
    Alone what_comes_and_goes_is_never_a_strangers;
}

/// So many that no actor needs more descriptors than every process may have.
const EACH: usize = 500;

/// Listeners and UDP sockets, of both families.
fn crowd(count: usize) -> Vec<Actor> {
    assert_eq!(count % EACH, 0);
    let actors: Vec<_> = (0..count / EACH).map(|_| Actor::spawn()).collect();
    for (number, actor) in actors.iter().enumerate() {
        for port in 10_000..10_000 + EACH {
            // Every actor has an address or a range of ports of its own.
            match number % 4 {
                0 => actor.tcp_listen(format!("127.0.{number}.1:{port}")),
                1 => actor.udp_bind(format!("127.0.{number}.1:{port}")),
                2 => actor.tcp_listen(format!("[::1]:{}", port + number * EACH)),
                _ => actor.udp_bind(format!("[::1]:{}", port + number * EACH)),
            };
        }
    }
    actors
}

fn twenty_thousand_endpoints_are_all_told() {
    const COUNT: usize = 20_000;
    let actors = crowd(COUNT);
    let list = ask(&["--strict"]);
    list.assert_complete();
    assert_eq!(list.stdout().lines().count(), COUNT + 1);
    let document = ask(&["--json"]);
    document.assert_complete();
    let rows = document.endpoints();
    assert_eq!(rows.len(), COUNT);
    let inodes: BTreeSet<_> = rows.iter().map(|row| row["inode"].as_u64()).collect();
    assert_eq!(inodes.len(), COUNT, "none is told twice");
    for actor in &actors {
        let theirs = rows.iter().filter(|row| row["owner"]["pid"] == actor.pid());
        assert_eq!(theirs.count(), EACH);
    }
    let lines = ask(&["--jsonl", "--sort", "inode"]);
    lines.assert_complete();
    let of_lines: Vec<_> = lines.json_lines().iter().map(|line| line["inode"].as_u64()).collect();
    assert!(of_lines.is_sorted());
    assert_eq!(of_lines.into_iter().collect::<BTreeSet<_>>(), inodes);
    let records = ask(&["--csv", "--no-header", "-o", "inode"]);
    records.assert_complete();
    let of_records: BTreeSet<_> = records.stdout().lines().map(|inode| inode.parse().ok()).collect();
    assert_eq!(of_records, inodes);
    assert_eq!(rows_of_ss().unwrap_or(COUNT), COUNT);
    let found = ask(&["--json", "who", "127.0.0.1:10007"]);
    found.assert_complete();
    assert_eq!(found.endpoints().len(), 1);
    assert_eq!(found.endpoints()[0]["owner"]["pid"], actors[0].pid());
}

/// What is written is in memory a piece at a time.
fn no_output_is_in_memory_as_a_whole() {
    let _actors = crowd(20_000);
    let (least, _) = peak(&["--csv", "-o", "pid,state"]);
    for words in [
        &["--json"][..],
        &["--jsonl"],
        &["--json", "--sort", "-local"],
        &["--csv", "-o", "local,path,holders,start_time"],
    ] {
        let (peak, written) = peak(words);
        assert!(peak < least + written / 2, "{words:?}: {peak} bytes, {written} written, {least} at least");
    }
}

/// How many bytes of memory the program has had when it begins to write, and how many it writes.
fn peak(words: &[&str]) -> (usize, usize) {
    let mut sockowner = program(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = sockowner.stdout.take().unwrap();
    let mut first = [0; 64];
    stdout.read_exact(&mut first).unwrap();
    // It waits for somebody to read on: a pipe holds less than it has to say.
    let status = std::fs::read_to_string(format!("/proc/{}/status", sockowner.id())).unwrap();
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert!(sockowner.wait().unwrap().success());
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    (kibibytes * 1024, first.len() + rest.len())
}

/// How many sockets ss lists; `None` where it is not installed.
fn rows_of_ss() -> Option<usize> {
    let output = Command::new("ss").args(["--no-header", "-tuan"]).output().ok()?;
    assert!(output.status.success());
    Some(output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count())
}

/// As `sockowner | head -1`.
fn a_reader_that_leaves_is_no_failure() {
    let _actors = crowd(5_000);
    for words in [
        &[][..],
        &["--no-owners"],
        &["--json"],
        &["-l"],
        &["who", ":10000"],
        &["--csv"],
        &["--jsonl"],
        &["--csv", "--sort", "-pid"],
        &["-o", "proto,pid"],
    ] {
        let mut sockowner = program(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::with_capacity(64, sockowner.stdout.take().unwrap());
        let mut line = Vec::new();
        stdout.by_ref().take(64).read_until(b'\n', &mut line).unwrap();
        assert!(
            line.starts_with(b"PROTO")
                || line.starts_with(b"{\"schema\":1,")
                || line.starts_with(b"protocol,")
                || words[0] == "who",
            "{words:?}"
        );
        drop(stdout);
        let output = sockowner.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{words:?}");
    }
}

fn a_full_disk_is_a_failure() {
    let _actors = crowd(EACH);
    for words in
        [&[][..], &["--json"], &["--jsonl"], &["--csv"], &["who", ":10000"], &["--help"], &["-o", "help"]]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let failed = answer_to(words, full);
        assert_eq!(
            failed,
            (2, "sockowner: write to stdout: No space left on device (os error 28)\n".to_owned())
        );
    }
}

fn answer_to(words: &[&str], stdout: std::fs::File) -> (i32, String) {
    let child = program(words).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn what_comes_and_goes_is_never_a_strangers() {
    const RUNS: usize = 30;
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:8001");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let client = near.tcp_connect(listener.addr);
                let server = far.accept(listener.fd);
                let datagrams = near.udp_bind("127.0.0.1:0");
                // Every second connection ends in TIME_WAIT.
                if client.addr.port() % 2 == 0 {
                    near.set_linger_zero(client.fd);
                }
                near.close(client.fd);
                far.close(server.fd);
                near.close(datagrams.fd);
            }
        });
        let _over = Over(&is_over);
        for run in 0..RUNS {
            let all = if run % 2 == 0 { ask(&["--json"]) } else { ask(&["--json", "who", ":8001"]) };
            assert_eq!(all.status(), 0, "{}", all.stderr());
            let rows = all.endpoints();
            for row in &rows {
                assert_is_known(row, near.pid(), far.pid());
            }
            let listeners: Vec<_> = rows.iter().filter(|row| row["state"] == "LISTEN").collect();
            assert_eq!(listeners.len(), 1);
            assert_eq!(listeners[0]["owner"]["pid"], far.pid());
            for gap in all.json()["gaps"].as_array().unwrap() {
                assert_eq!((&gap["source"], &gap["reason"]), (&"sock_diag".into(), &"interrupted".into()));
            }
            let table = ask(&[]);
            assert_eq!(table.status(), 0, "{}", table.stderr());
            assert!(!table.stderr().contains("panicked"));
        }
    });
}

/// Tells the other thread to end, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Nobody is told to have it but who can have it.
#[track_caller]
fn assert_is_known(row: &Value, near: u32, far: u32) {
    let owner = &row["owner"]["pid"];
    let is_servers = row["local_port"] == 8001;
    let expected = if is_servers { far } else { near };
    match row["reason"].as_str() {
        None => assert_eq!(*owner, expected, "{row}"),
        Some(reason) => {
            assert!(owner.is_null(), "{row}");
            assert!(matches!(reason, "no_holder" | "gone"), "{row}");
        }
    }
    for holder in row["holders"].as_array().unwrap() {
        assert_eq!(holder["pid"], expected, "{row}");
    }
}
