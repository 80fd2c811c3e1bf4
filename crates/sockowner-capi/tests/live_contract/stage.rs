//! Where a test runs, and the tables of tests.

use std::path::PathBuf;

use libtest_mimic::{Completion, Trial};
use sockowner_testkit::cgroup::{self, Scratch};
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
    /// Where the whole run is.
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
        pub(super) const TESTS: &[$crate::live_contract::stage::Test] = &[$(
            $crate::live_contract::stage::Test {
                stage: $crate::live_contract::stage::Stage::$stage,
                name: stringify!($name),
                needs: &[$($($need),+)?],
                body: $name,
            },
        )+];
    };
}

impl Test {
    fn trial(&self) -> Option<Trial> {
        let Self { stage, name, needs, body } = *self;
        let scenario = |proc| testkit::scenario_test(name, needs, Scenario::new(name).proc(proc));
        match stage {
            Stage::Host => Some(testkit::netns_test(name, needs, body)),
            Stage::Alone => Some(scenario(ProcMount::Fresh)),
            Stage::HidePid => Some(scenario(ProcMount::HidePid)),
            Stage::Outside => Some(testkit::live_test(name, needs, body)),
            Stage::Scene => None,
        }
    }
}

/// The tables of tests, in the test binary itself.
#[derive(Debug)]
pub(super) struct Stages(Vec<Test>);

impl Stages {
    /// In a re-execution, runs the one scenario or actor that it stands for, and never returns.
    pub(super) fn new(tables: &[&[Test]]) -> Self {
        let tests = tables.concat();
        let scenarios: Vec<_> = tests.iter().map(|test| (test.name, test.body)).collect();
        testkit::main_prelude(&scenarios);
        Self(tests)
    }

    pub(super) fn trials(&self) -> Vec<Trial> {
        self.0.iter().filter_map(Test::trial).collect()
    }
}

/// A trial that is skipped, and says so as those of the testkit do, where something is missing.
pub(super) fn trial(name: &str, missing: Result<(), String>, test: impl FnOnce() + Send + 'static) -> Trial {
    match missing {
        Ok(()) => testkit::live_test(name, &[], test),
        Err(why) => {
            eprintln!("SKIPPED {name}: {why}");
            Trial::ignorable_test(name, move || Ok(Completion::ignored_with(why))).with_ignored_flag(true)
        }
    }
}

/// Rows of this process and its children are told as processes.
pub(super) const NO_SERVICE: Requirement = Requirement::Custom("no service", outside_services);

/// Neither this process nor, then, what it starts is in a service of the system.
pub(super) fn outside_services() -> Result<(), String> {
    let path = own_cgroup();
    let in_one = path.split('/').any(|part| part.ends_with(".service"));
    if in_one { Err(format!("this runs in {path}, and cannot leave it")) } else { Ok(()) }
}

/// The process's path in the cgroup2 hierarchy.
fn own_cgroup() -> String {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned()
}

/// Keeps this process, and with it whatever it starts, in a cgroup that is no service's: a machine's CI may run it in
/// one. Where that cannot be had it stays where it is.
#[derive(Debug)]
pub(super) struct Apart(Option<(Scratch, PathBuf)>);

impl Apart {
    pub(super) fn enter() -> Self {
        let home = |()| Some(cgroup::mount_point().ok()?.join(own_cgroup().trim_start_matches('/')));
        Self(cgroup::supported().ok().and_then(home).map(|home| {
            let pid = std::process::id();
            let apart = Scratch::new(&format!("/sockowner-contract-{pid}"));
            apart.move_in(pid);
            (apart, home)
        }))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some((_, home)) = &self.0 {
            // A cgroup with a process in it cannot be removed.
            std::fs::write(home.join("cgroup.procs"), "0").unwrap();
        }
    }
}
