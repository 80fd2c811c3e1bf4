//! Starting the recorder, asking it, and what every answer has to fulfil.

use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use rustix::mount::{MountFlags, mount};
use sockowner::os::linux::record::{self, Reader};
use sockowner::{Recorded, Role, RoleEvidence, RoleKind, RoleReason};
use sockowner_testkit::{Actor, Sock};

tests! {
    Scene the_recorder_starts;
    Scene the_recorder_notes_first_use;
}

/// A group that every system has.
pub(super) const GROUP: &str = "daemon";

/// Its number.
pub(super) fn gid() -> u32 {
    let groups = std::fs::read_to_string("/etc/group").unwrap();
    let line = groups.lines().find_map(|line| line.strip_prefix("daemon:x:")).unwrap();
    line.split(':').next().unwrap().parse().unwrap()
}

/// What is done below `/run` is not seen outside, and ends with the test.
pub(super) fn private_run() {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
}

fn the_recorder_starts() {
    try_to_start(false);
}

fn the_recorder_notes_first_use() {
    try_to_start(true);
}

/// Says why not.
fn try_to_start(first_use: bool) {
    private_run();
    match record::start(GROUP, first_use) {
        Err(error) => println!("REFUSED {error:#}"),
        Ok(started) => {
            let refused = started.hooks.iter().find(|hook| hook.in_use != Some(true));
            if let Some(hook) = refused {
                println!("REFUSED {}: {}", hook.name, hook.refused.as_deref().unwrap_or("?"));
            }
            record::stop().unwrap();
        }
    }
}

/// Records from now on; on drop no more.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) reader: Reader,
    since: SystemTime,
}

impl Recorder {
    pub(super) fn start() -> Self {
        Self::start_with(false, 131_072)
    }

    pub(super) fn start_with(first_use: bool, sockets: u32) -> Self {
        private_run();
        let since = SystemTime::now();
        let started = record::start_with(GROUP, first_use, sockets).unwrap();
        assert_eq!(started.hooks.len(), if first_use { 11 } else { 9 });
        assert!(started.hooks.iter().all(|hook| hook.in_use == Some(true)), "{started:?}");
        Self { reader: Reader::open().unwrap().unwrap(), since }
    }

    /// All that is known of a socket that is open, by either way to ask.
    pub(super) fn told(&self, sock: &Sock) -> Recorded {
        let recorded = self.about(sock.cookie).unwrap_or_else(|| panic!("not recorded: {sock:?}"));
        assert_eq!((recorded.closed_at, recorded.endpoint), (None, None), "{recorded:?}");
        recorded
    }

    pub(super) fn about(&self, cookie: u64) -> Option<Recorded> {
        let told = self.reader.socket(cookie).unwrap()?;
        let together = self.reader.sockets(&[cookie, u64::MAX]).unwrap();
        assert_eq!(together[1], None);
        let roles = |told: &Recorded| RoleKind::ALL.map(|kind| told.roles.get(kind).map(who));
        assert_eq!(roles(together[0].as_ref().unwrap()), roles(&told));
        assert_eq!(told.cookie, cookie);
        for kind in RoleKind::ALL {
            let role = told.roles.get(kind);
            assert!(role.is_none() || told.roles.reason(kind).is_none(), "{told:?}");
            let time = role.and_then(|role| role.time);
            assert!(time.is_none_or(|time| time >= self.since && time <= SystemTime::now()), "{told:?}");
        }
        let created = told.created_at;
        assert!(created.is_none_or(|time| time >= self.since && time <= SystemTime::now()), "{told:?}");
        Some(told)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let stopped = record::stop();
        if !std::thread::panicking() {
            assert!(stopped.unwrap());
        }
    }
}

/// Whom a role names, and how.
pub(super) type Who = (Option<u32>, RoleEvidence, bool);

pub(super) fn who(role: &Role) -> Who {
    (role.process.pid, role.evidence, role.implicit)
}

/// Creator, binder, listener, acceptor: the process and how it is known; or `None`.
#[track_caller]
pub(super) fn assert_roles(recorded: &Recorded, expected: [Option<Who>; 4]) {
    assert_eq!(RoleKind::ALL.map(|kind| recorded.roles.get(kind).map(who)), expected, "{recorded:?}");
}

/// It made the call.
#[expect(clippy::unnecessary_wraps, reason = "it stands beside None")]
pub(super) fn called(actor: &Actor) -> Option<Who> {
    Some((Some(actor.pid()), RoleEvidence::Call, false))
}

/// It made a call that bound the socket beside.
#[expect(clippy::unnecessary_wraps, reason = "it stands beside None")]
pub(super) fn implied(actor: &Actor) -> Option<Who> {
    Some((Some(actor.pid()), RoleEvidence::Call, true))
}

/// It is known in this way.
#[expect(clippy::unnecessary_wraps, reason = "it stands beside None")]
pub(super) fn by(actor: &Actor, evidence: RoleEvidence) -> Option<Who> {
    Some((Some(actor.pid()), evidence, false))
}

/// The role's process is one of these: else another one on the machine was in between.
pub(super) fn is_of<const N: usize>(actors: [&Actor; N], role: &Role) -> bool {
    actors.iter().any(|actor| role.process.pid == Some(actor.pid()))
}

/// Why these roles are empty, in the order of all roles.
#[track_caller]
pub(super) fn assert_reasons(recorded: &Recorded, expected: [Option<RoleReason>; 4]) {
    assert_eq!(RoleKind::ALL.map(|kind| recorded.roles.reason(kind)), expected, "{recorded:?}");
}

/// The role's process is told as `/proc` shows the actor.
#[track_caller]
pub(super) fn assert_is(role: Option<&Role>, actor: &Actor) {
    let process = &role.unwrap().process;
    let dir = format!("/proc/{}", actor.pid());
    assert_eq!(process.pid, Some(actor.pid()));
    let stat = std::fs::read_to_string(format!("{dir}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let start: u64 = fields.split_ascii_whitespace().nth(19).unwrap().parse().unwrap();
    assert_eq!(process.start.ticks, start);
    let link = std::fs::read_link(format!("{dir}/exe")).unwrap();
    assert_eq!(process.path.as_deref(), Some(link.as_path()));
    assert_eq!(process.name, link.file_name().unwrap());
    let file = std::fs::metadata(format!("{dir}/exe")).unwrap();
    let told = process.file.unwrap();
    assert_eq!((told.device, told.inode), (file.dev(), file.ino()));
    let comm = std::fs::read_to_string(format!("{dir}/comm")).unwrap();
    assert_eq!(process.comm.to_str().unwrap(), comm.trim_end());
    assert!(process.dumpable && !process.kernel_thread && !process.deleted);
}
