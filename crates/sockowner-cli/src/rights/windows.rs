//! Windows: nothing is asked, and what the caller has is enabled. An administrator sees more than others, and not everything either.

/// What this program may do, as far as it decides which advice is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    User,
    /// With `SeDebugPrivilege`, the most that there is.
    Administrator,
    /// Under Wine everybody is an administrator: what is not seen only Linux can show.
    Wine,
}

impl Rights {
    /// How to see what is not seen with these.
    pub(crate) fn advice(self) -> String {
        match self {
            Self::User => "run as administrator to see more".to_owned(),
            Self::Administrator => "this system refuses that even to administrators".to_owned(),
            Self::Wine => "ask `sockowner` of Linux, as root, to see more".to_owned(),
        }
    }

    /// Has this program see what its caller may see: without the privilege some processes refuse administrators too. Who does
    /// not have it is told so where something is not seen.
    #[cfg(windows)]
    pub(crate) fn enable() -> bool {
        sockowner::os::windows::enable_debug_privilege().unwrap_or(false)
    }

    #[cfg(not(windows))]
    fn enable() -> bool {
        false
    }

    pub(crate) fn own() -> Self {
        // Wine tells its programs where it lies. Whoever sets that himself gets another advice, and nothing more.
        let is_wine = ["WINELOADER", "WINECONFIGDIR"].iter().any(|name| std::env::var_os(name).is_some());
        match (is_wine, Self::enable()) {
            (true, _) => Self::Wine,
            (false, true) => Self::Administrator,
            (false, false) => Self::User,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_become_the_administrator_that_he_is_under_wine() {
        assert_eq!(Rights::User.advice(), "run as administrator to see more");
        for rights in [Rights::Administrator, Rights::Wine] {
            assert!(!rights.advice().contains("run as administrator"), "{rights:?}");
        }
    }
}
