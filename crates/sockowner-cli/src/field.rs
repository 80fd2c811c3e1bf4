//! The columns that `-o` and `--sort` take, by name. A name is interface, as the keys of JSON: what is a key there has
//! its name here.

use std::ffi::OsStr;
use std::fmt::Write as _;

use clap::builder::{EnumValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command, Error, ValueEnum};

/// What a column tells of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Field {
    /// tcp, udp or mptcp; tcp6, ... for an IPv6 socket
    Proto,
    /// LISTEN, ESTABLISHED, ...
    State,
    /// Local address and port
    Local,
    /// Remote address and port
    Remote,
    /// The socket's user by name, else by number
    User,
    /// The owner's process number
    Pid,
    /// The owner's name and how many more there are, or why none
    Process,
    /// The unit or container it was made in, else its owner's
    #[cfg_attr(windows, value(help = "The service it was bound for, else its owner's"))]
    Unit,
    /// tcp, udp or mptcp
    Protocol,
    /// ipv4 or ipv6
    Family,
    /// Local address, without brackets
    LocalAddress,
    /// Local port
    LocalPort,
    /// Remote address, without brackets
    RemoteAddress,
    /// Remote port
    RemotePort,
    /// Network namespace, by inode number
    Netns,
    /// The namespace's name, with --netns or --all-netns
    NetnsName,
    /// The interface that the socket is bound to
    Interface,
    /// Inode number of the socket
    Inode,
    /// The kernel's number for the socket, never used again
    Cookie,
    /// Number of the socket's user
    Uid,
    /// Path of the cgroup that the socket was made in
    Cgroup,
    /// Number of that cgroup
    CgroupId,
    /// The unit that the socket was made in
    #[cfg_attr(windows, value(help = "The service that the owner bound it for"))]
    Service,
    /// The container that the socket was made in
    Container,
    /// When the owner was started
    StartTime,
    /// The same in clock ticks since the machine started
    StartTicks,
    /// The owner's name
    Name,
    /// What the kernel calls the owner, cut at 15 bytes
    #[cfg_attr(windows, value(help = "The name of the owner's executable"))]
    Comm,
    /// Path of what the owner executes
    Path,
    /// Whether that path leads to that file
    PathVerified,
    /// Whether that file was deleted
    Deleted,
    /// The owner's command line, which may hold secrets
    Cmdline,
    /// Number of the owner's user
    OwnerUid,
    /// The owner's user by name, else by number
    OwnerUser,
    /// The unit that the owner is in
    #[cfg_attr(windows, value(help = "The service that lives in the owner"))]
    OwnerService,
    /// The container that the owner is in
    OwnerContainer,
    /// Whether the owner has ended
    Exited,
    /// How the owner is known: holder, earliest_holder, ...
    Evidence,
    /// Its descriptors, as PID/FD; --sort: how many have it
    #[cfg_attr(windows, value(help = "Its handles, as PID/HANDLE; --sort: how many have it"))]
    Holders,
    /// Why there is no owner: not_permitted, no_holder, ...
    Reason,
    /// Who created the socket, where that is recorded
    Creator,
    /// Process number of the creator
    CreatorPid,
    /// Who bound it
    Binder,
    /// Process number of the binder
    BinderPid,
    /// The library that bound it, and how that is known
    BinderComponent,
    /// Who called listen
    Listener,
    /// Process number of the listener
    ListenerPid,
    /// The library that called listen, and how that is known
    ListenerComponent,
    /// Who accepted it
    Acceptor,
    /// Process number of the acceptor
    AcceptorPid,
    /// The library that accepted it, and how that is known
    AcceptorComponent,
    /// When the socket was created
    CreatedAt,
    /// When its last descriptor was closed
    ClosedAt,
    /// Whether its state changed while its owner was looked for
    Changed,
}

impl Field {
    /// What the table has where nobody chooses.
    pub(crate) const TABLE: &[Self] = &[
        Self::Proto,
        Self::State,
        Self::Local,
        Self::Remote,
        // Sockets have no user on Windows.
        if cfg!(windows) { Self::OwnerUser } else { Self::User },
        Self::Pid,
        Self::Process,
        Self::Unit,
    ];

