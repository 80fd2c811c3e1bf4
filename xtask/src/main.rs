//! `cargo xtask`: the gates of this workspace, run the same way by developers and by CI.

mod bench;
mod bpf;
mod cargo;
mod fuzz;
mod gates;
mod kernel;
mod packages;
mod peers;
mod section;
mod suite;
mod summary;
mod tests;
mod tidy;
mod windows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

const HELP: &str = "\
Usage: cargo xtask COMMAND

  ci                 run every gate, then print a table and the test totals
  ci --full          also run the gates that take long
  ci GATE...         run these gates alone
  ci --list          list the gates: name, `always` or `--full`, what it does
  bpf                rebuild the kernel programs from bpf/ (clang, bpftool, libbpf's headers)
  bench              measure against others, as root, and write BENCHMARKS.md
  bench --recorder   what the recorder costs alone, into its section of BENCHMARKS.md
  bench [--size 500x99|2000x5|1m] [--runs N] [--python PATH] [--smoke] [--hold]
                     a part of it, and write nothing; --hold keeps the load for a profiler
  packages           make the deb and the rpm in target/packages/made
  windows            build for Windows, and run the tests and the program under Wine
  windows --bench    what the Windows functions cost under Wine, into its section of BENCHMARKS.md
  picture            draw docs/*.svg, README's pictures of the list and of watch; as root, with tmux
  man                write man pages and completions into packaging/, from the program's options
  tidy               test the source tree against the invariants of the house style
  help               print this text

Exit: 0 all well, 1 something failed, 2 wrong usage.
";

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let root = workspace_root()?;
    match args.split_first() {
        Some((&"ci", rest)) => ci(&root, rest),
        Some((&"bpf", [])) => bpf::write(&root).map(|()| ExitCode::SUCCESS),
        Some((&"bench", rest)) => bench(&root, rest),
        Some((&"packages", [])) => Ok(exit_code(packages::command(&root)?)),
        Some((&"windows", [])) => Ok(exit_code(windows::command(&root)?)),
        Some((&"windows", ["--bench"])) => {
            Ok(exit_code(matches!(windows::bench(&root)?, gates::Outcome::Passed(_))))
        }
        Some((&"man", [])) => bless(&root, "manual", "pages_and_completions"),
        Some((&"picture", [])) => bless(&root, "live_watch", "the_picture_of"),
        Some((&"tidy", [])) => Ok(exit_code(tidy::run(&root)?.fatal == 0)),
        Some((&("help" | "-h" | "--help"), _)) => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some(_) => Ok(usage(&format!("unknown: {}", args.join(" ")))),
        None => Ok(usage("a command is needed")),
    }
}

fn ci(root: &Path, args: &[&str]) -> Result<ExitCode> {
    let mut full = false;
    let mut list = false;
    let mut names = Vec::new();
    for &arg in args {
        match arg {
            "--full" => full = true,
            "--list" => list = true,
            name if gates::GATES.iter().any(|gate| gate.name == name) => names.push(name),
            other => {
                return Ok(usage(&format!("`{other}` is no gate: see `cargo xtask ci --list`")));
            }
        }
    }
    if full && !names.is_empty() {
        return Ok(usage("name gates or say --full, not both"));
    }
    if list {
        print!("{}", gates::list());
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = gates::GATES
        .iter()
        .filter(|gate| if names.is_empty() { full || !gate.full } else { names.contains(&gate.name) });
    Ok(exit_code(gates::run(root, chosen)?))
}

/// The tests of the program that compare what is committed write it: they alone know what it should be.
fn bless(root: &Path, suite: &str, test: &str) -> Result<ExitCode> {
    let mut tests = cargo::cargo(root, &["test", "--package", "sockowner-cli", "--test", suite]);
    let status = tests.arg(test).env("SOCKOWNER_BLESS", "1").status();
    Ok(exit_code(status.context("start cargo")?.success()))
}

fn bench(root: &Path, args: &[&str]) -> Result<ExitCode> {
    match bench::Asked::parse(args) {
        Ok(asked) => Ok(exit_code(matches!(bench::run(root, &asked)?, gates::Outcome::Passed(_)))),
        Err(problem) => Ok(usage(&problem)),
    }
}

fn exit_code(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage(problem: &str) -> ExitCode {
    eprint!("xtask: {problem}\n\n{HELP}");
    ExitCode::from(2)
}

/// The directory of the workspace: cargo names xtask's own, which lies below it.
fn workspace_root() -> Result<PathBuf> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").context("start it as `cargo xtask`")?;
    let root = Path::new(&own).parent().context("xtask lies in a workspace")?;
    Ok(root.to_path_buf())
}
