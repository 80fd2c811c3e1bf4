//! What can be asked on the command line.

use std::ffi::OsString;

use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use sockowner::{Family, Filter, Protocol, Source, State};

use crate::help;

/// Who owns this socket? Lists TCP and UDP endpoints with their processes, units and containers.
#[derive(Debug, Parser)]
#[command(name = "sockowner", version, max_term_width = 100)]
#[command(after_help = help::SHORT, after_long_help = help::LONG)]
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
    /// Tell where owners come from here, what was refused and how to enable it
    Status,
    /// Let others see owners without privileges of their own
    #[command(subcommand, after_help = help::SHARE)]
    Share(Share),
    /// Record who makes and uses sockets, and when
    #[command(subcommand, after_help = help::RECORD)]
    Record(Record),
}

/// What `record` is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Record {
    /// Record from now on: hooks go into the kernel, and a process in the background tends what is noted
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
    /// End recording, and forget what was noted
    Stop,
    /// Tell what is recorded, what is missing, and what it takes
    Status,
}

/// What is recorded, and for whom.
#[derive(Debug, Args)]
pub(crate) struct Hooks {
    /// The group that can read it beside root, which must exist
    #[arg(long, default_value = "sockowner", value_name = "GROUP", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) group: String,
    /// Note also who first sends or receives on a connection: costs something at each send and receive
    #[arg(long)]
    pub(crate) first_use: bool,
}

/// What `share` is to do.
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
#[derive(Debug, Args)]
pub(crate) struct General {
    /// Where owners come from
    #[arg(long, global = true, value_enum, value_name = "SOURCE", default_value_t = SourceName::Auto)]
    #[arg(hide_short_help = true)]
    pub(crate) source: SourceName,
    /// Exit with 3 where anything is missing for want of permission
    #[arg(long, global = true)]
    pub(crate) strict: bool,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceName {
    /// The best that this system and your rights allow
    Auto,
    /// BPF iterators: CAP_BPF and CAP_PERFMON, or shared by root
    Bpf,
    /// The /proc file system
    Proc,
}

/// What `who` is asked.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// What to explain: :22, 127.0.0.1:5432, [::1]:80, udp/:53
    pub(crate) endpoint: String,
    /// The other side, for one connection
    pub(crate) remote: Option<String>,
}

/// Which endpoints to list.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line, independent of the others"
)]
#[derive(Debug, Default, Args)]
pub(crate) struct List {
    /// TCP only
    #[arg(short, long)]
    pub(crate) tcp: bool,
    /// UDP only
    #[arg(short, long)]
    pub(crate) udp: bool,
    /// Listeners, and UDP sockets without a fixed peer
    #[arg(short, long)]
    pub(crate) listening: bool,
    /// IPv4 sockets only
    #[arg(short = '4', long)]
    pub(crate) ipv4: bool,
    /// IPv6 sockets only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// In this state: LISTEN, time-wait, ...
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    pub(crate) state: Vec<State>,
    /// Held by this process
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pid: Vec<u32>,
    /// Of this user, by name or number
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) user: Vec<String>,
    /// Of this unit, made in it or held there
    #[arg(long, value_name = "UNIT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) unit: Vec<String>,
    /// Of the container, or pod, whose id begins so
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) container: Vec<String>,
    /// Held by a process that runs this: a path or a base name
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().try_map(not_empty))]
    pub(crate) exe: Vec<OsString>,
    /// The endpoints alone: look at no process
    #[arg(long, conflicts_with_all = ["pid", "exe"])]
    pub(crate) no_owners: bool,
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
            SourceName::Bpf => Self::Bpf,
            SourceName::Proc => Self::Proc,
        }
    }
}

impl List {
    /// The same in the library's words.
    pub(crate) fn filter(&self) -> Filter {
        let mut filter = Filter::new();
        if self.tcp {
            filter = filter.protocol(Protocol::Tcp);
        }
        if self.udp {
            filter = filter.protocol(Protocol::Udp);
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
        filter = self.state.iter().fold(filter, |filter, &state| filter.state(state));
        filter = self.pid.iter().fold(filter, |filter, &pid| filter.pid(pid));
        filter = self.user.iter().fold(filter, Filter::user);
        filter = self.unit.iter().fold(filter, Filter::unit);
        filter = self.container.iter().fold(filter, Filter::container);
        self.exe.iter().fold(filter, Filter::executable)
    }
}

fn state(text: &str) -> Result<State, String> {
    text.parse().map_err(|_| {
        let names: Vec<_> = State::named().filter_map(State::name).collect();
        format!("a state is one of {}", names.join(", "))
    })
}

fn not_empty(text: OsString) -> Result<OsString, &'static str> {
    if text.is_empty() { Err("a path or a name is needed") } else { Ok(text) }
}
