//! Tail calls: the function that makes the call is not on the stack.

use std::process::Command;

use sockowner_component::{Call, Grade};
use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::live_test;

use super::case::{Expected, check};
use super::workshop::{GCC, TRACING, Workshop};

const FOUR: &[Call] = &[Call::Bind, Call::Listen, Call::Connect, Call::Accept];

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (build, flags) in [("plt", ""), ("slot", "-fno-plt")] {
        let mut add = |name: &str, test: fn(&'static str)| {
            let name = format!("tail_call_{name}_by_{build}");
            trials.push(live_test(&name, &[GCC, TRACING], move || test(flags)));
        };
        add("named", |flags| by_name("direct", flags));
        add("of_a_pointer", |flags| by_name("pointer", flags));
        add("of_a_found_pointer", |flags| by_name("found", flags));
        add("behind_a_pointer", behind_a_pointer);
        add("of_a_callback", |flags| behind_libc("callback", "tails", flags));
        add("of_a_thread", |flags| behind_libc("thread", "", flags));
        add("of_a_tail_call", twice);
    }
    trials
}

fn program(how: &str, flags: &str) -> (Workshop, Command) {
    let workshop = Workshop::open();
    let flags: Vec<&str> = flags.split_whitespace().collect();
    workshop.library("tail.c", "libtail.so", &flags);
    let tails = workshop.program("tails.c", "tails", &[&["-l:libtail.so"], flags.as_slice()].concat());
    let mut command = Command::new(tails);
    command.arg(how);
    (workshop, command)
}

/// The program calls libtail by name: that is where the call went, whatever libtail did then.
fn by_name(how: &str, flags: &str) {
    let (_workshop, mut program) = program(how, flags);
    let expected = Expected::told("libtail.so", "libtail.so", Grade::CallTarget);
    check(&mut program, FOUR, |_| Some(expected.clone()));
}

/// The program calls libtail by pointer: nothing tells of libtail, and the program is named with doubt.
fn behind_a_pointer(flags: &str) {
    let (_workshop, mut program) = program("indirect", flags);
    check(&mut program, FOUR, |call| {
        Some(match call {
            Call::Bind | Call::Accept => Expected::told("libtail.so", "tails", Grade::CfiIndirect),
            _ => Expected::told("libtail.so", "libtail.so", Grade::CallTarget),
        })
    });
}

/// libc calls libtail by pointer. What lies beyond libc is told with doubt, if there is anything.
fn behind_libc(how: &str, beyond: &str, flags: &str) {
    let (_workshop, mut program) = program(how, flags);
    let (module, grade) =
        if beyond.is_empty() { ("tails", Grade::ExecutableOnly) } else { (beyond, Grade::CfiIndirect) };
    check(&mut program, &[Call::Listen], |call| {
        (call == Call::Listen).then(|| Expected::told("libtail.so", module, grade))
    });
}

/// Two functions in a row leave no frame: the first is named, and not as proved.
fn twice(flags: &str) {
    let workshop = Workshop::open();
    let flags: Vec<&str> = flags.split_whitespace().collect();
    workshop.library("tail.c", "libtail.so", &flags);
    workshop.library("tail_user.c", "libuser.so", &[&["-l:libtail.so"], flags.as_slice()].concat());
    let program = workshop.program("twice.c", "twice", &["-l:libuser.so", "-l:libtail.so"]);
    let expected = Expected::told("libtail.so", "libuser.so", Grade::CallTarget);
    check(&mut Command::new(program), &[Call::Listen], |_| Some(expected.clone()));
}
