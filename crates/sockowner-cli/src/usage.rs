//! Reads the command line, and says in this program's words what is wrong with it.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, CommandFactory, Error, FromArgMatches};
use sockowner::Pattern;

use crate::args::{Cli, List};
use crate::messages::say;
use crate::output::{WRITING, quiet_without_reader};
use crate::{FAILURE, text};

/// Reads `words`, the program's name first.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(words)?;
    if let Some((name, _)) = matches.subcommand()
        && let Some(option) = list_option(&command, &matches)
    {
        let message = format!("'{option}' chooses what is listed: it has no meaning with '{name}'");
        return Err(command.error(ErrorKind::ArgumentConflict, message));
    }
    Cli::from_arg_matches(&matches)
}

/// The first of the list's options that was given.
fn list_option(command: &Command, matches: &ArgMatches) -> Option<String> {
    let list = List::augment_args(Command::new("list"));
    let given = list.get_arguments().find(|arg| {
        let id = arg.get_id().as_str();
        matches.value_source(id) == Some(ValueSource::CommandLine)
    })?;
    let arg = command.get_arguments().find(|arg| arg.get_id() == given.get_id())?;
    Some(format!("--{}", arg.get_long()?))
}

/// Prints help and version to stdout, anything else to stderr.
pub(crate) fn report(error: &Error) -> ExitCode {
    if !error.use_stderr() {
        return match quiet_without_reader(error.print().and_then(|()| io::Write::flush(&mut io::stdout()))) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&format!("{WRITING}: {error}"));
                ExitCode::from(FAILURE)
            }
        };
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

/// What a person probably meant.
fn hint(error: &Error) -> Option<String> {
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    let ContextValue::String(word) = error.get(kind)? else {
        return None;
    };
    if word.parse::<Pattern>().is_ok() {
        return Some(format!("To explain one endpoint: sockowner who {}", text::shown(word)));
    }
    let list = List::augment_args(Command::new("list"));
    let is_list_option = list.get_arguments().any(|arg| {
        let short = arg.get_short().is_some_and(|short| *word == format!("-{short}"));
        short || arg.get_long().is_some_and(|long| *word == format!("--{long}"))
    });
    is_list_option.then(|| {
        "It chooses what is listed. With 'who' the protocol is part of the endpoint: sockowner who tcp/:22".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(filter(&["--unit", "ssh"]), all().unit("ssh.service"));
        assert_eq!(filter(&["--container", "ab"]), all().container("ab"));
        assert_eq!(filter(&["--exe", "/bin/x"]), all().executable("/bin/x"));
        assert_eq!(filter(&["--no-owners"]), all().without_owners());
    }
}
