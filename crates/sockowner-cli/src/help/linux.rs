//! The texts for Linux.

#[cfg(feature = "tui")]
use super::watch;
use super::{long, wait, who};

/// What the program is, in full.
pub(crate) const LONG_ABOUT: &str =
    "Who owns this socket? Lists TCP and UDP endpoints with their processes, units and containers";

/// Below `-h`.
pub(crate) const SHORT: &str = "\
Exit: 0 found, 1 none, 2 error, 3 --strict.
Commands: who, wait, watch, status, share, record. More: --help";

/// Below `--help`.
pub(crate) const LONG: &str = long! {
    protocols: "tcp, udp or mptcp; tcp6, udp6, mptcp6",
    user: "the socket's user",
    unit: "\
the unit or container that it was made in, else its owner's.
           Only the system's stand bare: user/1000/ssh.service is named by user
           1000, container/ssh.service inside a container, and what begins with
           ?/ by a path that does not tell who named it",
    examples: "  sockowner who --closed :40112           who had it, where it is recorded
  sockowner --unit nginx                  what nginx.service has
  sockowner --user www-data --state established,close-wait
  sockowner --netns blue -tl              in the network namespace blue
  sockowner --all-netns -l                in every network namespace",
    commands: "  sockowner share enable|disable|status   let a group see all sockets' owners
  sockowner record start|stop|run|status  have the kernel note who makes and
                                          uses sockets

",
    end: "\
Without root your own processes are shown in full; of others all that is public:
endpoints, states, users, units and containers."
};

/// Below the help of `who`.
pub(crate) const WHO: &str = who! {
    protocol: "tcp/, udp/ or\nmptcp/",
    closed: "\
With --closed: closed sockets that were called so, the last closed first, with
who had each last. Only while it is recorded, see 'sockowner record --help'; one
is kept for ten minutes, or until very many others are closed.

",
    zone: "'[fe80::1%eth0]:22'",
    examples: "  sockowner who --closed :40112
  sockowner who --all-netns :8080\n"
};

/// Below the help of `wait`.
pub(crate) const WAIT: &str = wait! {
    example: "  sockowner wait 10.0.0.1:53 --netns blue\n",
    by: "kill(1) and `systemctl stop`"
};

/// Below the help of `share`.
pub(crate) const SHARE: &str = "\
Needs root. Iterators of the kernel are pinned in /run/sockowner/bpf until
`disable` or the next start of the machine. WHOEVER IS IN THE GROUP SEES THE
CONNECTIONS OF EVERY USER, and which processes have them. Everybody else sees
the owners of his own sockets.

Exit: 0 done, also where it was so already; 1 `status` finds nothing shared; 2
wrong usage, or a failure.";

/// Below the help of `record`.
pub(crate) const RECORD: &str = "\
Needs root, and Linux 5.17. From `start` to `stop`, or the next start of the
machine, the kernel notes who creates, binds, listens on and accepts each TCP
and UDP socket, and when; a closed one is kept for ten minutes. No hook can
refuse a call.
ROOT AND WHOEVER IS IN THE GROUP CAN READ IT, FOR THE SOCKETS OF EVERY USER.
Everybody else is told of his own processes, at /run/sockowner/record.sock.

`start` leaves a process behind, `run` is one. It removes what is old, serves
record.sock, and finds out which library (`component`) made each call, by
samples of the callers' stacks (x86-64): two more processes open and read the
libraries, with as few rights as that takes. Where it does not live the kernel
notes all the same, but the tables fill up, and libraries are not found out.
`run --tend-only` takes root with CAP_BPF and CAP_DAC_OVERRIDE; for components
also CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH,
CAP_CHECKPOINT_RESTORE.

Every socket, connection and process that uses one costs a little. `--first-use`
(Linux 6.3) costs something at EACH SEND AND RECEIVE of every socket of the
machine: it finds who uses connections that were accepted without asking for the
peer's address.
To end that alone, `start` again without it.

Exit: 0 done, also where it was so already; 1 `status` finds nothing recorded; 2
wrong usage, a failure, or no hook can be had; 3 `status --strict`, where
something is missing for want of permission.";

/// Below the help of `watch`.
#[cfg(feature = "tui")]
pub(crate) const WATCH: &str = watch!(
    "With --all-netns rows tell their network namespace, and g groups by it too.\n",
    "\
From 10,000 endpoints on, owners of what is new or changed are looked for at
each look, of all others at every tenth; the first line says when that was.
"
);
