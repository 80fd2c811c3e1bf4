//! One table: which sockets, which rows, how large.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sockowner::{Address, Entry, Family, Filter, Owning, Protocol, Query, Recorded, Socket, State};
use sockowner_wire::mib::{Detail, INFO_LEN, Layout, Row, STATE_BOUND, Side, tcp_state};

use crate::argument::Buffer;
use crate::code::Code;
use crate::info;
use crate::room::{collected, with_room};

/// Which connections a TCP table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Listeners,
    Connections,
    All,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) layout: Layout,
    pub(crate) part: Part,
    pub(crate) sorted: bool,
}

impl Asked {
    /// Writes the table into `buffer`, or the size it takes where it does not fit.
    ///
    /// Without a buffer the size alone is told, which costs a listing of sockets. With one, owners are looked for while the
    /// sockets are listed, where that takes one pass.
    pub(crate) fn answer(self, buffer: Buffer) -> Result<(), Code> {
        let query = Query::new()?;
        let wants_owners = !matches!(self.layout.detail, Detail::Basic);
        // A table is read whole or not at all.
        if wants_owners && buffer.is_earnest() {
            let mut survey = query.survey(&self.filter())?;
            survey.retain(|socket| self.takes(socket));
            buffer.check(self.size(survey.sockets().len())?)?;
            let (mut entries, gaps) = query.owners_of(survey)?.into_parts();
            whole(gaps.iter().map(|gap| gap.source))?;
            // What changed while its owner was looked for is told as it is now, and may be of another class.
            entries.retain(|entry| self.takes(&entry.socket));
            let owning = query.owning(&entries);
            let rows =
                entries.iter().zip(&owning).map(|(entry, owning)| self.owned_row(entry, owning.as_ref()));
            return self.write(collected(rows)?, buffer);
        }
        let (mut sockets, gaps) = query.sockets(&self.filter())?;
        whole(gaps.iter().map(|gap| gap.source))?;
        sockets.retain(|socket| self.takes(socket));
        buffer.check(self.size(sockets.len())?)?;
        // Where owners are wanted there is room for an empty table at most, and nobody's owner to tell.
        self.write(collected(sockets.iter().map(|socket| self.row(socket)))?, buffer)
    }

    fn write(self, mut rows: Vec<Row>, buffer: Buffer) -> Result<(), Code> {
        if self.sorted {
            // Rows that are equal are so in all they have, and this sorting needs no memory.
            rows.sort_unstable();
        }
        let size = self.size(rows.len())?;
        let mut table = with_room(size as usize)?;
        self.layout.push_table(&rows, &mut table);
        buffer.fill(&table)
    }

    fn size(self, rows: usize) -> Result<u32, Code> {
        self.layout.table_size(rows).ok_or(Code::NOT_ENOUGH_MEMORY)
    }

    fn filter(self) -> Filter {
        let protocol = if self.layout.tcp { Protocol::Tcp } else { Protocol::Udp };
        let family = if self.layout.v6 { Family::Ipv6 } else { Family::Ipv4 };
        let filter = Filter::new().protocol(protocol).family(family);
        if self.part == Part::Listeners { filter.state(State::LISTEN) } else { filter }
    }

    fn takes(self, socket: &Socket) -> bool {
        if !self.layout.tcp {
            return true;
        }
        let state = socket.endpoint.state;
        match (self.part, self.state(state)) {
            (_, None) => false,
            (_, Some(STATE_BOUND)) if self.layout.detail != Detail::Module => false,
            (Part::Listeners, _) => state == State::LISTEN,
            (Part::Connections, _) => state != State::LISTEN,
            (Part::All, _) => true,
        }
    }

    fn state(self, state: State) -> Option<u32> {
        if self.layout.tcp { tcp_state(state.number()) } else { Some(0) }
    }

    fn row(self, socket: &Socket) -> Row {
        let endpoint = &socket.endpoint;
        Row {
            local: side(&endpoint.local),
            remote: endpoint.remote.as_ref().map_or_else(|| self.nobody(), side),
            state: self.state(endpoint.state).unwrap_or(0),
            pid: 0,
            created: 0,
            flags: 0,
            info: [0; INFO_LEN],
        }
    }

