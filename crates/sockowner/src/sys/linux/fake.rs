//! A door to a kernel that is made up: a tree of files, a table of sockets. Counts every call, can fail one of them,
//! and can change the world between two.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use sockowner_wire::inet_diag::{IPPROTO_TCP, NO_COOKIE, Request, Row, SOCK_DIAG_BY_FAMILY};
use sockowner_wire::netlink::{self, DONE, ERROR, FLAG_DUMP_INTERRUPTED};

use super::call::ESRCH;
use super::door::{Door, FileKind, FileStat, Listed, Now, Pass, Refusal};
use super::fake_iterator;
use crate::GapReason;

pub(crate) const SOCKFS: u64 = 8;
pub(crate) const DISK: u64 = 99;
/// Device of the cgroup2 file system, `0:26` in mountinfo.
const CGROUP2: u64 = 26;
/// The caller.
const OWN_PID: u32 = 9000;
/// Inode number of the network namespace.
pub(crate) const NETNS: u64 = 4_026_531_840;

/// What is at a path.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Dir {
        stat: FileStat,
    },
    File {
        content: Vec<u8>,
    },
    /// A link as proc(5) makes them: its text, and the file behind it, which the text need not name.
    Link {
        text: Vec<u8>,
        stat: FileStat,
    },
    /// Whatever is done with it fails so.
    Fails(i32),
}

/// The made-up machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) nodes: BTreeMap<Vec<u8>, Node>,
    /// Protocol number and row.
    pub(crate) rows: Vec<(u16, Row)>,
    /// Protocols that sock_diag does not know.
    pub(crate) unknown: Vec<u16>,
    /// What is wrong with every dump: it is interrupted, or has a malformed row.
    pub(crate) spoils_dumps: Option<GapReason>,
    /// Those of other network namespaces.
    pub(crate) rows_abroad: BTreeMap<u64, Vec<(u16, Row)>>,
    /// Counts the processes that had a number, so that a held directory is one process's.
    pub(crate) generations: BTreeMap<u32, u64>,
    /// Threads with a descriptor table of their own.
    pub(crate) own_tables: Vec<u32>,
    /// Processes that are there and not in `/proc`.
    pub(crate) hidden: Vec<u32>,
    /// A link that reads otherwise at every look.
    pub(crate) restless: Option<Vec<u8>>,
    /// Threads that are listed, and end before they are compared.
    pub(crate) ended: Vec<u32>,
    /// The caller's number, where `/proc` has another.
    pub(crate) own_pid: Option<u32>,
    /// What the caller does not have in common with its children.
    pub(crate) mark: u64,
    /// How long was waited.
    pub(crate) waited: Duration,
    /// No inode number of a pidfd can be had: it fails so.
    pub(crate) pidfd_fails: Option<i32>,
    /// Threads cannot be compared: it fails so.
    pub(crate) kcmp_fails: Option<i32>,
    /// Threads that have descriptors of their own share one table.
    pub(crate) shares_tables: bool,
    /// Root shares an iterator that shows this user his own sockets.
    pub(crate) shares_own: Option<u32>,
    /// What is open, whether or not the caller may see it.
    pub(crate) open: BTreeMap<Vec<u8>, FileStat>,
    /// Processes that iterators do not come by.
    pub(crate) unvisited: Vec<u32>,
    /// The caller may load iterators.
    pub(crate) iterates: bool,
}

