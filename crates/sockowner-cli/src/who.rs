//! `sockowner who`: everything about the endpoints that one pattern names.

use std::io::Write as _;

use anyhow::Context as _;
use sockowner::{Address, Endpoint, Filter, Pattern, Query};

use crate::args::{General, Who};
use crate::explain::Page;
use crate::messages::{Hidden, say, say_what_is_missing};
use crate::text::shown;
use crate::{Status, json, output};

/// Explains what the command line names.
pub(crate) fn run(asked: &Who, general: &General) -> anyhow::Result<Status> {
    let pattern = match &asked.remote {
        Some(remote) => Pattern::connection(&asked.endpoint, remote)?,
        None => asked.endpoint.parse()?,
    };
    let query = Query::builder().source(general.source.into()).command_lines(true).open()?;
    let snapshot = query.who(&pattern)?;
    if general.json {
        output::data(|out| json::write(out, &snapshot)).context(output::WRITING)?;
    } else {
        let page = Page::new(&pattern, Hidden::count(&snapshot), output::width());
        output::text(|out| {
            for (at, entry) in snapshot.entries().iter().enumerate() {
                if at > 0 {
                    writeln!(out)?;
                }
                page.write(out, entry)?;
            }
            Ok(())
        })
        .context(output::WRITING)?;
    }
    if snapshot.entries().is_empty() {
        say(&format!("no endpoint matches {}", shown(&pattern.to_string())));
        if let Some(hint) = as_remote(&query, &pattern) {
            say(&hint);
        }
    }
    // The text has its doubts beside each owner; with --strict the exit status is about them.
    say_what_is_missing(&snapshot, general.strict);
    Ok(Status::of(&snapshot, general.strict))
}

/// Tells of connections *to* what was asked for: their local side is another.
fn as_remote(query: &Query, pattern: &Pattern) -> Option<String> {
    let wanted = pattern.to_string();
    if wanted.contains(',') {
        return None;
    }
    // It is a hint: where it cannot be had, nothing is lost.
    let all = query.snapshot(&Filter::new().without_owners()).ok()?;
    let endpoints = || all.entries().iter().map(|entry| &entry.socket.endpoint);
    let mut to_it = endpoints().filter(|endpoint| is_to(endpoint, &wanted));
    let first = to_it.next()?;
    let (local, remote) = (first.local, first.remote?);
    let connections = match 1 + to_it.count() {
        1 => "it is the remote side of 1 connection".to_owned(),
        count => format!("it is the remote side of {count} connections, the first"),
    };
    Some(format!("{connections}: sockowner who {} {}", operand(&local), operand(&remote)))
}

/// The peer of `endpoint` is what a pattern, in its printed form, names.
fn is_to(endpoint: &Endpoint, wanted: &str) -> bool {
    let (protocol, wanted) = wanted.split_once('/').unwrap_or(("", wanted));
    let Some(remote) = endpoint.remote else {
        return false;
    };
    let is_protocol = protocol.is_empty() || protocol == endpoint.protocol.as_str();
    // IPv4 is the same mapped or not.
    let plain = Address::new(remote.ip.to_canonical(), remote.port).to_string();
    let forms = [format!(":{}", remote.port), plain, remote.to_string()];
    is_protocol && forms.iter().any(|form| form == wanted)
}

/// An address as a shell takes it: brackets are a glob there.
fn operand(address: &Address) -> String {
    let text = address.to_string();
    if text.starts_with('[') { format!("'{text}'") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockowner::{Protocol, State};

    fn connection(remote: &str) -> Endpoint {
        let local: std::net::SocketAddr = "[::1]:4000".parse().unwrap();
        let remote: std::net::SocketAddr = remote.parse().unwrap();
        Endpoint::new(Protocol::Tcp, State::ESTABLISHED, local.into(), Some(remote.into()))
    }

    #[test]
    fn a_peer_is_recognized_however_it_was_written() {
        let is_to = |remote, wanted: &str| {
            let wanted = wanted.parse::<Pattern>().unwrap().to_string();
            is_to(&connection(remote), &wanted)
        };
        for (remote, wanted) in [
            ("1.2.3.4:443", ":443"),
            ("1.2.3.4:443", "tcp/1.2.3.4:443"),
            ("[::ffff:1.2.3.4]:443", "1.2.3.4:443"),
            ("[::ffff:1.2.3.4]:443", "[::ffff:1.2.3.4]:443"),
            ("[2001:db8::1]:443", "[2001:DB8:0::1]:443"),
        ] {
            assert!(is_to(remote, wanted), "{remote} {wanted}");
        }
        for (remote, wanted) in
            [("1.2.3.4:443", "udp/:443"), ("1.2.3.4:443", ":44"), ("1.2.3.4:443", "1.2.3.5:443")]
        {
            assert!(!is_to(remote, wanted), "{remote} {wanted}");
        }
    }

    #[test]
    fn brackets_are_quoted_for_the_shell() {
        let endpoint = connection("1.2.3.4:443");
        assert_eq!(operand(&endpoint.local), "'[::1]:4000'");
        assert_eq!(operand(&endpoint.remote.unwrap()), "1.2.3.4:443");
    }
}
