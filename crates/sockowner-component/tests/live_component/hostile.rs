//! Files that lie, end early or never: no panic, and no more work than is allowed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sockowner_component::{
    Call, Device, Error, Files, Grade, Identity, Limits, Mapping, Modules, Opened, Opener, Process, ReadAt,
    Registers, Resolution, Sample,
};
use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::live_test;

use super::case::{process, tell};
use super::elf::{self, library};
use super::tracer::{Stop, trace};
use super::workshop::{GCC, TRACING, Workshop};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        live_test("made_library", &[], made_library),
        live_test("made_library_spoilt", &[], spoilt),
        live_test("endless_tables", &[], endless),
        live_test("endless_file", &[], endless_file),
        live_test("files_that_cannot_be_read", &[], unreadable),
        live_test("truncated_libraries", &[GCC, TRACING], truncated),
        live_test("flipped_bytes", &[GCC, TRACING], flipped),
        live_test("fifo_at_the_path", &[GCC, TRACING], fifo),
        live_test("hostile_stacks", &[GCC, TRACING], stacks),
    ]
}

/// Files in memory, by inode, with their reads counted.
struct Shelf {
    files: Vec<(u64, Arc<Vec<u8>>)>,
    reads: Arc<AtomicU64>,
}

struct Counted(Arc<Vec<u8>>, Arc<AtomicU64>);

impl ReadAt for Counted {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read_at(buffer, offset)
    }
}

impl Opener for Shelf {
    fn open(&self, mapping: &Mapping) -> Result<Opened, Error> {
        let file = self.files.iter().find(|(inode, _)| *inode == mapping.inode);
        let (inode, bytes) = file.ok_or(Error::OtherFile)?;
        let file = Counted(Arc::clone(bytes), Arc::clone(&self.reads));
        Ok(Opened { file: Box::new(file), identity: identity(*inode) })
    }
}

fn identity(inode: u64) -> Identity {
    Identity { device: 1, inode, size: 0, modified: (0, 0), changed: (0, 0) }
}

/// Resolves with these files. Whatever they are, the work is bounded: there is no read without a step.
fn resolve(files: Vec<(u64, Arc<Vec<u8>>)>, mappings: &[Mapping], sample: &Sample) -> Resolution {
    let reads = Arc::new(AtomicU64::new(0));
    let shelf = Shelf { files, reads: Arc::clone(&reads) };
    let limits = Limits { steps: 1 << 16, ..Limits::default() };
    let resolution = Modules::new(limits).resolve(&mut Process::new(mappings.to_vec(), shelf), sample);
    assert!(resolution.steps <= limits.steps);
    assert!(reads.load(Ordering::Relaxed) <= resolution.steps, "{resolution:?}");
    resolution
}

const LIBC: u64 = 0x7f00_0000_0000;
const COMPONENT: u64 = 0x7f00_1000_0000;

fn mapping(start: u64, inode: u64, name: &str) -> Mapping {
    let end = start + elf::SIZE as u64;
    Mapping {
        start,
        end,
        offset: 0,
        device: Device::default(),
        inode,
        path: Some(name.into()),
        deleted: false,
    }
}

/// `run` of the component called `bind` of the libc.
fn made(libc: Vec<u8>, component: Vec<u8>) -> Resolution {
    let mappings = [mapping(LIBC, 1, "/libc.so"), mapping(COMPONENT, 2, "/component.so")];
    let stack = [COMPONENT + elf::BEHIND_CALL as u64, 0].map(u64::to_le_bytes).concat();
    let registers = Registers { rip: LIBC + elf::BEHIND_SYSCALL as u64, rsp: 0x7ffc_0000_0000, rbp: 0 };
    let sample = Sample { call: Call::Bind, registers, stack };
    resolve(vec![(1, Arc::new(libc)), (2, Arc::new(component))], &mappings, &sample)
}

fn made_library() {
    let told = made(library(true), library(false));
    let component = told.component.as_ref().unwrap();
    assert_eq!(
        (component.name.to_str(), component.grade),
        (Some("component.so"), Grade::Cfi),
        "{}",
        tell(&told)
    );
    assert_eq!(component.build_id.as_ref().unwrap().to_string(), "ab".repeat(20));
    assert_eq!(component.offset, Some(elf::BEHIND_CALL as u64));
    assert_eq!(told.end, Error::Outermost);
}

/// Each byte of the tables takes values that matter, in either file.
fn spoilt() {
    for at in 0..elf::FUNCTION {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let [mut libc, mut component] = [library(true), library(false)];
            libc[at] = value;
            component[at] = value;
            made(libc.clone(), library(false));
            made(library(true), component.clone());
            made(libc, component);
        }
    }
    for len in 0..elf::SIZE {
        made(library(true)[..len].to_vec(), library(false));
        let told = made(library(true), library(false)[..len].to_vec());
        let component = told.component.unwrap();
        assert!(component.grade != Grade::Cfi || component.name == "component.so");
    }
}

