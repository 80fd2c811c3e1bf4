//! Where the figures are from.

use std::fs;
use std::path::Path;

use sockowner_testkit::load::sample;

use super::Options;

/// Machine and versions.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) date: String,
    /// What it is, and its value.
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) versions: Vec<(&'static str, String)>,
}

/// The exact versions of the crates that were built in.
const LOCK: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"));

pub(super) fn describe(options: &Options) -> Machine {
    let cores = std::thread::available_parallelism().map_or_else(|_| unknown(), |count| count.to_string());
    let cpu = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let is_virtual = field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let model = field("model name").unwrap_or_else(unknown);
    let model = if is_virtual { format!("{model}, virtual") } else { model };
    // What follows the number is a builder's own.
    let release = read("/proc/sys/kernel/osrelease");
    let kernel = release.trim().split('-').next().unwrap_or_default();
    let others = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
    let script = "import psutil, sys; print(psutil.__version__, 'on Python', sys.version.split()[0])";
    let python = said(&options.python, &["-c", script], |line| Some(line.to_owned()));
    let second = |line: &str| line.split_once(' ').map(|(_, version)| version.to_owned());
    Machine {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        facts: vec![
            ("processor", format!("{model}, {cores} cores")),
            ("kernel", format!("Linux {kernel}")),
            ("load average before the run", others),
        ],
        versions: vec![
            ("sockowner", said(&options.program, &["--version"], second)),
            (
                "ss",
                said(Path::new("ss"), &["-V"], |line| line.split_once("iproute2-").map(|(_, v)| v.into())),
            ),
            (
                "lsof",
                said(Path::new("lsof"), &["-v"], |line| {
                    Some(line.trim().strip_prefix("revision:")?.trim().to_owned())
                }),
            ),
            ("netstat", said(Path::new("netstat"), &["--version"], |line| Some(line.to_owned()))),
            ("psutil", python),
            ("listeners", locked("listeners")),
            ("netstat2", locked("netstat2")),
        ],
    }
}

/// What a program says of its version: the first line in which `find` finds it.
fn said(program: &Path, args: &[&str], find: impl Fn(&str) -> Option<String>) -> String {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    match sample(program, &args) {
        Ok(sample) => {
            let all = [sample.output, sample.errors].concat();
            let found = String::from_utf8_lossy(&all).lines().find_map(find);
            found.filter(|_| sample.status.success()).unwrap_or_else(|| String::from("not installed"))
        }
        Err(why) => why,
    }
}

fn locked(name: &str) -> String {
    let wanted = format!("name = \"{name}\"");
    let mut lines = LOCK.lines().skip_while(|line| *line != wanted);
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1));
    version.map_or_else(unknown, str::to_owned)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn unknown() -> String {
    String::from("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_versions_are_found() {
        assert_eq!(locked("netstat2"), "0.11.2");
        assert_eq!(locked("no-such-crate"), "unknown");
    }
}