    /// What `--csv` has where nobody chooses: no value is two in one.
    pub(crate) const CSV: &[Self] = &[
        Self::Protocol,
        Self::Family,
        Self::State,
        Self::LocalAddress,
        Self::LocalPort,
        Self::RemoteAddress,
        Self::RemotePort,
        Self::Uid,
        Self::User,
        Self::Pid,
        Self::Name,
        Self::Path,
        Self::Evidence,
        Self::Reason,
        Self::Service,
        Self::Container,
        Self::Inode,
        Self::Cookie,
        Self::Netns,
        // As in the table.
        #[cfg(windows)]
        Self::OwnerUser,
    ];

    /// Windows never has it. It can be asked for nevertheless.
    fn is_linuxs_alone(self) -> bool {
        let name = self.name();
        let is_of_record =
            ["creator", "binder", "listener", "acceptor"].iter().any(|role| name.starts_with(role));
        is_of_record
            || matches!(
                self,
                Self::User
                    | Self::Netns
                    | Self::NetnsName
                    | Self::Interface
                    | Self::Inode
                    | Self::Cookie
                    | Self::Uid
                    | Self::Cgroup
                    | Self::CgroupId
                    | Self::Container
                    | Self::StartTicks
                    | Self::Cmdline
                    | Self::OwnerUid
                    | Self::OwnerContainer
                    | Self::CreatedAt
                    | Self::ClosedAt
            )
    }

    /// Its name, as it is asked for.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What `-o help` prints: the columns, one a line.
pub(crate) fn help() -> String {
    let mut text = String::from(if cfg!(windows) {
        "Columns for -o and --sort:\n"
    } else {
        "Columns for -o; --sort takes all of them but cmdline:\n"
    });
    let told = Field::value_variants().iter().filter(|field| !(cfg!(windows) && field.is_linuxs_alone()));
    for value in told.filter_map(ValueEnum::to_possible_value) {
        let about = value.get_help().map(ToString::to_string).unwrap_or_default();
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {:18}  {about}", value.get_name());
    }
    text
}

/// A column to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SortBy {
    pub(crate) field: Field,
    /// The last first: `-pid`.
    pub(crate) is_reversed: bool,
}

/// Reads a column to sort by.
#[derive(Clone, Debug)]
pub(crate) struct SortByParser;

impl TypedValueParser for SortByParser {
    type Value = SortBy;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<SortBy, Error> {
        let text = value.to_string_lossy();
        let (name, is_reversed) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (&*text, false),
        };
        // Command lines are looked at only where they are shown.
        let names = PossibleValuesParser::new(self.possible_values().into_iter().flatten());
        names.parse_ref(command, arg, OsStr::new(name))?;
        let field = match EnumValueParser::<Field>::new().parse_ref(command, arg, OsStr::new(name))? {
            // By what the table calls so.
            Field::User if cfg!(windows) => Field::OwnerUser,
            field => field,
        };
        Ok(SortBy { field, is_reversed })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let sortable = Field::value_variants().iter().filter(|field| **field != Field::Cmdline);
        Some(Box::new(sortable.filter_map(ValueEnum::to_possible_value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_user_it_is_tells_csv_too_and_it_is_an_order() {
        let user = if cfg!(windows) { Field::OwnerUser } else { Field::User };
        assert!(Field::TABLE.contains(&user) && Field::CSV.contains(&user));
        let sorted =
            |name: &str| SortByParser.parse_ref(&Command::new("list"), None, OsStr::new(name)).unwrap();
        assert_eq!(sorted("user"), SortBy { field: user, is_reversed: false });
        assert_eq!(sorted("-user"), SortBy { field: user, is_reversed: true });
        assert_eq!(sorted("owner_user").field, Field::OwnerUser);
    }

    #[test]
    fn the_columns_are_told_one_a_line_in_80_cells() {
        let text = help();
        let is_told = |field: &&Field| cfg!(not(windows)) || !field.is_linuxs_alone();
        assert_eq!(text.lines().count(), 1 + Field::value_variants().iter().filter(is_told).count());
        for field in Field::value_variants().iter().filter(is_told) {
            let line = text.lines().find(|line| line.split_whitespace().next() == Some(&field.name()));
            assert!(line.is_some_and(|line| (24..=80).contains(&line.len())), "{line:?}");
        }
    }
}
