//! The tests, one module a subject.

mod asking;
mod hostile;
mod impostors;
mod served;

use std::sync::OnceLock;

use sockowner_testkit::{Requirement, Scenario, stage};

/// Every test; all need what the recorder needs, and other users.
pub(crate) fn main() -> std::process::ExitCode {
    stage::run(
        &[Requirement::PidNamespace, Requirement::OtherUser, Requirement::Custom("recorder", records)],
        &[asking::TESTS, served::TESTS, hostile::TESTS, impostors::TESTS],
    )
}

/// Whether every hook can be had here, and the server.
fn records() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    let try_it = || {
        let output = Scenario::new("it_is_recorded_and_served").run();
        let refused = output.lines().find_map(|line| line.strip_prefix("REFUSED "));
        refused.map_or(Ok(()), |why| Err(why.to_owned()))
    };
    ANSWER.get_or_init(try_it).clone()
}
