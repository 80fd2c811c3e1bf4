//! The crates' manifests: who may depend on whom.

use super::Finding;
use super::source::{File, Tree};

/// Each crate, and the crates of this workspace that its code may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("sockowner-wire", &[]),
    ("sockowner-component", &[]),
    ("sockowner", &["sockowner-wire"]),
    ("sockowner-record", &["sockowner", "sockowner-component", "sockowner-wire"]),
    ("sockowner-cli", &["sockowner", "sockowner-record"]),
    ("sockowner-capi", &["sockowner", "sockowner-wire"]),
    ("sockowner-wine-bridge", &["sockowner", "sockowner-wire"]),
    ("sockowner-testkit", &[]),
    ("sockowner-bench", &["sockowner", "sockowner-testkit"]),
];

/// Crates that reach an OS.
const OS_CRATES: &[&str] = &["rustix", "libc", "nix", "windows-sys", "windows", "socket2", "mio"];

/// A line of a dependency table.
#[derive(Debug, PartialEq, Eq)]
struct Dependency<'a> {
    /// The package, also where the manifest renames it.
    name: &'a str,
    line: usize,
    for_tests: bool,
}

/// cli -> record -> sockowner -> wire, capi -> sockowner and wire (the layouts of rows); the test kit only for tests.
pub(super) fn direction(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in manifests(tree) {
        let name = package_name(&file.text).unwrap_or_default();
        let layer = LAYERS.iter().find(|(layer, _)| *layer == name);
        if layer.is_none() && file.path.starts_with("crates/") {
            findings.push(Finding::new(&file.path, 0, format!("`{name}` has no place in xtask's LAYERS")));
        }
        let allowed = layer.map_or(&[][..], |(_, allowed)| allowed);
        for dependency in dependencies(&file.text) {
            let ours = LAYERS.iter().any(|(layer, _)| *layer == dependency.name);
            if ours && !dependency.for_tests && !allowed.contains(&dependency.name) {
                let message = format!("`{name}` may not depend on `{}`", dependency.name);
                findings.push(Finding::new(&file.path, dependency.line, message));
            }
        }
    }
    findings
}

/// The decoders build on any host.
pub(super) fn wire_without_os(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in manifests(tree).filter(|file| package_name(&file.text) == Some("sockowner-wire")) {
        for dependency in dependencies(&file.text) {
            if OS_CRATES.contains(&dependency.name) {
                let message = format!("wire may not depend on `{}`", dependency.name);
                findings.push(Finding::new(&file.path, dependency.line, message));
            }
        }
    }
    findings
}

/// Each package says `[lints] workspace = true`; without it the lints of the workspace do not reach it.
pub(super) fn inherited_lints(tree: &Tree) -> Vec<Finding> {
    let inherits = |file: &&File| {
        let mut entries = entries(&file.text);
        entries.any(|(_, table, key, value)| match table {
            "lints" => key == "workspace" && value == "true",
            "" => key == "lints.workspace" && value == "true",
            _ => false,
        })
    };
    let without = manifests(tree).filter(|file| package_name(&file.text).is_some() && !inherits(file));
    without.map(|file| Finding::new(&file.path, 0, "lacks `[lints] workspace = true`")).collect()
}

/// The `name` in `[package]`.
pub(crate) fn package_name(manifest: &str) -> Option<&str> {
    let mut entries = entries(manifest);
    let (.., value) = entries.find(|(_, table, key, _)| *table == "package" && *key == "name")?;
    value.trim_matches('"').into()
}

/// The manifests of the workspace's members.
fn manifests(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files().iter().filter(|file| {
        let dir = file.path.strip_suffix("/Cargo.toml").unwrap_or_default();
        dir == "xtask" || dir.strip_prefix("crates/").is_some_and(|name| !name.contains('/'))
    })
}

fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found: Vec<Dependency<'_>> = Vec::new();
    for (line, table, key, value) in entries(manifest) {
        // `[dependencies]`, `[target.'cfg(unix)'.dependencies]`, and each with `.NAME` behind.
        let Some((before, after)) = table.split_once("dependencies") else {
            continue;
        };
        let for_tests = before.ends_with("dev-");
        let renamed = value.split_once("package = ").and_then(|(_, rest)| rest.split('"').nth(1));
        match after.strip_prefix('.') {
            // The table is one dependency: its first line stands for it.
            Some(name) if key == "package" => {
                found.retain(|dependency| dependency.name != name);
                found.push(Dependency { name: value.trim_matches('"'), line, for_tests });
            }
            Some(name) => found.push(Dependency { name, line, for_tests }),
            None => {
                let name = renamed.unwrap_or(key.split('.').next().unwrap_or(key));
                found.push(Dependency { name: name.trim_matches('"'), line, for_tests });
            }
        }
    }
    found.dedup_by(|a, b| (a.name, a.for_tests) == (b.name, b.for_tests));
    found
}

/// The `key = value` lines of a TOML file, as line number from 1, table, key, value. Enough for manifests:
/// continuation lines of a multi-line array have no `=` that matters here.
fn entries(manifest: &str) -> impl Iterator<Item = (usize, &str, &str, &str)> {
    let mut table = "";
    manifest.lines().enumerate().filter_map(move |(number, line)| {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            table = header.split(']').next().unwrap_or_default().trim();
            return None;
        }
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some((number + 1, table, key.trim(), value.split(" #").next().unwrap_or(value).trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(rule: fn(&Tree) -> Vec<Finding>, name: &str, rest: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = \"{name}\"\n{rest}");
        let tree = Tree::new(vec![File::new(format!("crates/{name}/Cargo.toml"), manifest)]);
        rule(&tree).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn dependencies_are_read_in_every_spelling() {
        let manifest = "[dependencies]\na = \"1\"\nb.workspace = true\nc = { package = \"d\", version = \"1\" }\n\
            # e = \"1\"\n[target.'cfg(unix)'.dependencies]\nf.workspace = true\n\
            [dependencies.g]\nversion = \"1\"\nfeatures = []\n[dev-dependencies]\nh = \"1\"\n[features]\ni = []\n";
        let found = dependencies(manifest);
        let names: Vec<&str> = found.iter().map(|dependency| dependency.name).collect();
        assert_eq!(names, ["a", "b", "d", "f", "g", "h"]);
        assert_eq!(found.iter().filter(|dependency| dependency.for_tests).count(), 1);
        assert_eq!(found[3], Dependency { name: "f", line: 7, for_tests: false });
    }

    #[test]
    fn a_wrong_direction_is_caught() {
        for (name, rest) in [
            ("sockowner", "[dependencies]\nsockowner-cli.workspace = true\n"),
            ("sockowner-capi", "[dependencies]\nsockowner-cli.workspace = true\n"),
            ("sockowner", "[target.'cfg(unix)'.dependencies]\nsockowner-testkit = {}\n"),
            ("sockowner-wire", "[dependencies]\nx = { package = \"sockowner\" }\n"),
            ("sockowner-new", ""),
        ] {
            assert_eq!(findings(direction, name, rest).len(), 1, "{name}");
        }
    }

    #[test]
    fn the_right_direction_is_not() {
        let down = "[dependencies]\nsockowner.workspace = true\nsockowner-record.workspace = true\nclap = \"4\"\n\
            [dev-dependencies]\nsockowner-testkit.workspace = true\n";
        assert!(findings(direction, "sockowner-cli", down).is_empty());
    }

    #[test]
    fn an_os_crate_in_wire_is_caught() {
        for name in OS_CRATES {
            let rest = format!("[dev-dependencies]\n{name} = \"1\"\n");
            assert_eq!(findings(wire_without_os, "sockowner-wire", &rest).len(), 1);
        }
        assert!(findings(wire_without_os, "sockowner-wire", "[dependencies]\na = \"1\"\n").is_empty());
        assert!(findings(wire_without_os, "sockowner", "[dependencies]\nlibc = \"1\"\n").is_empty());
    }

    #[test]
    fn missing_lints_are_caught() {
        for rest in ["", "[lints]\nworkspace = false\n", "[features]\nworkspace = true\n"] {
            assert_eq!(findings(inherited_lints, "sockowner", rest).len(), 1, "{rest}");
        }
        assert!(findings(inherited_lints, "sockowner", "[lints]\nworkspace = true\n").is_empty());
    }
}
