//! What was taken of the ring buffer is in it no longer.

use std::fs::{self, File};
use std::hint::black_box;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::net::{AddressFamily, SocketType};
use sockowner::os::linux::record::Sampler;

use super::ask::Recorder;

tests! {
    Alone what_was_taken_is_overwritten;
    Alone what_comes_while_it_is_overwritten_is_told;
}

/// Its parts: so it is nowhere as it is on the stack.
const PARTS: [u64; 2] = [0x7077_6173_6865_6421, 0x1b3c_55aa_0f0f_7e81];

/// Has the mark on its stack when it listens.
#[inline(never)]
fn listen_with_mark() -> OwnedFd {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let mark = black_box([PARTS[0] ^ PARTS[1], !PARTS[0], PARTS[0].wrapping_mul(PARTS[1])]);
    rustix::net::listen(&socket, 1).unwrap();
    black_box(&mark);
    socket
}

/// How often the mark is in the ring buffers that this process has mapped.
fn marks() -> usize {
    let mark = black_box([PARTS[0] ^ PARTS[1], !PARTS[0], PARTS[0].wrapping_mul(PARTS[1])]);
    let mark: Vec<u8> = mark.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains("bpf-map")) {
        let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        memory.read_exact_at(&mut bytes, start).unwrap();
        found += bytes.windows(mark.len()).filter(|window| **window == *mark).count();
    }
    found
}

fn what_was_taken_is_overwritten() {
    let _recorder = Recorder::start();
    let (mut sampler, _) = Sampler::attach().unwrap();
    let pid = std::process::id();
    for _ in 0..3 {
        let _socket = listen_with_mark();
        let mut own = 0;
        sampler.take(100_000, |sample| own += usize::from(sample.pid == Some(pid))).unwrap();
        assert!(own >= 1);
        assert!(marks() > 0, "a sample has the stack");
        sampler.wash(|_| {}).unwrap();
        assert_eq!(marks(), 0);
    }
}

fn what_comes_while_it_is_overwritten_is_told() {
    let _recorder = Recorder::start();
    let (mut sampler, _) = Sampler::attach().unwrap();
    let pid = std::process::id();
    // As many as fit by far, and none was taken: what is in the way is told, and nothing is lost.
    let sockets: Vec<_> = (0..100).map(|_| listen_with_mark()).collect();
    let mut own = 0;
    sampler.wash(|sample| own += usize::from(sample.pid == Some(pid))).unwrap();
    assert_eq!((own, sampler.lost().unwrap()), (2 * sockets.len(), 0));
    assert_eq!(marks(), 0);
    let _socket = listen_with_mark();
    own = 0;
    sampler.take(100_000, |sample| own += usize::from(sample.pid == Some(pid))).unwrap();
    assert_eq!(own, 2, "it goes on");
}
