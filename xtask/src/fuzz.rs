//! The fuzz targets, each for a while.
//!
//! The stable toolchain does: what coverage needs are options of LLVM, and the one flag that is not stable, for the
//! address sanitizer, is let through by `RUSTC_BOOTSTRAP`. libFuzzer itself comes as C++ with `libfuzzer-sys`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;
use crate::gates::Outcome;
use crate::tests::Report;

/// For each target.
const SECONDS: u32 = 30;

/// What cargo-fuzz gives the compiler, too.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Zsanitizer=address",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
];

pub(crate) fn run(root: &Path, _: &mut Report) -> Result<Outcome> {
    let host = host()?;
    if let Err(why) = possible(&host) {
        return Ok(Outcome::Skipped(why));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let dir = root.join(target).join("fuzz");
    let mut build = cargo(root, &["build", "--release", "--package", "sockowner-fuzz", "--bins"]);
    // With a target named, the flags are not for build scripts and macros.
    build.args(["--target", &host, "--target-dir"]).arg(&dir);
    build.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    let profile = [("LTO", "off"), ("STRIP", "none"), ("DEBUG", "line-tables-only")];
    build.envs(profile.map(|(key, value)| (format!("CARGO_PROFILE_RELEASE_{key}"), value)));
    let status = build.status().context("start cargo")?;
    ensure!(status.success(), "build the targets: {status}");

    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for name in targets(root)? {
        println!("--> {name}, {SECONDS} s");
        let program = dir.join(&host).join("release").join(&name);
        let (found, artifacts) = (dir.join("corpus").join(&name), dir.join("artifacts"));
        for dir in [&found, &artifacts] {
            std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        }
        let mut fuzzer = Command::new(&program);
        fuzzer.args(["-verbosity=0", "-print_final_stats=1", "-timeout=20"]);
        fuzzer.arg(format!("-max_total_time={SECONDS}"));
        fuzzer.arg(format!("-artifact_prefix={}/{name}-", artifacts.display()));
        // What is new goes into the first.
        fuzzer.arg(&found).arg(root.join("fuzz/corpus").join(&name));
        let status = fuzzer.stdin(Stdio::null()).status().with_context(|| format!("start {name}"))?;
        if status.success() { done.push(name) } else { failed.push(format!("{name}: {status}")) }
    }
    ensure!(!done.is_empty() || !failed.is_empty(), "there is no target");
    let each = |names: Vec<String>| names.join(", ");
    Ok(if failed.is_empty() {
        Outcome::Passed(format!("{}, {SECONDS} s each", each(done)))
    } else {
        Outcome::Failed(each(failed))
    })
}

/// `fuzz/targets/*.rs`.
fn targets(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in root.join("fuzz/targets").read_dir().context("read fuzz/targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Whether the targets can be built here, else why not.
fn possible(host: &str) -> Result<(), String> {
    if !matches!(host, "x86_64-unknown-linux-gnu" | "aarch64-unknown-linux-gnu") {
        return Err(format!("Rust has no address sanitizer for {host}"));
    }
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let output = Command::new(&compiler).arg("--version").stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{} for libFuzzer: {}", compiler.display(), output.status)),
        Err(error) => Err(format!("{} for libFuzzer: {error}", compiler.display())),
    }
}

/// The triple that the compiler runs on.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_of_the_package_and_has_inputs() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace");
        let manifest = std::fs::read_to_string(root.join("fuzz/Cargo.toml")).expect("fuzz has a manifest");
        let names = targets(root).expect("there are targets");
        assert!(!names.is_empty());
        for name in names {
            assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
            assert!(root.join("fuzz/corpus").join(&name).is_dir(), "{name}");
        }
    }

    #[test]
    fn where_there_is_no_sanitizer_the_reason_is_told() {
        assert!(possible("riscv64gc-unknown-linux-gnu").is_err_and(|why| why.contains("riscv64gc")));
    }
}
