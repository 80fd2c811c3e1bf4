//! What the libraries keep away from: the decoders from any OS, the library from the caller's streams.

use super::Finding;
use super::lexer::{find_path, find_word};
use super::source::{File, Tree};

/// Modules and types that reach the OS, its clock or its paths.
const WIRE_PATHS: &[&str] = &["std::fs", "std::env", "std::process", "std::thread"];
const WIRE_NAMES: &[&str] = &[
    "Instant",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
];

const PRINTING: &[&str] = &["println!", "eprintln!", "print!", "eprint!", "dbg!"];

/// `wire` is bytes in, values out. Addresses (`std::net::IpAddr`) are values.
pub(super) fn wire(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.sources_of(&["sockowner-wire"]) {
        for path in WIRE_PATHS {
            report(&mut findings, file, &find_path(&file.shipped, path), &format!("`{path}` in wire"));
        }
        for name in WIRE_NAMES {
            report(&mut findings, file, &find_word(&file.shipped, name), &format!("`{name}` in wire"));
        }
    }
    findings
}

/// The libraries print nothing, read no environment and never exit.
pub(super) fn silent_libraries(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.sources_of(&["sockowner", "sockowner-wire", "sockowner-capi"]) {
        for name in PRINTING {
            report(&mut findings, file, &find_word(&file.shipped, name), &format!("`{name}` in a library"));
        }
        // What the compiler was told is no environment.
        let code = file.shipped.replace("std::env::consts", "");
        report(&mut findings, file, &find_path(&code, "std::env"), "`std::env` in a library");
        let mut exits = find_path(&file.shipped, "std::process::exit");
        // After `use std::process`.
        exits.extend(find_word(&file.shipped, "process::exit"));
        exits.sort_unstable();
        exits.dedup();
        report(&mut findings, file, &exits, "`process::exit` in a library");
    }
    findings
}

/// No `HashMap` or `HashSet`: their `RandomState` makes the Windows DLL import bcryptprimitives.
pub(super) fn hashers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.sources_of(&["sockowner", "sockowner-wire", "sockowner-capi"]) {
        for name in ["HashMap", "HashSet", "RandomState"] {
            let message = format!("`{name}`: use BTreeMap, BTreeSet or a sorted Vec");
            report(&mut findings, file, &find_word(&file.shipped, name), &message);
        }
    }
    findings
}

fn report(findings: &mut Vec<Finding>, file: &File, lines: &[usize], message: &str) {
    findings.extend(lines.iter().map(|&line| Finding::new(&file.path, line, message)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        rule(&Tree::new(vec![File::new(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn wire_may_use_values_but_no_os() {
        let path = "crates/sockowner-wire/src/proc.rs";
        for bad in [
            "use std::fs;",
            "use std::{fmt, env};",
            "use std::time::{Duration, Instant};",
            "use std::time; fn a() { time::SystemTime::now(); }",
            "use std::net::{IpAddr, TcpStream};",
            "fn a() { std::process::id(); }",
        ] {
            assert_eq!(lines(wire, path, bad), [1], "{bad}");
        }
        assert_eq!(
            lines(wire, path, "// std::fs\nuse std::net::{IpAddr, Ipv6Addr};\nuse std::time::Duration;"),
            []
        );
        assert_eq!(lines(wire, path, "#[cfg(test)] mod tests { use std::fs; }"), []);
        assert_eq!(lines(wire, "crates/sockowner/src/proc.rs", "use std::fs;"), []);
    }

    #[test]
    fn libraries_are_silent() {
        let path = "crates/sockowner/src/query.rs";
        for bad in [
            "fn a() { println!() }",
            "fn a() { eprintln!() }",
            "fn a() { print!() }",
            "fn a() { eprint!() }",
            "fn a() { dbg!(1) }",
            "fn a() { std::env::var_os(b) }",
            "fn a() { std::process::exit(1) }",
            "use std::process::exit;",
            "fn a() { process::exit(1) }",
        ] {
            assert_eq!(lines(silent_libraries, path, bad), [1], "{bad}");
            assert_eq!(lines(silent_libraries, "crates/sockowner-cli/src/main.rs", bad), [], "{bad}");
        }
        assert_eq!(
            lines(
                silent_libraries,
                path,
                "/// println!\nfn a() { writeln!(f); env!(\"A\"); std::env::consts::OS }"
            ),
            []
        );
    }

    #[test]
    fn default_hashers_are_caught() {
        let bad = "use std::collections::{BTreeMap, HashMap};\ntype A = HashSet<u8>;\n// HashMap\n";
        assert_eq!(lines(hashers, "crates/sockowner/src/a.rs", bad), [1, 2]);
        assert_eq!(lines(hashers, "crates/sockowner-capi/src/a.rs", bad), [1, 2]);
        assert_eq!(lines(hashers, "crates/sockowner-cli/src/a.rs", bad), []);
    }
}
