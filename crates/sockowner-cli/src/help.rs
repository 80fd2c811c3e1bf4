//! The texts below the options: what is the same everywhere here, the rest in a file for each system.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod windows;

#[cfg(all(target_os = "linux", feature = "tui"))]
pub(crate) use linux::WATCH;
#[cfg(target_os = "linux")]
pub(crate) use linux::{LONG, LONG_ABOUT, RECORD, SHARE, SHORT, WAIT, WHO};
#[cfg(all(not(target_os = "linux"), feature = "tui"))]
pub(crate) use windows::WATCH;
#[cfg(not(target_os = "linux"))]
pub(crate) use windows::{LONG, LONG_ABOUT, SHORT, WAIT, WHO};

/// What the program is, in a line.
pub(crate) const ABOUT: &str = "Who owns this socket? Lists endpoints with their processes";

/// Both forms of the command line.
pub(crate) const USAGE: &str = "\
sockowner [OPTIONS]                          list endpoints
       sockowner who [OPTIONS] ENDPOINT [REMOTE]    explain one in full";

/// Without a list of commands: the usage names them.
pub(crate) const TEMPLATE: &str = "\
{before-help}{about-with-newline}
{usage-heading} {usage}

Options:
{options}{after-help}";

/// The text below `--help`.
macro_rules! long {
    (
        protocols: $protocols:literal, user: $user:literal, unit: $unit:literal, examples: $examples:literal,
        commands: $commands:literal, end: $end:literal
    ) => {
        concat!(
            "\
Columns:
  PROTO    ",
            $protocols,
            " for an IPv6 socket
  USER     ",
            $user,
            "
  PID, PROCESS
           who holds it; of several processes the one that started first, and
           how many more. Where none is shown the reason stands in its place
  UNIT     ",
            $unit,
            "
  Names with characters that cannot be seen are shown in quotes, those escaped
  as \\xNN or \\u{NNNN}.

  Values of one option are alternatives, different options must all be met.

Formats:
  -o takes names from '-o help', with commas between them; so does --sort, where
  '-' before a name has the last first. Numbers and addresses go by their size.
  --json is one document with what could not be read; --jsonl and --csv tell
  that on stderr. --csv has other columns than the table: no two are in one.

Examples:
  sockowner -tl                           who listens on TCP
  sockowner who :443                      all about port 443
  sockowner who udp/127.0.0.1:53          one address, one protocol
  sockowner who 10.0.0.5:40112 1.1.1.1:443
                                          one connection
",
            $examples,
            "
  sockowner -o local,process,path --sort -local_port
  sockowner --csv > endpoints.csv
  sockowner --json | jq '.endpoints[].owner.pid'

Other commands:
  sockowner wait tcp/:8080 --timeout 30   until somebody listens there
  sockowner watch                         see endpoints come, change and go, on
                                          the whole screen
  sockowner status                        where owners come from here, what was
                                          refused and how to enable it
",
            $commands,
            "\
Exit status:
  0  found, also where the owner is not known
  1  nothing matched
  2  wrong usage, or a failure
  3  with --strict: something is missing for want of permission

",
            $end
        )
    };
}

/// The text below the help of `wait`.
macro_rules! wait {
    (example: $example:literal, by: $by:literal) => {
        concat!(
            "\
ENDPOINT is as for `who`: :8080 is any address and protocol, tcp/:8080 one
protocol. A listener on every address listens at each; so does a UDP socket
without a fixed peer. Prints the lines that the list has of it. No process is
looked at until somebody listens.
",
            "
To end whoever has a port is left to ",
            $by,
            ", on purpose.

Examples:
  sockowner wait tcp/:8080 --timeout 30 && curl http://localhost:8080/
",
            $example,
            "
Exit: 0 somebody listens, 1 nobody did until the timeout, 2 wrong usage or a
failure, 3 with --strict where something is missing for want of permission."
        )
    };
}

/// The text below the help of `who`.
macro_rules! who {
    (
        protocol: $protocol:literal, closed: $closed:literal, zone: $zone:literal, examples: $examples:literal
    ) => {
        concat!(
            "\
ENDPOINT is ADDRESS:PORT or :PORT, IPv6 addresses in brackets, ",
            $protocol,
            " before it for one protocol. A connection is two of them, the local one
first. All that match are explained, listeners first; an address also finds the
wildcard listener that serves it.

",
            $closed,
            "\
Examples:
  sockowner who :22
  sockowner who tcp/127.0.0.1:5432
  sockowner who ",
            $zone,
            "
  sockowner who 10.0.0.5:40112 1.1.1.1:443
",
            $examples,
            "
Exit: 0 found, 1 nothing matched, 2 wrong usage or a failure, 3 with --strict
where something is missing for want of permission."
        )
    };
}

/// The text below the help of `watch`.
#[cfg(feature = "tui")]
macro_rules! watch {
    ($namespaces:literal, $many:literal) => {
        concat!(
            "\
Listeners stand first, then what came last. + is new (green), ~ is changed
(yellow), - is closed (red), ? is not in the last list, which is incomplete.
Keys: up and down, / filter, s sort, g group, Enter all that is known of one,
y copy as JSON, space freeze, ? help, q quit.
",
            $namespaces,
            "
",
            $many,
            "\
-o, --sort, --csv, --json, --jsonl and --no-header need --once. NO_COLOR is
obeyed. Exit: 0, 2 wrong usage or a failure; with --once as the list."
        )
    };
}

#[cfg(feature = "tui")]
use watch;
use {long, wait, who};
