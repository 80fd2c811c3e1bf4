//! What an answer depends on besides files: so that an equal stack need not be unwound again.

use std::fmt;

use crate::{Call, Sample};

/// What was looked at while a sample was resolved. Another sample of the same process that it [`fits`](Self::fits) has the
/// same answer, as long as the [`mappings`](Self::mappings) and their files are the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    call: Call,
    rip: u64,
    stack_len: usize,
    /// Distance from the stack pointer to the frame pointer, where that was used.
    frame_pointer: Option<u64>,
    words: Vec<Word>,
    mappings: Vec<usize>,
    unmapped: bool,
    site: Option<CallSite>,
    /// Nothing was looked at that is not noted here.
    whole: bool,
    /// Where the frame pointer of the frame under way comes from.
    held: FramePointer,
}

/// The address that a component was told by: where its code stands, or that of who called it as its last act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSite {
    /// The number of the mapping that holds it, in [`Process::mappings`](crate::Process::mappings).
    pub mapping: usize,
    /// Where the sample has it.
    pub location: Location,
}

/// Where a sample has an address of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In `rip`.
    Instruction,
    /// In the stack, so many bytes from the stack pointer on: a return address.
    Stack(u16),
    /// Neither: it was found out otherwise.
    Elsewhere,
}

impl Location {
    /// The stack's word at `address`.
    pub(crate) fn of_word(sample: &Sample, address: u64) -> Self {
        let offset = u16::try_from(address.wrapping_sub(sample.registers.rsp));
        offset.map_or(Self::Elsewhere, Self::Stack)
    }
}

/// A word of the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word {
    offset: u16,
    value: u64,
    /// The value is an address of the stack: what counts is its distance from the stack pointer.
    is_of_stack: bool,
}

/// Where a frame pointer comes from. One that is only carried along does not matter, and may be anything: so it is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FramePointer {
    /// The register at the system call's entry.
    Entry,
    /// The word at this address.
    Saved(u64),
    /// Words that are noted already.
    Noted,
}

/// Words that a trace has room for: a return address and a frame pointer for each frame.
const WORDS: usize = 32;

/// Words that turned out to be something else are the process's secrets.
impl Drop for Trace {
    fn drop(&mut self) {
        self.words.fill(Word { offset: 0, value: 0, is_of_stack: false });
        std::hint::black_box(&mut self.words);
    }
}

impl Trace {
    pub(crate) fn new(sample: &Sample) -> Self {
        Self {
            call: sample.call,
            rip: sample.registers.rip,
            stack_len: sample.stack.len(),
            frame_pointer: None,
            // It never grows: so no copy is left behind.
            words: Vec::with_capacity(WORDS),
            mappings: Vec::new(),
            unmapped: false,
            site: None,
            whole: true,
            held: FramePointer::Entry,
        }
    }

    /// The numbers of the mappings that hold the addresses met, in [`Process::mappings`](crate::Process::mappings).
    pub fn mappings(&self) -> &[usize] {
        &self.mappings
    }

    /// An address was met that is in no mapping.
    pub fn is_unmapped(&self) -> bool {
        self.unmapped
    }

    /// What the component was told by; `None` where nothing on the stack names it.
    pub fn site(&self) -> Option<CallSite> {
        self.site
    }

    /// Nothing but what [`fits`](Self::fits) compares was looked at. Each word kept is then an address of code or of the
    /// stack.
    pub fn is_whole(&self) -> bool {
        self.whole && !self.unmapped
    }

    /// All that was looked at is the same in `sample`.
    pub fn fits(&self, sample: &Sample) -> bool {
        let registers = &sample.registers;
        let same = |word: &Word| {
            let base = if word.is_of_stack { registers.rsp } else { 0 };
            let held = sample.word(registers.rsp.wrapping_add(word.offset.into()));
            held.is_some_and(|held| held.wrapping_sub(base) == word.value)
        };
        self.call == sample.call
            && self.rip == registers.rip
            && self.stack_len == sample.stack.len()
            && self.frame_pointer.is_none_or(|distance| registers.rbp.wrapping_sub(registers.rsp) == distance)
            && self.words.iter().all(same)
    }

    /// The word at `address` is looked at, and is an address of code.
    pub(crate) fn code(&mut self, sample: &Sample, address: u64) {
        self.note(sample, address, false);
    }

    /// The word at `address` is looked at, and is an address of the stack.
    pub(crate) fn stack(&mut self, sample: &Sample, address: u64) {
        self.note(sample, address, true);
    }

    /// The word at `address` is looked at, and may be anything: it is not kept.
    pub(crate) fn anything(&mut self) {
        self.whole = false;
    }

    /// The frame pointer is looked at.
    pub(crate) fn frame_pointer(&mut self, sample: &Sample) {
        match self.held {
            FramePointer::Entry => {
                let registers = &sample.registers;
                self.frame_pointer = Some(registers.rbp.wrapping_sub(registers.rsp));
                self.is_near(registers.rbp.wrapping_sub(registers.rsp));
            }
            FramePointer::Saved(address) => self.note(sample, address, true),
            FramePointer::Noted => {}
        }
    }

    pub(crate) fn hold(&mut self, held: FramePointer) {
        self.held = held;
    }

    /// An address of this mapping was met, or of none.
    pub(crate) fn met(&mut self, mapping: Option<usize>) {
        match mapping {
            Some(mapping) if self.mappings.contains(&mapping) => {}
            Some(mapping) => self.mappings.push(mapping),
            None => self.unmapped = true,
        }
    }

    pub(crate) fn found(&mut self, site: Option<CallSite>) {
        self.site = site;
    }

    fn note(&mut self, sample: &Sample, address: u64, is_of_stack: bool) {
        let rsp = sample.registers.rsp;
        let offset = u16::try_from(address.wrapping_sub(rsp));
        let (Some(value), Ok(offset)) = (sample.word(address), offset) else {
            // It could not be read: that depends on the stack's length alone, if it is a stack's address.
            return;
        };
        let value = if is_of_stack { value.wrapping_sub(rsp) } else { value };
        if is_of_stack {
            self.is_near(value);
        }
        let word = Word { offset, value, is_of_stack };
        if self.words.len() >= WORDS {
            self.whole = false;
        } else if !self.words.contains(&word) {
            self.words.push(word);
        }
    }

    /// What is used as an address of the stack, and is far from it, is something else, and nobody's business.
    fn is_near(&mut self, distance: u64) {
        self.whole &= distance < 1 << 16;
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("words", &self.words.len())
            .field("mappings", &self.mappings)
            .field("whole", &self.is_whole())
            .finish_non_exhaustive()
    }
}
