//! What is asked and what comes of it: plain data.

use std::fmt;
use std::sync::Arc;

use sockowner::{Component, ComponentEvidence};
use sockowner_component::{Call, Executable, Location, Mapping, Registers};

/// One socket call, as the kernel noted it. Its registers and its piece of stack are the process's secrets: they are not
/// printed, and are overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Sample {
    /// The kernel's key of the process: another one for each process, whatever its pid.
    pub process: u64,
    /// Its number in the pid namespace of this program. `None`: it has none, or that is not known.
    pub pid: Option<u32>,
    /// When it was started, in clock ticks since boot, as `/proc/PID/stat` tells it.
    pub start_ticks: u64,
    /// The user who made the call: one whose samples get the parser stuck is passed over for a while.
    pub uid: u32,
    /// When the call was made, in nanoseconds since boot (`CLOCK_BOOTTIME`).
    pub time: u64,
    /// Which call.
    pub call: Call,
    /// Where the thread stood at its entry.
    pub registers: Registers,
    /// The user's stack from `rsp` upwards: 512 bytes, or as many as could be read.
    pub stack: Vec<u8>,
    /// What the kernel knew at the call of the mappings that hold `rip` and the stack's return addresses. With all of these
    /// the answer is sure even if the process has ended, or has loaded something else since. May be empty.
    pub mappings: Vec<Mapping>,
    /// Which of them these are.
    pub facts: Facts,
    /// What the process was started from, where that is known: the component where nothing on the stack names one.
    pub executable: Option<Executable>,
}

/// Which mappings the kernel told with a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facts {
    /// None: it cannot look for them.
    None,
    /// That of the call site alone, which was [told](Resolved::site) before.
    Site,
    /// All that it found.
    All,
}

/// What came of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Whose code made the call.
    pub component: Arc<Component>,
    /// What it was told by. Who makes a call with this on the stack is most likely the same again: then its mapping alone is
    /// enough. Only where the sample came with all mappings, and the process was looked at as well.
    pub site: Option<Site>,
}

/// An address of code that an answer rests on, and where the sample has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// So many bytes from `rsp` on, a multiple of 8; `None`: it is `rip`.
    pub slot: Option<u16>,
    /// The address: what a function returns to, or `rip`.
    pub word: u64,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Sample {
    /// The site that the parser tells of, if it can be true: an address in code that the kernel told of, and nothing else.
    pub(super) fn site(&self, location: Location) -> Option<Site> {
        let (slot, word, within) = match location {
            Location::Instruction => (None, self.registers.rip, self.registers.rip),
            Location::Stack(slot) => {
                let bytes = self.stack.get(usize::from(slot)..)?.first_chunk()?;
                let word = u64::from_le_bytes(*bytes);
                (Some(slot), word, word.checked_sub(1)?)
            }
            Location::Elsewhere => return None,
        };
        let is_code = self.mappings.iter().any(|mapping| (mapping.start..mapping.end).contains(&within));
        let is_slot = slot.is_none_or(|slot| slot % 8 == 0);
        (self.facts == Facts::All && is_code && is_slot).then_some(Site { slot, word })
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("process", &self.process)
            .field("pid", &self.pid)
            .field("start_ticks", &self.start_ticks)
            .field("uid", &self.uid)
            .field("time", &self.time)
            .field("call", &self.call)
            .field("stack", &format_args!("{} bytes", self.stack.len()))
            .field("mappings", &self.mappings.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // What is left over of a longer one, too.
        self.stack.resize(self.stack.capacity(), 0);
        wipe(&mut self.stack);
        self.registers = Registers::default();
        std::hint::black_box(&mut self.registers);
    }
}

/// Overwrites bytes that nobody will read any more, which the compiler would otherwise take for needless.
pub(super) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}

/// Why a sample has no component. The words are for `record status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unknown {
    /// Ten seconds went by before its turn came.
    TooOld,
    /// More mappings, or longer paths, than are taken.
    TooLarge,
    /// The process's earlier samples, or many of its user's, got the parser or the opener stuck.
    PassedOver,
    /// The parser ended or did not answer in time, with this very sample.
    ParserLost,
    /// The opener ended or did not answer in time, with a file or a process of this very sample.
    OpenerLost,
    /// Neither could be started again.
    NotRunning,
    /// The process has ended, or its mappings cannot be had, and the kernel told none.
    Gone,
    /// The mappings changed about the time of the call: what was there at the call cannot be told.
    Changed,
    /// Nothing on the stack names a module, and the executable is not known either.
    Nothing,
}

