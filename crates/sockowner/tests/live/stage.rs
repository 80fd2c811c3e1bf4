//! Where a test runs, and the tables of tests.

use std::process::ExitCode;

use libtest_mimic::Trial;
use sockowner_testkit::{self as testkit, ProcMount, Requirement, Scenario};

/// The surroundings of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A network namespace of its own; the host's processes are seen, and with them those of other tests.
    Host,
    /// A network, pid and mount namespace of its own, with its own `/proc`: everything that can be seen is the test's.
    /// The test is pid 1.
    Alone,
    /// As `Alone`, with `hidepid=2`.
    HidePid,
    /// As `Alone`, without `/proc`.
    NoProc,
    /// Where the whole run is: the test makes its own surroundings, [`Stage::Scene`]s for instance.
    Outside,
    /// Part of another test, which runs it as a [`Scenario`] of this name.
    Scene,
}

/// A test, or a scene of one.
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
        pub(super) const TESTS: &[$crate::live::stage::Test] = &[$(
            $crate::live::stage::Test {
                stage: $crate::live::stage::Stage::$stage,
                name: stringify!($name),
                needs: &[$($($need),+)?],
                body: $name,
            },
        )+];
    };
}

impl Test {
    fn trial(&self, also: &[Requirement]) -> Option<Trial> {
        let Self { stage, name, needs, body } = *self;
        let needs = &[needs, also].concat();
        let scenario = |proc| testkit::scenario_test(name, needs, Scenario::new(name).proc(proc));
        match stage {
            Stage::Host => Some(testkit::netns_test(name, needs, body)),
            Stage::Alone => Some(scenario(ProcMount::Fresh)),
            Stage::HidePid => Some(scenario(ProcMount::HidePid)),
            Stage::NoProc => Some(scenario(ProcMount::Missing)),
            Stage::Outside => Some(testkit::live_test(name, needs, body)),
            Stage::Scene => None,
        }
    }
}

/// Runs all tests; in a re-execution, the one scenario or actor that it stands for.
pub(super) fn run(needs: &[Requirement], tables: &[&[Test]]) -> ExitCode {
    let tests = tables.concat();
    let scenarios: Vec<_> = tests.iter().map(|test| (test.name, test.body)).collect();
    testkit::main_prelude(&scenarios);
    testkit::run(tests.iter().filter_map(|test| test.trial(needs)).collect())
}
