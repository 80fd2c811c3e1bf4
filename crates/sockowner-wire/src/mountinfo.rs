//! `/proc/self/mountinfo`: what is mounted where.
//!
//! Reference:
//! [proc_pid_mountinfo(5)](https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html),
//! `show_mountinfo` in the kernel's `fs/proc_namespace.c`.

use std::borrow::Cow;

use crate::Malformed;
use crate::proc_stat::decimal;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The mount's id; reused after it is unmounted.
    pub id: u32,
    /// The id of the mount it stands on.
    pub parent: u32,
    /// The major number of the file system's device.
    pub major: u32,
    /// The minor number of the file system's device.
    pub minor: u32,
    /// The directory within the file system that is this mount's root. Ends in `//deleted` where it
    /// has been removed.
    pub root: Cow<'a, [u8]>,
    /// Where it is mounted, from the reader's root.
    pub mount_point: Cow<'a, [u8]>,
    /// The options of this mount, separated by commas, as the kernel wrote them.
    pub options: &'a [u8],
    /// The file system's type, with its subtype behind a full stop: `cgroup2`, `fuse.sshfs`.
    pub fs_type: &'a [u8],
    /// What was mounted, chosen by whoever mounted it; may be empty.
    pub source: Cow<'a, [u8]>,
    /// The options of the file system, separated by commas, as the kernel wrote them: a comma or
    /// blank in a value stands as an octal escape.
    pub super_options: &'a [u8],
}

impl Mount<'_> {
    /// The value of the option `name`, of the file system or else of the mount: `invisible` for
    /// `hidepid` of `rw,hidepid=invisible`. None where there is no such option, or it has no `=`.
    pub fn super_option(&self, name: &[u8]) -> Option<&[u8]> {
        let comma = |b: &u8| *b == b',';
        let mut options = self.super_options.split(comma).chain(self.options.split(comma));
        options.find_map(|option| option.strip_prefix(name)?.strip_prefix(b"="))
    }
}

/// The lines of the text of `/proc/PID/mountinfo`, one mount or [`Malformed`] for each; a last line
/// without its newline is malformed, as it may be cut short.
pub fn mounts(text: &[u8]) -> impl Iterator<Item = Result<Mount<'_>, Malformed>> {
    let lines = text.split_inclusive(|&b| b == b'\n').scan(0, |next, line| {
        let at = *next;
        *next += line.len();
        Some((line, at))
    });
    lines.map(|(line, at)| parse(line, at))
}

/// One line, which begins at byte `at` of the text.
fn parse(line: &[u8], at: usize) -> Result<Mount<'_>, Malformed> {
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(Malformed::new("the end of a mountinfo line", at + line.len()));
    };
    let mut fields = Fields { rest: Some(line), at };

    let id = fields.number("the id of a mount")?;
    let parent = fields.number("the parent of a mount")?;
    let (major, minor) = fields.device()?;
    let root = unescaped(fields.next("the root of a mount")?);
    let mount_point = unescaped(fields.next("the mount point of a mount")?);
    let options = fields.next("the options of a mount")?;
    // Optional fields (`shared:1`, and whatever later kernels add) up to the separator.
    while fields.next("the separator of a mountinfo line")? != b"-" {}
    let fs_type = fields.next("the file system type of a mount")?;
    let source = unescaped(fields.next("the source of a mount")?);
    // Last on the line: a file system that writes a blank into its options unescaped does no harm
    // here.
    let end = Malformed::new("the options of a file system", fields.at);
    let super_options = fields.rest.ok_or(end)?;

    Ok(Mount { id, parent, major, minor, root, mount_point, options, fs_type, source, super_options })
}

/// The fields of a line. They are separated by exactly one blank: an empty source leaves two.
struct Fields<'a> {
    rest: Option<&'a [u8]>,
    at: usize,
}

impl<'a> Fields<'a> {
    fn next(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let rest = self.rest.ok_or(Malformed::new(what, self.at))?;
        let len = rest.iter().position(|&b| b == b' ');
        self.at += len.map_or(rest.len(), |len| len + 1);
        self.rest = len.map(|len| &rest[len + 1..]);
        Ok(&rest[..len.unwrap_or(rest.len())])
    }

    fn number(&mut self, what: &'static str) -> Result<u32, Malformed> {
        let at = self.at;
        decimal(self.next(what)?).ok_or(Malformed::new(what, at))
    }

    fn device(&mut self) -> Result<(u32, u32), Malformed> {
        let (what, at) = ("the device of a mount", self.at);
        let mut numbers = self.next(what)?.splitn(2, |&b| b == b':').map(decimal);
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => Ok((major, minor)),
            _ => Err(Malformed::new(what, at)),
        }
    }
}

/// Undoes the kernel's octal escapes (`mangle_path`): `\040` is a blank. A backslash that begins
/// none is kept.
fn unescaped(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(field);
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, below)) = rest.split_first() {
        let (byte, below) = escape(rest).unwrap_or((first, below));
        bytes.push(byte);
        rest = below;
    }
    Cow::Owned(bytes)
}

