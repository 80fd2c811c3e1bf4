//! The packages: makes deb and rpm, and has both tried. What they hold is what `packaging/install` installs.

mod build;
mod compare;
mod notices;
mod tree;
mod units;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::gates::Outcome;
use crate::tests::Report;
use build::Packages;

/// What became of the checks of one part.
#[derive(Debug, Default, PartialEq, Eq)]
struct Checks {
    passed: usize,
    /// What failed, and why.
    failed: Vec<String>,
    /// What could not be tried, and why.
    skipped: Vec<String>,
}

impl Checks {
    fn add(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                println!("ok {name}");
                self.passed += 1;
            }
            Err(error) => {
                println!("FAILED {name}: {error:#}");
                self.failed.push(format!("{name}: {error:#}"));
            }
        }
    }

    fn skip(&mut self, name: &str, why: &str) {
        println!("SKIPPED {name}: {why}");
        self.skipped.push(format!("{name}: {why}"));
    }

    fn outcome(self) -> Outcome {
        let mut text = format!("{} checks", self.passed);
        if !self.skipped.is_empty() {
            text = format!("{text}; skipped: {}", self.skipped.join("; "));
        }
        if !self.failed.is_empty() {
            Outcome::Failed(format!("{} ({text})", self.failed.join("; ")))
        } else if self.passed == 0 {
            Outcome::Failed("nothing was checked".into())
        } else {
            Outcome::Passed(text)
        }
    }
}

/// The gate.
pub(crate) fn run(root: &Path, _: &mut Report) -> Result<Outcome> {
    let packages = match build::make(root)? {
        Ok(packages) => packages,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let mut checks = Checks::default();
    checks.add("the changelog has this version", version(root, &packages));
    lint(&packages, &mut checks);
    compare::run(&packages, &mut checks);
    units::run(&packages, &mut checks)?;
    tree::run(root, &packages, &mut checks)?;
    Ok(checks.outcome())
}

/// Makes the packages, and says where they are. False: it could not be done here.
pub(crate) fn command(root: &Path) -> Result<bool> {
    match build::make(root)? {
        Ok(packages) => println!("{}\n{}", packages.deb.display(), packages.rpm.display()),
        Err(why) => {
            eprintln!("xtask: {why}");
            return Ok(false);
        }
    }
    Ok(true)
}

/// Debian takes the version from its changelog, cargo-deb from Cargo.toml.
fn version(root: &Path, packages: &Packages) -> Result<()> {
    let changelog = std::fs::read_to_string(root.join("packaging/changelog"))?;
    let version = output(Command::new("dpkg-deb").arg("-f").arg(&packages.deb).arg("Version"))?;
    let first = format!("sockowner ({}) ", version.trim());
    ensure!(changelog.starts_with(&first), "packaging/changelog does not begin with `{first}`");
    Ok(())
}

/// What lintian calls an error is one.
fn lint(packages: &Packages, checks: &mut Checks) {
    const NAME: &str = "lintian has no error";
    if !is_installed("lintian") {
        return checks.skip(NAME, "lintian is not installed");
    }
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error", "--tag-display-limit", "0"]).arg(&packages.deb);
    checks.add(NAME, output(&mut lintian).map(|said| print!("{said}")));
}

/// Where the packages, and all that is needed to try them, are.
fn home(root: &Path) -> PathBuf {
    target(root).join("packages")
}

fn target(root: &Path) -> PathBuf {
    root.join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from))
}

fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Not everybody's PATH has root's tools.
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|dir| dir.join(tool).exists())
}

/// What a command that succeeds writes to stdout; else the error has all that it wrote.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("start {name}"))?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    if !done.status.success() {
        bail!("{name}: {}: {}{}", done.status, said, String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(said)
}

/// An empty directory.
fn fresh(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_check_that_failed_fails_the_gate_and_none_at_all_too() {
        let mut checks = Checks::default();
        checks.skip("rpm", "it is not installed");
        assert_eq!(
            Checks { skipped: checks.skipped.clone(), ..Checks::default() }.outcome(),
            Outcome::Failed("nothing was checked".into())
        );
        checks.add("one", Ok(()));
        let passed = Checks { passed: 1, skipped: checks.skipped.clone(), ..Checks::default() }.outcome();
        assert_eq!(passed, Outcome::Passed("1 checks; skipped: rpm: it is not installed".into()));
        checks.add("two", Err(anyhow::anyhow!("no")));
        let failed = "two: no (1 checks; skipped: rpm: it is not installed)";
        assert_eq!(checks.outcome(), Outcome::Failed(failed.into()));
    }
}
