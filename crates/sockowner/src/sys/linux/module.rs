//! The module of one process, in as few calls as can be: callers ask for it once a row.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use sockowner_wire::{Manager, Membership, ProcStat, memberships, mounts, place};

use super::call::Kernel;
use super::door::{Door, device, is_exhausted, is_gone, is_refused};
use super::{owning, process};
use crate::{Error, ErrorKind, Identity, Module, Result};

/// How often a process that executes something new while it is read is read again.
const TRIES: u32 = 3;

/// The host of this process.
static HOST: Host = Host::new();

pub(crate) fn module_of(identity: &Identity) -> Result<Module> {
    module(&Kernel, &HOST, identity)
}

/// The module of a process, and the start that it was proved to have ([`StartTime::ticks`](crate::StartTime::ticks)); no
/// start where the caller may not read it.
///
/// # Errors
/// As [`module_of`](crate::module_of).
pub fn module_and_start(identity: &Identity) -> Result<(Module, Option<u64>)> {
    both(&Kernel, &HOST, identity)
}

pub(crate) fn boot() -> Option<u64> {
    if HOST.boot.get().is_none() {
        // Who makes an identity asks by it soon: that question finds everything ready. An error is told there.
        let _ = HOST.boot_offset(&Kernel);
    }
    HOST.boot(&Kernel)
}

/// What is the same for all processes: each fact is read when it is first needed, and kept if the read succeeded.
///
/// Where cgroup2 is mounted and how the clock is shifted does not change under a process that does not mean it; if it
/// does, a service is not recognised, and a start time does not agree.
#[derive(Debug)]
pub(super) struct Host {
    boot: OnceLock<Option<u64>>,
    boot_offset: AtomicI64,
    /// Where the whole of the cgroup2 hierarchy is mounted, and on which device.
    cgroup2: OnceLock<Option<(Vec<u8>, u64)>>,
    /// [`Door::process_mark`] of the caller whose `/proc` has its own numbers, and whose clock is shifted so. A child may
    /// have been forked into other namespaces.
    known_for: AtomicU64,
}

impl Host {
    pub(super) const fn new() -> Self {
        Self {
            boot: OnceLock::new(),
            boot_offset: AtomicI64::new(0),
            cgroup2: OnceLock::new(),
            known_for: AtomicU64::new(0),
        }
    }

    fn boot<D: Door>(&self, door: &D) -> Option<u64> {
        if let Some(boot) = self.boot.get() {
            return *boot;
        }
        let boot = boot_id(door).ok()?;
        *self.boot.get_or_init(|| boot)
    }

    /// How far the caller's clock is ahead of the initial time namespace's, in ticks. An error where `/proc` does not
    /// have the caller's own numbers: whatever it shows is no answer.
    fn boot_offset<D: Door>(&self, door: &D) -> Result<i64> {
        let mark = door.process_mark();
        if mark != 0 && self.known_for.load(Ordering::Acquire) == mark {
            return Ok(self.boot_offset.load(Ordering::Relaxed));
        }
        let own = door.own_pid();
        let proc = door.open_root(b"/proc").map_err(no_proc)?;
        if door.read_link(&proc, b"self").map_err(no_proc)? != own.to_string().as_bytes() {
            return Err(Error::new(ErrorKind::Unsupported, "/proc shows another pid namespace"));
        }
        // Before Linux 5.5 there are no time namespaces.
        let text = unless_exhausted(door, &proc, b"self/timens_offsets")
            .map_err(|error| Error::io("read /proc/self/timens_offsets", error))?;
        let offset = process::boot_offset(&text, door.now().ticks_per_second);
        self.boot_offset.store(offset, Ordering::Relaxed);
        self.known_for.store(mark, Ordering::Release);
        Ok(offset)
    }

    fn cgroup2<D: Door>(&self, door: &D) -> Option<&(Vec<u8>, u64)> {
        if let Some(cgroup2) = self.cgroup2.get() {
            return cgroup2.as_ref();
        }
        let proc = door.open_root(b"/proc").ok()?;
        let mut mountinfo = Vec::new();
        door.read(&proc, b"self/mountinfo", &mut mountinfo).ok()?;
        let cgroup2 = mounts(&mountinfo)
            .flatten()
            .find(|mount| mount.fs_type == b"cgroup2" && *mount.root == *b"/")
            .map(|mount| (mount.mount_point.into_owned(), device(mount.major, mount.minor)));
        self.cgroup2.get_or_init(|| cgroup2).as_ref()
    }
}

