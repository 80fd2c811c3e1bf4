//! The texts for Windows, and for Wine.

#[cfg(feature = "tui")]
use super::watch;
use super::{long, wait, who};

/// What the program is, in full.
pub(crate) const LONG_ABOUT: &str =
    "Who owns this socket? Lists TCP and UDP endpoints with their processes and services";

/// Below `-h`.
pub(crate) const SHORT: &str = "\
Exit: 0 found, 1 none, 2 error, 3 --strict.
Commands: who, wait, watch, status. More: --help";

/// Below `--help`.
pub(crate) const LONG: &str = long! {
    protocols: "tcp or udp; tcp6, udp6",
    user: "the owner's user, where that may be seen",
    unit: "the service that the owner bound it for; no containers here",
    examples: "  sockowner --unit Dnscache               what a service has
  sockowner --exe svchost.exe --state established,close-wait",
    commands: "\n",
    end: "\
The owner is the process that bound the socket, as the system noted it; under
Wine, which does not note that, it is who has it.
Run as administrator to see the paths of other users' processes too: it then
enables SeDebugPrivilege for itself, without which some refuse administrators."
};

/// Below the help of `who`.
pub(crate) const WHO: &str = who! {
    protocol: "tcp/ or\nudp/",
    closed: "",
    zone: "[fe80::1%12]:22",
    examples: ""
};

/// Below the help of `wait`.
pub(crate) const WAIT: &str = wait! { example: "", by: "`taskkill` and `sc stop`" };

/// Below the help of `watch`.
#[cfg(feature = "tui")]
pub(crate) const WATCH: &str = watch!("", "");
