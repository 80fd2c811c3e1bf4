//! What can be asked on the command line.

use std::ffi::OsString;
use std::time::Duration;

#[cfg(target_os = "linux")]
use clap::Arg;
use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use sockowner::{Family, Filter, Protocol, Source, State};

use crate::field::{Field, SortBy, SortByParser};
use crate::help;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "sockowner", version, max_term_width = 80)]
#[command(about = help::ABOUT, long_about = help::LONG_ABOUT, after_help = help::SHORT, after_long_help = help::LONG)]
#[command(override_usage = help::USAGE, help_template = help::TEMPLATE, disable_version_flag = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) list: List,
    #[command(flatten)]
    pub(crate) general: General,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, hide_short_help = true)]
    version: (),
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Explain one endpoint in full
    #[command(after_help = help::WHO)]
    Who(Who),
    /// Wait until somebody listens at an endpoint
    #[command(after_help = help::WAIT)]
    Wait(Wait),
    /// Watch endpoints come, change and go, on the whole screen
    #[cfg(feature = "tui")]
    #[command(after_help = help::WATCH)]
    Watch(Watch),
    /// Tell where owners come from here, what was refused and how to enable it
    #[cfg_attr(target_os = "linux", command(arg = refused_netns()))]
    Status,
    /// Let others see owners without privileges of their own
    #[cfg(target_os = "linux")]
    #[command(subcommand, after_help = help::SHARE, arg = refused_netns())]
    Share(Share),
    /// Record who makes and uses sockets, when, and from which library
    #[cfg(target_os = "linux")]
    #[command(subcommand, after_help = help::RECORD, arg = refused_netns())]
    Record(Record),
}

/// `--netns` where it is read, to be refused, and told to nobody.
#[cfg(target_os = "linux")]
fn refused_netns() -> Arg {
    let value = OsStringValueParser::new().try_map(not_empty);
    Arg::new("netns").long("netns").global(true).hide(true).value_name("PLACE").value_parser(value)
}

/// What `record` is to do.
#[cfg(target_os = "linux")]
#[derive(Debug, Subcommand)]
pub(crate) enum Record {
    /// Record from now on: hooks go into the kernel, and a process in the background tends what is noted and finds libraries
    Start {
        #[command(flatten)]
        hooks: Hooks,
        /// Leave the tending to `run --tend-only`
        #[arg(long)]
        hooks_only: bool,
    },
    /// The same in the foreground; when it ends, the recording goes on
    Run {
        #[command(flatten)]
        hooks: Hooks,
        /// Tend what `start` put in, which needs few rights: for a service manager
        #[arg(long, conflicts_with_all = ["group", "first_use"])]
        tend_only: bool,
        /// Of no terminal, and not needed where another process tends
        #[arg(long, hide = true, requires = "tend_only")]
        detached: bool,
    },
    /// Opens the modules that processes execute, for the one that reads them
    #[command(hide = true)]
    Opener,
    /// Reads modules, which are their owners' data
    #[command(hide = true)]
    Parser,
    /// End recording, and forget what was noted
    Stop,
    /// Tell what is recorded and found out, what is missing and why, and what it takes
    Status,
}

/// What is recorded, and for whom.
#[cfg(target_os = "linux")]
#[derive(Debug, Args)]
pub(crate) struct Hooks {
    /// The group that can read all of it beside root, which must exist
    #[arg(long, default_value = "sockowner", value_name = "GROUP", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) group: String,
    /// Note also who first sends or receives on a connection: costs something at each send and receive
    #[arg(long)]
    pub(crate) first_use: bool,
}

