//! The tests, one module a subject.

mod adversarial;
mod ask;
mod closed;
mod components;
mod connection;
mod life;
mod many;
mod owners;
mod refused;
mod samples;
mod shares;
mod short;
mod told;
mod uring;
mod washed;

use std::sync::OnceLock;

use sockowner_testkit::{Requirement, Scenario, stage};

/// Every test; all need what the recorder needs.
pub(crate) fn main() -> std::process::ExitCode {
    // Every recorder notes what all tests do.
    stage::run_in_turn(
        &[Requirement::PidNamespace, Requirement::Custom("recorder", records)],
        &[
            adversarial::TESTS,
            ask::TESTS,
            closed::TESTS,
            components::TESTS,
            connection::TESTS,
            life::TESTS,
            many::TESTS,
            owners::TESTS,
            refused::TESTS,
            samples::TESTS,
            shares::TESTS,
            short::TESTS,
            told::TESTS,
            uring::TESTS,
            washed::TESTS,
        ],
    )
}

/// Whether every hook can be had here, but those of first use.
fn records() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER.get_or_init(|| starts("the_recorder_starts")).clone()
}

/// Whether those can.
fn notes_first_use() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER.get_or_init(|| starts("the_recorder_notes_first_use")).clone()
}

const FIRST_USE: Requirement = Requirement::Custom("first use", notes_first_use);

fn starts(scenario: &str) -> Result<(), String> {
    let output = Scenario::new(scenario).run();
    let refused = output.lines().find_map(|line| line.strip_prefix("REFUSED "));
    // Who lacks a right is told EPERM; EACCES is the verifier's word for a program that it does not believe.
    let is_wrong = refused.is_some_and(|why| why.contains("load the programs: Permission denied"));
    assert!(!is_wrong, "a program is wrong: {refused:?}");
    refused.map_or(Ok(()), |why| Err(why.to_owned()))
}
