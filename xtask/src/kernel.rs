//! The same bytes on a stock kernel: boots Debian's in an emulator, without KVM, and runs `xtask/kernel/smoke` there.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::cargo;
use crate::gates::Outcome;
use crate::tests::Report;

const TARGET: &str = "x86_64-unknown-linux-musl";
/// Debian builds sock_diag as modules, which are loaded in this order.
const MODULES: [&str; 3] = ["inet_diag", "tcp_diag", "udp_diag"];
/// Emulated machines are slow: a boot takes up to a minute, and nothing is wrong with fifty.
const SECONDS: &str = "3000";

/// The gate.
pub(crate) fn run(root: &Path, _: &mut Report) -> Result<Outcome> {
    for (tool, package) in [
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("busybox", "busybox-static"),
        ("cpio", "cpio"),
        ("dpkg-deb", "dpkg"),
        ("timeout", "coreutils"),
    ] {
        if !is_installed(tool) {
            return Ok(Outcome::Skipped(format!("{tool} is not installed (Debian: {package})")));
        }
    }
    if !crate::gates::has_std(TARGET) {
        return Ok(Outcome::Skipped(format!("`rustup target add {TARGET}` first")));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let dir = root.join(target).join("kernel");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let kernel = match unpack_kernel(&dir) {
        Ok(kernel) => kernel,
        Err(error) => return Ok(Outcome::Skipped(format!("Debian's kernel cannot be had: {error:#}"))),
    };
    succeed(cargo(root, &["build", "--release", "--target", TARGET, "--package", "sockowner-cli"]))?;
    let program = dir.parent().context("the target directory")?.join(TARGET).join("release/sockowner");
    let image = make_image(root, &dir, &kernel, &program)?;
    let console = boot(&kernel.join("boot"), &image)?;
    judge(&console)
}

/// Whether every check of the smoke test succeeded, by what the machine wrote.
fn judge(console: &str) -> Result<Outcome> {
    let lines = || console.lines().map(|line| line.trim_end_matches('\r'));
    let passed = lines().filter(|line| line.starts_with("ok ")).count();
    let failed: Vec<_> = lines().filter(|line| line.starts_with("FAILED ")).collect();
    let kernel = lines().find_map(|line| Some(line.split_once("kernel: ")?.1)).unwrap_or("unknown");
    if !failed.is_empty() {
        return Ok(Outcome::Failed(format!("Linux {kernel}: {}", failed.join("; "))));
    }
    ensure!(
        lines().any(|line| line == "smoke: ended") && passed > 0,
        "the machine did not come to the end:\n{console}"
    );
    Ok(Outcome::Passed(format!("Linux {kernel}, emulated: {passed} checks")))
}

/// The kernel and its modules, unpacked once.
fn unpack_kernel(dir: &Path) -> Result<PathBuf> {
    let unpacked = dir.join("unpacked");
    if unpacked.join("boot").exists() {
        return Ok(unpacked);
    }
    let depends = output(Command::new("apt-cache").args(["depends", "linux-image-amd64"]))?;
    let name = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .context("linux-image-amd64 depends on no package")?;
    let packages = dir.join("packages");
    fs::create_dir_all(&packages)?;
    output(Command::new("apt-get").current_dir(&packages).args(["download", "-qq", name]))?;
    let package = fs::read_dir(&packages)?.flatten().map(|entry| entry.path()).next();
    let package = package.with_context(|| format!("{name} was not downloaded"))?;
    let partial = dir.join("partial");
    output(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&partial))?;
    fs::rename(&partial, &unpacked)?;
    Ok(unpacked)
}

/// The first file system: busybox, the program, the modules, the checks.
fn make_image(root: &Path, dir: &Path, kernel: &Path, program: &Path) -> Result<PathBuf> {
    let tree = dir.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    let modules = tree.join("modules");
    fs::create_dir_all(tree.join("bin"))?;
    fs::create_dir_all(&modules)?;
    let copy = |from: &Path, to: &str| {
        fs::copy(from, tree.join(to)).with_context(|| format!("copy {} to {to}", from.display()))
    };
    copy(&which("busybox")?, "bin/busybox")?;
    copy(program, "bin/sockowner")?;
    copy(&root.join("xtask/kernel/init"), "init")?;
    copy(&root.join("xtask/kernel/smoke"), "smoke")?;
    Command::new("chmod").arg("755").arg(tree.join("init")).status()?;
    let mut order = fs::File::create(modules.join("order"))?;
    for name in MODULES {
        let file = format!("{name}.ko");
        let found = output(Command::new("find").arg(kernel).args(["-name", &file]))?;
        // A kernel that has it built in has no such file.
        if let Some(path) = found.lines().next() {
            copy(Path::new(path), &format!("modules/{file}"))?;
            writeln!(order, "{file}")?;
        }
    }
    let image = dir.join("image");
    let pack = format!("find . | cpio --quiet -o -H newc | gzip -1 > '{}'", image.display());
    succeed({
        let mut shell = Command::new("sh");
        shell.current_dir(&tree).args(["-c", &pack]);
        shell
    })?;
    Ok(image)
}

/// What the machine wrote to its console until it ended.
fn boot(dir: &Path, image: &Path) -> Result<String> {
    let mut files = fs::read_dir(dir)?.flatten().map(|entry| entry.path());
    let kernel = files
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")))
        .with_context(|| format!("no kernel in {}", dir.display()))?;
    let mut machine = Command::new("timeout");
    machine.args([SECONDS, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-nographic"]);
    machine.args(["-no-reboot", "-nic", "none", "-kernel"]).arg(kernel).arg("-initrd").arg(image);
    machine.args(["-append", "console=ttyS0 quiet panic=-1"]);
    let done = machine.stdin(Stdio::null()).output().context("start the emulator")?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

fn is_installed(tool: &str) -> bool {
    which(tool).is_ok()
}

fn which(tool: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(tool))
        .find(|file| file.exists())
        .with_context(|| format!("{tool} is not installed"))
}

fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("start {name}"))?;
    if !done.status.success() {
        bail!("{name}: {}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

fn succeed(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {}", command.get_program().display()))?;
    ensure!(status.success(), "{}: {status}", command.get_program().display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_says_nothing_has_not_passed() {
        assert!(judge("").is_err());
        assert!(judge("kernel: 6.1\r\nok one\r\n").is_err(), "it did not come to the end");
        let passed = judge("kernel: 6.1\r\nok one\r\nsmoke: ended\r\n").expect("ended");
        assert_eq!(passed, Outcome::Passed("Linux 6.1, emulated: 1 checks".into()));
        let failed = judge("kernel: 6.1\nok one\nFAILED two: why\nsmoke: ended\n").expect("ended");
        assert_eq!(failed, Outcome::Failed("Linux 6.1: FAILED two: why".into()));
    }
}
