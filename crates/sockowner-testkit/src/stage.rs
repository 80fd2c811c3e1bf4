//! Tables of tests: each line says where a test runs, and what it needs of the machine.
//!
//! A suite loads the macro once, at its root, by `#[macro_use(tests)] extern crate sockowner_testkit;`.
//!
//! ```no_run
//! # #[cfg(target_os = "linux")] mod live {
//! mod listeners {
//!     use sockowner_testkit::Requirement::NsLastPid;
//!     # use sockowner_testkit::tests;
//!
//!     tests! {
//!         Host a_listener_has_its_owner;
//!         Alone a_recycled_pid_names_nobody needs NsLastPid;
//!     }
//!
//!     fn a_listener_has_its_owner() {}
//!     fn a_recycled_pid_names_nobody() {}
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     sockowner_testkit::stage::run(&[], &[listeners::TESTS])
//! }
//! # }
//! # fn main() {}
//! ```

use std::process::ExitCode;

use libtest_mimic::Trial;

use crate::{ProcMount, Requirement, Scenario, live_test, main_prelude, netns_test, scenario_test};

/// The surroundings of a test. All suites choose from these; each may do without some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A network namespace of its own; the host's processes are seen, and with them those of other tests.
    Host,
    /// A network, pid and mount namespace of its own, with its own `/proc`: everything that can be seen is the test's.
    /// The test is pid 1, and root.
    Alone,
    /// As `Alone`, with `hidepid=2`.
    HidePid,
    /// As `Alone`, without `/proc`.
    NoProc,
    /// Where the whole run is, as whoever runs it. The test makes its own surroundings, [`Stage::Scene`]s for instance.
    Outside,
    /// Part of another test, which runs it as a [`Scenario`] of this name.
    Scene,
}

/// A test, or a scene of one: a line of [`tests!`](crate::tests!).
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Where it runs.
    pub stage: Stage,
    /// Its name, and its scenario's.
    pub name: &'static str,
    /// What the machine must have for it.
    pub needs: &'static [Requirement],
    /// What it does; it fails by panicking.
    pub body: fn(),
}

/// The table of a module, as its constant `TESTS`: `Stage name_of_the_function needs ...;`
#[macro_export]
macro_rules! tests {
    ($($stage:ident $name:ident $(needs $($need:expr),+)?;)+) => {
        pub(super) const TESTS: &[$crate::stage::Test] = &[$(
            $crate::stage::Test {
                stage: $crate::stage::Stage::$stage,
                name: stringify!($name),
                needs: &[$($($need),+)?],
                body: $name,
            },
        )+];
    };
}

impl Test {
    /// What runs it, where it also needs `also`. A scene has none: its test runs it.
    fn trial(&self, also: &[Requirement]) -> Option<Trial> {
        let Self { stage, name, needs, body } = *self;
        let needs = &[needs, also].concat();
        let scenario = |proc| scenario_test(name, needs, Scenario::new(name).proc(proc));
        match stage {
            Stage::Host => Some(netns_test(name, needs, body)),
            Stage::Alone => Some(scenario(ProcMount::Fresh)),
            Stage::HidePid => Some(scenario(ProcMount::HidePid)),
            Stage::NoProc => Some(scenario(ProcMount::Missing)),
            Stage::Outside => Some(live_test(name, needs, body)),
            Stage::Scene => None,
        }
    }
}

/// The tables of a suite, in the test binary itself.
#[derive(Debug)]
pub struct Suite {
    tests: Vec<Test>,
}

impl Suite {
    /// To be called first in `main`, as [`main_prelude`]: in a re-execution this runs the one scenario or actor that it
    /// stands for, and never returns.
    pub fn new(tables: &[&[Test]]) -> Self {
        let tests = tables.concat();
        let scenarios: Vec<_> = tests.iter().map(|test| (test.name, test.body)).collect();
        main_prelude(&scenarios);
        Self { tests }
    }

    /// A trial for each test. What a test needs, and what all of them need (`also`), is looked at now.
    pub fn trials(&self, also: &[Requirement]) -> Vec<Trial> {
        self.tests.iter().filter_map(|test| test.trial(also)).collect()
    }
}

/// The `main` of a suite that consists of tables: runs all tests; in a re-execution, the one scenario or actor that it
/// stands for. Every test needs `also` what is named here.
pub fn run(also: &[Requirement], tables: &[&[Test]]) -> ExitCode {
    let suite = Suite::new(tables);
    crate::run(suite.trials(also))
}

/// As [`run`], [one after the other](crate::run_in_turn).
pub fn run_in_turn(also: &[Requirement], tables: &[&[Test]]) -> ExitCode {
    let suite = Suite::new(tables);
    crate::run_in_turn(suite.trials(also))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    mod table {
        tests! {
            Outside one;
            Scene part_of_one;
            Outside two needs super::NOTHING, super::NOTHING;
        }

        fn one() {}
        fn part_of_one() {}
        fn two() {}
    }

    const NOTHING: Requirement = Requirement::Custom("nothing", || Ok(()));

    #[test]
    fn a_table_has_a_trial_for_each_test_but_scenes() {
        let needs = table::TESTS.iter().map(|test| (test.stage, test.needs.len()));
        let expected = [(Stage::Outside, 0), (Stage::Scene, 0), (Stage::Outside, 2)];
        assert_eq!(needs.collect::<Vec<_>>(), expected);
        // This is no re-execution: it returns.
        let trials = Suite::new(&[table::TESTS]).trials(&[]);
        assert_eq!(trials.iter().map(Trial::name).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn what_all_need_is_looked_at_for_each() {
        static LOOKS: AtomicUsize = AtomicUsize::new(0);
        let looked_at = || {
            LOOKS.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let trials = Suite::new(&[table::TESTS]).trials(&[Requirement::Custom("counted", looked_at)]);
        assert_eq!(LOOKS.load(Ordering::Relaxed), trials.len());
    }
}