/// The boot id; `None` where the system tells none.
fn boot_id<D: Door>(door: &D) -> io::Result<Option<u64>> {
    let proc = door.open_root(b"/proc")?;
    let text = unless_exhausted(door, &proc, b"sys/kernel/random/boot_id")?;
    let digits = text.iter().copied().filter(u8::is_ascii_hexdigit).map(char::from);
    Ok(u64::from_str_radix(&digits.take(16).collect::<String>(), 16).ok())
}

/// The content of a file that a kernel need not have, or show: nothing then.
fn unless_exhausted<D: Door>(door: &D, proc: &D::Dir, path: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match door.read_piece(proc, path, &mut text) {
        Err(error) if is_exhausted(&error) => Err(error),
        _ => Ok(text),
    }
}

/// `/proc` cannot be used.
fn no_proc(error: io::Error) -> Error {
    let kind = if is_gone(&error) || is_refused(&error) { ErrorKind::Unsupported } else { ErrorKind::System };
    Error::io("open /proc", error).with_kind(kind)
}

pub(super) fn module<D: Door>(door: &D, host: &Host, identity: &Identity) -> Result<Module> {
    both(door, host, identity).map(|(module, _)| module)
}

fn both<D: Door>(door: &D, host: &Host, identity: &Identity) -> Result<(Module, Option<u64>)> {
    look(door, host, identity)
        .map_err(|error| error.context(format!("name the module of pid {}", identity.pid)))
}

fn look<D: Door>(door: &D, host: &Host, identity: &Identity) -> Result<(Module, Option<u64>)> {
    let pid = identity.pid;
    if pid == 0 || identity.boot.is_some_and(|boot| host.boot(door).is_some_and(|now| now != boot)) {
        return Err(not_found("it is of another boot, or no process"));
    }
    let boot_offset = host.boot_offset(door)?;
    let dir = match door.open_root(format!("/proc/{pid}").as_bytes()) {
        Ok(dir) => dir,
        // Left out of /proc (hidepid), or hidden in it: the number may be asked for all the same.
        Err(error) if is_gone(&error) || is_refused(&error) => {
            return match door.process_exists(pid) {
                Ok(true) => Ok((Module::NotPermitted, None)),
                _ => Err(not_found("there is no such process")),
            };
        }
        Err(error) => return Err(Error::io(format!("open /proc/{pid}"), error)),
    };
    let mut text = Vec::with_capacity(1024);
    match door.read_piece(&dir, b"stat", &mut text) {
        Ok(()) => {}
        Err(error) if is_refused(&error) => return Ok((Module::NotPermitted, None)),
        Err(error) => return Err(vanished(error, "read its stat")),
    }
    let stat = ProcStat::parse(&text)
        .map_err(|malformed| Error::new(ErrorKind::Malformed, format!("read its stat: {malformed}")))?;
    let started = stat.start_ticks.saturating_add_signed(-boot_offset);
    if identity.start_ticks.is_some_and(|ticks| ticks != started) {
        return Err(not_found("its number is another process's now"));
    }
    if stat.is_thread() {
        return Err(not_found("its number is a thread's"));
    }
    if stat.is_zombie() && stat.num_threads <= 1 {
        return Err(not_found("it has ended"));
    }
    if let Some(inode) = identity.pidfd_inode {
        match door.pidfd_inode(pid) {
            Ok(now) if now != Some(inode) => return Err(not_found("its number is another process's now")),
            Ok(_) => {}
            // What cannot be proved is not believed.
            Err(error) if is_refused(&error) => return Err(not_found("its pidfd may not be opened")),
            Err(error) => return Err(vanished(error, "open its pidfd")),
        }
    }
    named(door, host, identity, (&dir, &stat, started)).map(|module| (module, Some(started)))
}

/// The module of the process that is held by its directory.
fn named<D: Door>(
    door: &D,
    host: &Host,
    identity: &Identity,
    (dir, stat, started): (&D::Dir, &ProcStat<'_>, u64),
) -> Result<Module> {
    if stat.is_kernel_thread() {
        return Ok(Module::Kernel);
    }
    let link = process::executable_link(door, dir, stat);
    let Some(mut path) = read_exe(door, dir, &link)? else { return Ok(Module::NotPermitted) };
    // The unit is the same for whatever the process executes in it.
    if let Some(service) = identity.cgroup.and_then(|id| service(door, host, dir, id)) {
        return Ok(service);
    }
    if let Some(component) = owning::component(door, identity, started, &path) {
        return Ok(Module::Component(component));
    }
    for _ in 0..TRIES {
        match read_exe(door, dir, &link)? {
            None => return Ok(Module::NotPermitted),
            Some(again) if again == path => return Ok(Module::Process(plain(door, dir, &link, path))),
            Some(again) => path = again,
        }
    }
    Err(Error::new(ErrorKind::Changed, "it executed something new at every try to read it"))
}

/// The text of the link to the executable; `None` where the caller may not read it.
fn read_exe<D: Door>(door: &D, dir: &D::Dir, link: &[u8]) -> Result<Option<Vec<u8>>> {
    match door.read_link(dir, link) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_refused(&error) => Ok(None),
        Err(error) => Err(vanished(error, "read its exe link")),
    }
}

