//! Each number of the contract's checklist has a test that bears it.

use libtest_mimic::Trial;
use sockowner_testkit::live_test_unless;

use super::workshop::{Compiler, source};

/// How many there are.
const NUMBERS: u32 = 52;

/// Where unit tests are.
const SOURCES: [&str; 5] = ["src/code.rs", "src/module.rs", "src/owner.rs", "src/room.rs", "src/table.rs"];

pub(super) fn trial_of(trials: &[Trial]) -> Trial {
    let mut names: Vec<String> = trials.iter().map(|trial| trial.name().to_owned()).collect();
    // Without a compiler those in C are not known by name.
    live_test_unless("every_number_of_the_checklist_has_a_test", Compiler::Gcc.supported(), move || {
        let sources = SOURCES.map(|path| std::fs::read_to_string(source(path)).unwrap());
        let functions = sources.iter().flat_map(|text| text.split("fn ").skip(1));
        names.extend(functions.filter_map(|text| text.split('(').next()).map(str::to_owned));
        let has_test = |number: &u32| names.iter().any(|name| name.starts_with(&format!("c{number:02}_")));
        let without: Vec<u32> = (1..=NUMBERS).filter(|number| !has_test(number)).collect();
        assert!(without.is_empty(), "no test bears the number of {without:?}");
    })
}