/// What `share` is to do.
#[cfg(target_os = "linux")]
#[derive(Debug, Subcommand)]
pub(crate) enum Share {
    /// Share the BPF iterators: a group then sees the owners of every user's sockets
    Enable {
        /// The group, which must exist
        #[arg(long, default_value = "sockowner", value_name = "GROUP", value_parser = NonEmptyStringValueParser::new())]
        group: String,
    },
    /// End sharing
    Disable,
    /// Tell with whom is shared
    Status,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct General {
    /// Where owners come from
    #[arg(long, global = true, value_enum, value_name = "SOURCE", default_value_t = SourceName::Auto)]
    #[arg(hide_short_help = true)]
    pub(crate) source: SourceName,
    /// Exit with 3 where anything is missing for want of permission
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) strict: bool,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Ask in another network namespace: a name under /run/netns, a PID, or a path
    #[cfg(target_os = "linux")]
    #[arg(long, global = true, hide_short_help = true, value_name = "PLACE")]
    #[arg(value_parser = OsStringValueParser::new().try_map(not_empty))]
    pub(crate) netns: Option<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceName {
    /// The best that this system and your rights allow
    Auto,
    /// BPF iterators: CAP_BPF and CAP_PERFMON, or shared by root
    #[cfg(target_os = "linux")]
    Bpf,
    /// The /proc file system
    #[cfg(target_os = "linux")]
    Proc,
}

/// What `who` is asked.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// What to explain: :22, 127.0.0.1:5432, [::1]:80, udp/:53
    pub(crate) endpoint: String,
    /// The other side, for one connection
    pub(crate) remote: Option<String>,
    /// Print a line of JSON for each endpoint
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// What was called so and is closed, from what `record` noted
    #[cfg(target_os = "linux")]
    #[arg(long)]
    pub(crate) closed: bool,
    /// In every network namespace
    #[cfg(target_os = "linux")]
    #[arg(long, alias = "every-namespace", conflicts_with = "netns")]
    pub(crate) all_netns: bool,
}

/// What `wait` is asked.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Where somebody is to listen: :8080, 127.0.0.1:5432, udp/:53
    pub(crate) endpoint: String,
    /// Give up after so many seconds; 0 looks once
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) timeout: Option<Duration>,
}

/// What is watched.
#[cfg(feature = "tui")]
#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) list: List,
    /// Print one view as text, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds between two looks, 0.1 at least
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub(crate) interval: Duration,
}

/// Which endpoints to list.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line, independent of the others"
)]
#[derive(Debug, Default, Args)]
pub(crate) struct List {
    /// TCP only
    #[arg(short, long, help = "TCP only; -u, --udp: UDP only", long_help = "TCP only")]
    pub(crate) tcp: bool,
    /// UDP only
    #[arg(short, long, hide_short_help = true)]
    pub(crate) udp: bool,
    /// MPTCP only; its subflows are TCP sockets
    #[cfg(target_os = "linux")]
    #[arg(short = 'M', long, hide_short_help = true)]
    pub(crate) mptcp: bool,
    /// Listeners, and UDP sockets without a fixed peer
    #[arg(short, long)]
    pub(crate) listening: bool,
    /// IPv4 sockets only
    #[arg(
        short = '4',
        long,
        help = "IPv4 sockets only; -6, --ipv6: IPv6 only",
        long_help = "IPv4 sockets only"
    )]
    pub(crate) ipv4: bool,
    /// IPv6 sockets only
    #[arg(short = '6', long, hide_short_help = true)]
    pub(crate) ipv6: bool,
    /// In this state: LISTEN, time-wait, ...
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    pub(crate) state: Vec<State>,
    /// Held by this process
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(allow_negative_numbers = true)]
    pub(crate) pid: Vec<u32>,
    /// Of this user, by name or number
    #[cfg_attr(windows, arg(help = "Of this user, by name"))]
    #[arg(long, value_name = "USER", value_hint = ValueHint::Username, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) user: Vec<String>,
    /// Of this unit, made in it or held there
    #[arg(long, value_name = "UNIT", value_hint = ValueHint::Other, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) unit: Vec<String>,
    /// Of the container, or pod, whose id begins so
    #[cfg_attr(windows, arg(hide = true))]
    #[arg(long, value_name = "ID", value_hint = ValueHint::Other, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) container: Vec<String>,
    /// Held by a process that runs this path or base name
    #[arg(long, value_name = "FILE", value_hint = ValueHint::ExecutablePath, value_parser = OsStringValueParser::new().try_map(not_empty))]
    pub(crate) exe: Vec<OsString>,
    /// Of every network namespace
    #[cfg(target_os = "linux")]
    #[arg(long, conflicts_with = "netns", hide_short_help = true)]
    pub(crate) all_netns: bool,
    /// The endpoints alone: look at no process
    #[arg(long, hide_short_help = true, conflicts_with_all = ["pid", "exe"])]
    pub(crate) no_owners: bool,
    /// These columns: local,process,...; '-o help' lists them
    #[arg(short = 'o', long, value_name = "COLUMN", value_delimiter = ',', value_enum)]
    #[arg(hide_possible_values = true, ignore_case = true, conflicts_with_all = ["json", "jsonl"])]
    pub(crate) columns: Vec<Field>,
    /// In this order, as state,-pid; '-': the last first
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', value_parser = SortByParser, hide_possible_values = true)]
    #[arg(allow_hyphen_values = true, ignore_case = true)]
    pub(crate) sort: Vec<SortBy>,
    /// Print comma-separated values
    #[arg(long, help = "Print comma-separated values; --jsonl: lines of JSON")]
    #[arg(long_help = "Print comma-separated values", conflicts_with_all = ["json", "jsonl"])]
    pub(crate) csv: bool,
    /// Print a line of JSON for each endpoint
    #[arg(long, hide_short_help = true, conflicts_with = "json")]
    pub(crate) jsonl: bool,
    /// Without the line of headings
    #[arg(long, hide_short_help = true, conflicts_with_all = ["json", "jsonl"])]
    pub(crate) no_header: bool,
    /// Every endpoint: the default, for users of ss and netstat
    #[arg(short, long, hide_short_help = true)]
    pub(crate) all: bool,
    /// Never resolve names: the default, for users of ss and netstat
    #[arg(short, long, hide_short_help = true)]
    pub(crate) numeric: bool,
    /// Show processes: the default, for users of ss and netstat
    #[arg(short, long, hide_short_help = true)]
    pub(crate) processes: bool,
}

