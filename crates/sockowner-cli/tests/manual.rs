//! Man pages and completions are what the definition of the command line makes: those in `packaging` are compared with it,
//! and written by `cargo xtask man`. And what help and pages say of options is true.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

/// The program's own definition.
#[path = "../src"]
#[expect(dead_code, reason = "the program uses all of it, this the definition")]
mod program {
    pub(crate) mod args;
    pub(crate) mod field;
    pub(crate) mod help;
}

mod manual {
    pub(crate) mod completions;
    pub(crate) mod pages;
}

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;

use self::program::{args, field, help};

/// A file below `packaging`, and what has to be in it.
struct File {
    path: String,
    text: String,
}

/// The definition without what is hidden, every command knowing its full name.
fn definition() -> clap::Command {
    let mut command = visible(&args::Cli::command());
    command.build();
    command
}

/// What is not hidden of a command, with its long texts alone: the short help tells some options in the line of another.
fn visible(command: &clap::Command) -> clap::Command {
    // A hidden one that is global keeps that of the program away.
    let is_there = |arg: &&clap::Arg| !arg.is_hide_set() || arg.is_global_set();
    let arguments = command.get_arguments().filter(is_there).map(|arg| {
        let text = arg.get_long_help().or(arg.get_help()).cloned().unwrap_or_default();
        arg.clone().help(text.clone()).long_help(text).hide_short_help(false)
    });
    let below = command.get_subcommands().filter(|command| !command.is_hide_set()).map(visible);
    let about = command.get_long_about().or(command.get_about()).cloned().unwrap_or_default();
    let mut shown = clap::Command::new(&*command.get_name().to_owned().leak())
        .about(command.get_about().cloned().unwrap_or_default())
        .long_about(about)
        .args(arguments)
        .subcommands(below)
        .subcommand_required(command.is_subcommand_required_set())
        .subcommand_value_name("COMMAND")
        .disable_help_subcommand(true)
        .disable_version_flag(true);
    if command.get_version().is_some() {
        shown = shown.version(env!("CARGO_PKG_VERSION"));
    }
    if let Some(usage) = command.get_overridden_usage() {
        shown = shown.override_usage(usage.clone());
    }
    shown
}

fn made() -> Vec<File> {
    let mut files = manual::pages::all(&definition());
    files.extend(manual::completions::all(&definition()));
    files
}

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging")
}