/// The escape at the start of `text`, if there is one, and what follows it.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', below @ ..] = text else {
        return None;
    };
    Some(((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), below))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Four mounts: no optional field, two of them, escapes, and an empty source.
    const TEXT: &[u8] = b"22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=invisible,subset=pid\n\
        35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate\n\
        98 27 259:2 /home/a\\040b /mnt/tab\\011nl\\012bs\\134 ro - fuse.sshfs me@host:/x\\040y rw,user_id=1000\n\
        99 27 0:77 / /empty rw,relatime - tmpfs  rw,size=4k\n";

    fn first(text: &[u8]) -> Mount<'_> {
        mounts(text).next().unwrap().unwrap()
    }

    #[test]
    fn a_text_of_the_kernel() {
        let found: Vec<_> = mounts(TEXT).map(Result::unwrap).collect();
        let cgroup2 = Mount {
            id: 35,
            parent: 24,
            major: 0,
            minor: 30,
            root: Cow::Borrowed(b"/"),
            mount_point: Cow::Borrowed(b"/sys/fs/cgroup"),
            options: b"rw,nosuid,nodev,noexec,relatime",
            fs_type: b"cgroup2",
            source: Cow::Borrowed(b"cgroup2"),
            super_options: b"rw,nsdelegate",
        };
        assert_eq!(found[1], cgroup2);
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn escapes_are_undone() {
        let found = mounts(TEXT).nth(2).unwrap().unwrap();
        assert_eq!((found.major, found.minor), (259, 2));
        assert_eq!(*found.root, *b"/home/a b");
        assert_eq!(*found.mount_point, *b"/mnt/tab\tnl\nbs\\");
        assert_eq!(found.fs_type, b"fuse.sshfs");
        assert_eq!(*found.source, *b"me@host:/x y");
    }

    #[test]
    fn what_is_no_escape_is_kept() {
        for kept in [b"\\".as_slice(), b"\\04", b"\\08a", b"\\400", b"a\\x20", b"\\\\"] {
            assert_eq!(*unescaped(kept), *kept);
        }
        assert_eq!(*unescaped(b"\\377\\000\\134040"), *b"\xff\0\\040");
    }

    #[test]
    fn an_empty_source_is_a_field() {
        let found = mounts(TEXT).nth(3).unwrap().unwrap();
        assert_eq!((&*found.source, found.super_options), (b"".as_slice(), b"rw,size=4k".as_slice()));
    }

    #[test]
    fn options_by_name() {
        let proc = first(TEXT);
        assert_eq!(proc.super_option(b"hidepid"), Some(b"invisible".as_slice()));
        assert_eq!(proc.super_option(b"subset"), Some(b"pid".as_slice()));
        assert_eq!(proc.super_option(b"hide"), None);
        assert_eq!(proc.super_option(b"rw"), None);
        let of_mount = Mount { options: b"rw,gid=4,hidepid=1", ..proc };
        assert_eq!(of_mount.super_option(b"gid"), Some(b"4".as_slice()));
        assert_eq!(of_mount.super_option(b"hidepid"), Some(b"invisible".as_slice()));
    }

    #[test]
    fn a_blank_in_the_last_field_is_its_own() {
        let found = first(b"1 2 0:3 / /x rw - odd src rw,a=b c,d=e\n");
        assert_eq!(found.super_options, b"rw,a=b c,d=e");
        assert_eq!(found.super_option(b"d"), Some(b"e".as_slice()));
    }

    #[test]
    fn a_malformed_line_does_not_hide_the_next() {
        let text = b"x 2 0:3 / /x rw - a b rw\n1 2 3 / /x rw - a b rw\n1 2 0:3 / /x rw a b rw\n\
            1 2 0:3 / /x rw - a b rw\n1 2 0:3 / /x rw - a b";
        let found: Vec<_> = mounts(text).collect();
        let malformed = |what, at| Err(Malformed::new(what, at));
        assert_eq!(found[0], malformed("the id of a mount", 0));
        assert_eq!(found[1], malformed("the device of a mount", 29));
        assert_eq!(found[2], malformed("the separator of a mountinfo line", 70));
        assert!(found[3].is_ok());
        assert_eq!(found[4], malformed("the end of a mountinfo line", text.len()));
    }

    #[test]
    fn cut_short_anywhere_each_line_is_malformed_or_the_same() {
        let whole: Vec<_> = mounts(TEXT).collect();
        for end in 0..TEXT.len() {
            for (cut, whole) in mounts(&TEXT[..end]).zip(&whole) {
                assert!(cut.is_err() || cut == *whole, "cut at {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            mounts(&text).for_each(drop);
        }

        #[test]
        fn never_panics_on_fields(text in "[0-9:/\\\\ \n-]{0,120}") {
            mounts(text.as_bytes()).for_each(drop);
        }

        #[test]
        fn escapes_round_trip(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let escaped: Vec<u8> = name.iter().flat_map(|&b| match b {
                b' ' | b'\t' | b'\n' | b'\\' => format!("\\{b:03o}").into_bytes(),
                b => vec![b],
            }).collect();
            prop_assert_eq!(&*unescaped(&escaped), name.as_slice());
        }
    }
}