    fn nobody(self) -> Side {
        let ip = if self.layout.v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        Side { ip, scope: 0, port: 0 }
    }

    fn owned_row(self, entry: &Entry, owning: Option<&Owning>) -> Row {
        let mut row = self.row(&entry.socket);
        if let Some(owning) = owning {
            row.pid = owning.process.pid;
            row.info = info::words(entry, owning);
        }
        // Without a recorder nobody knows.
        row.created = entry.record.known().and_then(Recorded::bound_at).map_or(0, file_time);
        if let Some(told) = entry.socket.row_owner() {
            info::told(&mut row, told, entry.attribution.reason());
        }
        row
    }
}

/// Refuses where one of the gaps, which have these sources, is in Linux' tables of sockets: rows may be missing or stale.
fn whole<'a>(mut gaps: impl Iterator<Item = &'a str>) -> Result<(), Code> {
    if gaps.any(|source| source == "sock_diag") { Err(Code::GEN_FAILURE) } else { Ok(()) }
}

/// A `FILETIME`: 100 ns since the begin of 1601, in whole milliseconds, for the wall clock tells no finer what was noted by
/// another; 0, which is "not known", for what does not fit.
fn file_time(time: SystemTime) -> u64 {
    const PER_MILLISECOND: u64 = 10_000;
    /// From 1601 to 1970.
    const EPOCH: u64 = 11_644_473_600_000;
    let since = time.duration_since(UNIX_EPOCH).ok();
    let since = since.and_then(|since| u64::try_from((since + Duration::from_micros(500)).as_millis()).ok());
    since.and_then(|since| since.checked_add(EPOCH)?.checked_mul(PER_MILLISECOND)).unwrap_or(0)
}

fn side(address: &Address) -> Side {
    Side { ip: address.ip, scope: address.zone.map_or(0, |zone| zone.index()), port: address.port }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::scarcity;

    #[test]
    fn c41_a_table_without_memory_is_8_and_nothing_written() {
        for detail in [Detail::Basic, Detail::Second, Detail::Pid, Detail::Module] {
            for (tcp, v6) in [(true, false), (true, true), (false, false), (false, true)] {
                let asked = Asked { layout: Layout { tcp, v6, detail }, part: Part::All, sorted: true };
                let nobody = asked.nobody();
                let row = |port| Row {
                    local: Side { port, ..nobody },
                    remote: nobody,
                    state: 2,
                    pid: 1,
                    created: 0,
                    flags: 0,
                    info: [0; INFO_LEN],
                };
                let reservations = scarcity::each_in_turn(|buffer| {
                    asked.write(collected([2, 1, 3].into_iter().map(row))?, buffer)
                });
                assert_eq!(reservations, 2, "the rows, and the table");
            }
        }
    }

    #[test]
    fn a_table_with_a_gap_of_its_own_is_31() {
        assert_eq!(whole(["proc", "sock_diag"].into_iter()), Err(Code(31)));
        // Owners that could not be told are 0 in their rows.
        assert_eq!(whole(["proc", "cgroup", "record", "bpf"].into_iter()), Ok(()));
    }

    #[test]
    fn a_file_time_counts_from_1601_in_milliseconds() {
        assert_eq!(file_time(UNIX_EPOCH), 116_444_736_000_000_000);
        // The year 2000.
        assert_eq!(file_time(UNIX_EPOCH + Duration::from_secs(946_684_800)), 125_911_584_000_000_000);
        let told = |nanos| file_time(UNIX_EPOCH + Duration::from_nanos(nanos)) - file_time(UNIX_EPOCH);
        assert_eq!([0, 499_999, 500_000, 1_499_999].map(told), [0, 0, 10_000, 10_000]);
        assert_eq!(file_time(UNIX_EPOCH - Duration::from_secs(1)), 0);
        // Not every system has such a time.
        let far = UNIX_EPOCH.checked_add(Duration::from_secs(1 << 50));
        assert_eq!(far.map_or(0, file_time), 0);
    }
}
