//! The edges to the OS: where `unsafe` and raw calls may stand.

use super::Finding;
use super::lexer::{find_word, imports};
use super::source::{File, Tree};

const UNSAFE: &[&str] = &[
    "crates/sockowner/src/sys/",
    "crates/sockowner-record/",
    "crates/sockowner-capi/",
    "crates/sockowner-testkit/",
    "crates/sockowner-wine-bridge/src/",
    "fuzz/",
];

/// Crates whose functions are the OS's own.
const OS_CRATES: &[&str] = &["libc", "rustix", "nix", "windows_sys"];

/// `unsafe` stands only in the platform edge, the recorder, the C edge, Wine's bridge, the test kit and the fuzz targets.
pub(super) fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_rust() && !file.is_in(UNSAFE)) {
        for line in find_word(&file.code, "unsafe") {
            findings.push(Finding::new(&file.path, line, "`unsafe` outside the edges"));
        }
    }
    findings
}

/// The crates of the OS are named only in `sys/*/call.rs` and below, the `call.rs` of the recorder and of the program,
/// the test kit and tests.
pub(super) fn os_calls(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_rust() && !is_door(file)) {
        for name in OS_CRATES {
            let named = imports(&file.shipped).into_iter().filter(|(_, path)| path == name);
            let mut lines = find_word(&file.shipped, &format!("{name}::"));
            lines.extend(named.map(|(line, _)| line));
            for line in lines {
                findings.push(Finding::new(&file.path, line, format!("`{name}` is used outside call.rs")));
            }
        }
    }
    findings
}

fn is_door(file: &File) -> bool {
    let in_sys = file.path.strip_prefix("crates/sockowner/src/sys/").and_then(|path| path.split_once('/'));
    in_sys.is_some_and(|(_, name)| name == "call.rs" || name.starts_with("call/"))
        || file.is_in(&[
            "crates/sockowner-component/src/call.rs",
            "crates/sockowner-record/src/call.rs",
            "crates/sockowner-record/src/call/",
            "crates/sockowner-cli/src/call.rs",
            "crates/sockowner-testkit/",
            "crates/sockowner-wine-bridge/src/unix.rs",
            "crates/sockowner-wine-bridge/src/windows.rs",
        ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        rule(&Tree::new(vec![File::new(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unsafe_is_caught_outside_the_edges() {
        let text = "#![deny(unsafe_code)]\n// unsafe\nfn a() { unsafe { b(\"unsafe\") } }\n";
        assert_eq!(lines(unsafe_code, "crates/sockowner/src/query.rs", text), [3]);
        assert_eq!(lines(unsafe_code, "crates/sockowner-wire/tests/a.rs", text), [3]);
        assert_eq!(lines(unsafe_code, "xtask/src/main.rs", text), [3]);
        assert_eq!(lines(unsafe_code, "crates/sockowner/src/sys/linux/call.rs", text), []);
        assert_eq!(lines(unsafe_code, "crates/sockowner-capi/src/tcp.rs", text), []);
    }

    #[test]
    fn os_crates_are_caught_outside_the_doors() {
        let text = "use std::os::unix::fs;\nuse rustix::fd::OwnedFd;\nuse libc as c;\nfn a() { nix::b() }\n";
        let mut caught = lines(os_calls, "crates/sockowner/src/sys/linux/proc.rs", text);
        caught.sort_unstable();
        assert_eq!(caught, [2, 3, 4]);
        assert_eq!(lines(os_calls, "crates/sockowner-cli/src/main.rs", text).len(), 3);
        assert_eq!(lines(os_calls, "crates/sockowner/src/sys/call.rs", text).len(), 3);
        assert_eq!(lines(os_calls, "crates/sockowner/src/sys/windows/x.rs", "windows_sys::A()"), [1]);
        assert_eq!(lines(os_calls, "crates/sockowner/src/sys/linux/call.rs", text), []);
        assert_eq!(lines(os_calls, "crates/sockowner/src/sys/linux/call/bpf.rs", text), []);
        assert_eq!(lines(os_calls, "crates/sockowner-record/src/call.rs", text), []);
        assert_eq!(lines(os_calls, "crates/sockowner-cli/src/call.rs", text), []);
        assert_eq!(lines(os_calls, "crates/sockowner/tests/live.rs", text), []);
        assert_eq!(
            lines(os_calls, "crates/sockowner/src/a.rs", "#[cfg(test)]\nmod tests { use libc::a; }"),
            []
        );
    }
}