/// The path without the kernel's mark for a file that has no name any more.
fn plain<D: Door>(door: &D, dir: &D::Dir, link: &[u8], text: Vec<u8>) -> PathBuf {
    let stripped = text.strip_suffix(process::DELETED);
    let is_its_name = stripped.is_some() && {
        let file = door.stat(dir, link).ok();
        let named = door.stat_cached(&text).ok();
        file.zip(named).is_some_and(|(file, named)| (file.device, file.inode) == (named.device, named.inode))
    };
    let path = match stripped {
        Some(stripped) if !is_its_name => stripped.to_vec(),
        _ => text,
    };
    PathBuf::from(OsString::from_vec(path))
}

/// The system's unit, if the cgroup with this id is in the one that the process is in now: its own cgroup, one above it,
/// or one right below.
fn service<D: Door>(door: &D, host: &Host, dir: &D::Dir, id: u64) -> Option<Module> {
    let (mount, device) = host.cgroup2(door)?;
    let mut text = Vec::new();
    door.read_piece(dir, b"cgroup", &mut text).ok()?;
    let path = memberships(&text).flatten().filter(Membership::is_unified).last()?.path;
    let placement = place(path);
    let unit = placement.service.filter(|unit| unit.manager == Manager::System)?;
    if placement.container.is_some() {
        return None;
    }
    // Something else may be mounted over it, with directories of anybody's choice.
    let is_it = |path: &[u8]| {
        door.stat_root(&[mount.as_slice(), path].concat())
            .is_ok_and(|now| now.inode == id && now.device == *device)
    };
    let is_its_units = |path: &&[u8]| place(path).service.is_some_and(|service| service == unit);
    let above =
        std::iter::successors(Some(path), |path| Some(&path[..path.iter().rposition(|b| *b == b'/')?]));
    let within = above.take_while(is_its_units).any(is_it)
        || is_right_below(door, &[mount.as_slice(), path].concat(), (id, *device));
    within.then(|| Module::Service(String::from_utf8_lossy(&unit.name).into_owned()))
}

/// A cgroup with this id is right below the one at `path`.
fn is_right_below<D: Door>(door: &D, path: &[u8], (id, device): (u64, u64)) -> bool {
    let mut found = false;
    let listed = door.open_root(path).and_then(|dir| {
        let is_cgroups = door.stat(&dir, b".")?.device == device;
        door.list(&dir, &mut |entry| found |= is_cgroups && entry.is_dir && entry.inode == id)
    });
    listed.is_ok() && found
}

fn not_found(why: &str) -> Error {
    Error::new(ErrorKind::NotFound, why)
}

fn vanished(error: io::Error, doing: &str) -> Error {
    let gone = is_gone(&error);
    let error = Error::io(doing, error);
    if gone { error.with_kind(ErrorKind::NotFound) } else { error }
}

#[cfg(test)]
mod tests {
    use super::super::door::FileKind;
    use super::super::fake::{DISK, Fake, FakeProcess, Node, World, stat};
    use super::*;

    const EACCES: i32 = 13;

    fn world() -> World {
        let mut world = World::new();
        world.file("/proc/sys/kernel/random/boot_id", "0123456789-abcdef0-rest\n");
        world.cgroup("/system.slice/daemon.service", 77, &[100]);
        world.cgroup("/user.slice/user-1000.slice/user@1000.service/ssh.service", 78, &[101]);
        let cgroup = "/system.slice/daemon.service";
        world.process(FakeProcess { pid: 100, cgroup, ..FakeProcess::default() });
        let cgroup = "/user.slice/user-1000.slice/user@1000.service/ssh.service";
        world.process(FakeProcess { pid: 101, cgroup, ..FakeProcess::default() });
        world.process(FakeProcess {
            pid: 2,
            flags: 0x0020_0000,
            exe: ("", 0),
            private: true,
            ..FakeProcess::default()
        });
        world.process(FakeProcess { pid: 3, state: 'Z', exe: ("", 0), ..FakeProcess::default() });
        world.process(FakeProcess { pid: 4, private: true, ..FakeProcess::default() });
        world.hidden = vec![5];
        world
    }

