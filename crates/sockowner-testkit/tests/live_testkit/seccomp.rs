//! What is refused, and what is not: asked by a copy of this program under each filter.

use std::process::{Command, exit};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::seccomp::{self, Call, Errno};
use sockowner_testkit::{Requirement, live_test};

/// First argument of a copy of this program that tells which calls are refused to it.
pub(crate) const TELL: &str = "--tell-refused-calls";

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Requirement::Custom("seccomp", seccomp::supported)];
    vec![live_test("a filter refuses what it is told to, and no more", &needs, refused)]
}

fn refused() {
    for (calls, expected) in [
        (&[][..], ""),
        (&[(Call::NetlinkSocket, Errno::PERM)], "netlink: Operation not permitted (os error 1)\n"),
        (&[(Call::Statx, Errno::NOSYS)], "statx: Function not implemented (os error 38)\n"),
        (&[(Call::Openat2, Errno::PERM)], "openat2: Operation not permitted (os error 1)\n"),
        (
            &[(Call::PidfdOpen, Errno::ACCESS), (Call::Openat2, Errno::NOSYS), (Call::Kcmp, Errno::PERM)],
            "openat2: Function not implemented (os error 38)\npidfd_open: Permission denied (os error 13)\n",
        ),
    ] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        for (call, errno) in calls {
            seccomp::refuse(&mut command, *call, *errno);
        }
        let output = command.arg(TELL).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{calls:?}");
        assert!(output.status.success());
    }
}

/// What the copy does.
pub(crate) fn tell() -> ! {
    let statx = rustix::fs::statx(CWD, "/", AtFlags::empty(), StatxFlags::INO).map(drop);
    let openat2 = rustix::fs::openat2(CWD, "/", OFlags::PATH, Mode::empty(), ResolveFlags::empty());
    let socket = |family| rustix::net::socket(family, SocketType::DGRAM, None).map(drop);
    for (call, result) in [
        ("netlink", socket(AddressFamily::NETLINK)),
        ("unix", socket(AddressFamily::UNIX)),
        ("statx", statx),
        ("openat2", openat2.map(drop)),
        ("pidfd_open", pidfd_open(getpid(), PidfdFlags::empty()).map(drop)),
    ] {
        if let Err(error) = result {
            println!("{call}: {}", std::io::Error::from(error));
        }
    }
    exit(0);
}
