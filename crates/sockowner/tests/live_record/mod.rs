//! The tests, one module a subject.

mod ask;
mod closed;
mod life;
mod many;
mod owners;
mod shares;
mod told;

use std::sync::OnceLock;

use sockowner_testkit::{Requirement, Scenario, stage};

/// Every test; all need what the recorder needs.
pub(crate) fn main() -> std::process::ExitCode {
    stage::run(
        &[Requirement::PidNamespace, Requirement::Custom("recorder", records)],
        &[ask::TESTS, owners::TESTS, closed::TESTS, life::TESTS, many::TESTS, shares::TESTS, told::TESTS],
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
    refused.map_or(Ok(()), |why| Err(why.to_owned()))
}
