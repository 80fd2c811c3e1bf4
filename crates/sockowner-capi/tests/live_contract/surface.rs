//! Both public surfaces are files of `abi/`: the exported symbols, and what the headers declare. A change of either
//! is a change of its file, made by `SOCKOWNER_BLESS=1 cargo test -p sockowner-capi --test live_contract`.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;
use sockowner_testkit::live_test_unless;

use super::headers;
use super::workshop::{installed, profile_dir, source, succeed};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        live_test_unless("exported_symbols_are_those_of_the_snapshot", installed("nm"), || {
            assert_snapshot("abi/symbols.txt", &(symbols().join("\n") + "\n"));
        }),
        live_test_unless("declarations_are_those_of_the_snapshot", Ok(()), || {
            assert_snapshot("abi/declarations.txt", &headers::declarations());
        }),
        live_test_unless("what_is_declared_is_what_is_exported", installed("nm"), || {
            assert_eq!(headers::functions(), symbols());
        }),
        live_test_unless("the_soname_names_a_file", installed("readelf"), soname),
    ]
}

/// Every global symbol that the shared library defines.
fn symbols() -> Vec<String> {
    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only"]).arg(profile_dir().join("libsockowner.so"));
    let text = succeed(&mut nm);
    let mut names: Vec<String> =
        text.lines().filter_map(|line| line.rsplit(' ').next()).map(str::to_owned).collect();
    names.sort_unstable();
    names
}

fn assert_snapshot(path: &str, now: &str) {
    let file = source(path);
    if std::env::var_os("SOCKOWNER_BLESS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, now).unwrap();
    }
    let then = fs::read_to_string(&file).unwrap_or_default();
    let only_in = |one: &str, other: &str, sign: char| -> String {
        let other: Vec<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        lines.map(|line| format!("{sign}{line}\n")).collect::<Vec<_>>().concat()
    };
    let difference = only_in(&then, now, '-') + &only_in(now, &then, '+');
    assert!(then == now, "{path} says otherwise; SOCKOWNER_BLESS=1 rewrites it\n{difference}");
}

/// Before 1.0 each minor version may break the ABI, and so is part of the name that programs are linked with.
fn soname() {
    let version: Vec<&str> = env!("CARGO_PKG_VERSION").split('.').collect();
    let expected = match version[..] {
        ["0", minor, _] => format!("libsockowner.so.0.{minor}"),
        _ => format!("libsockowner.so.{}", version[0]),
    };
    let library = profile_dir().join("libsockowner.so");
    let dynamic = succeed(Command::new("readelf").arg("-d").arg(&library));
    let line = dynamic.lines().find(|line| line.contains("(SONAME)")).expect("it has a soname");
    assert!(line.contains(&format!("[{expected}]")), "{line}");
    let named = profile_dir().join(expected);
    assert_eq!(fs::canonicalize(&named).unwrap(), fs::canonicalize(&library).unwrap());
}
