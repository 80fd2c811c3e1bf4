//! Installs, uses and removes the packages in a Debian that has nothing else, then under systemd: `xtask/packages/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::build::Packages;
use super::{Checks, fresh, is_installed, output};

const NAME: &str = "installed in a Debian tree";
/// As small as Debian is.
const VARIANT: &str = "--variant=minbase";

pub(super) fn run(root: &Path, packages: &Packages, checks: &mut Checks) -> Result<()> {
    for (tool, package) in [
        ("debootstrap", "debootstrap"),
        ("unshare", "util-linux"),
        ("ip", "iproute2"),
        ("gcc", "gcc"),
        ("pkg-config", "pkg-config"),
    ] {
        if !is_installed(tool) {
            checks.skip(NAME, &format!("{tool} is not installed (Debian: {package})"));
            return Ok(());
        }
    }
    if output(Command::new("id").arg("-u"))?.trim() != "0" {
        checks.skip(NAME, "only root can enter it");
        return Ok(());
    }
    if let Err(error) = output(Command::new("unshare").args(["--mount", "--net", "true"])) {
        checks.skip(NAME, &format!("no namespaces can be had: {error:#}"));
        return Ok(());
    }
    checks.add("a C program is built with what the rpm has", compile_for_rpm(root, packages));
    for (name, include, script) in [("base", "", "enter"), ("systemd", "systemd", "boot")] {
        let base = match base(&packages.home, name, include) {
            Ok(base) => base,
            Err(error) => {
                checks.skip(NAME, &format!("Debian cannot be had: {error:#}"));
                return Ok(());
            }
        };
        let tree = packages.home.join("tree");
        if tree.exists() {
            fs::remove_dir_all(&tree)?;
        }
        output(Command::new("cp").arg("-a").arg(&base).arg(&tree))?;
        fs::copy(&packages.deb, tree.join("sockowner.deb"))?;
        fs::copy(&packages.rpm, tree.join("sockowner.rpm"))?;
        fs::copy(root.join("xtask/packages/smoke"), tree.join("smoke"))?;
        let program = tree.join("listeners");
        checks.add(
            &format!("a C program is built with the deb, for {script}"),
            compile(root, packages, &program),
        );
        let done = script_in(root, script, &tree)?;
        print!("{done}");
        judge(&done, checks)?;
        fs::remove_dir_all(&tree).with_context(|| format!("remove {}", tree.display()))?;
    }
    Ok(())
}

/// Runs one of the scripts, and yields what it says.
fn script_in(root: &Path, script: &str, tree: &Path) -> Result<String> {
    let script = root.join("xtask/packages").join(script);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net"]).arg(&script).arg(tree).stdin(Stdio::null()).stderr(Stdio::inherit());
    let done = command.output().context("start unshare")?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(done.status.success(), "{}: {}: {said}", script.display(), done.status);
    Ok(said)
}

/// Adds what was checked in the tree.
fn judge(said: &str, checks: &mut Checks) -> Result<()> {
    for line in said.lines() {
        if line.starts_with("ok ") {
            checks.passed += 1;
        } else if let Some(failed) = line.strip_prefix("FAILED ") {
            checks.failed.push(failed.to_owned());
        } else if let Some(skipped) = line.strip_prefix("SKIPPED ") {
            checks.skipped.push(skipped.to_owned());
        }
    }
    let ended = said.lines().any(|line| line == "smoke: ended");
    ensure!(ended, "the checks in the tree did not come to the end:\n{said}");
    Ok(())
}

/// A tree in which nothing but `include` was installed, made once, from where this machine's apt has its packages.
fn base(home: &Path, name: &str, include: &str) -> Result<PathBuf> {
    let base = home.join(name);
    if base.exists() {
        return Ok(base);
    }
    let targets =
        ["indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"];
    let targets = output(Command::new("apt-get").args(targets))?;
    let (from, suite) = archive(&targets).context("apt has no Debian with a component `main`")?;
    let partial = home.join("partial");
    fresh(&partial)?;
    println!("--> debootstrap {suite} {include}");
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.arg(VARIANT);
    if !include.is_empty() {
        debootstrap.arg(format!("--include={include}"));
    }
    debootstrap.arg(suite).arg(&partial).arg(from).env("PATH", path);
    let done = debootstrap.stdin(Stdio::null()).output().context("start debootstrap")?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stdout);
        bail!("debootstrap: {}: {}", done.status, said.lines().last().unwrap_or_default());
    }
    fs::rename(&partial, &base)?;
    Ok(base)
}

/// Where the archive is, and the suite's name. Updates have a name with a dash.
fn archive(targets: &str) -> Option<(&str, &str)> {
    targets.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [from, suite, "main"] if !suite.contains('-') => Some((from, suite)),
        _ => None,
    })
}

/// The README's program, with headers and pkg-config file of the unpacked deb alone.
fn compile(root: &Path, packages: &Packages, program: &Path) -> Result<()> {
    let dir = packages.home.join("sysroot");
    fresh(&dir)?;
    output(Command::new("dpkg-deb").arg("-x").arg(&packages.deb).arg(&dir))?;
    build(root, &dir, "usr/lib", program)
}

/// The rpm has a linker script where Debian has a link.
fn compile_for_rpm(root: &Path, packages: &Packages) -> Result<()> {
    build(root, &packages.rpm_tree, "usr/lib64", &packages.home.join("listeners"))
}

fn build(root: &Path, sysroot: &Path, libraries: &str, program: &Path) -> Result<()> {
    let mut ask = Command::new("pkg-config");
    ask.env("PKG_CONFIG_SYSROOT_DIR", sysroot)
        .env("PKG_CONFIG_LIBDIR", sysroot.join(libraries).join("pkgconfig"))
        .envs([("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1"), ("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1")])
        .args(["--cflags", "--libs", "sockowner"]);
    let flags = output(&mut ask)?;
    let mut gcc = Command::new("gcc");
    gcc.arg(root.join("crates/sockowner-capi/examples/listeners.c")).arg("-o").arg(program);
    output(gcc.args(flags.split_whitespace()))?;
    let needed = output(Command::new("readelf").arg("--dynamic").arg(program))?;
    ensure!(needed.contains("[libsockowner.so.0."), "it does not need the library by its soname:\n{needed}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_that_did_not_come_to_the_end_did_not_pass() {
        let mut checks = Checks::default();
        assert!(judge("ok one\n", &mut checks).is_err());
        let mut checks = Checks::default();
        judge("ok one\nFAILED two: why\nSKIPPED three: why\nsmoke: ended\n", &mut checks).expect("ended");
        let expected =
            Checks { passed: 1, failed: vec!["two: why".into()], skipped: vec!["three: why".into()] };
        assert_eq!(checks, expected);
    }

    #[test]
    fn the_archive_is_neither_updates_nor_another_component() {
        let targets =
            "http://a/debian/ x-updates main\nhttp://a/debian/ x contrib\nhttp://b/debian/ x main\n";
        assert_eq!(archive(targets), Some(("http://b/debian/", "x")));
        assert_eq!(archive(""), None);
    }
}