impl Unknown {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::TooOld,
        Self::TooLarge,
        Self::PassedOver,
        Self::ParserLost,
        Self::OpenerLost,
        Self::NotRunning,
        Self::Gone,
        Self::Changed,
        Self::Nothing,
    ];

    /// `too_old`, `too_large`, `passed_over`, `parser_lost`, `opener_lost`, `not_running`, `gone`, `changed` or `nothing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::TooLarge => "too_large",
            Self::PassedOver => "passed_over",
            Self::ParserLost => "parser_lost",
            Self::OpenerLost => "opener_lost",
            Self::NotRunning => "not_running",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Nothing => "nothing",
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What came of all samples so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Components told, by evidence.
    pub resolved: [(ComponentEvidence, u64); 5],
    /// Samples without one, by cause.
    pub unknown: [(Unknown, u64); Unknown::ALL.len()],
    /// Parsers that ended or were killed because they did not answer.
    pub parsers_lost: u64,
    /// Openers that ended or were killed because they did not answer.
    pub openers_lost: u64,
}

impl Default for Counts {
    fn default() -> Self {
        use ComponentEvidence::{CallTarget, Cfi, CfiIndirect, ExecutableOnly, ReturnAddress};
        Self {
            resolved: [Cfi, CallTarget, CfiIndirect, ReturnAddress, ExecutableOnly]
                .map(|evidence| (evidence, 0)),
            unknown: Unknown::ALL.map(|unknown| (unknown, 0)),
            parsers_lost: 0,
            openers_lost: 0,
        }
    }
}

impl Counts {
    pub(super) fn count(&mut self, answer: Result<ComponentEvidence, Unknown>) {
        let count = match answer {
            Ok(evidence) => {
                self.resolved.iter_mut().find(|(known, _)| *known == evidence).map(|(_, count)| count)
            }
            Err(unknown) => {
                self.unknown.iter_mut().find(|(known, _)| *known == unknown).map(|(_, count)| count)
            }
        };
        if let Some(count) = count {
            *count += 1;
        }
    }

    /// How many samples these are.
    pub fn samples(&self) -> u64 {
        let resolved = self.resolved.iter().map(|(_, count)| count);
        resolved.chain(self.unknown.iter().map(|(_, count)| count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_does_not_print_what_it_holds() {
        let sample = Sample {
            process: 1,
            pid: Some(2),
            start_ticks: 3,
            uid: 4,
            time: 5,
            call: Call::Bind,
            registers: Registers { rip: 0x7a7a_7a01, rsp: 0x7a7a_7a02, rbp: 0x7a7a_7a03 },
            stack: b"zzzz".to_vec(),
            mappings: Vec::new(),
            facts: Facts::None,
            executable: None,
        };
        let text = format!("{sample:?} {sample:#?}");
        assert!(text.contains("4 bytes") && text.contains("Bind"), "{text}");
        for secret in ["zzzz", "122", "7a", "2054847"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }

    /// The parser may say anything: what it names has to be an address of code, and not a secret.
    #[test]
    fn a_site_is_an_address_of_code() {
        let mapping = Mapping {
            start: 0x1000,
            end: 0x2000,
            offset: 0,
            device: sockowner_component::Device::default(),
            inode: 1,
            path: None,
            deleted: false,
        };
        let words = [0x7ffc_0000_1234_u64, 0x1000, 0x1001, 0x2000, 0];
        let mut sample = Sample {
            process: 1,
            pid: None,
            start_ticks: 3,
            uid: 4,
            time: 5,
            call: Call::Bind,
            registers: Registers { rip: 0x1fff, rsp: 0x7ffc_0000_0000, rbp: 0 },
            stack: words.iter().flat_map(|word| word.to_le_bytes()).collect(),
            mappings: vec![mapping],
            facts: Facts::All,
            executable: None,
        };
        let stack = Location::Stack;
        for (location, slot, word) in [
            (stack(16), Some(16), 0x1001),
            (stack(24), Some(24), 0x2000),
            (Location::Instruction, None, 0x1fff),
        ] {
            assert!(sample.site(location) == Some(Site { slot, word }), "{location:?}");
        }
        for slot in [0, 8, 17, 20, 32, 33, 40, u16::MAX] {
            assert!(sample.site(stack(slot)).is_none(), "{slot}");
        }
        assert!(sample.site(Location::Elsewhere).is_none());
        sample.facts = Facts::Site;
        assert!(sample.site(stack(16)).is_none() && sample.site(Location::Instruction).is_none());
        (sample.facts, sample.registers.rip) = (Facts::All, 0x2000);
        assert!(sample.site(Location::Instruction).is_none());
    }

    #[test]
    fn each_sample_is_counted_once() {
        let mut counts = Counts::default();
        let evidences = counts.resolved.map(|(evidence, _)| evidence);
        for answer in evidences.map(Ok).into_iter().chain(Unknown::ALL.map(Err)) {
            let before = counts.samples();
            counts.count(answer);
            assert_eq!(counts.samples(), before + 1, "{answer:?}");
        }
        assert!(counts.resolved.iter().all(|(_, count)| *count == 1));
        assert!(counts.unknown.iter().all(|(_, count)| *count == 1));
    }
}
