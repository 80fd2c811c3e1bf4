//! Making the packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{fresh, home, is_installed, notices, output, target};
use crate::cargo::cargo;

/// The packages, and what they were made of.
pub(super) struct Packages {
    pub(super) deb: PathBuf,
    pub(super) rpm: PathBuf,
    /// Where all that is made for them and of them is.
    pub(super) home: PathBuf,
    /// What was installed for the rpm.
    pub(super) rpm_tree: PathBuf,
}

/// What makes the packages, with the version that is known to.
const TOOLS: [(&str, &str); 2] = [("cargo-deb", "3.8.0"), ("cargo-generate-rpm", "0.21.1")];

/// Makes them; or tells why that cannot be done here.
pub(super) fn make(root: &Path) -> Result<std::result::Result<Packages, String>> {
    for (tool, package) in [
        ("install", "coreutils"),
        ("gzip", "gzip"),
        ("dpkg-deb", "dpkg"),
        // Finds what the program depends on.
        ("dpkg-shlibdeps", "dpkg-dev"),
    ] {
        if !is_installed(tool) {
            return Ok(Err(format!("{tool} is not installed (Debian: {package})")));
        }
    }
    for (tool, version) in TOOLS {
        if let Err(error) = have(root, tool, version) {
            return Ok(Err(format!("{tool} cannot be had: {error:#}")));
        }
    }
    let built =
        cargo(root, &["build", "--release", "-p", "sockowner-cli", "-p", "sockowner-capi"]).status()?;
    ensure!(built.success(), "cargo build --release: {built}");

    // The manifest names what is below target/release/package.
    let package = target(root).join("release/package");
    fresh(&package)?;
    let notices = notices::compressed(root)?;
    for (name, settings) in [("deb", &[][..]), ("rpm", &[("LIBDIR", "lib64"), ("LINKS", "no")])] {
        let mut install = Command::new(root.join("packaging/install"));
        install.arg("/usr").env("DESTDIR", package.join(name)).env("BUILT", target(root).join("release"));
        output(install.envs(settings.iter().copied()))?;
        fs::write(package.join(name).join("usr/share/doc/sockowner/THIRD-PARTY.gz"), &notices)?;
    }

    let home = home(root);
    let made = home.join("made");
    fresh(&made)?;
    println!("--> the deb");
    run_tool(root, "cargo-deb", &["deb", "-p", "sockowner-cli", "--no-build", "--output"], &made)?;
    println!("--> the rpm");
    run_tool(root, "cargo-generate-rpm", &["generate-rpm", "-p", "crates/sockowner-cli", "--output"], &made)?;
    let deb = only(&made, "deb")?;
    add_shlibs(root, &home, &deb)?;
    Ok(Ok(Packages { deb, rpm: only(&made, "rpm")?, home, rpm_tree: package.join("rpm") }))
}

/// Tells programs that are packaged and use the library what they depend on: cargo-deb cannot.
fn add_shlibs(root: &Path, home: &Path, deb: &Path) -> Result<()> {
    let dir = home.join("shlibs");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    output(Command::new("dpkg-deb").arg("-R").arg(deb).arg(&dir))?;
    fs::copy(root.join("packaging/shlibs"), dir.join("DEBIAN/shlibs"))?;
    output(Command::new("dpkg-deb").args(["--root-owner-group", "-b"]).arg(&dir).arg(deb))?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// Installs a tool of cargo's below the target directory, if it is nowhere.
fn have(root: &Path, tool: &str, version: &str) -> Result<()> {
    if is_installed(tool) || own(root, tool).exists() {
        return Ok(());
    }
    println!("--> cargo install {tool} {version}, which takes some minutes");
    let mut install = cargo(root, &["install", "--locked", "--quiet", tool, "--version", version, "--root"]);
    install.arg(target(root).join("tools")).arg("--target-dir").arg(target(root).join("tools/build"));
    let status = install.status()?;
    ensure!(status.success(), "cargo install: {status}");
    Ok(())
}

fn own(root: &Path, tool: &str) -> PathBuf {
    target(root).join("tools/bin").join(tool)
}

fn run_tool(root: &Path, tool: &str, args: &[&str], made: &Path) -> Result<()> {
    let program = own(root, tool);
    let mut command = Command::new(if program.exists() { program } else { tool.into() });
    // A path that ends in a slash names a directory.
    command.current_dir(root).args(args).arg(made.join("")).env("CARGO_TARGET_DIR", target(root));
    output(&mut command)?;
    Ok(())
}

fn only(dir: &Path, kind: &str) -> Result<PathBuf> {
    let files = dir.read_dir()?.flatten().map(|entry| entry.path());
    let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == kind));
    files.next().with_context(|| format!("no {kind} was made"))
}
