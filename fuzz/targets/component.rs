//! A stack, registers and two ELF files of arbitrary bytes: no panic, and no more work than is allowed.
#![cfg_attr(fuzzing, no_main)]

#[path = "../../crates/sockowner-component/tests/live_component/elf.rs"]
mod elf;
#[path = "../frame.rs"]
#[macro_use]
mod frame;
#[path = "../input.rs"]
mod input;

use input::Input;
use sockowner_component::{
    Call, Device, Error, Grade, Identity, Limits, Mapping, Memory, Modules, Opened, Opener, Process,
    Registers, Sample, executable_mappings,
};

target!(run);

const LIBC: u64 = 0x7f00_0000_0000;
const COMPONENT: u64 = 0x7f00_1000_0000;
const STACK: u64 = 0x7ffc_0000_0000;

/// Steps for one sample.
const STEPS: u64 = 1 << 14;

/// The files, by inode from 1.
struct Files([Vec<u8>; 2]);

impl Opener for Files {
    fn open(&self, mapping: &Mapping) -> Result<Opened, Error> {
        let file = mapping.inode.checked_sub(1).and_then(|at| self.0.get(usize::try_from(at).ok()?));
        let file = file.ok_or(Error::OtherFile)?.clone();
        let identity =
            Identity { device: 0, inode: mapping.inode, size: 0, modified: (0, 0), changed: (0, 0) };
        Ok(Opened { file: Box::new(file), identity })
    }
}

/// Each word of the memory has this value.
struct Everywhere(u64);

impl Memory for Everywhere {
    fn word(&self, _: u64) -> Option<u64> {
        Some(self.0)
    }
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = input.byte();
    let call = Call::ALL[usize::from(input.byte()) % Call::ALL.len()];
    let mut files = [elf::library(true), elf::library(false)];
    let mut registers = Registers { rip: LIBC + elf::BEHIND_SYSCALL as u64, rsp: STACK, rbp: STACK };
    let mut stack = [COMPONENT + elf::BEHIND_CALL as u64, 0].map(u64::to_le_bytes).concat();
    let mut memory = None;

    // Each bit of the mode lets another part be arbitrary.
    if mode & 1 != 0 {
        let mut word = || u64::from_le_bytes(input.take());
        registers = Registers { rip: place(word()), rsp: word(), rbp: word() };
    }
    if mode & 2 != 0 {
        stack = (0..input.byte() % 64)
            .flat_map(|_| place(u64::from_le_bytes(input.take())).to_le_bytes())
            .collect();
    }
    if mode & 4 != 0 {
        memory = Some(place(u64::from_le_bytes(input.take())));
    }
    let count = input.byte();
    for _ in 0..count % 32 {
        let [low, high, value, of] = input.take();
        let at = usize::from(u16::from_le_bytes([low, high])) % elf::SIZE;
        files[usize::from(of & 1)][at] = value;
    }
    if mode & 8 != 0 {
        // All that is left, over the component from some place on, or the whole of it.
        let at = usize::from(u16::from_le_bytes(input.take())) % elf::SIZE;
        let mut rest = vec![0; 512];
        input.fill(&mut rest);
        let end = (at + rest.len()).min(elf::SIZE);
        files[usize::from(mode & 16 != 0)][at..end].copy_from_slice(&rest[..end - at]);
    }
    if mode & 32 != 0 {
        let len = usize::from(u16::from_le_bytes(input.take())) % elf::SIZE;
        files[usize::from(mode & 16 != 0)].truncate(len);
    }

    let is_untouched = mode & 0x2f == 0 && count % 32 == 0;
    let mappings = vec![mapping(LIBC, 1, "/libc.so"), mapping(COMPONENT, 2, "/component.so")];
    let sample = Sample { call, registers, stack };
    let mut modules = Modules::new(Limits { steps: STEPS, modules: 2, ..Limits::default() });
    let process = Process::new(mappings, Files(files));
    let mut process = match memory {
        Some(word) => process.with_memory(Everywhere(word)),
        None => process,
    };
    for _ in 0..2 {
        let resolution = modules.resolve(&mut process, &sample);
        assert!(resolution.steps <= STEPS, "{} steps", resolution.steps);
        if is_untouched && call == Call::Bind {
            let component = resolution.component.expect("it is named");
            assert_eq!((component.name.to_str(), component.grade), (Some("component.so"), Grade::Cfi));
        }
    }
    // The same bytes, as another text.
    let maps = executable_mappings(bytes);
    assert!(maps.executable.len() + maps.malformed <= bytes.len());
}

/// An address that is likely to be of some module or of the stack.
fn place(word: u64) -> u64 {
    let near = word >> 8 & 0xfff;
    match word & 0xff {
        0..=63 => LIBC + near,
        64..=127 => COMPONENT + near,
        128..=159 => STACK + near % 512,
        _ => word,
    }
}

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
