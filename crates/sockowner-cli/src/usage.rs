//! Reads the command line, and says in this program's words what is wrong with it.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, CommandFactory, Error, FromArgMatches};
use sockowner::Pattern;

use crate::args::{self, Cli, List};
use crate::messages::say;
use crate::output::{WRITING, quiet_without_reader};
use crate::who::quoted;
use crate::{FAILURE, field, text};

/// Reads `words`, the program's name first.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(words)?;
    if let Some((name, _)) = matches.subcommand()
        && let Some(option) = list_option(&command, &matches, name)
    {
        let does =
            if is_of_form(&option) { "is about how the list is printed" } else { "chooses what is listed" };
        // All of them are watch's too.
        let message = match name {
            "watch" => format!("'{option}' {does}: write it behind 'watch'"),
            _ => format!("'{option}' {does}: it has no meaning with '{name}'"),
        };
        return Err(refused(&mut command, name, message));
    }
    let mut cli = Cli::from_arg_matches(&matches)?;
    #[cfg(target_os = "linux")]
    if let Some((name @ ("status" | "share" | "record"), _)) = matches.subcommand()
        && cli.general.netns.is_some()
    {
        let message = format!("'--netns' chooses where endpoints are: it has no meaning with '{name}'");
        return Err(refused(&mut command, name, message));
    }
    if let Some(args::Command::Who(who)) = &mut cli.command {
        // As --json, before the command's name or behind it.
        who.jsonl |= cli.list.jsonl;
        #[cfg(target_os = "linux")]
        {
            who.all_netns |= cli.list.all_netns;
        }
    }
    if let Some((one, other)) = at_odds(&cli) {
        let message = format!("the argument '{one}' cannot be used with '{other}'");
        return Err(command.error(ErrorKind::ArgumentConflict, message));
    }
    Ok(cli)
}

/// Two options that exclude each other, one before the command's name and one behind it: clap sees only those beside each
/// other.
fn at_odds(cli: &Cli) -> Option<(&'static str, &'static str)> {
    #[cfg(target_os = "linux")]
    {
        let is_everywhere = match &cli.command {
            Some(args::Command::Who(who)) => who.all_netns,
            #[cfg(feature = "tui")]
            Some(args::Command::Watch(watch)) => watch.list.all_netns,
            _ => false,
        };
        if is_everywhere && cli.general.netns.is_some() {
            return Some(("--all-netns", "--netns <PLACE>"));
        }
    }
    let forms = match &cli.command {
        Some(args::Command::Who(who)) => vec![(who.jsonl, "--jsonl")],
        #[cfg(feature = "tui")]
        Some(args::Command::Watch(args::Watch { list, .. })) => vec![
            (list.jsonl, "--jsonl"),
            (list.csv, "--csv"),
            (!list.columns.is_empty(), "--columns <COLUMN>"),
            (list.no_header, "--no-header"),
        ],
        _ => return None,
    };
    let form = forms.into_iter().find_map(|(is_given, option)| is_given.then_some(option))?;
    cli.general.json.then_some(("--json", form))
}

/// The error that `message` tells, with the usage of the command `name`.
fn refused(command: &mut Command, name: &str, message: String) -> Error {
    match command.find_subcommand_mut(name) {
        Some(command) => command.error(ErrorKind::ArgumentConflict, message),
        None => command.error(ErrorKind::ArgumentConflict, message),
    }
}

/// The first of the list's options that was given before `name` and is not taken from there.
fn list_option(command: &Command, matches: &ArgMatches, name: &str) -> Option<String> {
    let list = List::augment_args(Command::new("list"));
    let given = list.get_arguments().find(|arg| {
        let id = arg.get_id().as_str();
        let is_taken = name == "who" && matches!(id, "jsonl" | "all_netns");
        !is_taken && matches.value_source(id) == Some(ValueSource::CommandLine)
    })?;
    let arg = command.get_arguments().find(|arg| arg.get_id() == given.get_id())?;
    Some(format!("--{}", arg.get_long()?))
}

/// How the list is printed, not what is on it.
fn is_of_form(option: &str) -> bool {
    ["--columns", "--sort", "--csv", "--jsonl", "--no-header"].contains(&option)
}

