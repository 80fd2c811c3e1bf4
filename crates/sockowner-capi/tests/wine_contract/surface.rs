//! What the DLL exports and imports.

use std::collections::BTreeSet;
use std::process::Command;

use libtest_mimic::Trial;

use super::super::workshop::{source, succeed};
use super::wine::{Machine, Means, trial};

const OBJDUMP: &str = "x86_64-w64-mingw32-objdump";

pub(super) fn trials(means: &Means) -> Vec<Trial> {
    vec![
        trial("exported_names_are_those_of_the_snapshot", means, |machine| {
            let text = std::fs::read_to_string(source("abi/symbols.txt")).unwrap();
            let expected: BTreeSet<String> = text.lines().map(str::to_owned).collect();
            assert_eq!(exports(&headers(machine)), expected);
        }),
        trial("no_library_is_imported_that_an_older_wine_lacks", means, |machine| {
            let imported = imports(&headers(machine));
            assert!(imported.contains("kernel32.dll"), "{imported:?}");
            // Wine has it from 8.13 on only; Rust's hash maps with random state would import it.
            assert!(!imported.contains("bcryptprimitives.dll"), "{imported:?}");
            // It must find the system's functions by itself: linked, they would be its own.
            assert!(!imported.contains("iphlpapi.dll"), "{imported:?}");
        }),
        trial("the_import_library_names_the_dll_and_its_functions", means, |machine| {
            let mut nm = Command::new("x86_64-w64-mingw32-nm");
            let text = succeed(nm.arg(machine.library.join("libsockowner.dll.a")));
            let snapshot = std::fs::read_to_string(source("abi/symbols.txt")).unwrap();
            for name in snapshot.lines() {
                assert!(text.lines().any(|line| line.ends_with(&format!(" T {name}"))), "{name} is missing");
            }
        }),
    ]
}

fn headers(machine: &Machine) -> String {
    succeed(Command::new(OBJDUMP).arg("-p").arg(machine.library.join("sockowner.dll")))
}

/// The names in objdump's listing of exports: `\t[   0] +base[   1]  0000 GetExtendedTcpTable`, or without the middle.
pub(super) fn exports(headers: &str) -> BTreeSet<String> {
    let names = headers.split_once("[Ordinal/Name Pointer] Table").unwrap().1.lines().skip(1);
    let names = names.take_while(|line| line.trim_start().starts_with('['));
    names.filter_map(|line| line.rsplit(' ').next()).map(str::to_owned).collect()
}

/// Names of imported libraries, in lower case.
fn imports(headers: &str) -> BTreeSet<String> {
    let lines = headers.lines().filter_map(|line| line.trim().strip_prefix("DLL Name: "));
    lines.map(str::to_lowercase).collect()
}
