//! Trials that know what they need, and say why they do not run where it is missing.

use std::process::ExitCode;
use std::sync::OnceLock;

use libtest_mimic::{Arguments, Completion, Trial};

use crate::privileges::ORDINARY_UID;
use crate::{Actor, Scenario, cgroup, netns, pid, pidns};

/// What a live test needs of the machine. Each is established by trying it, once a process.
#[derive(Debug, Clone, Copy)]
pub enum Requirement {
    /// The effective user is root.
    Root,
    /// A new network namespace can be made.
    Netns,
    /// An interface can be added in a new network namespace: what `%zone` tests need.
    Interface,
    /// Cgroups can be made below the root of a mounted cgroup2 hierarchy.
    Cgroup2,
    /// A scenario can run in its own pid and mount namespace with a `/proc` of its own.
    PidNamespace,
    /// This is not uid 1000 and an actor can be started as that user.
    OtherUser,
    /// An actor can be started in a user namespace of its own.
    UserNamespace,
    /// The next process's number can be chosen.
    NsLastPid,
    /// A scenario can run in a time namespace of its own.
    TimeNamespace,
    /// Anything else: a name for the record and the trial, which says why not. Called for each test that names it.
    Custom(&'static str, fn() -> Result<(), String>),
}

impl Requirement {
    /// `Ok` when it is met, else the reason.
    pub fn check(self) -> Result<(), String> {
        match self {
            Self::Root if rustix::process::geteuid().is_root() => Ok(()),
            Self::Root => Err(String::from("needs root")),
            Self::Netns => netns::supported(),
            Self::Interface => {
                static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
                once(&ANSWER, || {
                    netns::supported()?;
                    netns::inside(|| netns::add_dummy("probe", &["fe80::1/64"]).map(drop))
                })
            }
            Self::Cgroup2 => cgroup::supported(),
            Self::PidNamespace => pidns::supported(),
            Self::OtherUser => {
                static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
                once(&ANSWER, || {
                    if rustix::process::geteuid().as_raw() == ORDINARY_UID {
                        return Err(format!("this is uid {ORDINARY_UID} already"));
                    }
                    Actor::builder()
                        .uid(ORDINARY_UID)
                        .gid(ORDINARY_UID)
                        .try_spawn()
                        .map(drop)
                        .map_err(|error| format!("no actor of another user: {error}"))
                })
            }
            Self::UserNamespace => {
                static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
                once(&ANSWER, || {
                    let actor = Actor::builder().new_user_namespace().try_spawn();
                    actor.map(drop).map_err(|error| format!("no new user namespace: {error}"))
                })
            }
            Self::NsLastPid => pid::supported(),
            Self::TimeNamespace => pidns::time_supported(),
            Self::Custom(name, check) => check().map_err(|why| format!("{name}: {why}")),
        }
    }
}

fn once(
    answer: &OnceLock<Result<(), String>>,
    check: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    answer.get_or_init(check).clone()
}

/// A trial that fails when `test` panics and is ignored when a requirement is not met: then
/// `SKIPPED <name>: <why>` is printed to standard error now, and the final `test result:` line counts it as ignored
/// even under `--include-ignored`.
pub fn live_test(name: &str, needs: &[Requirement], test: impl FnOnce() + Send + 'static) -> Trial {
    live_test_unless(name, needs.iter().try_for_each(|need| need.check()), test)
}

/// As [`live_test`], where it is known already what is missing, if anything.
pub fn live_test_unless(
    name: &str,
    missing: Result<(), String>,
    test: impl FnOnce() + Send + 'static,
) -> Trial {
    match missing {
        Ok(()) => Trial::test(name, move || {
            test();
            Ok(())
        }),
        Err(why) => {
            eprintln!("SKIPPED {name}: {why}");
            Trial::ignorable_test(name, move || Ok(Completion::ignored_with(why))).with_ignored_flag(true)
        }
    }
}

/// A [`live_test`] whose whole body runs [inside](netns::inside) a network namespace of its own.
pub fn netns_test(name: &str, needs: &[Requirement], test: impl FnOnce() + Send + 'static) -> Trial {
    let needs = [&[Requirement::Netns], needs].concat();
    live_test(name, &needs, || netns::inside(test))
}

/// A [`live_test`] that consists of a scenario.
pub fn scenario_test(name: &str, needs: &[Requirement], scenario: Scenario) -> Trial {
    let needs = [&[Requirement::PidNamespace], needs].concat();
    live_test(name, &needs, move || {
        scenario.run();
    })
}

/// As [`run`], one after the other unless the command line asks for more at once: for tests that see the whole machine.
pub fn run_in_turn(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs the trials as the command line says and yields the exit code for `main`.
pub fn run(trials: Vec<Trial>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
