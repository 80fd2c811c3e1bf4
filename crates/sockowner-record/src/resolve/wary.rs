//! Whose samples got a child stuck: they are passed over for a while, so that others' do not wait for them.

use std::time::{Duration, Instant};

use super::Sample;

/// Cases that are remembered.
const CASES: usize = 64;

/// A user with so many is passed over as a whole.
const OF_ONE_USER: usize = 4;

const WHILE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Wary(Vec<Case>);

#[derive(Clone, Copy, Debug)]
struct Case {
    process: u64,
    uid: u32,
    when: Instant,
}

impl Wary {
    /// This sample got a child stuck.
    pub(super) fn note(&mut self, sample: &Sample) {
        self.note_at(sample, Instant::now());
    }

    /// It is better not to try.
    pub(super) fn passes_over(&mut self, sample: &Sample) -> bool {
        // Mostly there is none, and then no clock is read.
        !self.0.is_empty() && self.passes_over_at(sample, Instant::now())
    }

    fn note_at(&mut self, sample: &Sample, when: Instant) {
        if self.0.len() >= CASES {
            self.0.remove(0);
        }
        self.0.push(Case { process: sample.process, uid: sample.uid, when });
    }

    fn passes_over_at(&mut self, sample: &Sample, now: Instant) -> bool {
        self.0.retain(|case| now.saturating_duration_since(case.when) < WHILE);
        self.0.iter().any(|case| case.process == sample.process)
            || self.0.iter().filter(|case| case.uid == sample.uid).count() >= OF_ONE_USER
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Call, Facts, Registers};
    use super::*;

    fn sample(process: u64, uid: u32) -> Sample {
        Sample {
            process,
            pid: None,
            start_ticks: 0,
            uid,
            time: 0,
            call: Call::Bind,
            registers: Registers::default(),
            stack: Vec::new(),
            mappings: Vec::new(),
            facts: Facts::None,
            executable: None,
        }
    }

    #[test]
    fn a_process_is_passed_over_and_then_its_user() {
        let now = Instant::now();
        let mut wary = Wary::default();
        wary.note_at(&sample(1, 1000), now);
        assert!(wary.passes_over_at(&sample(1, 1000), now));
        assert!(!wary.passes_over_at(&sample(2, 1000), now));
        for process in 2..=4 {
            wary.note_at(&sample(process, 1000), now);
        }
        assert!(wary.passes_over_at(&sample(9, 1000), now));
        assert!(!wary.passes_over_at(&sample(9, 1001), now));
        assert!(!wary.passes_over_at(&sample(1, 1000), now + WHILE));
        assert!(wary.0.is_empty());
    }

    #[test]
    fn no_more_are_remembered_than_that() {
        let now = Instant::now();
        let mut wary = Wary::default();
        (0..200).for_each(|process| wary.note_at(&sample(process, u32::try_from(process).unwrap()), now));
        assert_eq!(wary.0.len(), CASES);
        assert!(!wary.passes_over_at(&sample(0, 0), now) && wary.passes_over_at(&sample(199, 199), now));
    }
}