/// A process to put into the world.
#[derive(Clone, Debug)]
pub(crate) struct FakeProcess {
    pub(crate) pid: u32,
    pub(crate) comm: &'static str,
    pub(crate) start: u64,
    pub(crate) parent: u32,
    pub(crate) uid: u32,
    /// Text of the `exe` link, and its inode number on [`DISK`].
    pub(crate) exe: (&'static str, u64),
    pub(crate) cgroup: &'static str,
    pub(crate) fds: Vec<(i32, FileStat)>,
    /// Threads beside the main one, and what only they have open.
    pub(crate) threads: Vec<(u32, Vec<(i32, FileStat)>)>,
    pub(crate) flags: u32,
    pub(crate) state: char,
    /// The caller may not look into it.
    pub(crate) private: bool,
}

impl Default for FakeProcess {
    fn default() -> Self {
        Self {
            pid: 0,
            comm: "daemon",
            start: 1000,
            parent: 1,
            uid: 0,
            exe: ("/usr/sbin/daemon", 7),
            cgroup: "/",
            fds: Vec::new(),
            threads: Vec::new(),
            flags: 0,
            state: 'S',
            private: false,
        }
    }
}

/// A file of `kind`; directories count their entries in `links`.
pub(crate) const fn stat(kind: FileKind, device: u64, inode: u64) -> FileStat {
    FileStat { kind, device, inode, links: 1, size: 0, uid: 0 }
}

/// A socket's file.
pub(crate) const fn sock(inode: u64) -> FileStat {
    stat(FileKind::Socket, SOCKFS, inode)
}

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const ENOENT: i32 = 2;

impl World {
    /// A machine without processes and sockets.
    pub(crate) fn new() -> Self {
        let mut world = Self::default();
        world.dir("/proc", 1, 0);
        world.dir("/cg", 1, 1);
        world.file(
            "/proc/self/mountinfo",
            "25 1 0:5 / /proc rw - proc proc rw\n30 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n",
        );
        let own =
            Node::Link { text: OWN_PID.to_string().into_bytes(), stat: stat(FileKind::Directory, 5, 3) };
        world.nodes.insert(b"/proc/self".to_vec(), own);
        world.file("/proc/self/uid_map", "         0          0 4294967295\n");
        let own_fds = FileStat { size: 4, ..stat(FileKind::Directory, 5, 3) };
        world.nodes.insert(b"/proc/self/fd".to_vec(), Node::Dir { stat: own_fds });
        let netns = stat(FileKind::Other, 4, NETNS);
        world
            .nodes
            .insert(b"/proc/thread-self/ns/net".to_vec(), Node::Link { text: Vec::new(), stat: netns });
        world
    }

    pub(crate) fn dir(&mut self, path: &str, inode: u64, uid: u32) {
        let device = if path.starts_with("/cg") { CGROUP2 } else { 5 };
        let stat = FileStat { uid, links: 2, ..stat(FileKind::Directory, device, inode) };
        self.nodes.insert(path.as_bytes().to_vec(), Node::Dir { stat });
    }

    pub(crate) fn file(&mut self, path: &str, content: &str) {
        self.nodes.insert(path.as_bytes().to_vec(), Node::File { content: content.as_bytes().to_vec() });
    }

    /// A cgroup directory with this id and these processes.
    pub(crate) fn cgroup(&mut self, path: &str, id: u64, members: &[u32]) {
        let mut at = String::from("/cg");
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = format!("{at}/{name}");
            if !self.nodes.contains_key(at.as_bytes()) {
                self.dir(&at, 100_000 + id * 100 + at.len() as u64, 0);
            }
        }
        self.dir(&at, id, 0);
        let members: Vec<_> = members.iter().map(ToString::to_string).collect();
        self.file(&format!("{at}/cgroup.procs"), &members.join("\n"));
    }

    pub(crate) fn process(&mut self, process: FakeProcess) {
        let FakeProcess { pid, comm, start, parent, uid, flags, state, .. } = process;
        *self.generations.entry(pid).or_default() += 1;
        let at = format!("/proc/{pid}");
        self.dir(&at, u64::from(pid), uid);
        let threads = 1 + process.threads.len();
        let zeros = "0 ".repeat(8);
        self.file(
            &format!("{at}/stat"),
            &format!("{pid} ({comm}) {state} {parent} 0 0 0 0 {flags} {zeros}0 0 {threads} 0 {start} 0 0\n"),
        );
        self.file(&format!("{at}/status"), &format!("Name:\t{comm}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"));
        self.file(&format!("{at}/cgroup"), &format!("0::{}\n", process.cgroup));
        self.file(&format!("{at}/cmdline"), &format!("{comm}\0--flag\0"));
        let (text, inode) = process.exe;
        let exe = if process.private {
            Node::Fails(EACCES)
        } else if text.is_empty() {
            Node::Fails(ENOENT)
        } else {
            Node::Link { text: text.as_bytes().to_vec(), stat: stat(FileKind::Other, DISK, inode) }
        };
        self.nodes.insert(format!("{at}/exe").into_bytes(), exe);
        let task = FileStat { links: 2 + u32::try_from(threads).unwrap(), ..stat(FileKind::Directory, 5, 1) };
        self.nodes.insert(format!("{at}/task").into_bytes(), Node::Dir { stat: task });
        self.table(&format!("{at}/fd"), &process.fds, process.private);
        self.dir(&format!("{at}/task/{pid}"), 1, uid);
        for (tid, fds) in process.threads {
            self.dir(&format!("{at}/task/{tid}"), 1, uid);
            self.table(&format!("{at}/task/{tid}/fd"), &fds, process.private);
            if !fds.is_empty() {
                self.own_tables.push(tid);
            }
        }
    }

