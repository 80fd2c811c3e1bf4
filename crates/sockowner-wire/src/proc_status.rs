//! `/proc/PID/status`: the user ids of one process.
//!
//! Reference: [proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html),
//! `task_state` in the kernel's `fs/proc/array.c`.

use crate::Malformed;
use crate::proc_stat::decimal;

/// The four user ids of a process, as seen in the reader's user namespace. An id without a name
/// there reads as the overflow id, 65534 unless `/proc/sys/kernel/overflowuid` says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uids {
    /// The real user id: who started it.
    pub real: u32,
    /// The effective user id: as whom it acts.
    pub effective: u32,
    /// The saved set-user id.
    pub saved: u32,
    /// The file system user id.
    pub fs: u32,
}

/// The `Uid:` line of the text of `/proc/PID/status`.
///
/// The `Name:` line above it is chosen by the process, but the kernel writes a newline in a name as
/// `\n` (`proc_task_name` with `escape`), so no name can start a line.
///
/// # Errors
///
/// [`Malformed`] where there is no such line, or it is not four numbers and a newline.
pub fn uids(text: &[u8]) -> Result<Uids, Malformed> {
    let mut at = 0;
    for line in text.split_inclusive(|&b| b == b'\n') {
        if let Some(ids) = line.strip_prefix(b"Uid:\t") {
            return parse(ids).ok_or(Malformed::new("the user ids of a status text", at));
        }
        at += line.len();
    }
    Err(Malformed::new("the user ids of a status text", at))
}

/// What follows the key: without its newline the last number might be cut short.
fn parse(ids: &[u8]) -> Option<Uids> {
    let mut ids = ids.strip_suffix(b"\n")?.split(|&b| b == b'\t').map(decimal);
    let mut next = || ids.next().flatten();
    let uids = Uids { real: next()?, effective: next()?, saved: next()?, fs: next()? };
    ids.next().is_none().then_some(uids)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The head of `/proc/PID/status` as a set-user-id program has it.
    const SUDO: &[u8] =
        b"Name:\tsudo\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nNgid:\t0\nPid:\t4711\n\
        PPid:\t4700\nTracerPid:\t0\nUid:\t1000\t0\t0\t0\nGid:\t1000\t1000\t1000\t1000\nFDSize:\t64\n";

    const OF_SUDO: Uids = Uids { real: 1000, effective: 0, saved: 0, fs: 0 };

    #[test]
    fn a_text_of_the_kernel() {
        assert_eq!(uids(SUDO), Ok(OF_SUDO));
    }

    #[test]
    fn a_name_cannot_forge_the_line() {
        // prctl(PR_SET_NAME, "x\nUid:\t0\t0\t0\t0"), as the kernel writes it.
        let text = b"Name:\tx\\nUid:\t0\t0\t0\t0\nUmask:\t0022\nUid:\t1000\t1001\t1002\t4294967295\n";
        assert_eq!(uids(text), Ok(Uids { real: 1000, effective: 1001, saved: 1002, fs: u32::MAX }));
        let text = b"Name:\tUid:\t0\t0\t0\t0\nUid:\t1\t2\t3\t4\n";
        assert_eq!(uids(text), Ok(Uids { real: 1, effective: 2, saved: 3, fs: 4 }));
    }

    #[test]
    fn what_broke_and_where() {
        let error = |text: &[u8]| uids(text).unwrap_err().at;
        assert_eq!(error(b""), 0);
        assert_eq!(error(b"Name:\tx\nGid:\t0\t0\t0\t0\n"), 21);
        assert_eq!(error(b"Name:\tx\nUid:\t0\t0\t0\n"), 8);
        assert_eq!(error(b"Name:\tx\nUid:\t0\t0\t0\t0\t0\n"), 8);
        assert_eq!(error(b"Name:\tx\nUid:\t0\t0\t0\t-1\n"), 8);
        assert_eq!(error(b"Name:\tx\nUid:\t0\t0\t0\t4294967296\n"), 8);
        assert_eq!(error(b"Name:\tx\nUid:\t0 0 0 0\n"), 8);
    }

    #[test]
    fn cut_short_anywhere_it_is_malformed_or_the_same() {
        for end in 0..SUDO.len() {
            if let Ok(cut) = uids(&SUDO[..end]) {
                assert_eq!(cut, OF_SUDO, "cut at {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = uids(&text);
        }

        #[test]
        fn never_panics_behind_the_key(tail in "[0-9\t\nx]{0,60}") {
            let _ = uids(format!("Uid:\t{tail}").as_bytes());
        }
    }
}