/// Prints help and version to stdout, anything else to stderr.
pub(crate) fn report(error: &Error) -> ExitCode {
    if asks_for_columns(error) {
        return printed(io::stdout().write_all(field::help().as_bytes()));
    }
    if !error.use_stderr() {
        return printed(error.print());
    }
    let rendered = text::tamed(&error.render().to_string());
    let message = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    match hint(error) {
        Some(hint) => {
            let what = message.lines().next().unwrap_or(message);
            say(&format!("{what}\n\n{hint}"));
        }
        None => say(message.trim_end()),
    }
    ExitCode::from(FAILURE)
}

/// How the program ends when it was asked for nothing but a text, and wrote that.
fn printed(written: io::Result<()>) -> ExitCode {
    match quiet_without_reader(written.and_then(|()| io::stdout().flush())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{WRITING}: {error}"));
            ExitCode::from(FAILURE)
        }
    }
}

/// `-o help`, `--sort help`: there is no such column, and somebody would like to know which there are.
fn asks_for_columns(error: &Error) -> bool {
    let is_column =
        |value: &ContextValue| matches!(value, ContextValue::String(arg) if arg.ends_with("<COLUMN>"));
    let is_help = |value: &ContextValue| matches!(value, ContextValue::String(word) if word.eq_ignore_ascii_case("help"));
    error.kind() == ErrorKind::InvalidValue
        && error.get(ContextKind::InvalidArg).is_some_and(is_column)
        && error.get(ContextKind::InvalidValue).is_some_and(is_help)
}

/// What a person probably meant.
fn hint(error: &Error) -> Option<String> {
    if error.kind() == ErrorKind::ArgumentConflict {
        let is_json = |word: &str| word == "--json" || word == "--jsonl";
        let words = [ContextKind::InvalidArg, ContextKind::PriorArg]
            .map(|kind| error.get(kind).map(ToString::to_string));
        let [Some(one), Some(other)] = words else { return None };
        let is_shape = |word: &str| word.starts_with("--columns") || word == "--no-header";
        let are_at_odds = is_json(&one) && is_shape(&other) || is_shape(&one) && is_json(&other);
        let has_headings = [&one, &other].iter().any(|word| *word == "--no-header");
        let why = if has_headings {
            "JSON has no line of headings; the table and --csv have"
        } else {
            "JSON has every key always; columns are those of the table and of --csv"
        };
        return are_at_odds.then(|| why.to_owned());
    }
    if lacks_a_column(error) {
        return Some("A name is missing beside the comma; 'sockowner -o help' lists them".to_owned());
    }
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    let ContextValue::String(word) = error.get(kind)? else {
        return None;
    };
    if word.parse::<Pattern>().is_ok() {
        return Some(format!("To explain one endpoint: sockowner who {}", quoted(&text::shown(word))));
    }
    if kind == ContextKind::InvalidSubcommand {
        return Some(command_hint(word));
    }
    let list = List::augment_args(Command::new("list"));
    let option = list.get_arguments().find_map(|arg| {
        let is_short = arg.get_short().is_some_and(|short| *word == format!("-{short}"));
        let long = arg.get_long()?;
        (is_short || *word == format!("--{long}")).then(|| format!("--{long}"))
    })?;
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let takes_endpoint = |name: &&str| usage.contains(&format!("sockowner {name} "));
    Some(match (option.as_str(), ["who", "wait"].iter().find(|name| takes_endpoint(name))) {
        ("--tcp" | "--udp" | "--mptcp", Some(name)) => {
            let protocol = option.trim_start_matches('-');
            format!(
                "It chooses what is listed. With '{name}' the protocol is part of the endpoint: sockowner {name} {protocol}/:22"
            )
        }
        ("--all-netns", Some(_)) => "It waits in one network namespace; --netns chooses which".to_owned(),
        (option, _) if is_of_form(option) => "It is about how the list is printed".to_owned(),
        _ => "It chooses what is listed, and has no meaning here".to_owned(),
    })
}

/// `-o local,`: to name every column there is would hide what is wrong.
fn lacks_a_column(error: &Error) -> bool {
    let is_column =
        error.get(ContextKind::InvalidArg).is_some_and(|arg| arg.to_string().ends_with("<COLUMN>"));
    let is_empty = error.get(ContextKind::InvalidValue).is_some_and(|value| value.to_string().is_empty());
    error.kind() == ErrorKind::InvalidValue && is_column && is_empty
}