    fn table(&mut self, path: &str, fds: &[(i32, FileStat)], private: bool) {
        let stat = FileStat { size: fds.len() as u64, ..stat(FileKind::Directory, 5, 2) };
        self.nodes.insert(path.as_bytes().to_vec(), Node::Dir { stat });
        for (fd, stat) in fds {
            let node = if private {
                Node::Fails(EACCES)
            } else {
                Node::Link { text: format!("socket:[{}]", stat.inode).into_bytes(), stat: *stat }
            };
            let path = format!("{path}/{fd}").into_bytes();
            self.open.insert(path.clone(), *stat);
            self.nodes.insert(path, node);
        }
    }

    /// The process ends; what it held is closed, its directory is gone.
    pub(crate) fn kill(&mut self, pid: u32) {
        let at = format!("/proc/{pid}").into_bytes();
        let below = format!("/proc/{pid}/").into_bytes();
        self.nodes.retain(|path, _| *path != at && !path.starts_with(&below));
        self.open.retain(|path, _| !path.starts_with(&below));
        *self.generations.entry(pid).or_default() += 1;
    }

    fn generation(&self, path: &[u8]) -> Option<(u32, u64)> {
        let rest = path.strip_prefix(b"/proc/")?;
        let digits = rest.split(|&byte| byte == b'/').next()?;
        let pid = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some((pid, *self.generations.get(&pid)?))
    }
}

type Change = Box<dyn FnOnce(&mut World) + Send>;

/// The door to a [`World`].
pub(crate) struct Fake {
    world: Arc<Mutex<World>>,
    calls: Arc<AtomicUsize>,
    /// The number of the call to fail, and how.
    fail: Option<(usize, i32)>,
    /// What happens to the world just before this call.
    change: Mutex<Option<(usize, Change)>>,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fake({:?} calls)", self.calls)
    }
}

impl Fake {
    pub(crate) fn new(world: World) -> Self {
        Self {
            world: Arc::new(Mutex::new(world)),
            calls: Arc::default(),
            fail: None,
            change: Mutex::default(),
        }
    }

    /// Call number `n` (the first is 1) fails with this error number.
    pub(crate) fn failing(mut self, n: usize, errno: i32) -> Self {
        self.fail = Some((n, errno));
        self
    }

    /// Just before call number `n` the world changes.
    pub(crate) fn changing(self, n: usize, change: impl FnOnce(&mut World) + Send + 'static) -> Self {
        *self.change.lock().unwrap() = Some((n, Box::new(change)));
        self
    }

