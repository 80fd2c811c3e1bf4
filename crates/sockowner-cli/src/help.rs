//! The texts below the options.

/// Both forms of the command line.
pub(crate) const USAGE: &str = "\
sockowner [OPTIONS]                          list endpoints
       sockowner who [OPTIONS] ENDPOINT [REMOTE]    explain one in full";

/// Without a list of commands: the usage names them.
pub(crate) const TEMPLATE: &str = "\
{before-help}{about-with-newline}
{usage-heading} {usage}

Options:
{options}{after-help}";

/// Below `-h`.
pub(crate) const SHORT: &str =
    "Exit: 0 found, 1 none, 2 error, 3 --strict. More: --help, status, share, record";

/// Below `--help`.
pub(crate) const LONG: &str = "\
Columns:
  PROTO    tcp or udp; tcp6 or udp6 for an IPv6 socket
  USER     the socket's user
  PID, PROCESS
           who holds it; of several processes the one that started first, and how
           many more. Where none is shown the reason stands in its place
  UNIT     the unit or container that it was made in, else its owner's.
           Only the system's stand bare: user/1000/ssh.service is named by user 1000,
           container/ssh.service inside a container, and what begins with ?/ by a
           path that does not tell who named it
  Names with characters that cannot be seen are shown in quotes, those escaped as
  \\xNN or \\u{NNNN}.

  Values of one option are alternatives, different options must all be met.

Examples:
  sockowner -tl                           who listens on TCP
  sockowner who :443                      all about port 443
  sockowner who udp/127.0.0.1:53          one address, one protocol
  sockowner who 10.0.0.5:40112 1.1.1.1:443
                                          one connection
  sockowner --unit nginx                  what nginx.service has
  sockowner --user www-data --state established,close-wait
  sockowner --json | jq '.endpoints[].owner.pid'

Other commands:
  sockowner status                        where owners come from here, what was refused
                                          and how to enable it
  sockowner share enable|disable|status   let a group see the owners of all sockets
  sockowner record start|stop|run|status  have the kernel note who makes and uses sockets

Exit status:
  0  found, also where the owner is not known
  1  nothing matched
  2  wrong usage, or a failure
  3  with --strict: something is missing for want of permission

Without root your own processes are shown in full; of others all that is public:
endpoints, states, users, units and containers.";

/// Below the help of `who`.
pub(crate) const WHO: &str = "\
ENDPOINT is ADDRESS:PORT or :PORT, IPv6 addresses in brackets, tcp/ or udp/ before it
for one protocol. A connection is two of them, the local one first. All that match are
explained, listeners first; an address also finds the wildcard listener that serves it.

Examples:
  sockowner who :22
  sockowner who tcp/127.0.0.1:5432
  sockowner who '[fe80::1%eth0]:22'
  sockowner who 10.0.0.5:40112 1.1.1.1:443

Exit: 0 found, 1 nothing matched, 2 wrong usage or a failure, 3 with --strict where
something is missing for want of permission.";

/// Below the help of `share`.
pub(crate) const SHARE: &str = "\
Needs root. Iterators of the kernel are pinned in /run/sockowner/bpf until `disable` or
the next start of the machine. WHOEVER IS IN THE GROUP SEES THE CONNECTIONS OF EVERY
USER, and which processes have them. Everybody else sees the owners of his own sockets.";

/// Below the help of `record`.
pub(crate) const RECORD: &str = "\
Needs root, and Linux 5.17. From `start` to `stop`, or the next start of the machine, the
kernel notes who creates, binds, listens on and accepts each TCP and UDP socket, and
when; a closed one is kept for ten minutes. That goes on where no process of sockowner
lives, but one has to tend the tables, or they fill up. No hook can refuse a call.
ROOT AND WHOEVER IS IN THE GROUP CAN READ IT, FOR THE SOCKETS OF EVERY USER.

Every socket, connection and process that uses one costs a little. `--first-use`
(Linux 6.3) costs something at EACH SEND AND RECEIVE of every socket of the machine: it
finds who uses connections that were accepted without asking for the peer's address.
To end that alone, `start` again without it.

Exit: 0 done, also where it was so already; 1 `status` finds nothing recorded; 2 wrong
usage, a failure, or no hook can be had.";
