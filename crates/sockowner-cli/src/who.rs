//! `sockowner who`: everything about the endpoints that one pattern names.

#[cfg(target_os = "linux")]
mod closed;

use std::io::Write as _;

use anyhow::Context as _;
use sockowner::{Address, Endpoint, Filter, Interface, Pattern, Query, Snapshot};

use crate::args::{General, Who};
use crate::explain::Page;
use crate::messages::{Hidden, say, say_what_is_missing};
use crate::text::shown;
use crate::{Status, json, netns, output};

/// Explains what the command line names.
pub(crate) fn run(asked: &Who, general: &General) -> anyhow::Result<Status> {
    let pattern = match &asked.remote {
        Some(remote) => Pattern::connection(&asked.endpoint, remote)?,
        None => asked.endpoint.parse()?,
    };
    let query = netns::open(Query::builder().source(general.source.into()).command_lines(true), general)?;
    #[cfg(target_os = "linux")]
    if asked.closed {
        return closed::run(asked, &query, &pattern, general);
    }
    let snapshot =
        if is_everywhere(asked) { query.who_everywhere(&pattern)? } else { query.who(&pattern)? };
    show(&snapshot, &pattern, asked, general)?;
    if snapshot.entries().is_empty() {
        say(&format!("no endpoint matches {}", shown(&as_written(&pattern))));
        for hint in hints(&query, &pattern, asked, general).into_iter().flatten() {
            say(&hint);
        }
    }
    // The text has its doubts beside each owner, lines of JSON have no room for them; with --strict the exit status is about them.
    say_what_is_missing(&snapshot, general.strict || asked.jsonl);
    Ok(Status::of(&snapshot, general.strict))
}

/// A pattern as the command line takes it: two sides are two words.
fn as_written(pattern: &Pattern) -> String {
    let written = pattern.to_string();
    match sides(&written) {
        (local, Some(remote)) => format!("{local} {remote}"),
        (_, None) => written,
    }
}

/// Both sides of a pattern in its printed form. An interface's name, in brackets, may hold a comma too.
pub(crate) fn sides(written: &str) -> (&str, Option<&str>) {
    let is_outside = |at: &usize| written[..*at].rfind('[') <= written[..*at].rfind(']');
    match written.match_indices(',').map(|(at, _)| at).find(is_outside) {
        Some(at) => (&written[..at], Some(&written[at + 1..])),
        None => (written, None),
    }
}

/// It is asked of every network namespace.
fn is_everywhere(asked: &Who) -> bool {
    #[cfg(target_os = "linux")]
    return asked.all_netns;
    #[cfg(not(target_os = "linux"))]
    {
        let _ = asked;
        false
    }
}

/// What may have been meant by a pattern that nothing matches.
fn hints(query: &Query, pattern: &Pattern, asked: &Who, general: &General) -> [Option<String>; 3] {
    #[cfg(target_os = "linux")]
    let (place, interface) = (place(asked, general), unknown_interface(pattern, asked, general));
    #[cfg(not(target_os = "linux"))]
    let ((place, interface), _) = ((Some(String::new()), None), general);
    let Some(place) = place else { return [interface, None, None] };
    #[cfg(target_os = "linux")]
    let closed = closed::hint(query, pattern, asked, &place);
    #[cfg(not(target_os = "linux"))]
    let closed = None;
    [interface, as_remote(query, pattern, is_everywhere(asked), &place), closed]
}

/// The option that asks in the same network namespaces again, behind a space; nothing where none was given. `None`: no
/// command line would be read as it is shown.
#[cfg(target_os = "linux")]
fn place(asked: &Who, general: &General) -> Option<String> {
    let Some(place) = &general.netns else {
        return Some(if asked.all_netns { " --all-netns" } else { "" }.to_owned());
    };
    let place = place.to_str().filter(|place| shown(place) == *place && !place.starts_with('-'))?;
    Some(format!(" --netns {}", quoted(place)))
}

/// The zone of `pattern` names no interface of this network namespace. What others have is not asked.
#[cfg(target_os = "linux")]
fn unknown_interface(pattern: &Pattern, asked: &Who, general: &General) -> Option<String> {
    if asked.all_netns || general.netns.is_some() {
        return None;
    }
    let text = pattern.to_string();
    let mut zones = text.split('%').skip(1).filter_map(|rest| rest.split([']', ':']).next());
    let unknown =
        |zone: &&str| zone.parse::<u32>().is_err() && matches!(crate::call::has_interface(zone), Ok(false));
    Some(format!("there is no network interface {}", shown(zones.find(unknown)?)))
}

