//! `/proc/PID/cgroup`: the cgroup of one process in each hierarchy.
//!
//! Reference: [cgroups(7)](https://man7.org/linux/man-pages/man7/cgroups.7.html),
//! `proc_cgroup_show` in the kernel's `kernel/cgroup/cgroup.c`.

use crate::Malformed;
use crate::proc_stat::decimal;

/// What the kernel appends to the path of a cgroup that has been removed while the process was in
/// it.
pub(crate) const REMOVED: &[u8] = b" (deleted)";

/// One line: the cgroup a process is in, in one hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership<'a> {
    /// The hierarchy's number; 0 is the unified one (cgroup v2).
    pub hierarchy: u32,
    /// The hierarchy's controllers, separated by commas, or `name=` and its name; empty for the
    /// unified one.
    pub controllers: &'a [u8],
    /// The path as the kernel wrote it, from the root of the *reader's* cgroup namespace; it begins
    /// with `/../` where it lies outside. Names in it are any bytes but `/`, NUL and newline, `:`
    /// and blanks included.
    pub path: &'a [u8],
}

impl Membership<'_> {
    /// Whether this is the unified hierarchy, cgroup v2.
    pub fn is_unified(&self) -> bool {
        self.hierarchy == 0 && self.controllers.is_empty()
    }

    /// Whether this is systemd's own hierarchy on a host with cgroup v1.
    pub fn is_systemd(&self) -> bool {
        self.controllers == b"name=systemd"
    }

    /// Whether the cgroup has been removed: the path ends in ` (deleted)`. The kernel says so in
    /// the unified hierarchy alone, and a living cgroup may bear such a name.
    pub fn is_removed(&self) -> bool {
        self.is_unified() && self.path.ends_with(REMOVED)
    }
}

/// The lines of the text of `/proc/PID/cgroup`, one membership or [`Malformed`] for each; a last
/// line without its newline is malformed, as its path may be cut short.
///
/// The kernel does not escape names here. It refuses a newline in one instead, so that this file
/// can be parsed: in `cgroup_mkdir` on every kernel with cgroup v2, in `cgroup1_rename` only since
/// 5.13 and the stable updates of June 2021. Where an older kernel has cgroup v1 hierarchies,
/// whoever may rename a cgroup in one of them can therefore forge lines, but only in front of the
/// unified hierarchy's, which the kernel writes last: **take the last unified line**.
pub fn memberships(text: &[u8]) -> impl Iterator<Item = Result<Membership<'_>, Malformed>> {
    let lines = text.split_inclusive(|&b| b == b'\n').scan(0, |next, line| {
        let at = *next;
        *next += line.len();
        Some((line, at))
    });
    lines.map(|(line, at)| parse(line, at))
}