fn patched(defines: bool, patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut file = library(defines);
    for (at, bytes) in patches {
        file[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    file
}

fn endless() {
    // The one chain of the hash table has no end, and no entry that fits.
    let mut chain = vec![0; elf::SIZE - 0x800];
    chain.fill(0x02);
    let gnu: &[(usize, &[u8])] = &[
        (elf::DYNAMIC + 3 * 16 + 8, &0x700_u64.to_le_bytes()),
        (0x700, &[1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        (0x800, &chain),
    ];
    // A symbol that follows itself.
    let ring: &[(usize, &[u8])] = &[
        (elf::DYNAMIC + 3 * 16, &4_u64.to_le_bytes()),
        (elf::DYNAMIC + 3 * 16 + 8, &(elf::HASH as u64).to_le_bytes()),
        (elf::HASH, &[1, 0, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
        (elf::NAMES, &[b'x'; 10]),
    ];
    // Relocations without number, none of which fits.
    let relocations: &[(usize, &[u8])] = &[
        (elf::DYNAMIC + 5 * 16 + 8, &u64::MAX.to_le_bytes()),
        (elf::DYNAMIC + 7 * 16 + 8, &u64::MAX.to_le_bytes()),
        (elf::RELOCATIONS, &[0; 24]),
    ];
    // As many unwind entries as can be written down.
    let entries: &[(usize, &[u8])] =
        &[(elf::UNWIND_HEADER + 8, &[255; 4]), (elf::HEADERS + 2 * 56 + 32, &u64::MAX.to_le_bytes())];
    for patches in [gnu, ring, relocations, entries] {
        let told = made(patched(true, patches), patched(false, patches));
        assert_ne!(told.component.unwrap().grade, Grade::Cfi);
    }
}

/// A file that has bytes everywhere: what its tables say is only limited by the steps.
struct Endless(Vec<u8>, u8);

impl ReadAt for Endless {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        buffer.fill(self.1);
        let len = self.0.read_at(buffer, offset)?;
        Ok(buffer.len().max(len))
    }
}

/// Bytes, and where they go.
type Patches = Vec<(usize, Vec<u8>)>;

struct EndlessShelf(Patches, u8);

impl Opener for EndlessShelf {
    fn open(&self, mapping: &Mapping) -> Result<Opened, Error> {
        let mut file = library(mapping.inode == 1);
        // One segment, without end.
        file[elf::HEADERS + 32..][..8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
        file[elf::HEADERS + 40..][..8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
        for (at, bytes) in &self.0 {
            file[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        Ok(Opened { file: Box::new(Endless(file, self.1)), identity: identity(mapping.inode) })
    }
}

fn endless_file() {
    let far = (elf::SIZE as u64 * 2).to_le_bytes();
    let word = |at: usize, value: [u8; 8]| (at, value.to_vec());
    let tables: &[(&str, Patches)] = &[
        ("none", vec![]),
        ("hash table", vec![word(elf::DYNAMIC + 3 * 16 + 8, far)]),
        (
            "relocations",
            vec![
                word(elf::DYNAMIC + 4 * 16 + 8, far),
                word(elf::DYNAMIC + 5 * 16 + 8, u64::MAX.to_le_bytes()),
                word(elf::DYNAMIC + 6 * 16 + 8, far),
                word(elf::DYNAMIC + 7 * 16 + 8, u64::MAX.to_le_bytes()),
            ],
        ),
        ("names", vec![word(elf::DYNAMIC + 8, far), word(elf::DYNAMIC + 16 + 8, u64::MAX.to_le_bytes())]),
        ("dynamic section", vec![word(elf::HEADERS + 56 + 8, far), word(elf::HEADERS + 56 + 32, [255; 8])]),
        ("notes", vec![word(elf::HEADERS + 3 * 56 + 8, far), word(elf::HEADERS + 3 * 56 + 32, [255; 8])]),
        ("unwind table", vec![word(elf::HEADERS + 2 * 56 + 16, far)]),
        ("unwind entry", vec![(elf::UNWIND_HEADER + 16, far[..4].to_vec())]),
    ];
    for (name, patches) in tables {
        for fill in [0, 1, 2, 0x10, 0x41, 0x7f, 0x80, 0xff] {
            let mappings = vec![mapping(LIBC, 1, "/libc.so"), mapping(COMPONENT, 2, "/component.so")];
            let stack = [COMPONENT + elf::BEHIND_CALL as u64, 0].map(u64::to_le_bytes).concat();
            let registers =
                Registers { rip: LIBC + elf::BEHIND_SYSCALL as u64, rsp: 0x7ffc_0000_0000, rbp: 0 };
            let sample = Sample { call: Call::Bind, registers, stack };
            let limits = Limits { steps: 1 << 16, ..Limits::default() };
            let mut process = Process::new(mappings, EndlessShelf(patches.clone(), fill));
            let told = Modules::new(limits).resolve(&mut process, &sample);
            assert!(told.steps <= limits.steps, "{name} {fill}");
        }
    }
}

struct Failing;

impl ReadAt for Failing {
    fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::Interrupted.into())
    }
}

/// Reading never ends in anything but a signal.
struct FailingShelf;

impl Opener for FailingShelf {
    fn open(&self, mapping: &Mapping) -> Result<Opened, Error> {
        Ok(Opened { file: Box::new(Failing), identity: identity(mapping.inode) })
    }
}

fn unreadable() {
    let registers = Registers { rip: LIBC + 1, rsp: 0, rbp: 0 };
    let sample = Sample { call: Call::Bind, registers, stack: vec![0; 512] };
    let mut process = Process::new(vec![mapping(LIBC, 1, "/libc.so")], FailingShelf);
    let told = Modules::default().resolve(&mut process, &sample);
    assert_eq!(told.end, Error::TooMuchWork);
    assert_eq!(told.component.unwrap().grade, Grade::ExecutableOnly);
    // And nothing at all.
    let told = Modules::default().resolve(&mut Process::new(vec![], Files::new()), &sample);
    assert_eq!((told.component, told.end), (None, Error::NoMapping));
}

/// A library's calls, with all its files in memory.
fn real_calls(mut seen: impl FnMut(&Stop, Vec<(u64, Arc<Vec<u8>>)>)) {
    let workshop = Workshop::open();
    workshop.library("component.c", "libcomponent.so", &[]);
    let program = workshop.program("user.c", "user", &["-l:libcomponent.so"]);
    trace(&mut Command::new(program), |stop| {
        if matches!(stop.sample.call, Call::Bind | Call::Accept) {
            let files = stop.mappings.iter().filter(|mapping| mapping.is_file());
            let read = |mapping: &Mapping| Arc::new(std::fs::read(mapping.path.as_ref().unwrap()).unwrap());
            seen(stop, files.map(|mapping| (mapping.inode, read(mapping))).collect());
        }
    });
}

fn truncated() {
    real_calls(|stop, files| {
        let whole = resolve(files.clone(), &stop.mappings, &stop.sample);
        assert_eq!(whole.component.unwrap().grade, Grade::Cfi);
        for number in 0..files.len() {
            let size = files[number].1.len();
            // Each length within the headers, then some hundred.
            for len in (0..1024).step_by(3).chain((1024..size).step_by(size / 300 + 1)) {
                let mut files = files.clone();
                files[number].1 = Arc::new(files[number].1[..len.min(size)].to_vec());
                let told = resolve(files, &stop.mappings, &stop.sample).component.unwrap();
                assert!(told.grade != Grade::Cfi || told.name == "libcomponent.so", "{told:?}");
            }
        }
    });
}

fn flipped() {
    let mut state = 4711_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    real_calls(|stop, files| {
        for round in 0..3000 {
            let mut files = files.clone();
            let number = random(files.len());
            let file = Arc::make_mut(&mut files[number].1);
            // Half of them among the headers and the dynamic symbols.
            let below = if round % 2 == 0 { file.len().min(0x2000) } else { file.len() };
            for _ in 0..=random(8) {
                let at = random(below);
                file[at] ^= u8::try_from(1 + random(255)).unwrap();
            }
            resolve(files, &stop.mappings, &stop.sample);
        }
    });
}

/// The library's path is a FIFO, which nobody writes to.
fn fifo() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let inode = std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
    real_calls(|stop, _| {
        let mut process = process(stop, false, Files::new());
        let mut mappings = process.mappings().to_vec();
        let name = |mapping: &Mapping| {
            mapping.path.as_deref().and_then(Path::file_name) == Some("libcomponent.so".as_ref())
        };
        for mapping in mappings.iter_mut().filter(|mapping| name(mapping)) {
            (mapping.path, mapping.inode) = (Some(path.clone()), inode);
        }
        process = Process::new(mappings, Files::new());
        let told = Modules::default().resolve(&mut process, &stop.sample);
        assert_eq!(told.end, Error::NotRegular, "{}", tell(&told));
        assert_eq!(told.component.unwrap().grade, Grade::ExecutableOnly);
    });
}

/// Stacks and registers that point anywhere.
fn stacks() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 16
    };
    real_calls(|stop, files| {
        for _ in 0..2000 {
            let mut sample = stop.sample.clone();
            for word in sample.stack.chunks_exact_mut(8) {
                let mapping = &stop.mappings[usize::try_from(random()).unwrap() % stop.mappings.len()];
                let value = match random() % 4 {
                    0 => mapping.start + random() % (mapping.end - mapping.start),
                    1 => sample.registers.rsp + random() % 512,
                    2 => random() << 16,
                    _ => continue,
                };
                word.copy_from_slice(&value.to_le_bytes());
            }
            match random() % 4 {
                0 => sample.registers.rsp = u64::MAX - random() % 512,
                1 => sample.registers.rbp = sample.registers.rsp + random() % 512,
                2 => sample.registers.rip = random() << 16,
                _ => {}
            }
            resolve(files.clone(), &stop.mappings, &sample);
        }
    });
}
