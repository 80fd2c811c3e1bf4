//! Layouts: asserted by the compilers for both word sizes of Windows against mingw's own headers, and printed by a
//! program under Wine, to be compared with what the same file prints on Linux.

use std::collections::BTreeMap;
use std::process::Command;

use libtest_mimic::Trial;
use sockowner_testkit::live_test_unless;

use super::super::workshop::{Compiler, Program, installed, source, succeed};
use super::wine::{Means, ran, trial, wine};

const FLAGS: [&str; 7] = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow", "-I"];

/// What each file asserts, `tests/c/README.md` tells.
const FILES: [&str; 6] = [
    "layout_mingw.c",
    "layout_windows.c",
    "layout_api.c",
    "layout_print.c",
    "port_example.c",
    "own_listener.c",
];

pub(super) fn trials(means: &Means) -> Vec<Trial> {
    let mut trials = Vec::new();
    for machine in ["x86_64", "i686"] {
        for (suffix, language, name) in [
            ("gcc", &["-std=c11", "-D_WIN32_WINNT=0x0600"][..], ""),
            ("g++", &["-xc++", "-std=c++17", "-D_WIN32_WINNT=0x0A00"], "_in_cxx"),
        ] {
            let compiler = format!("{machine}-w64-mingw32-{suffix}");
            let name = format!("layouts_are_asserted_for_{machine}{name}");
            trials.push(live_test_unless(&name, installed(&compiler), move || {
                for file in FILES {
                    let mut command = Command::new(&compiler);
                    command.args(FLAGS).arg(source("include")).args(language);
                    succeed(command.arg(source("tests/c").join(file)));
                }
            }));
        }
    }
    trials.push(trial("layouts_are_those_of_linux", means, |machine| {
        const PRINT: Program = Program { name: "layout_print", sources: &["layout_print.c"] };
        let windows = printed(&ran(&mut wine(&machine.compiled(PRINT.name, PRINT.sources))));
        let linux = printed(&succeed(&mut Command::new(PRINT.compiled(Compiler::Gcc))));
        assert!(linux.len() > 300, "{}", linux.len());
        assert_eq!(windows, linux, "left: Windows, right: Linux");
    }));
    trials
}

/// What is printed, by name; without what is of one system by nature.
fn printed(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| line.split_once(' ').map(|(name, numbers)| (name.to_owned(), numbers.to_owned()));
    text.lines().filter_map(line).collect()
}
