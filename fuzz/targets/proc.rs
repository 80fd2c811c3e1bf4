//! Arbitrary text in place of files of `/proc`: no panic, no number that is not there, and what is told is in the text.
#![cfg_attr(fuzzing, no_main)]

#[path = "../frame.rs"]
#[macro_use]
mod frame;

use sockowner_wire::{ProcStat, memberships, mounts, sockstat_tcp, uids};

target!(run);

fn run(text: &[u8]) {
    stat(text);
    status(text);
    cgroup(text);
    mountinfo(text);
    sockstat_tcp(text);
}

fn stat(text: &[u8]) {
    match ProcStat::parse(text) {
        Ok(stat) => {
            let open = text.iter().position(|&byte| byte == b'(').expect("a name");
            let close = text.iter().rposition(|&byte| byte == b')').expect("a name");
            assert_eq!(stat.comm, &text[open + 1..close]);
            let fields: Vec<&[u8]> = text[close + 1..].split(|byte| matches!(byte, b' ' | b'\n')).collect();
            assert_eq!((fields[0], fields[1]), (&b""[..], &[stat.state][..]));
            let number = |digits: &[u8]| -> u64 {
                std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).expect("a number")
            };
            assert_eq!(number(&text[..open - 1]), stat.pid.into());
            let numbers = [(2, stat.ppid), (7, stat.flags), (18, stat.num_threads)];
            assert!(
                numbers.into_iter().all(|(at, expected)| number(fields[at]) == expected.into()),
                "{stat:?}"
            );
            assert_eq!(number(fields[20]), stat.start_ticks);
            // It is a stat line without what follows that field, too, but not without the blank behind it.
            let end = close + 1 + fields[..21].iter().map(|field| field.len() + 1).sum::<usize>();
            let cut = ProcStat::parse(&text[..end]).expect("it ends where it may");
            assert_eq!((cut.pid, cut.start_ticks, cut.exit_signal), (stat.pid, stat.start_ticks, None));
            assert!(ProcStat::parse(&text[..end - 1]).is_err());
        }
        Err(malformed) => assert!(malformed.at <= text.len(), "{malformed}"),
    }
}

fn status(text: &[u8]) {
    match uids(text) {
        Ok(ids) => {
            let line = format!("Uid:\t{}\t{}\t{}\t{}\n", ids.real, ids.effective, ids.saved, ids.fs);
            assert_eq!(uids(line.as_bytes()), Ok(ids));
        }
        Err(malformed) => assert!(malformed.at <= text.len(), "{malformed}"),
    }
}

fn cgroup(text: &[u8]) {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    assert_eq!(memberships(text).count(), lines.count());
    for membership in memberships(text) {
        match membership {
            Ok(membership) => {
                let line = [
                    format!("{}:", membership.hierarchy).as_bytes(),
                    membership.controllers,
                    b":",
                    membership.path,
                    b"\n",
                ]
                .concat();
                assert_eq!(memberships(&line).collect::<Vec<_>>(), [Ok(membership)]);
                assert!(!(membership.is_unified() && membership.is_systemd()), "{membership:?}");
            }
            Err(malformed) => assert!(malformed.at <= text.len(), "{malformed}"),
        }
    }
}

fn mountinfo(text: &[u8]) {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    assert_eq!(mounts(text).count(), lines.count());
    for mount in mounts(text) {
        match mount {
            Ok(mount) => {
                let all = text.len();
                assert!(
                    mount.root.len() <= all && mount.mount_point.len() <= all && mount.source.len() <= all
                );
                if let Some(value) = mount.super_option(b"hidepid") {
                    assert!(!value.contains(&b','), "{mount:?}");
                }
            }
            Err(malformed) => assert!(malformed.at <= text.len(), "{malformed}"),
        }
    }
}