    /// The number of calls so far, also after the door was given away.
    pub(crate) fn counter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.calls)
    }

    /// The world, also after the door was given away.
    pub(crate) fn world(&self) -> Arc<Mutex<World>> {
        Arc::clone(&self.world)
    }

    fn call<T>(&self, then: impl FnOnce(&World) -> io::Result<T>) -> io::Result<T> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let mut world = self.world.lock().unwrap();
        let mut change = self.change.lock().unwrap();
        if let Some((_, change)) = change.take_if(|(at, _)| *at == n) {
            change(&mut world);
        }
        match self.fail {
            Some((at, errno)) if at == n => Err(io::Error::from_raw_os_error(errno)),
            _ => then(&world),
        }
    }

    fn node<T>(
        &self,
        at: &FakeDir,
        path: &[u8],
        then: impl FnOnce(&World, Vec<u8>, &Node) -> io::Result<T>,
    ) -> io::Result<T> {
        self.call(|world| {
            if at.generation.is_some() && at.generation != world.generation(&at.path) {
                return Err(io::Error::from_raw_os_error(ESRCH));
            }
            let path = if path == b"." { at.path.clone() } else { [&at.path, &b"/"[..], path].concat() };
            match world.nodes.get(&path) {
                Some(Node::Fails(errno)) => Err(io::Error::from_raw_os_error(*errno)),
                Some(node) => then(world, path, node),
                None => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }
}

#[derive(Debug)]
pub(crate) struct FakeDir {
    path: Vec<u8>,
    generation: Option<(u32, u64)>,
}

impl FakeDir {
    fn of(world: &World, path: Vec<u8>) -> Self {
        let generation = world.generation(&path);
        Self { path, generation }
    }
}

/// Answers that wait to be received.
#[derive(Debug, Default)]
pub(crate) struct FakeDiag {
    answers: Mutex<VecDeque<Vec<u8>>>,
    /// The network namespace that was entered for it.
    entered: Option<u64>,
}

impl Door for Fake {
    type Dir = FakeDir;
    type Diag = FakeDiag;
    type Namespace = u64;
    type Iterators = ();

    fn open_diag(&self) -> io::Result<FakeDiag> {
        self.call(|_| Ok(FakeDiag::default()))
    }

    fn open_namespace(&self, path: &[u8]) -> io::Result<(u64, u64)> {
        self.call(|world| match world.nodes.get(path) {
            Some(Node::Link { stat, .. }) => Ok((stat.inode, stat.inode)),
            Some(Node::Fails(errno)) => Err(io::Error::from_raw_os_error(*errno)),
            Some(_) => Err(io::ErrorKind::InvalidInput.into()),
            None => Err(io::Error::from_raw_os_error(ENOENT)),
        })
    }

    fn open_diag_in(&self, namespace: &u64) -> io::Result<FakeDiag> {
        self.call(|_| Ok(FakeDiag { entered: Some(*namespace), ..FakeDiag::default() }))
    }

    fn send(&self, diag: &FakeDiag, datagram: &[u8]) -> io::Result<()> {
        self.call(|world| {
            let message = netlink::messages(datagram).next().unwrap().unwrap();
            let request = Request::decode(&message).unwrap();
            let none = Vec::new();
            let rows = match diag.entered {
                Some(netns) => world.rows_abroad.get(&netns).unwrap_or(&none),
                None => &world.rows,
            };
            let (Request::Dump { protocol, .. } | Request::Exact { protocol, .. }) = request;
            let answers = if world.unknown.contains(&protocol) {
                let mut refused = Vec::new();
                let errno = (-ENOENT).to_ne_bytes();
                netlink::push_message(&mut refused, ERROR, 0, message.sequence, &errno);
                vec![refused]
            } else {
                answer(world, rows, &request, message.sequence)
            };
            diag.answers.lock().unwrap().extend(answers);
            Ok(())
        })
    }

    fn receive(&self, diag: &FakeDiag, buffer: &mut [u8]) -> io::Result<usize> {
        self.call(|_| {
            let datagram = diag.answers.lock().unwrap().pop_front().ok_or(io::ErrorKind::WouldBlock)?;
            let fits = datagram.len().min(buffer.len());
            buffer[..fits].copy_from_slice(&datagram[..fits]);
            Ok(datagram.len())
        })
    }

    fn stat_diag(&self, _: &FakeDiag) -> io::Result<FileStat> {
        self.call(|_| Ok(sock(1)))
    }

    fn interface_name(&self, _: &FakeDiag, index: u32) -> io::Result<String> {
        self.call(|_| Ok(format!("eth{index}")))
    }

    fn open_root(&self, path: &[u8]) -> io::Result<FakeDir> {
        self.call(|world| match world.nodes.get(path) {
            Some(Node::Dir { .. }) => Ok(FakeDir::of(world, path.to_vec())),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn open_dir(&self, at: &FakeDir, path: &[u8]) -> io::Result<FakeDir> {
        self.node(at, path, |world, path, node| match node {
            Node::Dir { .. } => Ok(FakeDir::of(world, path)),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        })
    }

    fn is_procfs(&self, dir: &FakeDir) -> io::Result<bool> {
        self.call(|_| Ok(dir.path == b"/proc"))
    }

    fn list(&self, dir: &FakeDir, each: &mut dyn FnMut(Listed<'_>)) -> io::Result<()> {
        // The callback may come back through this door: the world must not stay locked meanwhile.
        let listed = self.node(dir, b".", |world, path, _| {
            let prefix = [path.as_slice(), b"/"].concat();
            let below = world.nodes.iter().filter_map(|(path, node)| {
                let name = path.strip_prefix(prefix.as_slice())?;
                (!name.contains(&b'/')).then(|| (name.to_vec(), node.clone()))
            });
            Ok(below.collect::<Vec<_>>())
        })?;
        for (name, node) in &listed {
            let (inode, is_dir) = match node {
                Node::Dir { stat } => (stat.inode, true),
                Node::Link { stat, .. } => (stat.inode, false),
                Node::File { .. } | Node::Fails(_) => (0, false),
            };
            each(Listed { name, inode, is_dir });
        }
        Ok(())
    }

    fn read_piece(&self, at: &FakeDir, path: &[u8], into: &mut Vec<u8>) -> io::Result<()> {
        self.read(at, path, into)
    }

    fn read(&self, at: &FakeDir, path: &[u8], into: &mut Vec<u8>) -> io::Result<()> {
        self.node(at, path, |_, _, node| match node {
            Node::File { content } => {
                into.extend_from_slice(content);
                Ok(())
            }
            _ => Err(io::ErrorKind::IsADirectory.into()),
        })
    }

    fn read_link(&self, at: &FakeDir, path: &[u8]) -> io::Result<Vec<u8>> {
        let look = self.calls.load(Ordering::SeqCst);
        self.node(at, path, |world, path, node| match node {
            Node::Link { .. } if world.restless.as_ref() == Some(&path) => {
                Ok(format!("/{look}").into_bytes())
            }
            Node::Link { text, .. } => Ok(text.clone()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        })
    }

    fn stat(&self, at: &FakeDir, path: &[u8]) -> io::Result<FileStat> {
        self.node(at, path, |_, _, node| match node {
            Node::Dir { stat } | Node::Link { stat, .. } => Ok(*stat),
            Node::File { .. } => Ok(stat(FileKind::Other, 5, 9)),
            Node::Fails(errno) => Err(io::Error::from_raw_os_error(*errno)),
        })
    }

    fn stat_cached(&self, path: &[u8]) -> io::Result<FileStat> {
        self.call(|world| match world.nodes.get(path) {
            Some(Node::Link { stat, .. }) => Ok(*stat),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn compare_descriptors(&self, one: u32, other: u32) -> io::Result<std::cmp::Ordering> {
        self.call(|world| match world.kcmp_fails {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None if world.ended.contains(&one) || world.ended.contains(&other) => {
                Err(io::Error::from_raw_os_error(ESRCH))
            }
            None => {
                let is_own = |tid| world.own_tables.contains(&tid);
                let table = |tid| {
                    if !is_own(tid) {
                        0
                    } else if world.shares_tables {
                        1
                    } else {
                        tid
                    }
                };
                Ok(table(one).cmp(&table(other)))
            }
        })
    }

    fn cgroup_path(&self, _: &FakeDir, _: u64) -> io::Result<Vec<u8>> {
        self.call(|_| Err(io::Error::from_raw_os_error(1)))
    }

    fn stat_root(&self, path: &[u8]) -> io::Result<FileStat> {
        self.call(|world| match world.nodes.get(path) {
            Some(Node::Dir { stat } | Node::Link { stat, .. }) => Ok(*stat),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn process_exists(&self, pid: u32) -> io::Result<bool> {
        self.call(|world| Ok(world.hidden.contains(&pid)))
    }

    fn pidfd_inode(&self, pid: u32) -> io::Result<Option<u64>> {
        self.call(|world| match world.generations.get(&pid) {
            _ if world.pidfd_fails.is_some() => Err(io::Error::from_raw_os_error(world.pidfd_fails.unwrap())),
            Some(generation) => Ok(Some(u64::from(pid) << 32 | generation)),
            None => Err(io::Error::from_raw_os_error(ESRCH)),
        })
    }

    fn process_mark(&self) -> u64 {
        self.world.lock().unwrap().mark
    }

    fn wait(&self, duration: Duration) {
        self.world.lock().unwrap().waited += duration;
    }

    fn own_pid(&self) -> u32 {
        self.world.lock().unwrap().own_pid.unwrap_or(OWN_PID)
    }

    fn can_load_iterators(&self) -> bool {
        true
    }

    fn load_iterators(&self) -> Result<(), Refusal> {
        let refuse = |error| Refusal { step: "load a BPF program", error };
        self.call(|world| if world.iterates { Ok(()) } else { Err(io::Error::from_raw_os_error(EPERM)) })
            .map_err(refuse)
    }

    fn open_shared(&self, _: &[u8]) -> Result<(), Refusal> {
        let refuse = |error| Refusal { step: "open the shared iterators", error };
        let found = |world: &World| world.shares_own.map(drop).ok_or(io::ErrorKind::NotFound.into());
        self.call(found).map_err(refuse)
    }

    fn show_all(&self, (): &()) -> bool {
        self.world.lock().unwrap().iterates
    }

    fn iterate(&self, (): &(), pass: Pass<'_>, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let pieces = self.call(|world| Ok(fake_iterator::pieces(world, pass)))?;
        for piece in &pieces {
            each(piece);
        }
        Ok(())
    }

    fn user_name(&self, uid: u32) -> io::Result<Option<String>> {
        self.call(|_| Ok((uid == 0).then(|| "root".to_owned())))
    }

    fn now(&self) -> Now {
        let since_boot = Duration::from_secs(3600) + self.world.lock().unwrap().waited;
        Now {
            since_boot,
            wall: UNIX_EPOCH + Duration::from_secs(1_000_000) + since_boot,
            ticks_per_second: 100,
        }
    }
}

/// What the kernel would answer.
fn answer(world: &World, rows: &[(u16, Row)], request: &Request, sequence: u32) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let is_dump = matches!(request, Request::Dump { .. });
    let spoilt = world.spoils_dumps.filter(|_| is_dump);
    let flags = if spoilt == Some(GapReason::Interrupted) { 2 | FLAG_DUMP_INTERRUPTED } else { 2 };
    let mut push = |kind, payload: &[u8]| {
        let mut datagram = Vec::new();
        netlink::push_message(&mut datagram, kind, flags, sequence, payload);
        datagrams.push(datagram);
    };
    match *request {
        Request::Dump { family, protocol, states, local_port, remote_port, half } => {
            for (_, row) in rows.iter().filter(|(number, row)| {
                let is_v4 = row.local.is_ipv4();
                *number == protocol
                    && (family == 0 || is_v4 == (family == 2))
                    && half.is_none_or(|half| half.takes(row.local.port(), row.remote.port()))
                    && (states == u32::MAX || states & 1 << row.state != 0)
                    && (local_port == 0 || row.local.port() == local_port)
                    && (remote_port == 0 || row.remote.port() == remote_port)
            }) {
                push(SOCK_DIAG_BY_FAMILY, &row.encode());
            }
            if spoilt == Some(GapReason::Malformed) {
                push(SOCK_DIAG_BY_FAMILY, &[0; 4]);
            }
            push(DONE, &0i32.to_ne_bytes());
        }
        Request::Exact { protocol, local, remote, cookie, .. } => {
            let of_protocol = || rows.iter().filter(|(number, _)| *number == protocol).map(|(_, row)| row);
            let same = of_protocol().find(|row| row.local == local && row.remote == remote);
            // As the kernel does: without a connection, the listener that would take one answers.
            let listener = || {
                of_protocol().find(|row| {
                    protocol == IPPROTO_TCP && row.state == 10 && row.local.port() == local.port()
                })
            };
            match same.or_else(listener) {
                Some(row) if cookie == NO_COOKIE || cookie == row.cookie => {
                    push(SOCK_DIAG_BY_FAMILY, &row.encode());
                }
                Some(_) => push(ERROR, &(-super::call::ESTALE).to_ne_bytes()),
                None => push(ERROR, &(-ENOENT).to_ne_bytes()),
            }
        }
    }
    datagrams
}
