//! `cargo xtask bench`: builds what users run and the program that measures it, and starts that.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::cargo;
use crate::gates::Outcome;
use crate::section;
use crate::tests::Report;

/// What the program exits with where it cannot measure.
const SKIPPED: i32 = 77;

/// A command line that was understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// For the program.
    args: Vec<String>,
    /// What is measured is a whole file, or the recorder's section of one: that can be written.
    whole: bool,
}

impl Asked {
    /// Reads the arguments after `bench`; `Err` is what is wrong with them.
    pub(crate) fn parse(args: &[&str]) -> Result<Self, String> {
        let mut asked = Self { args: Vec::new(), whole: true };
        let mut args = args.iter();
        while let Some(&arg) = args.next() {
            asked.args.push(arg.into());
            match arg {
                "--recorder" => {}
                "--smoke" | "--hold" => asked.whole = false,
                "--size" | "--runs" | "--python" => {
                    let value = args.next().ok_or_else(|| format!("`{arg}` needs a value"))?;
                    asked.args.push((*value).into());
                    asked.whole &= arg != "--size";
                }
                other => return Err(format!("`bench` does not know `{other}`")),
            }
        }
        Ok(asked)
    }
}

/// Measures; all sizes together make BENCHMARKS.md, the recorder alone its section there.
pub(crate) fn run(root: &Path, asked: &Asked) -> Result<Outcome> {
    let packages = ["build", "--release", "--package", "sockowner-cli", "--package", "sockowner-bench"];
    let built = cargo(root, &packages).status().context("start cargo")?;
    if !built.success() {
        return Ok(Outcome::Failed(format!("cargo build: {built}")));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let release = root.join(target).join("release");
    let path = root.join("BENCHMARKS.md");
    // It has another author, and is not measured here.
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    let windows = section::take(&file, crate::windows::BENCH_TITLE);
    let mut command = Command::new(release.join("sockowner-bench"));
    command.current_dir(root).arg("--program").arg(release.join("sockowner")).args(&asked.args);
    if asked.whole {
        command.arg("--write").arg(&path);
    }
    let status = command.status().context("start sockowner-bench")?;
    if let (true, true, Some(windows)) = (asked.whole, status.success(), windows) {
        let file = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        std::fs::write(&path, section::put(&file, crate::windows::BENCH_TITLE, windows))
            .with_context(|| format!("write {}", path.display()))?;
    }
    if asked.whole && status.success() {
        crate::peers::write(root)?;
    }
    Ok(match status.code() {
        Some(0) => Outcome::Passed(String::new()),
        Some(SKIPPED) => Outcome::Skipped("it needs root and network namespaces".into()),
        _ => Outcome::Failed(status.to_string()),
    })
}

/// Everything works and is right, on a small load.
pub(crate) fn smoke(root: &Path, _: &mut Report) -> Result<Outcome> {
    run(root, &Asked { args: vec!["--smoke".into()], whole: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_sizes_together_or_the_recorder_make_the_file() {
        let whole = |args: &[&str]| Asked::parse(args).map(|asked| asked.whole);
        assert_eq!(whole(&[]), Ok(true));
        assert_eq!(whole(&["--runs", "3", "--python", "python3"]), Ok(true));
        assert_eq!(whole(&["--recorder"]), Ok(true));
        assert_eq!(whole(&["--recorder", "--smoke"]), Ok(false));
        assert_eq!(whole(&["--recorder", "--size", "1m"]), Ok(false));
        assert_eq!(whole(&["--size", "1m"]), Ok(false));
        assert_eq!(whole(&["--smoke"]), Ok(false));
        assert_eq!(whole(&["--hold"]), Ok(false));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        assert!(Asked::parse(&["--size"]).is_err());
        assert!(Asked::parse(&["--write", "x"]).is_err());
    }
}
