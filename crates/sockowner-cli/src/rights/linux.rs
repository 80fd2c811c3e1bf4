//! Linux: root, and the capabilities that it takes to look into every process.

use std::ffi::OsString;
use std::fmt::Write as _;

/// What this program may do, as far as it decides which advice is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    User,
    /// Root without the capabilities that it takes to look into every process, as in a container.
    Root,
    /// With them.
    Full,
    /// Root of a user namespace that is not the system's: what others have is not his to see.
    Namespace,
}

impl Rights {
    /// `CAP_DAC_READ_SEARCH` and `CAP_SYS_PTRACE`, by their bits in capabilities(7).
    const NEEDED: u64 = 1 << 2 | 1 << 19;

    /// How to see what is not seen with these.
    pub(crate) fn advice(self) -> String {
        match self {
            Self::User => format!("run '{}' to see them", with_sudo(std::env::args_os())),
            Self::Root => {
                "root needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for that, and lacks one here".to_owned()
            }
            Self::Full => "this system refuses that even to root".to_owned(),
            Self::Namespace => {
                "root of this user namespace is not the system's root: ask outside of it".to_owned()
            }
        }
    }

    pub(crate) fn own() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::of(&read("/proc/self/status"), &read("/proc/self/uid_map"))
    }

    /// Why something failed that takes root, and failed before it came to that.
    pub(crate) fn blamed(self, error: sockowner::Error) -> anyhow::Error {
        match (self, error.kind()) {
            (Self::User, sockowner::ErrorKind::NotFound) => {
                anyhow::anyhow!("{error:#}\nThat takes root, as this command does")
            }
            _ => error.into(),
        }
    }

    /// From the texts of `/proc/self/status` and `/proc/self/uid_map`; a user's where they do not tell.
    fn of(status: &str, uid_map: &str) -> Self {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let capabilities = field("CapEff:").and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        let is_full = capabilities.is_some_and(|have| have & Self::NEEDED == Self::NEEDED);
        // Real, effective, saved, file system.
        let effective = field("Uid:").and_then(|uids| uids.split_whitespace().nth(1));
        match (is_full, effective == Some("0")) {
            (false, false) => Self::User,
            _ if is_of_a_namespace(uid_map) => Self::Namespace,
            (true, _) => Self::Full,
            (false, true) => Self::Root,
        }
    }
}

/// Users are numbered otherwise here than outside, or some are not there: this is not the system's user namespace. A kernel
/// without user namespaces has no such map.
fn is_of_a_namespace(uid_map: &str) -> bool {
    let fields: Vec<_> = uid_map.split_whitespace().collect();
    !matches!(fields.as_slice(), [] | ["0", "0", "4294967295"])
}

/// The command line again, for root.
fn with_sudo(words: impl Iterator<Item = OsString>) -> String {
    let mut command = "sudo".to_owned();
    for (at, word) in words.enumerate() {
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
        let word = match (at, word.to_str()) {
            // The shell looks it up again.
            (0, Some(name)) if !name.contains('/') => "sockowner",
            (_, Some(word)) if !word.is_empty() && word.chars().all(is_safe) => word,
            _ => return "sudo sockowner".to_owned(),
        };
        // Writing to a String does not fail.
        let _ = write!(command, " {word}");
    }
    command
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn rights_are_read_where_the_kernel_tells_them() {
        let status = |uid, capabilities| format!("Name:\tx\nUid:\t7\t{uid}\t7\t7\nCapEff:\t{capabilities}\n");
        let all = "         0          0 4294967295\n";
        for (uid, capabilities, expected, in_a_namespace) in [
            (1000, "0000000000000000", Rights::User, Rights::User),
            (1000, "0000000000080004", Rights::Full, Rights::Namespace),
            (0, "00000000a80425fb", Rights::Root, Rights::Namespace),
            (0, "000001ffffffffff", Rights::Full, Rights::Namespace),
        ] {
            let rights = |map| Rights::of(&status(uid, capabilities), map);
            for map in [all, ""] {
                assert_eq!(rights(map), expected, "{uid} {capabilities}");
            }
            for map in ["0 1000 1\n", "0 100000 65536\n", "0 1000 1\n1 100000 65536\n", "0 0 65536\n"] {
                assert_eq!(rights(map), in_a_namespace, "{uid} {capabilities} {map}");
            }
        }
        assert_eq!(Rights::of("", all), Rights::User);
    }

    #[test]
    fn what_comes_before_a_refusal_is_not_all_that_a_user_is_told() {
        let said = |rights: Rights| {
            let error = sockowner::os::linux::share::enable("sockowner-no-such-group").unwrap_err();
            format!("{:#}", rights.blamed(error))
        };
        assert!(said(Rights::User).ends_with("\nThat takes root, as this command does"));
        assert!(!said(Rights::Full).contains("takes root"));
    }

    #[test]
    fn advice_repeats_the_command_where_a_shell_takes_it_as_it_is() {
        let advice = |words: &[&str]| with_sudo(words.iter().map(OsString::from));
        assert_eq!(advice(&["sockowner", "who", "tcp/:22"]), "sudo sockowner who tcp/:22");
        assert_eq!(advice(&["./so", "-tl"]), "sudo ./so -tl");
        assert_eq!(advice(&["sockowner", "who", "[::1]:22"]), "sudo sockowner");
        for words in [&["sockowner", "--user", "a; rm"], &["sockowner", "--user", ""]] {
            assert_eq!(advice(words), "sudo sockowner");
        }
        let no_text = || OsString::from_vec(vec![0xff]);
        for words in [vec![no_text()], vec!["sockowner".into(), no_text()], vec!["./so".into(), no_text()]] {
            assert_eq!(with_sudo(words.into_iter()), "sudo sockowner");
        }
    }
}
