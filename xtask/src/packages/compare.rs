//! Both packages hold the same files and do the same when they are installed and removed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::build::Packages;
use super::{Checks, fresh, is_installed, output};

/// A path, and what is there: `MODE SHA256`.
type Files = BTreeMap<String, String>;

/// What only Debian has: where a package keeps what it owes to Debian's policy.
const DEBIAN_ALONE: [&str; 2] =
    ["/usr/share/doc/sockowner/changelog.Debian.gz", "/usr/share/lintian/overrides/sockowner"];
/// What says where the libraries are.
const SAYS_WHERE: &str = "/usr/lib/pkgconfig/sockowner.pc";
/// A symbolic link in Debian's; cargo-generate-rpm cannot make any.
const LINKER_NAME: &str = "/usr/lib/libsockowner.so";

pub(super) fn run(packages: &Packages, checks: &mut Checks) {
    if !is_installed("rpm") {
        return checks.skip("the rpm is as the deb", "rpm is not installed");
    }
    checks.add("the rpm has the files of the deb", same_files(packages));
    checks.add("the rpm has the scripts of the deb", same_scripts(packages));
    checks.add("the rpm has the library's name", provides(packages));
}

fn same_files(packages: &Packages) -> Result<()> {
    let deb = deb_files(packages)?;
    let rpm = rpm_files(&output(Command::new("rpm").args(["-qp", "--dump"]).arg(&packages.rpm))?)?;
    ensure!(deb.len() > 20, "the deb has only {} files", deb.len());
    let differences = differences(&deb, &rpm);
    ensure!(differences.is_empty(), "deb and rpm: {}", differences.join(", "));
    Ok(())
}

/// Paths that only one has, or that are not the same in both.
fn differences(deb: &Files, rpm: &Files) -> Vec<String> {
    let mut found = Vec::new();
    for path in deb.keys().chain(rpm.keys()) {
        let (left, right) = (deb.get(path), rpm.get(path));
        let excepted = match path.as_str() {
            path if DEBIAN_ALONE.contains(&path) => right.is_none(),
            SAYS_WHERE | LINKER_NAME => left.is_some() && right.is_some(),
            _ => left == right,
        };
        if !excepted && !found.contains(path) {
            found.push(path.clone());
        }
    }
    found
}

/// What `rpm -qp --dump` writes: path, size, time, digest, mode and more of each. Libraries lie in lib64.
fn rpm_files(dump: &str) -> Result<Files> {
    let mut files = Files::new();
    for line in dump.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [path, _, _, digest, mode, "root", "root", ..] = words[..] else {
            anyhow::bail!("not a file of root's: {line}");
        };
        let mode = u32::from_str_radix(mode, 8).with_context(|| format!("the mode in: {line}"))?;
        // Debian has directories for those in them.
        if mode & 0o170_000 == 0o040_000 {
            continue;
        }
        files.insert(path.replace("/usr/lib64/", "/usr/lib/"), format!("{:o} {digest}", mode & 0o7777));
    }
    Ok(files)
}

/// A link to a library, which an rpm has in its place, counts as that library; the one that is linked to, not.
fn deb_files(packages: &Packages) -> Result<Files> {
    let dir = packages.home.join("unpacked");
    fresh(&dir)?;
    output(Command::new("dpkg-deb").arg("-x").arg(&packages.deb).arg(&dir))?;
    let mut files = Files::new();
    let mut linked = Vec::new();
    let mut dirs = vec![dir.clone()];
    while let Some(next) = dirs.pop() {
        for entry in next.read_dir()? {
            let path = entry?.path();
            let file = name(&dir, &path)?;
            if path.is_symlink() {
                linked.push(name(&dir, &path.canonicalize()?)?);
            } else if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let sum = output(Command::new("sha256sum").arg(&path))?;
            let sum = sum.split(' ').next().unwrap_or_default();
            let mode = output(Command::new("stat").args(["-L", "-c", "%a"]).arg(&path))?;
            files.insert(file, format!("{} {sum}", mode.trim()));
        }
    }
    for name in linked {
        files.remove(&name);
    }
    Ok(files)
}

