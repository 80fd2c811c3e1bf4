//! `/proc/PID/stat`: identity and state of one process.
//!
//! Reference: [proc_pid_stat(5)](https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html),
//! `do_task_stat` in the kernel's `fs/proc/array.c`.

use std::str::FromStr;

use crate::Malformed;

/// Field 9, `flags`: the task is a kernel thread (`PF_KTHREAD` in the kernel's
/// `include/linux/sched.h`).
///
/// A missing `/proc/PID/exe` does not say so: a zombie has none either, and other users' links are
/// unreadable.
const PF_KTHREAD: u32 = 0x0020_0000;

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcStat<'a> {
    /// Field 1: the process id in the pid namespace of the `/proc` that was read.
    pub pid: u32,
    /// Field 2 without its parentheses: the main thread's name, unescaped. **Chosen by the
    /// process**: up to 15 bytes of anything but NUL (kernel threads: up to 63).
    pub comm: &'a [u8],
    /// Field 3: the state letter, as the kernel wrote it.
    pub state: u8,
    /// Field 4: the parent's process id; 0 where it has none in this pid namespace.
    pub ppid: u32,
    /// Field 9: the `PF_*` flags. Their values are no stable interface, apart from those that tools
    /// have come to need.
    pub flags: u32,
    /// Field 20: the number of threads; 0 for a zombie.
    pub num_threads: u32,
    /// Field 22: the start time, in clock ticks since boot (of the time namespace that read it).
    #[doc(alias = "starttime")]
    pub start_ticks: u64,
    /// Field 38: the signal that the parent gets at its end, -1 for a thread that is not the main one; `None` where the
    /// text ends before.
    pub exit_signal: Option<i32>,
}

impl<'a> ProcStat<'a> {
    /// Reads the text of `/proc/PID/stat`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where the text is not a stat line as far as field 22 with the blank that
    /// follows it: without that blank a number cut short would pass for a smaller one.
    pub fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let open = text.iter().position(|&b| b == b'(');
        let open = open.ok_or(Malformed::new("the name of a stat line", text.len()))?;
        // The name may hold parentheses, blanks and newlines. Everything after it is numbers and
        // one letter, so the last closing parenthesis of the text ends it.
        let close = text.iter().rposition(|&b| b == b')').filter(|&close| close > open);
        let close = close.ok_or(Malformed::new("the name of a stat line", text.len()))?;

        let pid = text[..open].strip_suffix(b" ").and_then(decimal);
        let pid = pid.ok_or(Malformed::new("the pid of a stat line", 0))?;
        let comm = &text[open + 1..close];

        let mut fields = Fields { text, at: close + 1 };
        fields.blank()?;
        let state = fields.state()?;
        let ppid = fields.number("the parent of a stat line")?;
        fields.skip(4)?; // 5 to 8: pgrp, session, tty_nr, tpgid
        let flags = fields.number("the flags of a stat line")?;
        fields.skip(10)?; // 10 to 19: page faults, times, priority, nice
        let num_threads = fields.number("the thread count of a stat line")?;
        fields.skip(1)?; // 21: itrealvalue
        let start_ticks = fields.number("the start time of a stat line")?;

        // 23 to 37: memory, addresses, signals. No process is told apart by what follows, so it may be missing.
        let exit_signal = fields.skip(15).ok().and_then(|()| fields.next("the exit signal").ok());
        let exit_signal = exit_signal.and_then(|(digits, _)| std::str::from_utf8(digits).ok()?.parse().ok());

        Ok(Self { pid, comm, state, ppid, flags, num_threads, start_ticks, exit_signal })
    }

    /// Whether this is a thread that is not its process's main one: `/proc` has a directory for its number, too, but does
    /// not list it.
    pub fn is_thread(&self) -> bool {
        self.exit_signal == Some(-1)
    }

    /// Whether this is a kernel thread.
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// Whether the main thread has exited: `Z`, waiting for its parent, or `X`, dead. Other threads
    /// of the process may still live and hold its sockets.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// The blank-separated fields from `at` on.
struct Fields<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// The next field and its offset. A field counts only with the blank behind it.
    fn next(&mut self, what: &'static str) -> Result<(&'a [u8], usize), Malformed> {
        let start = self.at;
        let rest = &self.text[start..];
        let len = rest.iter().position(|&b| b == b' ' || b == b'\n');
        let len = len.ok_or(Malformed::new(what, self.text.len()))?;
        self.at = start + len + 1;
        Ok((&rest[..len], start))
    }

    fn blank(&mut self) -> Result<(), Malformed> {
        let what = "the end of the name of a stat line";
        match self.next(what)? {
            ([], _) => Ok(()),
            (_, at) => Err(Malformed::new(what, at)),
        }
    }

    fn state(&mut self) -> Result<u8, Malformed> {
        let what = "the state of a stat line";
        match self.next(what)? {
            ([state], _) if state.is_ascii_alphabetic() => Ok(*state),
            (_, at) => Err(Malformed::new(what, at)),
        }
    }

    fn number<T: FromStr>(&mut self, what: &'static str) -> Result<T, Malformed> {
        let (digits, at) = self.next(what)?;
        decimal(digits).ok_or(Malformed::new(what, at))
    }

    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        for _ in 0..count {
            self.next("the fields of a stat line")?;
        }
        Ok(())
    }
}

