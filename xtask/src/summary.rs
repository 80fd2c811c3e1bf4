//! Reading the lines in which nextest, libtest and our live tests say what happened.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed, failed, and did not run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

/// Who prints the summary. A failing test under nextest shows libtest's summary too: only one may count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harness {
    Nextest,
    /// libtest, and libtest-mimic, which prints the same line.
    Libtest,
}

impl Counts {
    /// Tests that ran.
    pub(crate) fn executed(self) -> u64 {
        self.passed + self.failed
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Harness {
    /// The counts of a summary line, None for any other line.
    pub(crate) fn summary(self, line: &str) -> Option<Counts> {
        match self {
            Self::Nextest => {
                let (_, rest) = line.trim_start().strip_prefix("Summary [")?.split_once(']')?;
                let (_, rest) = rest.split_once(" run: ")?;
                Some(count(without_parentheses(rest).split(',')))
            }
            Self::Libtest => {
                let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
                Some(count(rest.split(';')))
            }
        }
    }
}

/// The `NAME: why` of a live test that cannot run on this machine.
pub(crate) fn skip_reason(line: &str) -> Option<&str> {
    line.trim().strip_prefix("SKIPPED ").filter(|rest| rest.contains(": "))
}

/// Adds up items such as `3 passed`; those that count no test (`1 measured`) add nothing.
fn count<'a>(items: impl Iterator<Item = &'a str>) -> Counts {
    let mut counts = Counts::default();
    for item in items {
        let Some((number, what)) = item.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match what.trim() {
            "passed" => counts.passed += number,
            "failed" | "exec failed" | "timed out" => counts.failed += number,
            "skipped" | "ignored" => counts.skipped += number,
            _ => {}
        }
    }
    counts
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0;
    let outside = |&c: &char| {
        depth += i32::from(c == '(');
        let outside = depth == 0;
        depth -= i32::from(c == ')');
        outside
    };
    text.chars().filter(outside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn nextest() {
        let read = |line| Harness::Nextest.summary(line);
        assert_eq!(
            read("     Summary [   0.019s] 35 tests run: 35 passed, 0 skipped"),
            Some(counts(35, 0, 0))
        );
        assert_eq!(read("     Summary [   0.014s] 1 test run: 1 passed, 2 skipped"), Some(counts(1, 0, 2)));
        assert_eq!(
            read("     Summary [   0.5s] 3 tests run: 2 passed, 1 failed, 1 skipped"),
            Some(counts(2, 1, 1))
        );
        assert_eq!(
            read(
                "     Summary [  61.1s] 9 tests run: 4 passed (1 slow, 1 leaky), 2 failed, 1 exec failed, 2 timed out, 3 skipped"
            ),
            Some(counts(4, 5, 3))
        );
        assert_eq!(
            read(
                "     Summary [   0.047s] 2/9 tests run: 1 passed, 1 failed (1 due to being leaky), 0 skipped"
            ),
            Some(counts(1, 1, 0))
        );
        assert_eq!(
            read("test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out"),
            None
        );
        assert_eq!(read("        PASS [   0.009s] (1/3) lm tests::a"), None);
    }

    #[test]
    fn libtest() {
        let read = |line| Harness::Libtest.summary(line);
        assert_eq!(
            read(
                "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.12s"
            ),
            Some(counts(12, 0, 3))
        );
        assert_eq!(
            read(
                "test result: FAILED. 4 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out; finished in 1.00s"
            ),
            Some(counts(4, 2, 1))
        );
        assert_eq!(read("test src/lib.rs - f (line 2) ... ok"), None);
        assert_eq!(read("     Summary [   0.019s] 3 tests run: 3 passed, 1 skipped"), None);
    }

    #[test]
    fn reasons() {
        assert_eq!(skip_reason("SKIPPED netns: no privilege\n"), Some("netns: no privilege"));
        assert_eq!(skip_reason("SKIPPED without a reason"), None);
        assert_eq!(skip_reason("test netns ... ignored"), None);
    }

    #[test]
    fn totals() {
        let mut sum = Counts { passed: 1, failed: 2, skipped: 3 };
        sum += Counts { passed: 10, failed: 20, skipped: 30 };
        assert_eq!(sum.to_string(), "11 passed, 22 failed, 33 skipped");
        assert_eq!(sum.executed(), 33);
    }
}
