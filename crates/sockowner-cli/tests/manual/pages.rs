//! Man pages: what clap_mangen makes of the definition, and behind it what is written by hand in `man/`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::{fs, path::Path};

use clap::{Arg, Command, ValueEnum};
use clap_mangen::Man;

use crate::File;
use crate::field::Field;

/// A page for the program and for each of its commands; what is below a command stands on its page.
pub(crate) fn all(definition: &Command) -> Vec<File> {
    [definition].into_iter().chain(definition.get_subcommands()).map(page).collect()
}

const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

fn page(command: &Command) -> File {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    // clap_mangen leaves out an empty date, and everything behind it would stand in another's place.
    writeln!(text, ".TH {} 1 \"\" sockowner \"User Commands\"", name.to_ascii_uppercase()).unwrap();
    man.render_name_section(&mut text).unwrap();
    let mut synopsis = Vec::new();
    man.render_synopsis_section(&mut synopsis).unwrap();
    text.extend(with_values(String::from_utf8(synopsis).unwrap(), command).into_bytes());
    man.render_description_section(&mut text).unwrap();
    let below: Vec<_> = command.get_subcommands().collect();
    let is_program = name == "sockowner";
    if is_program || below.is_empty() {
        man.render_options_section(&mut text).unwrap();
    }
    let mut text = String::from_utf8(text).unwrap();
    if is_program {
        let mut list = Vec::new();
        man.render_subcommands_section(&mut list).unwrap();
        text += &String::from_utf8(list).unwrap();
    } else if !below.is_empty() {
        text += ".SH COMMANDS\n";
        for command in below {
            text += &section(command);
        }
        text += &general(command);
    }
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("man/{name}.roff"));
    let by_hand =
        fs::read_to_string(&written).unwrap_or_else(|error| panic!("{}: {error}", written.display()));
    text += &by_hand.replace("@COLUMNS@\n", &columns()).replace("@CSV@", &names(Field::CSV));
    // What each section of clap_mangen begins with is said once.
    let text = format!("{PREAMBLE}{}", text.replace(PREAMBLE, ""));
    File { path: format!("man/{name}.1"), text }
}

/// clap_mangen's synopsis has options without the values that they take.
fn with_values(synopsis: String, command: &Command) -> String {
    let options = command.get_arguments().filter(|arg| arg.get_action().takes_values());
    options.fold(synopsis, |synopsis, arg| {
        let (Some(long), Some(names)) = (arg.get_long(), arg.get_value_names()) else { return synopsis };
        let option = format!("\\fB\\-\\-{}\\fR", long.replace('-', "\\-"));
        synopsis.replace(&format!("{option}]"), &format!("{option} \\fI{}\\fR]", names.join(" ")))
    })
}

/// A command below another: what it does, and the options that are its own.
fn section(command: &Command) -> String {
    let mut text = format!(".SS {}\n{}\n", command.get_name(), command.get_about().unwrap());
    let own = command.get_arguments().filter(|arg| !arg.is_global_set());
    text += &options(own);
    text
}

/// The options that every command below has.
fn general(command: &Command) -> String {
    let of_all = command.get_arguments().filter(|arg| arg.is_global_set());
    format!(".SH OPTIONS\n{}", options(of_all))
}

fn options<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let told = arguments.filter(|arg| arg.get_id() != "help");
    let command = Command::new("none").disable_help_flag(true).disable_version_flag(true).args(told.cloned());
    if command.get_arguments().next().is_none() {
        return String::new();
    }
    let mut text = Vec::new();
    Man::new(command).render_options_section(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let (_, list) = text.split_once(".SH OPTIONS\n").unwrap();
    list.to_owned()
}

/// Each column and what it is.
fn columns() -> String {
    Field::value_variants().iter().filter_map(ValueEnum::to_possible_value).fold(
        String::new(),
        |mut text, value| {
            let about = value.get_help().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, ".TP\n.B {}\n{}", value.get_name(), about.replace('-', "\\-"));
            text
        },
    )
}

fn names(fields: &[Field]) -> String {
    fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ")
}