    fn ask(door: &Fake, identity: Identity) -> Result<Module> {
        module(door, &Host::new(), &identity)
    }

    fn kind(result: Result<Module>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn each_kind_of_process_has_its_module() {
        let door = Fake::new(world());
        let daemon = || Module::Process("/usr/sbin/daemon".into());
        let of = |pid, cgroup| Identity { cgroup, ..Identity::of_pid(pid) };
        for (identity, module) in [
            (of(100, None), daemon()),
            (of(100, Some(77)), Module::Service("daemon.service".into())),
            (of(100, Some(99)), daemon()),
            (of(101, Some(78)), daemon()),
            (of(101, Some(77)), daemon()),
            (of(2, None), Module::Kernel),
            (of(4, None), Module::NotPermitted),
            (of(5, None), Module::NotPermitted),
        ] {
            assert_eq!(ask(&door, identity).unwrap(), module, "{identity:?}");
        }
        for pid in [0, 3, 999, u32::MAX] {
            assert_eq!(kind(ask(&door, Identity::of_pid(pid))), ErrorKind::NotFound, "{pid}");
        }
    }

    #[test]
    fn every_proof_must_agree() {
        let door = Fake::new(world());
        let boot = Some(0x0123_4567_89ab_cdef);
        let whole = Identity {
            start_ticks: Some(1000),
            pidfd_inode: Some(100 << 32 | 1),
            boot,
            ..Identity::of_pid(100)
        };
        assert!(ask(&door, whole).is_ok());
        for wrong in [
            Identity { start_ticks: Some(1001), ..whole },
            Identity { pidfd_inode: Some(1), ..whole },
            Identity { boot: Some(1), ..whole },
        ] {
            assert_eq!(kind(ask(&door, wrong)), ErrorKind::NotFound, "{wrong:?}");
        }
    }

    #[test]
    fn a_recycled_number_is_never_the_old_process() {
        for n in 1..40 {
            let door = Fake::new(world()).changing(n, |world| {
                world.kill(100);
                let exe = ("/usr/bin/stranger", 66);
                world.process(FakeProcess { pid: 100, start: 7777, exe, ..FakeProcess::default() });
            });
            let identity = Identity { start_ticks: Some(1000), ..Identity::of_pid(100) };
            match ask(&door, identity) {
                Ok(module) => assert_eq!(module, Module::Process("/usr/sbin/daemon".into()), "call {n}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "call {n}: {error:#}"),
            }
        }
    }

    #[test]
    fn whichever_call_fails_the_module_is_right_or_an_error() {
        for errno in [2, EACCES, 5, super::super::call::ESRCH] {
            for n in 1..40 {
                let door = Fake::new(world()).failing(n, errno);
                if let Ok(module) = ask(&door, Identity { cgroup: Some(77), ..Identity::of_pid(100) }) {
                    let is_right = matches!(module.name().to_str(), Some("daemon" | "daemon.service" | ""));
                    assert!(is_right, "call {n} failing with {errno}: {module:?}");
                }
            }
        }
    }

    #[test]
    fn what_could_not_be_read_once_is_read_again() {
        const EMFILE: i32 = 24;
        let identity = Identity { start_ticks: Some(1000), cgroup: Some(77), ..Identity::of_pid(100) };
        for n in 1..40 {
            let host = Host::new();
            let _ = module(&Fake::new(world()).failing(n, EMFILE), &host, &identity);
            let module = module(&Fake::new(world()), &host, &identity).unwrap();
            assert_eq!(module, Module::Service("daemon.service".into()), "call {n} failed before");
        }
    }

    #[test]
    fn a_child_in_another_pid_namespace_gets_no_answer_of_its_parents() {
        let host = Host::new();
        assert!(module(&Fake::new(world()), &host, &Identity::of_pid(100)).is_ok());
        let mut world = world();
        world.own_pid = Some(2);
        assert_eq!(kind(module(&Fake::new(world), &host, &Identity::of_pid(100))), ErrorKind::Unsupported);
    }

    #[test]
    fn a_child_with_its_parents_number_gets_no_answer_of_its_parents() {
        let host = Host::new();
        assert!(module(&Fake::new(World { mark: 1, ..world() }), &host, &Identity::of_pid(100)).is_ok());
        // `/proc` is still that of the parent's namespace, where the child has another number.
        let mut world = World { mark: 2, ..world() };
        let link = Node::Link { text: b"77".to_vec(), stat: stat(FileKind::Directory, 5, 3) };
        world.nodes.insert(b"/proc/self".to_vec(), link);
        assert_eq!(kind(module(&Fake::new(world), &host, &Identity::of_pid(100))), ErrorKind::Unsupported);
    }

    #[test]
    fn a_child_whose_clock_is_shifted_knows_its_own_rows() {
        let host = Host::new();
        let identity = Identity { start_ticks: Some(1000), ..Identity::of_pid(100) };
        assert!(module(&Fake::new(World { mark: 1, ..world() }), &host, &identity).is_ok());
        let mut world = World { mark: 2, ..world() };
        world.file("/proc/self/timens_offsets", "boottime 1000 0\n");
        world.process(FakeProcess { pid: 100, start: 1000 + 100_000, ..FakeProcess::default() });
        assert!(module(&Fake::new(world.clone()), &host, &identity).is_ok());
        let (_, start) = both(&Fake::new(world), &host, &Identity::of_pid(100)).unwrap();
        assert_eq!(start, Some(1000), "as its holder has it, not as this namespace shows it");
    }

    #[test]
    fn what_cannot_be_proved_is_not_found() {
        for errno in [1, EACCES, super::super::call::ESRCH] {
            let door = Fake::new(World { pidfd_fails: Some(errno), ..world() });
            let identity = Identity { pidfd_inode: Some(100 << 32 | 1), ..Identity::of_pid(100) };
            assert_eq!(kind(ask(&door, identity)), ErrorKind::NotFound, "{errno}");
        }
    }

    #[test]
    fn a_unit_is_named_for_all_of_its_cgroups() {
        let mut world = world();
        let below = "/system.slice/daemon.service/worker";
        world.cgroup(below, 79, &[102]);
        world.process(FakeProcess { pid: 102, cgroup: below, ..FakeProcess::default() });
        world.cgroup("/system.slice/other.service", 80, &[]);
        let door = Fake::new(world);
        let daemon = Module::Service("daemon.service".into());
        let of =
            |pid, cgroup| ask(&door, Identity { cgroup: Some(cgroup), ..Identity::of_pid(pid) }).unwrap();
        assert_eq!([of(102, 77), of(102, 79), of(100, 79), of(100, 77)], [(); 4].map(|()| daemon.clone()));
        for (pid, cgroup) in [(102, 80), (100, 80), (102, 1)] {
            assert_eq!(of(pid, cgroup), Module::Process("/usr/sbin/daemon".into()), "{pid} {cgroup}");
        }
    }

    #[test]
    fn a_thread_is_no_process() {
        let mut world = world();
        let (few, many) = ("0 ".repeat(8), "0 ".repeat(15));
        world.file("/proc/100/stat", &format!("100 (x) S 1 0 0 0 0 0 {few}0 0 2 0 1000 {many}-1 0\n"));
        assert_eq!(kind(ask(&Fake::new(world), Identity::of_pid(100))), ErrorKind::NotFound);
    }

    #[test]
    fn a_deleted_executable_keeps_its_name() {
        let mut world = world();
        let exe = ("/usr/sbin/gone (deleted)", 70);
        world.process(FakeProcess { pid: 200, exe, ..FakeProcess::default() });
        world.process(FakeProcess {
            pid: 201,
            exe: ("/usr/sbin/odd (deleted)", 71),
            ..FakeProcess::default()
        });
        let odd = Node::Link { text: Vec::new(), stat: stat(FileKind::Other, DISK, 71) };
        world.nodes.insert(b"/usr/sbin/odd (deleted)".to_vec(), odd);
        let door = Fake::new(world);
        for (pid, path) in [(200, "/usr/sbin/gone"), (201, "/usr/sbin/odd (deleted)")] {
            assert_eq!(ask(&door, Identity::of_pid(pid)).unwrap(), Module::Process(path.into()));
        }
    }

    #[test]
    fn what_changes_at_every_look_is_an_error_of_its_own() {
        let door = Fake::new(world());
        let world = door.world();
        // Each read of the link leaves another text behind.
        world.lock().unwrap().restless = Some(b"/proc/100/exe".to_vec());
        assert_eq!(kind(ask(&door, Identity::of_pid(100))), ErrorKind::Changed);
    }
}
