//! Names, licences and notices of the crates that are in the program and in the library: their licences ask for that.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::output;
use crate::cargo::cargo;

/// What a notice's file is called.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// The text, as gzip packs it.
pub(super) fn compressed(root: &Path) -> Result<Vec<u8>> {
    let text = text(root)?;
    let mut gzip = Command::new("gzip").args(["-9n"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = gzip.stdin.take().context("gzip's stdin")?;
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let done = gzip.wait_with_output()?;
    writer.join().ok().context("write to gzip")??;
    ensure!(done.status.success(), "gzip: {}", done.status);
    Ok(done.stdout)
}

fn text(root: &Path) -> Result<String> {
    let mut tree = cargo(root, &["tree", "-p", "sockowner-cli", "-p", "sockowner-capi", "--locked"]);
    let tree =
        output(tree.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}|{l}"]))?;
    let metadata = output(&mut cargo(root, &["metadata", "--format-version", "1", "--locked"]))?;
    let mut text = String::from("Crates that sockowner contains, with their licences and notices.\n");
    let mut told = 0;
    for (name, version, licence) in tree.lines().filter_map(foreign).collect::<BTreeSet<_>>() {
        let dir = dir(&metadata, name, version)
            .with_context(|| format!("cargo metadata does not tell where {name} {version} is"))?;
        write!(text, "\n==== {name} {version}: {licence}\n")?;
        for notice in notices(dir)? {
            write!(text, "\n{}\n", notice.trim())?;
        }
        told += 1;
    }
    ensure!(told > 0, "cargo tree names no crate that is not ours");
    Ok(text)
}

/// Name, version and licence of a crate in a line of the tree. Ours have a path, too.
fn foreign(line: &str) -> Option<(&str, &str, &str)> {
    let (crate_, licence) = line.split_once('|')?;
    match crate_.split(' ').collect::<Vec<_>>()[..] {
        [name, version] => Some((name, version.strip_prefix('v')?, licence.trim_end_matches(" (*)"))),
        _ => None,
    }
}

/// Where a crate of this name and version is, by the paths of manifests in cargo's metadata.
fn dir<'a>(metadata: &'a str, name: &str, version: &str) -> Option<&'a Path> {
    let wanted = format!("{name}-{version}");
    metadata
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| Path::new(rest.split('"').next()?).parent())
        .find(|dir| dir.file_name().is_some_and(|name| name == wanted.as_str()))
}

/// The notices in a crate's directory. The text of Apache-2.0 is the package's own.
fn notices(dir: &Path) -> Result<Vec<String>> {
    let mut files: Vec<_> = dir.read_dir()?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if file.is_file() && NAMES.iter().any(|known| name.starts_with(known)) && !name.contains("APACHE") {
            found.push(fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_others_have_no_path_in_the_tree() {
        assert_eq!(foreign("itoa v1.0.15|MIT OR Apache-2.0"), Some(("itoa", "1.0.15", "MIT OR Apache-2.0")));
        assert_eq!(foreign("itoa v1.0.15|MIT (*)"), Some(("itoa", "1.0.15", "MIT")));
        assert_eq!(foreign("sockowner v0.1.0 (/a/b)|MIT"), None);
        assert_eq!(foreign(""), None);
    }

    #[test]
    fn a_crate_is_where_its_manifest_is() {
        let metadata =
            r#"{"manifest_path":"/a/itoa-1.0.1/Cargo.toml"},{"manifest_path":"/a/itoa-1.0.15/Cargo.toml"}"#;
        assert_eq!(dir(metadata, "itoa", "1.0.15"), Some(Path::new("/a/itoa-1.0.15")));
        assert_eq!(dir(metadata, "itoa", "1.0"), None);
    }
}