#[test]
fn pages_and_completions_are_what_the_definition_makes() {
    let is_written = std::env::var_os("SOCKOWNER_BLESS").is_some();
    for File { path, text } in made() {
        let file = packaging().join(&path);
        if is_written {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let committed = fs::read_to_string(&file).unwrap_or_default();
        let difference = committed.lines().zip(text.lines()).find(|(one, other)| one != other);
        assert!(
            committed == text,
            "{path} is not what the definition makes, run `cargo xtask man`: {difference:?}"
        );
    }
}

#[test]
fn nothing_else_lies_beside_them() {
    let made: BTreeSet<_> = made().into_iter().map(|file| file.path).collect();
    for dir in ["man", "completions"] {
        for entry in fs::read_dir(packaging().join(dir)).unwrap() {
            let path = format!("{dir}/{}", entry.unwrap().file_name().display());
            assert!(made.contains(&path), "{path} is made by nothing");
        }
    }
}

/// Every command that is not hidden, with the page it stands on.
fn commands() -> Vec<(String, clap::Command)> {
    let definition = definition();
    let mut commands = vec![("sockowner".to_owned(), definition.clone())];
    for command in definition.get_subcommands() {
        let page = format!("sockowner-{}", command.get_name());
        commands.push((page.clone(), command.clone()));
        commands.extend(command.get_subcommands().map(|command| (page.clone(), command.clone())));
    }
    commands
}

fn options(command: &clap::Command) -> BTreeSet<String> {
    let visible = command.get_arguments().filter(|arg| !arg.is_hide_set());
    visible.filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect()
}

/// What looks like a long option in a text.
fn mentioned(text: &str) -> BTreeSet<String> {
    let text = text.replace("\\-", "-").replace("\\fB", " ").replace("\\fR", " ");
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let words = text.split(|c: char| !is_part(c));
    let options = words.filter(|word| word.starts_with("--") && word.len() > 3);
    options.map(|word| word.trim_end_matches('-').to_owned()).collect()
}

#[test]
fn help_and_page_tell_every_option_and_no_other() {
    let every: BTreeSet<_> = commands().iter().flat_map(|(_, command)| options(command)).collect();
    // Those of other programs, in examples.
    let others = BTreeSet::from(["--system".to_owned()]);
    for (page, command) in commands() {
        let words: Vec<_> = command.get_bin_name().unwrap_or_default().split(' ').skip(1).collect();
        let output =
            Command::new(env!("CARGO_BIN_EXE_sockowner")).args(&words).arg("--help").output().unwrap();
        let long_help = String::from_utf8(output.stdout).unwrap();
        let text = fs::read_to_string(packaging().join(format!("man/{page}.1"))).unwrap();
        for (what, told) in [("--help", mentioned(&long_help)), ("page", mentioned(&text))] {
            let missing: Vec<_> = options(&command).difference(&told).cloned().collect();
            assert_eq!(missing, [""; 0], "{page}, {words:?}: {what}");
            let known: BTreeSet<_> = every.union(&others).cloned().collect();
            let wrong: Vec<_> = told.difference(&known).cloned().collect();
            assert_eq!(wrong, [""; 0], "{page}, {words:?}: {what}");
        }
    }
}

#[test]
fn options_are_found_in_a_text() {
    let found = mentioned("use \\fB\\-\\-no\\-header\\fR, --sort=-pid or --json--; a -- b, -o, ---");
    assert_eq!(found, ["--json", "--no-header", "--sort"].map(str::to_owned).into());
}

#[test]
fn the_page_tells_every_column() {
    let page = fs::read_to_string(packaging().join("man/sockowner.1")).unwrap();
    for line in field::help().lines().skip(1) {
        let name = line.split_whitespace().next().unwrap();
        assert!(page.contains(&format!("\n.B {name}\n")), "{name}");
    }
}

#[test]
fn what_is_written_below_the_options_fits_80_columns() {
    for text in
        [help::LONG, help::WHO, help::WAIT, help::SHARE, help::RECORD, help::SHORT, help::USAGE, help::ABOUT]
    {
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn help_fits_80_columns() {
    for (_, command) in commands() {
        let words: Vec<_> = command.get_bin_name().unwrap_or_default().split(' ').skip(1).collect();
        for option in ["-h", "--help"] {
            let program = Path::new(env!("CARGO_BIN_EXE_sockowner"));
            let output = Command::new(program).args(&words).arg(option).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{words:?} {option}: {line}");
            }
        }
    }
}

#[test]
fn what_has_no_namespace_does_not_offer_one() {
    for words in [&["status"][..], &["share"], &["share", "enable"], &["record"], &["record", "start"]] {
        let program = Path::new(env!("CARGO_BIN_EXE_sockowner"));
        let output = Command::new(program).args(words).arg("--help").output().unwrap();
        assert!(!String::from_utf8(output.stdout).unwrap().contains("--netns"), "{words:?}");
    }
    for page in ["status", "share", "record"] {
        let text = fs::read_to_string(packaging().join(format!("man/sockowner-{page}.1"))).unwrap();
        assert!(!text.contains("netns"), "{page}");
    }
}

#[test]
fn short_help_fits_a_screen_of_24_lines_and_80_columns() {
    let program = Path::new(env!("CARGO_BIN_EXE_sockowner"));
    let output = Command::new(program).arg("-h").env("COLUMNS", "80").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // The shell's prompt takes a line.
    assert!(text.lines().count() < 24, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}
