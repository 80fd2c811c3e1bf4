//! Starting cargo, and asking what it can do here.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// A cargo command in the workspace: reads no stdin, writes no colour, which would hide the summaries.
pub(crate) fn cargo(root: &Path, args: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(args).stdin(Stdio::null()).env("CARGO_TERM_COLOR", "never");
    command
}

/// The same program in the same place, with what is set of its environment, and these arguments.
pub(crate) fn copy_of<'a>(command: &Command, args: impl Iterator<Item = &'a OsStr>) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(args).stdin(Stdio::null());
    copy.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        copy.current_dir(dir);
    }
    copy
}

/// Why `cargo TOOL` cannot run here, in the tool's own words; None where it can.
pub(crate) fn missing(root: &Path, tool: &str) -> Option<String> {
    let output = match cargo(root, &[tool, "--version"]).output() {
        Ok(output) if output.status.success() => return None,
        Ok(output) => output,
        Err(e) => return Some(format!("cargo {tool}: {e}")),
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    let why = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Some(format!("cargo {tool}: {}", why.trim_start_matches("error: ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_reported_with_the_reason() {
        let root = Path::new(".");
        assert_eq!(missing(root, "-v"), None);
        let why = missing(root, "no-such-tool").expect("there is no such tool");
        assert!(why.starts_with("cargo no-such-tool: no such command"), "{why}");
    }
}
