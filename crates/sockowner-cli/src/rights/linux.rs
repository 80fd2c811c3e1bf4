//! Linux: root, and the capabilities that it takes to look into every process.

use std::fmt::Write as _;

/// What this program may do, as far as it decides which advice is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    User,
    /// Root without the capabilities that it takes to look into every process, as in a container.
    Root,
    /// With them.
    Full,
}

impl Rights {
    /// `CAP_DAC_READ_SEARCH` and `CAP_SYS_PTRACE`, by their bits in capabilities(7).
    const NEEDED: u64 = 1 << 2 | 1 << 19;

    /// How to see what is not seen with these.
    pub(crate) fn advice(self) -> String {
        match self {
            Self::User => format!("run '{}' to see them", with_sudo(std::env::args())),
            Self::Root => {
                "root needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for that, and lacks one here".to_owned()
            }
            Self::Full => "this system refuses that even to root".to_owned(),
        }
    }

    pub(crate) fn own() -> Self {
        Self::of(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
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

    /// From the text of `/proc/self/status`; a user's where it does not tell.
    fn of(status: &str) -> Self {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let capabilities = field("CapEff:").and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        if capabilities.is_some_and(|have| have & Self::NEEDED == Self::NEEDED) {
            return Self::Full;
        }
        // Real, effective, saved, file system.
        let effective = field("Uid:").and_then(|uids| uids.split_whitespace().nth(1));
        if effective == Some("0") { Self::Root } else { Self::User }
    }
}

/// The command line again, for root.
fn with_sudo(words: impl Iterator<Item = String>) -> String {
    let mut command = "sudo".to_owned();
    for (at, word) in words.enumerate() {
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
        let word = match at {
            // The shell looks it up again.
            0 if !word.contains('/') => "sockowner",
            _ => &word,
        };
        if word.is_empty() || !word.chars().all(is_safe) {
            return "sudo sockowner".to_owned();
        }
        // Writing to a String does not fail.
        let _ = write!(command, " {word}");
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_where_the_kernel_tells_them() {
        let status = |uid, capabilities| format!("Name:\tx\nUid:\t7\t{uid}\t7\t7\nCapEff:\t{capabilities}\n");
        assert_eq!(Rights::of(&status(1000, "0000000000000000")), Rights::User);
        assert_eq!(Rights::of(&status(1000, "0000000000080004")), Rights::Full);
        assert_eq!(Rights::of(&status(0, "00000000a80425fb")), Rights::Root);
        assert_eq!(Rights::of(&status(0, "000001ffffffffff")), Rights::Full);
        assert_eq!(Rights::of(""), Rights::User);
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
        let advice = |words: &[&str]| with_sudo(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(advice(&["sockowner", "who", "tcp/:22"]), "sudo sockowner who tcp/:22");
        assert_eq!(advice(&["./so", "-tl"]), "sudo ./so -tl");
        assert_eq!(advice(&["sockowner", "who", "[::1]:22"]), "sudo sockowner");
        assert_eq!(advice(&["sockowner", "--user", "a; rm"]), "sudo sockowner");
    }
}