/// An unsigned number as `/proc` writes it: digits and nothing else. `FromStr` alone would let a
/// `+` pass.
pub(crate) fn decimal<T: FromStr>(digits: &[u8]) -> Option<T> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `cat /proc/self/stat`, kernel 6.18.
    const CAT: &[u8] =
        b"5043 (cat) R 5039 5039 3080 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 131790 3133440 378 \
        18446744073709551615 94748116410368 94748116430249 140736269295104 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 \
        94748116446256 94748116447872 94749029519360 140736269298402 140736269298422 140736269298422 \
        140736269299691 0\n";

    /// `cat /proc/12/stat`, kernel 6.18: a kernel thread, whose name is longer than a process's.
    const KWORKER: &[u8] = b"12 (kworker/u8:0-ext4-rsv-conversion) I 2 0 0 0 -1 69238880 0 0 0 0 0 \
        28 0 0 20 0 1 0 20 0 0 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 1 0 0 17 1 0 0 0 0 \
        0 0 0 0 0 0 0 0\n";

    fn with_name(name: &[u8]) -> Vec<u8> {
        [b"77 (", name, b") S 1 77 77 0 -1 4194560 9 0 0 0 0 0 0 0 20 0 3 0 4242 8 9\n"].concat()
    }

    #[test]
    fn a_line_of_the_kernel() {
        let expected = ProcStat {
            pid: 5043,
            comm: b"cat",
            state: b'R',
            ppid: 5039,
            flags: 4_194_304,
            num_threads: 1,
            start_ticks: 131_790,
            exit_signal: Some(17),
        };
        let thread = std::str::from_utf8(CAT).unwrap().replacen(" 17 ", " -1 ", 1);
        assert!(ProcStat::parse(thread.as_bytes()).unwrap().is_thread() && !expected.is_thread());
        assert_eq!(ProcStat::parse(CAT), Ok(expected));
        assert!(!expected.is_kernel_thread());
        assert!(!expected.is_zombie());
    }

    #[test]
    fn a_kernel_thread_is_told_by_its_flag() {
        let stat = ProcStat::parse(KWORKER).unwrap();
        assert_eq!(stat.comm, b"kworker/u8:0-ext4-rsv-conversion");
        assert!(stat.is_kernel_thread());
    }

    #[test]
    fn a_zombie_is_told_by_its_state() {
        for (state, zombie) in [(b'Z', true), (b'X', true), (b'R', false), (b'T', false)] {
            let stat = ProcStat { state, ..ProcStat::parse(CAT).unwrap() };
            assert_eq!(stat.is_zombie(), zombie);
        }
    }

    #[test]
    fn a_name_cannot_forge_fields() {
        for name in [b") R 1 1 1 1".as_slice(), b"a) (b", b"(((", b")))", b"x\n2 (y) S 0", b"", b"\xff\xfe"] {
            let text = with_name(name);
            let stat = ProcStat::parse(&text).unwrap();
            assert_eq!((stat.comm, stat.pid, stat.ppid), (name, 77, 1));
            assert_eq!((stat.num_threads, stat.start_ticks), (3, 4242));
        }
    }

    #[test]
    fn what_broke_and_where() {
        let error = |text: &[u8]| ProcStat::parse(text).unwrap_err();
        assert_eq!(error(b""), Malformed::new("the name of a stat line", 0));
        assert_eq!(error(b"12 cat R 1"), Malformed::new("the name of a stat line", 10));
        assert_eq!(error(b"12 )cat( R 1"), Malformed::new("the name of a stat line", 12));
        assert_eq!(error(b"+12 (cat) R 1 "), Malformed::new("the pid of a stat line", 0));
        assert_eq!(error(b"99999999999 (cat) R 1 "), Malformed::new("the pid of a stat line", 0));
        assert_eq!(error(b"12 (cat)R 1 "), Malformed::new("the end of the name of a stat line", 8));
        assert_eq!(error(b"12 (cat) RR 1 "), Malformed::new("the state of a stat line", 9));
        assert_eq!(error(b"12 (cat) R -1 "), Malformed::new("the parent of a stat line", 11));
    }

    #[test]
    fn cut_short_anywhere_it_is_malformed_or_the_same() {
        for text in [CAT.to_vec(), KWORKER.to_vec(), with_name(b") R 1 1 1 1"), with_name(b"a) (b")] {
            let whole = ProcStat::parse(&text).unwrap();
            for end in 0..text.len() {
                if let Ok(cut) = ProcStat::parse(&text[..end]) {
                    // What comes late may be missing, and is never another number.
                    let exit_signal = cut.exit_signal.and(whole.exit_signal);
                    assert_eq!(cut, ProcStat { exit_signal, ..whole }, "cut at {end}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ProcStat::parse(&text);
        }

        #[test]
        fn never_panics_behind_a_name(tail in "[ 0-9SZ()\n-]{0,120}") {
            let _ = ProcStat::parse(format!("1 (x) {tail}").as_bytes());
        }
    }
}