/// What a person probably meant by a command that there is none of.
fn command_hint(word: &str) -> String {
    if word.parse::<u16>().is_ok_and(|port| port > 0) {
        return format!(
            "To explain a port: sockowner who :{word}\nWhat a process has: sockowner --pid {word}"
        );
    }
    if word == "kill" {
        return "sockowner ends no process and closes no connection; 'who' tells whom to ask".to_owned();
    }
    let commands = Cli::command();
    let names: Vec<_> = commands.get_subcommands().map(Command::get_name).collect();
    format!(
        "Commands are {}; without one endpoints are listed.\nThose of a unit, a program or a user: sockowner --unit, --exe, --user",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Field, SortBy};

    fn read(words: &[&str]) -> Result<Cli, Error> {
        parse(["sockowner"].iter().chain(words).map(OsString::from))
    }

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn general_options_go_before_and_behind_a_command() {
        for words in [["--json", "who", ":22"], ["who", ":22", "--json"], ["who", "--json", ":22"]] {
            assert!(read(&words).unwrap().general.json, "{words:?}");
        }
    }

    #[test]
    fn options_of_the_list_are_refused_with_who() {
        for words in [["-t", "who", ":22"], ["--tcp", "who", ":22"]] {
            let error = read(&words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
            assert!(error.to_string().contains("'--tcp' chooses what is listed"), "{error}");
        }
        let error = read(&["who", ":22", "-t"]).unwrap_err();
        assert!(hint(&error).unwrap().contains("tcp/:22"));
    }

    #[test]
    fn what_is_said_of_an_option_of_the_list_fits_the_command() {
        for (words, part) in [
            (&["who", ":22", "-u"][..], "sockowner who udp/:22"),
            (&["wait", ":22", "--tcp"], "sockowner wait tcp/:22"),
            (&["who", ":22", "--pid", "1"], "has no meaning here"),
            (&["status", "-t"], "has no meaning here"),
            (&["who", ":22", "--csv"], "how the list is printed"),
            (&["-o", "local,"], "'sockowner -o help' lists them"),
            (&["--jsonl", "--no-header"], "no line of headings"),
            #[cfg(target_os = "linux")]
            (&["wait", ":22", "--all-netns"], "--netns chooses which"),
        ] {
            let hint = hint(&read(words).unwrap_err());
            assert!(hint.as_ref().is_some_and(|hint| hint.contains(part)), "{words:?}: {hint:?}");
        }
    }

    #[test]
    fn a_negative_number_is_taken_for_a_value() {
        for (words, why) in [
            (["wait", ":1", "--timeout", "-1"], "a number of seconds is needed"),
            (["-t", "-l", "--pid", "-1"], "-1"),
        ] {
            let said = read(&words).unwrap_err().to_string();
            assert!(said.contains(why) && !said.contains("'-- -1'"), "{said}");
        }
    }

    #[test]
    fn who_types_no_command_is_told_what_there_is() {
        for (word, part) in [
            ("8080", "sockowner who :8080"),
            ("kill", "ends no process"),
            ("nginx", "Commands are who, wait, "),
            ("127.0.0.1:22", "sockowner who 127.0.0.1:22"),
            #[cfg(target_os = "linux")]
            ("1.2.3.4:1->5.6.7.8:2", "sockowner who '1.2.3.4:1->5.6.7.8:2'"),
            #[cfg(windows)]
            ("1.2.3.4:1->5.6.7.8:2", "sockowner who \"1.2.3.4:1->5.6.7.8:2\""),
        ] {
            let hint = hint(&read(&[word]).unwrap_err()).unwrap();
            assert!(hint.contains(part), "{word}: {hint}");
        }
    }

    #[test]
    fn options_about_the_form_of_the_list_are_refused_with_commands() {
        for (words, option) in [
            (["--csv", "who", ":22"].as_slice(), "--csv"),
            (&["-o", "pid", "who", ":22"], "--columns"),
            (&["--sort=-pid", "who", ":22"], "--sort"),
            (&["--no-header", "who", ":22"], "--no-header"),
            (&["--jsonl", "status"], "--jsonl"),
        ] {
            let error = read(words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
            let message = format!("'{option}' is about how the list is printed");
            assert!(error.to_string().contains(&message), "{error}");
        }
    }

    #[cfg(feature = "tui")]
    #[test]
    fn options_of_the_list_stand_behind_watch() {
        for (words, said) in [
            (["-t", "watch"], "'--tcp' chooses what is listed: write it behind 'watch'"),
            (["--csv", "watch"], "'--csv' is about how the list is printed: write it behind 'watch'"),
        ] {
            let error = read(&words).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(read(&[words[1], words[0]]).is_ok());
        }
    }

    #[cfg(feature = "tui")]
    #[test]
    fn options_at_odds_are_seen_on_both_sides_of_watch() {
        for words in [
            &["--json", "watch", "--once", "--csv"][..],
            &["--json", "watch", "--once", "-o", "pid"],
            &["--json", "watch", "--jsonl"],
            &["--json", "watch", "--no-header"],
            #[cfg(target_os = "linux")]
            &["--netns", "blue", "watch", "--all-netns"],
        ] {
            let error = read(words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{words:?}");
            assert!(error.to_string().contains("cannot be used with"), "{error}");
            // As where both stand behind it.
            let behind: Vec<_> = words.iter().filter(|word| **word != "watch").copied().collect();
            assert!(read(&[&["watch"], &behind[..]].concat()).is_err());
        }
        assert!(read(&["--json", "watch", "--once", "--sort", "pid"]).is_ok());
    }

    #[test]
    fn lines_of_json_can_be_asked_for_on_either_side_of_who() {
        for words in [["--jsonl", "who", ":22"], ["who", ":22", "--jsonl"]] {
            let Some(args::Command::Who(who)) = read(&words).unwrap().command else { panic!("{words:?}") };
            assert!(who.jsonl);
        }
        assert!(read(&["--jsonl"]).unwrap().list.jsonl);
    }

    #[test]
    fn one_form_excludes_another_and_json_has_no_columns() {
        for words in [
            &["--json", "--jsonl"][..],
            &["--json", "--csv"],
            &["--jsonl", "--csv"],
            &["--json", "who", ":1", "--jsonl"],
            &["--jsonl", "who", ":1", "--json"],
            &["who", ":1", "--jsonl", "--json"],
            &["-o", "pid", "--json"],
            &["--jsonl", "-o", "pid"],
            &["--no-header", "--json"],
            &["--jsonl", "--no-header"],
        ] {
            let error = read(words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{words:?}");
            let is_about_columns = words.contains(&"-o") || words.contains(&"--no-header");
            assert_eq!(hint(&error).is_some(), is_about_columns, "{words:?}: {error}");
        }
        for words in
            [&["--json", "--sort", "pid"][..], &["--csv", "-o", "pid", "--no-header", "--sort", "-pid"]]
        {
            assert!(read(words).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn columns_are_read_by_name_in_either_case() {
        let list = read(&["-o", "local,PID", "-o", "cmdline", "--sort", "-local_port,Pid"]).unwrap().list;
        assert_eq!(list.columns, [Field::Local, Field::Pid, Field::Cmdline]);
        let by = |field, is_reversed| SortBy { field, is_reversed };
        assert_eq!(list.sort, [by(Field::LocalPort, true), by(Field::Pid, false)]);
        for words in [
            ["-o", "pids"],
            ["-o", ""],
            ["-o", "-pid"],
            ["--sort", "cmdline"],
            ["--sort", "--pid"],
            ["--sort", "-"],
        ] {
            let error = read(&words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidValue, "{words:?}: {error}");
            assert!(!asks_for_columns(&error));
        }
        for words in [["-o", "help"], ["--sort", "help"], ["-o", "pid,help"]] {
            assert!(asks_for_columns(&read(&words).unwrap_err()), "{words:?}");
        }
        assert!(!asks_for_columns(&read(&["--state", "help"]).unwrap_err()));
    }

    #[test]
    fn an_endpoint_without_who_is_understood_and_refused() {
        let error = read(&["127.0.0.1:22"]).unwrap_err();
        assert_eq!(hint(&error).unwrap(), "To explain one endpoint: sockowner who 127.0.0.1:22");
        assert_eq!(hint(&read(&["--nonsense"]).unwrap_err()), None);
    }

    #[test]
    fn owners_cannot_be_asked_for_and_left_out() {
        assert!(read(&["--no-owners", "--pid", "1"]).is_err());
        assert!(read(&["--no-owners", "--exe", "x"]).is_err());
        assert!(read(&["--no-owners", "--unit", "ssh"]).is_ok());
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for words in [
            ["--pid", "0"],
            ["--pid", "-1"],
            ["--pid", "x"],
            ["--state", "HALF"],
            ["--user", ""],
            ["--exe", ""],
        ] {
            assert_eq!(read(&words).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_namespace_is_for_what_tells_endpoints() {
        for words in
            [["--netns", "blue"].as_slice(), &["who", ":1", "--netns", "7"], &["--netns", "x", "wait", ":1"]]
        {
            assert!(read(words).unwrap().general.netns.is_some(), "{words:?}");
        }
        for words in [["status", "--netns", "blue"].as_slice(), &["--netns", "blue", "record", "status"]] {
            let error = read(words).unwrap_err();
            assert!(error.to_string().contains("it has no meaning with"), "{error}");
            let usage = error.to_string();
            assert!(!usage.contains("list endpoints"), "the command's own usage: {usage}");
        }
        assert!(read(&["--netns", ""]).is_err());
        assert!(read(&["--netns", "blue", "--all-netns"]).is_err());
        let filter = |word| read(&[word]).unwrap().list.filter();
        let all = sockowner::Filter::new;
        assert_eq!(filter("--all-netns"), all().every_namespace());
        assert_eq!(filter("-M"), all().protocol(sockowner::Protocol::Mptcp));
    }

    #[test]
    fn a_timeout_is_seconds() {
        use crate::args::Command;
        let timeout = |text: &str| -> Result<f64, Error> {
            match read(&["wait", ":1", "--timeout", text])?.command {
                Some(Command::Wait(wait)) => Ok(wait.timeout.unwrap().as_secs_f64()),
                other => panic!("{other:?}"),
            }
        };
        for (text, expected) in [("0", 0.0), ("30", 30.0), ("0.5", 0.5), ("1e3", 1000.0)] {
            assert_eq!(timeout(text).unwrap().to_bits(), f64::to_bits(expected), "{text}");
        }
        for text in ["", "-1", "x", "NaN", "inf", "1e300", "30s"] {
            assert_eq!(timeout(text).unwrap_err().exit_code(), 2, "{text}");
        }
        assert!(read(&["wait"]).is_err() && read(&["wait", ":1", ":2"]).is_err());
    }

    #[test]
    fn every_option_of_the_list_reaches_the_filter() {
        use sockowner::{Family, Filter, Protocol, State};
        let filter = |words: &[&str]| read(words).unwrap().list.filter();
        let all = Filter::new;
        assert_eq!(filter(&["-anp"]), all());
        assert_eq!(filter(&["-t"]), all().protocol(Protocol::Tcp));
        assert_eq!(filter(&["-u"]), all().protocol(Protocol::Udp));
        assert_eq!(filter(&["-4"]), all().family(Family::Ipv4));
        assert_eq!(filter(&["-6"]), all().family(Family::Ipv6));
        assert_eq!(filter(&["-l"]), all().listening());
        let states = all().state(State::TIME_WAIT).state(State::LISTEN);
        assert_eq!(filter(&["--state", "time-wait,LISTEN"]), states);
        assert_eq!(filter(&["--state", "time-wait", "--state", "listen"]), states);
        assert_eq!(filter(&["--pid", "1,2", "--pid", "3"]), all().pid(1).pid(2).pid(3));
        assert_eq!(filter(&["--user", "a", "--user", "0"]), all().user("a").user("0"));
        let unit = if cfg!(windows) { "ssh" } else { "ssh.service" };
        assert_eq!(filter(&["--unit", "ssh"]), all().unit(unit));
        assert_eq!(filter(&["--container", "ab"]), all().container("ab"));
        assert_eq!(filter(&["--exe", "/bin/x"]), all().executable("/bin/x"));
        assert_eq!(filter(&["--no-owners"]), all().without_owners());
    }
}