/// One line, which begins at byte `at` of the text.
fn parse(line: &[u8], at: usize) -> Result<Membership<'_>, Malformed> {
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(Malformed::new("the end of a cgroup line", at + line.len()));
    };
    let end = at + line.len();

    // The name of a hierarchy is of [\w.-] alone (`cgroup1_parse_param`), so the first two colons
    // separate and every other one is the path's.
    let mut fields = line.splitn(3, |&b| b == b':');
    let hierarchy = fields.next().unwrap_or_default();
    let controllers = fields.next().ok_or(Malformed::new("the controllers of a cgroup line", end))?;
    let path = fields.next().ok_or(Malformed::new("the path of a cgroup line", end))?;

    let path_at = at + hierarchy.len() + controllers.len() + 2;
    let hierarchy = decimal(hierarchy).ok_or(Malformed::new("the hierarchy of a cgroup line", at))?;
    if !path.starts_with(b"/") {
        return Err(Malformed::new("the path of a cgroup line", path_at));
    }
    Ok(Membership { hierarchy, controllers, path })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A host with hybrid hierarchies.
    const HYBRID: &[u8] =
        b"12:cpu,cpuacct:/user.slice\n1:name=systemd:/user.slice/user-1000.slice/session-3.scope\n\
        0::/user.slice/user-1000.slice/session-3.scope\n";

    fn only(text: &[u8]) -> Membership<'_> {
        let mut found = memberships(text);
        let first = found.next().unwrap().unwrap();
        assert_eq!(found.next(), None);
        first
    }

    #[test]
    fn a_text_of_the_kernel() {
        let found: Vec<_> = memberships(HYBRID).map(Result::unwrap).collect();
        assert_eq!(found[0], Membership { hierarchy: 12, controllers: b"cpu,cpuacct", path: b"/user.slice" });
        let kinds: Vec<_> = found.iter().map(|m| (m.is_unified(), m.is_systemd())).collect();
        assert_eq!(kinds, [(false, false), (false, true), (true, false)]);
        assert_eq!(found[1].path, found[2].path);
    }

    #[test]
    fn a_path_may_hold_colons_and_blanks() {
        let path = b"/system.slice/containerd.service/kubepods-podx.slice:cri-containerd:0 1";
        let text = [b"0::", path.as_slice(), b"\n"].concat();
        assert_eq!(only(&text).path, path);
    }

    #[test]
    fn a_name_with_an_escape_cannot_forge_a_line() {
        let found = only(b"1:name=systemd:/user.slice/x\\n0::/system.slice/ssh.service\n");
        assert!(found.is_systemd());
    }

    #[test]
    fn a_line_forged_by_an_old_kernels_rename_stands_before_the_unified_one() {
        let text =
            b"5:pids:/x\n0::/system.slice/ssh.service\n0::/user.slice/user-1000.slice/session-3.scope\n";
        let last = memberships(text).flatten().filter(Membership::is_unified).last().unwrap();
        assert_eq!(last.path, b"/user.slice/user-1000.slice/session-3.scope");
    }

    #[test]
    fn a_removed_cgroup_says_so() {
        let found = only(b"0::/system.slice/x.service (deleted)\n");
        assert!(found.is_removed());
        assert_eq!(found.path, b"/system.slice/x.service (deleted)");
        assert!(!only(b"0::/system.slice/x.service\n").is_removed());
        assert!(!only(b"1:name=systemd:/x (deleted)\n").is_removed());
    }

    #[test]
    fn outside_the_readers_namespace() {
        assert_eq!(only(b"0::/../../x\n").path, b"/../../x");
        assert_eq!(only(b"0::/\n").path, b"/");
    }

    #[test]
    fn a_malformed_line_does_not_hide_the_next() {
        let found: Vec<_> = memberships(b"x::/a\n0:/b\n0\n0::c\n\n0::/d\n0::/e").collect();
        let malformed = |what, at| Err(Malformed::new(what, at));
        assert_eq!(found[0], malformed("the hierarchy of a cgroup line", 0));
        assert_eq!(found[1], malformed("the path of a cgroup line", 10));
        assert_eq!(found[2], malformed("the controllers of a cgroup line", 12));
        assert_eq!(found[3], malformed("the path of a cgroup line", 16));
        assert_eq!(found[4], malformed("the controllers of a cgroup line", 18));
        assert_eq!(found[5], Ok(Membership { hierarchy: 0, controllers: b"", path: b"/d" }));
        assert_eq!(found[6], malformed("the end of a cgroup line", 30));
        assert_eq!(found.len(), 7);
    }

    #[test]
    fn nothing_holds_no_membership() {
        assert_eq!(memberships(b"").next(), None);
    }

    #[test]
    fn cut_short_anywhere_each_line_is_malformed_or_the_same() {
        let whole: Vec<_> = memberships(HYBRID).collect();
        for end in 0..HYBRID.len() {
            for (cut, whole) in memberships(&HYBRID[..end]).zip(&whole) {
                assert!(cut.is_err() || cut == *whole, "cut at {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            memberships(&text).for_each(drop);
        }

        #[test]
        fn never_panics_on_lines(text in "[0-9:/a\n]{0,120}") {
            memberships(text.as_bytes()).for_each(drop);
        }
    }
}
