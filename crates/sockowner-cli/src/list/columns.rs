//! How each column of the table looks, and what of it is cut where the terminal is narrow.

use std::net::IpAddr;

use sockowner::{Address, Entry};

use super::held::Held;
use super::value::{Value, value};
use crate::address;
use crate::field::Field;
use crate::table::{Cell, Column};

/// What a cut cell keeps at least.
const LEAST_UNIT: usize = 12;
const LEAST_PROCESS: usize = 11;
/// `(not permitted)` is whole.
const LEAST_REASON: usize = 15;
const LEAST_USER: usize = 5;
/// Of an IPv6 address, its port included. One of IPv4 stays whole for longer.
const LEAST_ADDRESS: usize = 18;
/// Of a path or a name that was asked for.
const LEAST_TEXT: usize = 12;

/// The table that nobody chose columns for: what is not needed leaves where there is no room.
pub(super) const USUAL: [Column<'_>; 8] = [
    Column { leaves: Some(2), ..column("PROTO") },
    Column { leaves: Some(1), ..column("STATE") },
    Column { shrinks: Some(4), tight: 15, ample: 26, ..column("LOCAL") },
    Column { shrinks: Some(3), leaves: Some(0), tight: 15, ample: 26, ..column("REMOTE") },
    Column { shrinks: Some(2), leaves: Some(0), is_missed: false, ample: 12, ..column("USER") },
    Column { is_number: true, leaves: Some(3), ..column("PID") },
    Column { shrinks: Some(1), tight: 7, ample: 20, ..column("PROCESS") },
    Column { shrinks: Some(0), leaves: Some(1), is_missed: false, ample: 28, ..column("UNIT") },
];

/// Before the others, where network namespaces are told apart.
pub(super) const NETNS: Column<'_> = Column { shrinks: Some(5), tight: 8, ample: 24, ..column("NETNS") };

/// A column that stays whole for long.
const fn column(title: &str) -> Column<'_> {
    Column {
        title,
        is_number: false,
        shrinks: None,
        ample: usize::MAX,
        leaves: None,
        is_missed: true,
        tight: usize::MAX,
        floor: 1,
    }
}

/// The heading of a column that was chosen.
pub(super) fn title(field: Field) -> String {
    field.name().to_ascii_uppercase()
}

/// A column that was chosen: it does not leave. Texts are cut, numbers are not.
pub(super) fn chosen(field: Field, title: &str) -> Column<'_> {
    let is_number = is_number(field);
    let (shrinks, ample) = match field {
        _ if is_number => (None, usize::MAX),
        Field::Local | Field::Remote | Field::LocalAddress | Field::RemoteAddress => (Some(2), 26),
        Field::State | Field::Proto | Field::Protocol | Field::Family => (Some(3), usize::MAX),
        Field::User | Field::OwnerUser => (Some(1), 12),
        _ => (Some(0), 28),
    };
    Column { is_number, shrinks, ample, floor: usize::MAX, ..column(title) }
}

fn is_number(field: Field) -> bool {
    matches!(
        field,
        Field::Pid
            | Field::LocalPort
            | Field::RemotePort
            | Field::Netns
            | Field::Inode
            | Field::Cookie
            | Field::Uid
            | Field::CgroupId
            | Field::StartTicks
            | Field::OwnerUid
            | Field::CreatorPid
            | Field::BinderPid
            | Field::ListenerPid
            | Field::AcceptorPid
    )
}

/// What `field` tells of `entry`, as a cell.
pub(super) fn cell(field: Field, entry: &Entry) -> Cell<'_> {
    if field == Field::Process {
        return process(Held::of(entry));
    }
    match value(field, entry) {
        Value::Nothing => Cell::nothing(nothing(field)),
        Value::Number(number) => Cell::whole(itoa::Buffer::new().format(number).to_owned()),
        Value::Flag(flag) => Cell::whole(if flag { "yes" } else { "no" }),
        Value::Address(address) => self::address(&address),
        Value::Host(address) => Cell::new(address::host(address), LEAST_ADDRESS),
        Value::Text(text) => match field {
            Field::Proto | Field::State | Field::Protocol | Field::Family => Cell::whole(text),
            Field::User | Field::OwnerUser => Cell::new(text, LEAST_USER),
            Field::Unit | Field::Service | Field::OwnerService => Cell::new(text, LEAST_UNIT),
            _ => Cell::new(text, LEAST_TEXT),
        },
    }
}

fn nothing(field: Field) -> &'static str {
    if matches!(field, Field::Remote | Field::RemoteAddress | Field::RemotePort) { "*" } else { "-" }
}

fn address(address: &Address) -> Cell<'static> {
    let least = match address.ip {
        IpAddr::V4(_) => usize::MAX,
        IpAddr::V6(_) => LEAST_ADDRESS,
    };
    let mut text = String::with_capacity(48);
    let port = address::push(&mut text, address);
    Cell::new(text, least).cut_in_the_middle(port)
}

fn process(held: Held<'_>) -> Cell<'_> {
    match held {
        Held::By(name, others) => Cell::new(name, LEAST_PROCESS).keeping(others),
        Held::ByNobody(reason) => Cell::new(reason, LEAST_REASON).dim(),
        Held::NotAsked => Cell::nothing("-"),
    }
}
