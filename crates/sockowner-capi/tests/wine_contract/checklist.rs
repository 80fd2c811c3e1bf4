//! Each number of the contract's checklist has a trial here, or a reason why it has none.

use libtest_mimic::Trial;
use sockowner_testkit::live_test_unless;

use super::wine::Means;

/// How many there are.
const NUMBERS: u32 = 52;

/// What Wine cannot show, or Windows does not have.
const LEFT_OUT: [(u32, &str); 11] = [
    (
        22,
        "under Wine every process may be opened; the rule is a pure function of the library, with unit tests",
    ),
    (23, "no process of Wine is the kernel's; `System` for pid 4 has unit tests in the library"),
    (25, "Linux' own: nobody but the system's manager names services here"),
    (27, "no program's file name can be other than UTF-16; lone surrogates have a unit test"),
    (28, "the file of a running program cannot be deleted here"),
    (34, "no process becomes another program here"),
    (36, "Linux' own: hidepid"),
    (37, "Linux' own: pid namespaces"),
    (40, "a unit test: nothing real provokes it"),
    (41, "a unit test: nothing real provokes it"),
    (42, "nothing refuses a table to a program of Wine; the library's unit tests refuse it"),
];

pub(super) fn trials(means: &Means, others: &[Trial]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (number, why) in LEFT_OUT {
        trials.push(live_test_unless(&format!("c{number:02}_is_left_out"), Err(why.to_owned()), || ()));
    }
    let names: Vec<String> = others.iter().map(|trial| trial.name().to_owned()).collect();
    let known = means.as_ref().map(|_| ()).map_err(Clone::clone);
    trials.push(live_test_unless("every_number_has_a_test_or_a_reason", known, move || {
        for number in 1..=NUMBERS {
            let tests = names.iter().filter(|name| name.starts_with(&format!("c{number:02}_"))).count();
            let reasons = LEFT_OUT.iter().filter(|(left_out, _)| *left_out == number).count();
            assert_eq!((tests.min(1), reasons), (1 - reasons.min(1), reasons.min(1)), "c{number:02}");
        }
    }));
    trials
}
