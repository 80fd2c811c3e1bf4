//! The kernel programs: from C to the bytes that the library loads, and the proof that the committed bytes are these.
//!
//! clang compiles, bpftool makes a light skeleton: a program that loads the others, and its data. Both are taken out of
//! the C header that bpftool writes, so that the library needs neither libbpf nor ELF.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::gates::Outcome;
use crate::tests::Report;

/// One object each: what is in one is loaded together or not at all.
const OBJECTS: [&str; 8] =
    ["snapshot", "own", "record", "record_state", "record_use", "sample", "sample_plain", "sample_listen"];
const BYTES: &str = "crates/sockowner/src/sys/linux/bpf";

/// Builds every object and writes its bytes beside the loader.
pub(crate) fn write(root: &Path) -> Result<()> {
    for object in OBJECTS {
        for (part, bytes) in build(root, object)? {
            let path = file(root, object, part);
            fs::write(&path, &bytes).with_context(|| format!("write {}", path.display()))?;
            println!("{}: {} bytes", path.display(), bytes.len());
        }
    }
    let path = root.join("bpf/TOOLCHAIN");
    fs::write(&path, toolchain()?).with_context(|| format!("write {}", path.display()))
}

/// The gate: the committed bytes are what the committed sources make.
pub(crate) fn check(root: &Path, _: &mut Report) -> Result<Outcome> {
    let path = root.join("bpf/TOOLCHAIN");
    let wanted = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let here = match toolchain() {
        Ok(here) => here,
        Err(error) => return Ok(Outcome::Skipped(format!("{error:#}"))),
    };
    if here != wanted {
        let one_line = |text: &str| text.trim_end().replace('\n', ", ");
        return Ok(Outcome::Skipped(format!("built with {}; here: {}", one_line(&wanted), one_line(&here))));
    }
    for object in OBJECTS {
        for (part, bytes) in build(root, object)? {
            let path = file(root, object, part);
            let committed = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            if committed != bytes {
                return Ok(Outcome::Failed(format!(
                    "{} is not what bpf/{object}.bpf.c makes: run `cargo xtask bpf`",
                    path.display()
                )));
            }
        }
    }
    Ok(Outcome::Passed(format!("{} objects, byte for byte", OBJECTS.len())))
}

fn file(root: &Path, object: &str, part: &str) -> PathBuf {
    root.join(BYTES).join(format!("{object}.{part}"))
}

/// The versions that decide over the bytes, one a line.
fn toolchain() -> Result<String> {
    let clang = first_line(Command::new("clang").arg("--version"))?;
    let bpftool = first_line(Command::new(tool("bpftool")).arg("version"))?;
    let bpftool = bpftool.rsplit('/').next().unwrap_or_default();
    let header = Path::new("/usr/include/bpf/libbpf_version.h");
    let libbpf = fs::read_to_string(header).with_context(|| {
        format!("libbpf's headers are not installed (Debian: libbpf-dev): {}", header.display())
    })?;
    let number = |name: &str| between(&libbpf, &format!("{name} "), "\n");
    let (major, minor) = (number("LIBBPF_MAJOR_VERSION")?, number("LIBBPF_MINOR_VERSION")?);
    Ok(format!("{clang}\n{bpftool}\nlibbpf v{}.{}\n", major.trim(), minor.trim()))
}

fn first_line(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} is not installed"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned).with_context(|| format!("{name} tells no version"))
}

/// Debian keeps some tools where only root's PATH looks.
fn tool(name: &str) -> PathBuf {
    let sbin = Path::new("/usr/sbin").join(name);
    if sbin.exists() { sbin } else { name.into() }
}

/// The parts of the light skeleton of `bpf/OBJECT.bpf.c`.
fn build(root: &Path, object: &str) -> Result<[(&'static str, Vec<u8>); 2]> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let dir = root.join(target).join("bpf");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let elf = dir.join(format!("{object}.o"));
    let source = root.join("bpf");
    let mut clang = Command::new("clang");
    clang.current_dir(&source);
    clang.args(["-g", "-O2", "-target", "bpf", "-D__TARGET_ARCH_x86", "-Wall", "-Wextra", "-Werror"]);
    clang.args(["-Wno-unused-parameter", "-Wno-missing-declarations"]);
    // The same bytes wherever the sources lie.
    clang.arg(format!("-ffile-prefix-map={}=.", source.display()));
    clang.arg(format!("-fdebug-prefix-map={}=.", source.display()));
    clang.arg("-c").arg(format!("{object}.bpf.c")).arg("-o").arg(&elf);
    run(&mut clang)?;
    let skeleton = run(Command::new(tool("bpftool")).args(["gen", "skeleton", "-L"]).arg(&elf))?;
    let skeleton = String::from_utf8(skeleton).context("read bpftool's skeleton")?;
    let part = |name: &str| {
        let size = between(&skeleton, &format!("opts.{name}_sz = "), ";")?;
        let text = between(&skeleton, &format!("opts.{name} = (void *)\""), "\";")?;
        let mut bytes = unescape(&text)?;
        let size: usize = size.parse().with_context(|| format!("read the size of {name}"))?;
        ensure!(bytes.len() <= size && size - bytes.len() < 16, "{name}: {} of {size} bytes", bytes.len());
        bytes.resize(size, 0);
        Ok(bytes)
    };
    Ok([("data", part("data")?), ("insns", part("insns")?)])
}

fn run(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

fn between(text: &str, before: &str, after: &str) -> Result<String> {
    let rest = text.split_once(before).with_context(|| format!("find `{before}` in bpftool's skeleton"))?.1;
    let inner = rest.split_once(after).with_context(|| format!("find the end of `{before}`"))?.0;
    Ok(inner.to_owned())
}

/// The bytes of a C string literal whose lines end in a backslash.
fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest {
            [b'\n', ..] => rest = &rest[1..],
            [b'x', high, low, ..] => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits)?;
                bytes.push(u8::from_str_radix(digits, 16).with_context(|| format!("read \\x{digits}"))?);
                rest = &rest[3..];
            }
            [b'0', ..] => {
                bytes.push(0);
                rest = &rest[1..];
            }
            other => bail!("an escape that bpftool is not known to write: {:?}", other.first()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_read_as_c_reads_it() {
        assert_eq!(unescape("\\0\\xff\\\n\\x41b").expect("well formed"), [0, 255, b'A', b'b']);
        assert!(unescape("\\n").is_err() && unescape("\\xzz").is_err() && unescape("\\").is_err());
    }
}
