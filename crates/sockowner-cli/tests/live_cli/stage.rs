//! Where a test runs, and the tables of tests.

use std::process::ExitCode;

use libtest_mimic::Trial;
use sockowner_testkit::{self as testkit, ProcMount, Requirement, Scenario};

/// The surroundings of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A network, pid and mount namespace of its own, with its own `/proc`: everything that can be seen is the test's.
    /// The test is pid 1, and root.
    Alone,
    /// As `Alone`, with `hidepid=2`.
    HidePid,
    /// As `Alone`, without `/proc`.
    NoProc,
    /// Where the whole run is, as whoever runs it.
    Outside,
}

/// A test.
#[derive(Clone, Copy, Debug)]
pub(super) struct Test {
    pub(super) stage: Stage,
    pub(super) name: &'static str,
    pub(super) needs: &'static [Requirement],
    pub(super) body: fn(),
}

/// The table of a module: `Stage name_of_the_function needs ...;`
macro_rules! tests {
    ($($stage:ident $name:ident $(needs $($need:expr),+)?;)+) => {
        pub(super) const TESTS: &[$crate::live_cli::stage::Test] = &[$(
            $crate::live_cli::stage::Test {
                stage: $crate::live_cli::stage::Stage::$stage,
                name: stringify!($name),
                needs: &[$($($need),+)?],
                body: $name,
            },
        )+];
    };
}

impl Test {
    fn trial(&self) -> Trial {
        let Self { stage, name, needs, body } = *self;
        let scenario = |proc| testkit::scenario_test(name, needs, Scenario::new(name).proc(proc));
        match stage {
            Stage::Alone => scenario(ProcMount::Fresh),
            Stage::HidePid => scenario(ProcMount::HidePid),
            Stage::NoProc => scenario(ProcMount::Missing),
            Stage::Outside => testkit::live_test(name, needs, body),
        }
    }
}

/// Runs all tests; in a re-execution, the one scenario or actor that it stands for.
pub(super) fn run(tables: &[&[Test]]) -> ExitCode {
    let tests = tables.concat();
    let scenarios: Vec<_> = tests.iter().map(|test| (test.name, test.body)).collect();
    testkit::main_prelude(&scenarios);
    testkit::run(tests.iter().map(Test::trial).collect())
}
