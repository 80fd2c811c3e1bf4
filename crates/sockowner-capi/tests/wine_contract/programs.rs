//! The C programs under Wine, each check as a trial.

use std::path::Path;
use std::sync::Arc;

use libtest_mimic::Trial;
use sockowner_testkit::live_test_unless;

use super::wine::{Machine, Means, can_be_alone, ran, trial, wine};

const CONTRACT: [&str; 9] = [
    "contract.c",
    "check.c",
    "arguments.c",
    "sizing.c",
    "result.c",
    "life.c",
    "tables.c",
    "rows.c",
    "threads.c",
];

const CALLERS: [&str; 9] = [
    "one_call",
    "two_calls",
    "growing_from_16",
    "first_return_ignored",
    "second_size_0",
    "copied_buffer",
    "at_least_the_struct",
    "whole_machine",
    "service_or_process",
];

pub(super) fn trials(means: &Means) -> Vec<Trial> {
    let mut trials = Vec::new();
    let programs: [(&str, &[&str]); 3] =
        [("contract", &CONTRACT), ("rich", &["rich.c", "check.c"]), ("windows", &["windows.c", "check.c"])];
    for (name, sources) in programs {
        match means {
            Ok(machine) => trials.extend(one_by_one(machine, name, sources)),
            Err(why) => trials.push(live_test_unless(&format!("{name}_under_wine"), Err(why.clone()), || ())),
        }
    }
    for caller in CALLERS {
        trials.push(trial(&format!("caller_{caller}"), means, move |machine| {
            let program = machine.compiled(caller, &[&format!("callers/{caller}.c")]);
            // One of them takes an argument: whether it runs in a service.
            let said = ran(wine(&program).arg("process"));
            assert!(said.starts_with("listening at "), "it has not run: {said:?}");
        }));
    }
    trials
}

/// The checks of one program, each in a process of its own. What they are called, the program says.
fn one_by_one(machine: &Arc<Machine>, name: &str, sources: &[&str]) -> Vec<Trial> {
    let path = machine.compiled(name, sources);
    let list = ran(wine(&path).arg("--list"));
    assert!(!list.is_empty(), "{name} lists no check");
    let one = |line: &str| {
        let (check, alone) = line.split_once(' ').unwrap_or((line, ""));
        let needs = if alone.is_empty() { Ok(()) } else { can_be_alone() };
        let (machine, path, is_alone) = (Arc::clone(machine), path.clone(), !alone.is_empty());
        let name = check.to_owned();
        live_test_unless(check, needs, move || {
            if is_alone {
                machine.alone(|prefix| run(&path, &name, Some(prefix)));
            } else {
                run(&path, &name, None);
            }
        })
    };
    list.lines().map(one).collect()
}

/// Runs one check, which prints what it is called.
fn run(path: &Path, check: &str, prefix: Option<&Path>) {
    let mut command = wine(path);
    command.arg(check);
    if let Some(prefix) = prefix {
        command.env("WINEPREFIX", prefix);
    }
    let said = ran(&mut command);
    assert!(said.lines().any(|line| line == check), "it has not run, or Wine's server has ended: {said:?}");
}