/// Writes what was found.
fn show(snapshot: &Snapshot, pattern: &Pattern, asked: &Who, general: &General) -> anyhow::Result<()> {
    if general.json {
        output::data(|out| json::write(out, snapshot.entries(), snapshot.gaps())).context(output::WRITING)?;
    } else if asked.jsonl {
        output::data(|out| json::write_lines(out, snapshot.entries())).context(output::WRITING)?;
    } else {
        let page = Page::new(&pattern.to_string(), Hidden::count(snapshot), output::width());
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
    Ok(())
}

/// Tells of connections *to* what was asked for: their local side is another.
fn as_remote(query: &Query, pattern: &Pattern, everywhere: bool, place: &str) -> Option<String> {
    let wanted = pattern.to_string();
    if sides(&wanted).1.is_some() {
        return None;
    }
    // It is a hint: where it cannot be had, nothing is lost.
    let filter = Filter::new().without_owners();
    let filter = if everywhere { filter.every_namespace() } else { filter };
    let all = query.snapshot(&filter).ok()?;
    let endpoints = || all.entries().iter().map(|entry| &entry.socket.endpoint);
    let mut to_it = endpoints().filter(|endpoint| is_to(endpoint, &wanted));
    let first = to_it.next()?;
    let (local, remote) = (first.local, first.remote?);
    let connections = match 1 + to_it.count() {
        1 => "it is the remote side of 1 connection".to_owned(),
        count => format!("it is the remote side of {count} connections, the first"),
    };
    Some(format!("{connections}: sockowner who{place} {} {}", operand(&local), operand(&remote)))
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

/// An address as a shell takes it. An interface whose name cannot be shown as it is stands there by its number.
fn operand(address: &Address) -> String {
    let mut address = *address;
    address.zone = address.zone.map(|zone| {
        let is_plain = zone.name().is_none_or(|name| shown(name) == name);
        if is_plain { zone } else { Interface::new(zone.index(), None) }
    });
    quoted(&address.to_string())
}

/// One word as a shell takes it: brackets are a glob there, but not to those of Windows.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    if cfg!(target_os = "linux") && !text.chars().all(is_plain) {
        format!("'{}'", text.replace('\'', r"'\''"))
    } else if text.contains('>') {
        // Each shell there makes a file of what stands behind that.
        format!("\"{text}\"")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use crate::args::SourceName;
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
    fn two_sides_are_two_words() {
        let pattern = Pattern::connection("tcp/:2024", "[::1]:1").unwrap();
        assert_eq!(as_written(&pattern), "tcp/:2024 [::1]:1");
        for one in [":22", "[fe80::1%a,b]:22"] {
            assert_eq!(as_written(&one.parse().unwrap()), one);
        }
    }

    #[test]
    fn brackets_are_quoted_for_a_shell_that_expands_them() {
        let endpoint = connection("1.2.3.4:443");
        let local = if cfg!(windows) { "[::1]:4000" } else { "'[::1]:4000'" };
        assert_eq!(operand(&endpoint.local), local);
        assert_eq!(operand(&endpoint.remote.unwrap()), "1.2.3.4:443");
    }

    #[test]
    fn an_interface_of_a_name_that_deceives_is_told_by_its_number() {
        for (name, expected) in [("a,b", "[::1%a,b]:4000"), ("\x1b]0;x", "[::1%7]:4000")] {
            let mut local = connection("1.2.3.4:443").local;
            local.zone = Some(Interface::new(7, Some(name)));
            assert_eq!(operand(&local).trim_matches('\''), expected);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_place_is_written_so_that_it_can_be_asked_for_again() {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt as _;
        let asked =
            |all_netns| Who { endpoint: ":1".into(), remote: None, jsonl: false, closed: false, all_netns };
        let general = |netns| General { source: SourceName::Auto, strict: false, json: false, netns };
        assert_eq!(place(&asked(false), &general(None)).as_deref(), Some(""));
        assert_eq!(place(&asked(true), &general(None)).as_deref(), Some(" --all-netns"));
        for (name, expected) in [
            ("blue", Some(" --netns blue")),
            ("pid:7", Some(" --netns pid:7")),
            ("my net", Some(" --netns 'my net'")),
            ("it's $1", Some(r" --netns 'it'\''s $1'")),
            ("a\u{1b}[2J", None),
            ("-x", None),
        ] {
            assert_eq!(place(&asked(false), &general(Some(name.into()))).as_deref(), expected, "{name:?}");
        }
        assert_eq!(place(&asked(false), &general(Some(OsString::from_vec(vec![0xff])))), None);
    }
}