impl From<SourceName> for Source {
    fn from(name: SourceName) -> Self {
        match name {
            SourceName::Auto => Self::Auto,
            #[cfg(target_os = "linux")]
            SourceName::Bpf => Self::Bpf,
            #[cfg(target_os = "linux")]
            SourceName::Proc => Self::Proc,
        }
    }
}

impl List {
    /// Endpoints of more than one network namespace, so that rows have to tell theirs.
    pub(crate) fn is_of_all_namespaces(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.all_netns;
        #[cfg(not(target_os = "linux"))]
        {
            let _ = self;
            false
        }
    }

    /// The same in the library's words.
    pub(crate) fn filter(&self) -> Filter {
        let mut filter = Filter::new();
        if self.tcp {
            filter = filter.protocol(Protocol::Tcp);
        }
        if self.udp {
            filter = filter.protocol(Protocol::Udp);
        }
        #[cfg(target_os = "linux")]
        if self.mptcp {
            filter = filter.protocol(Protocol::Mptcp);
        }
        if self.ipv4 {
            filter = filter.family(Family::Ipv4);
        }
        if self.ipv6 {
            filter = filter.family(Family::Ipv6);
        }
        if self.listening {
            filter = filter.listening();
        }
        if self.no_owners {
            filter = filter.without_owners();
        }
        #[cfg(target_os = "linux")]
        if self.all_netns {
            filter = filter.every_namespace();
        }
        filter = self.state.iter().fold(filter, |filter, &state| filter.state(state));
        filter = self.pid.iter().fold(filter, |filter, &pid| filter.pid(pid));
        filter = self.user.iter().fold(filter, Filter::user);
        filter = self.unit.iter().fold(filter, Filter::unit);
        filter = self.container.iter().fold(filter, Filter::container);
        self.exe.iter().fold(filter, Filter::executable)
    }
}

#[cfg(feature = "tui")]
fn interval(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or("a number from 0.1 to 86400 is needed")
}

fn state(text: &str) -> Result<State, String> {
    text.parse().map_err(|_| {
        let names: Vec<_> = State::named().filter_map(State::name).collect();
        format!("a state is one of {}", names.join(", "))
    })
}

/// Seconds, of which there may be a part.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or("a number of seconds is needed, as in 30 or 0.5")
}

fn not_empty(text: OsString) -> Result<OsString, &'static str> {
    if text.is_empty() { Err("a path or a name is needed") } else { Ok(text) }
}
