//! Reading what each contender prints.

use std::net::SocketAddrV4;
use std::time::Duration;

/// Who prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Ss,
    Lsof,
    Netstat,
    Sockowner,
    /// `sockowner who`.
    Who,
    /// This program and its Python script: `time NANOSECONDS`, then `LOCAL REMOTE PID` a row.
    Plain,
    /// The same, of a library that does not tell the remote end.
    LocalOnly,
}

/// One socket as somebody tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) local: SocketAddrV4,
    pub(super) remote: Option<SocketAddrV4>,
    pub(super) pid: Option<u32>,
}

/// The rows of an output; lines that are none, headings among them, are left out.
pub(super) fn rows(format: Format, text: &str) -> Vec<Row> {
    if format == Format::Who {
        return pages(text);
    }
    text.lines().filter_map(|line| row(format, line)).collect()
}

/// The time that a library call told.
pub(super) fn told_time(text: &str) -> Option<Duration> {
    let nanos = text.lines().next()?.strip_prefix("time ")?;
    Some(Duration::from_nanos(nanos.parse().ok()?))
}

fn row(format: Format, line: &str) -> Option<Row> {
    let mut words = line.split_ascii_whitespace();
    match format {
        // ESTAB 0 0 127.0.0.1:1 127.0.0.1:2 users:(("name",pid=3,fd=4))
        Format::Ss => {
            let (local, remote) = (words.nth(3)?, words.next()?);
            let pid = line.split_once("pid=").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
            Row::new(local, remote, pid)
        }
        // name 3 root 4u IPv4 5 0t0 TCP 127.0.0.1:1->127.0.0.1:2 (ESTABLISHED)
        Format::Lsof => {
            let pid = words.nth(1)?.parse().ok();
            let name = words.skip_while(|word| *word != "TCP").nth(1)?;
            let (local, remote) = name.split_once("->").unwrap_or((name, ""));
            Row::new(local, remote, pid)
        }
        // tcp 0 0 127.0.0.1:1 127.0.0.1:2 ESTABLISHED 3/name
        Format::Netstat => {
            let (local, remote, owner) = (words.nth(3)?, words.next()?, words.nth(1)?);
            Row::new(local, remote, owner.split('/').next()?.parse().ok())
        }
        // tcp ESTABLISHED 127.0.0.1:1 127.0.0.1:2 root 3 name unit
        Format::Sockowner => {
            let (local, remote, pid) = (words.nth(2)?, words.next()?, words.nth(1)?);
            Row::new(local, remote, pid.parse().ok())
        }
        Format::Plain | Format::LocalOnly => {
            let (local, remote, pid) = (words.next()?, words.next()?, words.next()?);
            Row::new(local, remote, pid.parse().ok())
        }
        Format::Who => None,
    }
}

impl Row {
    /// What is no address, `*` or `0.0.0.0:*`, is no remote end.
    fn new(local: &str, remote: &str, pid: Option<u32>) -> Option<Self> {
        Some(Self { local: local.parse().ok()?, remote: remote.parse().ok(), pid })
    }
}

/// `tcp 127.0.0.1:1 -> 127.0.0.1:2 ESTABLISHED`, and below `  owner       name, pid 3`.
fn pages(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["tcp", local, "->", remote, _] => rows.extend(Row::new(local, remote, None)),
            ["tcp", local, _] => rows.extend(Row::new(local, "", None)),
            ["owner", .., "pid", pid] => {
                if let Some(last) = rows.last_mut() {
                    last.pid = pid.parse().ok();
                }
            }
            _ => {}
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "127.1.1.1:2000";
    const TWO: &str = "127.1.1.1:2001";

    fn expected() -> Vec<Row> {
        let row = |local: &str, remote: Option<&str>| Row {
            local: local.parse().unwrap(),
            remote: remote.map(|remote| remote.parse().unwrap()),
            pid: Some(31134),
        };
        vec![row(ONE, None), row(TWO, Some(ONE))]
    }

    #[test]
    fn every_output_is_read() {
        let outputs = [
            (
                Format::Ss,
                format!(
                    "State  Recv-Q Send-Q Local Address:Port  Peer Address:Port Process\n\
                 LISTEN 0      128    {ONE}       0.0.0.0:*     users:((\"a b\",pid=31134,fd=3))\n\
                 ESTAB  0      0      {TWO}       {ONE} users:((\"a b\",pid=31134,fd=4),(\"c\",pid=7,fd=4))\n"
                ),
            ),
            (
                Format::Lsof,
                format!(
                    "COMMAND   PID USER   FD   TYPE  DEVICE SIZE/OFF NODE NAME\n\
                 python3 31134 root    3u  IPv4 7593601      0t0  TCP {ONE} (LISTEN)\n\
                 python3 31134 root    4u  IPv4 7593602      0t0  TCP {TWO}->{ONE} (ESTABLISHED)\n"
                ),
            ),
            (
                Format::Netstat,
                format!(
                    "Active Internet connections (servers and established)\n\
                 Proto Recv-Q Send-Q Local Address           Foreign Address         State       PID/Program name\n\
                 tcp        0      0 {ONE}          0.0.0.0:*               LISTEN      31134/python3\n\
                 tcp        0      0 {TWO}          {ONE}         ESTABLISHED 31134/python3\n"
                ),
            ),
            (
                Format::Sockowner,
                format!(
                    "PROTO  STATE        LOCAL            REMOTE           USER    PID  PROCESS     UNIT\n\
                 tcp    LISTEN       {ONE}   *                root  31134  python3.11  -\n\
                 tcp    ESTABLISHED  {TWO}   {ONE}  root  31134  python3.11 +1  a.service\n"
                ),
            ),
            (
                Format::Who,
                format!(
                    "tcp {ONE} LISTEN\n  owner       python3.11, pid 31134\n              the only process that has it\n\n\
                 tcp {TWO} -> {ONE} ESTABLISHED\n  owner       python3.11, pid 31134\n  cgroup      / (id 1)\n"
                ),
            ),
            (Format::Plain, format!("time 12\n{ONE} - 31134\n{TWO} {ONE} 31134\n")),
        ];
        for (format, text) in outputs {
            assert_eq!(rows(format, &text), expected(), "{format:?}");
        }
    }

    #[test]
    fn an_owner_that_is_not_named_is_none() {
        for (format, line) in [
            (Format::Ss, format!("LISTEN 0 128 {ONE} 0.0.0.0:*")),
            (Format::Netstat, format!("tcp 0 0 {ONE} 0.0.0.0:* LISTEN -")),
            (Format::Sockowner, format!("tcp LISTEN {ONE} * root - (not permitted) -")),
            (Format::Plain, format!("{ONE} - -")),
        ] {
            assert_eq!(row(format, &line).map(|row| (row.remote, row.pid)), Some((None, None)), "{format:?}");
        }
    }

    #[test]
    fn the_time_stands_first() {
        assert_eq!(told_time("time 1500\n"), Some(Duration::from_nanos(1500)));
        assert_eq!(told_time("127.0.0.1:1 - -\ntime 1500\n"), None);
    }
}
