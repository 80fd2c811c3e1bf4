//! Says that nothing matched, and what it was that nothing matched.

use sockowner::Snapshot;

use crate::args::List;
use crate::messages::Hidden;
use crate::text::{shown, shown_os};

/// `no listening tcp endpoint is held by pid 4242`.
pub(crate) fn sentence(list: &List, snapshot: &Snapshot) -> String {
    let hidden = Hidden::count(snapshot);
    let subject = subject(list);
    let conditions = conditions(list).join(" and ");
    if conditions.is_empty() {
        return format!("no {subject} was found");
    }
    if !list.pid.is_empty() && !hidden.unlisted && list.pid.iter().all(|&pid| is_unused(pid)) {
        return format!("no {subject} {conditions}: there is no such process");
    }
    if !list.user.is_empty() && list.user.iter().all(|user| is_nobody(user)) {
        return format!("no {subject} {conditions}: there is no such user");
    }
    if hidden.is_any() && !list.no_owners {
        // Who may not look everywhere cannot deny.
        return format!("no {subject} is seen that {conditions}, but {}", hidden.sentence());
    }
    format!("no {subject} {conditions}")
}

fn subject(list: &List) -> String {
    let mut subject = String::new();
    let either = |one: bool, other: bool, names: [&'static str; 2]| match (one, other) {
        (true, false) => names[0],
        (false, true) => names[1],
        _ => "",
    };
    if list.listening && list.state.is_empty() {
        subject += "listening ";
    }
    #[cfg(target_os = "linux")]
    let has_mptcp = list.mptcp;
    #[cfg(not(target_os = "linux"))]
    let has_mptcp = false;
    subject += match (has_mptcp, list.tcp || list.udp) {
        (false, _) => either(list.tcp, list.udp, ["tcp ", "udp "]),
        (true, false) => "mptcp ",
        (true, true) => "",
    };
    subject += either(list.ipv4, list.ipv6, ["IPv4 ", "IPv6 "]);
    subject += "endpoint";
    if !list.state.is_empty() {
        let listening = list.listening.then(|| "listening".to_owned());
        let states = list.state.iter().map(ToString::to_string).chain(listening);
        subject = format!("{subject} in state {}", or(states));
    }
    subject
}

fn conditions(list: &List) -> Vec<String> {
    let names = |names: &[String]| or(names.iter().map(|name| shown(name).into_owned()));
    let mut conditions = Vec::new();
    if !list.pid.is_empty() {
        conditions.push(format!("is held by pid {}", or(list.pid.iter().map(u32::to_string))));
    }
    if !list.exe.is_empty() {
        let files = list.exe.iter().map(|file| shown_os(file).into_owned());
        conditions.push(format!("is held by a process that runs {}", or(files)));
    }
    for (what, wanted) in [("user", &list.user), ("unit", &list.unit), ("container", &list.container)] {
        if !wanted.is_empty() {
            conditions.push(format!("belongs to {what} {}", names(wanted)));
        }
    }
    conditions
}

fn or(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" or ")
}

/// No process has this number, and that can be told. Not where `/proc` is another system's, as under Wine.
fn is_unused(pid: u32) -> bool {
    if !cfg!(target_os = "linux") {
        return false;
    }
    let is_there = |name: &str| std::path::Path::new("/proc").join(name).try_exists().ok();
    is_there("self") == Some(true) && is_there(&pid.to_string()) == Some(false)
}

/// No user is called so, and that can be told. A number needs no name.
fn is_nobody(user: &str) -> bool {
    #[cfg(target_os = "linux")]
    return user.parse::<u32>().is_err() && matches!(crate::call::has_user(user), Ok(false));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = user;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> String {
        let words = ["sockowner"].iter().chain(words).map(std::ffi::OsString::from);
        let list = crate::usage::parse(words).unwrap().list;
        sentence(&list, &Snapshot::default())
    }

    #[test]
    fn the_sentence_names_what_was_asked() {
        for (words, expected) in [
            (&["-a"][..], "no endpoint was found"),
            (&["-tl"], "no listening tcp endpoint was found"),
            (&["-tu6"], "no IPv6 endpoint was found"),
            (&["--state", "close-wait,closing"], "no endpoint in state CLOSE_WAIT or CLOSING was found"),
            (&["--unit", "nosuch"], "no endpoint belongs to unit nosuch"),
            (
                &["-u", "--user", "4711", "--container", "ab", "--container", "cd"],
                "no udp endpoint belongs to user 4711 and belongs to container ab or cd",
            ),
            (&["--exe", "/bin/x\x1b"], r#"no endpoint is held by a process that runs "/bin/x\x1b""#),
        ] {
            assert_eq!(said(words), expected);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_user_is_denied_only_where_there_is_none() {
        let nobody = "no endpoint belongs to user no-such-user";
        assert_eq!(said(&["--user", "no-such-user"]), format!("{nobody}: there is no such user"));
        for user in ["root", "4294967294"] {
            assert_eq!(said(&["--user", user]), format!("no endpoint belongs to user {user}"));
        }
        let either = said(&["--user", "no-such-user", "--user", "root"]);
        assert_eq!(either, format!("{nobody} or root"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_denied_only_where_there_is_none() {
        assert_eq!(
            said(&["--pid", "4294967295"]),
            "no endpoint is held by pid 4294967295: there is no such process"
        );
        let own = std::process::id().to_string();
        assert_eq!(said(&["--pid", &own]), format!("no endpoint is held by pid {own}"));
    }
}