fn name(dir: &Path, path: &Path) -> Result<String> {
    Ok(format!("/{}", path.strip_prefix(dir)?.display()))
}

/// The same scripts, and nothing else in either but what has ldconfig run.
fn same_scripts(packages: &Packages) -> Result<()> {
    let control = packages.home.join("control");
    fresh(&control)?;
    output(Command::new("dpkg-deb").arg("-e").arg(&packages.deb).arg(&control))?;
    let mut names: Vec<_> = control.read_dir()?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let expected = ["control", "postinst", "postrm", "prerm", "shlibs", "triggers"];
    ensure!(names.iter().eq(expected.iter().copied()), "the deb's control files are {names:?}");
    let triggers = fs::read_to_string(control.join("triggers"))?;
    ensure!(triggers.trim() == "activate-noawait ldconfig", "the deb's triggers are {triggers:?}");

    let all = ["PREIN", "POSTIN", "PREUN", "POSTUN", "PRETRANS", "POSTTRANS", "PREUNTRANS", "POSTUNTRANS"];
    for tag in all {
        // A tag that rpm does not know fails; one that a package does not have is `(none)`.
        let mut query = Command::new("rpm");
        query.args(["-qp", "--queryformat", &format!("%{{{tag}}}")]).arg(&packages.rpm);
        let script = match (output(&mut query), tag) {
            (Err(_), "PREUNTRANS" | "POSTUNTRANS") => continue,
            (script, _) => script?,
        };
        let script = if script.trim().is_empty() { "(none)".into() } else { script };
        let deb = match tag {
            "POSTIN" => fs::read_to_string(control.join("postinst"))?,
            "PREUN" => fs::read_to_string(control.join("prerm"))?,
            "POSTUN" => fs::read_to_string(control.join("postrm"))?,
            "POSTTRANS" => "ldconfig".into(),
            _ => "(none)".into(),
        };
        ensure!(script.trim() == deb.trim(), "the rpm's {tag} is\n{script}\nthe deb has\n{deb}");
    }
    Ok(())
}

/// Programs in other rpms ask for the library by its soname.
fn provides(packages: &Packages) -> Result<()> {
    let provided = output(Command::new("rpm").args(["-qp", "--provides"]).arg(&packages.rpm))?;
    let dir = packages.rpm_tree.join("usr/lib64");
    let file = dir.read_dir()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let soname = file.filter(|name| name.starts_with("libsockowner.so.")).max().context("no library")?;
    let wanted = format!("{soname}()(64bit)");
    ensure!(provided.lines().any(|line| line == wanted), "no {wanted} in\n{provided}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[(&str, &str)]) -> Files {
        names.iter().map(|(path, what)| ((*path).to_owned(), (*what).to_owned())).collect()
    }

    #[test]
    fn a_file_that_one_lacks_or_that_differs_is_named() {
        let deb =
            files(&[("/a", "644 1"), ("/b", "644 2"), (LINKER_NAME, "644 3"), (DEBIAN_ALONE[0], "644 4")]);
        let rpm = files(&[("/a", "644 1"), ("/b", "755 2"), (LINKER_NAME, "644 5"), ("/c", "644 6")]);
        assert_eq!(differences(&deb, &rpm), ["/b", "/c"]);
        assert_eq!(differences(&deb, &deb.clone()), [DEBIAN_ALONE[0]]);
        assert_eq!(differences(&files(&[]), &files(&[(SAYS_WHERE, "644 7")])), [SAYS_WHERE]);
    }

    #[test]
    fn a_dump_is_paths_with_modes_and_digests() {
        let dump =
            "/usr/a 0 1 00 040755 root root 0 0 0 X\n/usr/lib64/a.so 27 1 ab12 0100644 root root 0 0 0 X\n";
        assert_eq!(rpm_files(dump).expect("a dump"), files(&[("/usr/lib/a.so", "644 ab12")]));
        assert!(rpm_files("/usr/bin/a 27 1 ab12 0100755 me root 0 0 0 X").is_err());
    }
}
