//! A Wine prefix of our own, and its server, which ends with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{TARGET, compile};

/// No display is needed, no Mono and no Gecko asked for, and no debugger started for a program that crashes.
const OVERRIDES: &str = "mscoree,mshtml=;winedbg.exe=";
/// So many seconds the server outlives its last program: starting it takes ten times as long as a program does.
const LINGER: &str = "-p600";

/// A prefix that nothing was run in before.
pub(super) struct Prefix {
    dir: PathBuf,
    /// A program that waits. Without one Wine's own background processes end, and the next test's program would start them
    /// again, with its output, which they would hold open for as long as they live.
    keeper: Option<Child>,
    /// DLLs for tests.
    stubs: PathBuf,
}

impl Prefix {
    /// Makes it below `target`, in place of a former one.
    pub(super) fn create(root: &Path, target: &Path) -> Result<Self> {
        let (dir, stubs) = (target.join("wine"), target.join("wine-stubs"));
        let mut prefix = Self { dir, keeper: None, stubs };
        if prefix.dir.exists() {
            prefix.end();
            fs::remove_dir_all(&prefix.dir).with_context(|| format!("remove {}", prefix.dir.display()))?;
        }
        fs::create_dir_all(&prefix.dir).with_context(|| format!("make {}", prefix.dir.display()))?;
        compile(
            root,
            "bcryptprimitives.c",
            &prefix.stubs.join("bcryptprimitives.dll"),
            &["-shared", "-ladvapi32"],
        )?;
        println!("--> a Wine prefix");
        // Services that were started while the prefix was made lack what programs need in their environment: so once more.
        for (program, argument) in [("wineserver", LINGER), ("wine", "wineboot"), ("wineserver", LINGER)] {
            let mut command = Command::new(program);
            command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if program == "wine" {
                command.arg("--init");
            }
            prefix.enter(&mut command, "-all");
            let status = command.status().with_context(|| format!("start {program}"))?;
            ensure!(status.success(), "make a Wine prefix: {program} {argument}: {status}");
            if program == "wine" {
                prefix.end();
            }
        }
        let mut keeper = Command::new("wine");
        keeper.arg("cmd").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        prefix.enter(&mut keeper, "-all");
        prefix.keeper = Some(keeper.spawn().context("start wine")?);
        Ok(prefix)
    }

    /// Has `command`, and what it starts, run Windows programs here; `debug` is what Wine is to say.
    pub(super) fn enter(&self, command: &mut Command, debug: &str) {
        let runner = format!("CARGO_TARGET_{}_RUNNER", TARGET.replace('-', "_").to_uppercase());
        command.env("WINEPREFIX", &self.dir).env("WINEDEBUG", debug).env("WINEDLLOVERRIDES", OVERRIDES);
        command.env("WINEPATH", windows_path(&self.stubs)).env(runner, "wine").env_remove("DISPLAY");
    }

    /// Ends its server, and every program in it.
    fn end(&self) {
        let mut command = Command::new("wineserver");
        self.enter(&mut command, "-all");
        // Where there is no server it says so: it was to be ended anyway.
        let _ = command.arg("-k").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        // One that does not end in time is killed, and its programs then wait for it for ever.
        let left = self.programs();
        if !left.is_empty() {
            // What has ended meanwhile cannot be ended.
            let _ = Command::new("kill").arg("-KILL").args(left).stderr(Stdio::null()).status();
        }
    }

    /// Wine's processes that were told to be in this prefix, by their numbers.
    fn programs(&self) -> Vec<String> {
        let variable = format!("WINEPREFIX={}", self.dir.display());
        let is_ours = |pid: &str| {
            let process = Path::new("/proc").join(pid);
            let program = fs::read_link(process.join("exe")).unwrap_or_default();
            let is_wine =
                program.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"wine"));
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            is_wine && environment.split(|&byte| byte == 0).any(|entry| entry == variable.as_bytes())
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().into_string().ok());
        numbers.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && is_ours(name)).collect()
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        self.end();
        if let Some(keeper) = &mut self.keeper {
            // It was ended with its server.
            let _ = keeper.wait();
        }
    }
}

/// The same file as Windows programs call it.
pub(super) fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_below_drive_z() {
        assert_eq!(windows_path(Path::new("/a/b c")), r"Z:\a\b c");
    }
}
