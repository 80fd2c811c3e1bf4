//! What the iterators would write about a made-up machine.

use sockowner_wire::ProcStat;
use sockowner_wire::inet_diag::{IPPROTO_MPTCP, IPPROTO_TCP, Row};
use sockowner_wire::iterator::{HolderFixed, HolderRow, ProcessFixed, ProcessRow, SocketPart};

use super::door::{FileKind, Pass, Wanted};
use super::fake::{DISK, NETNS, Node, SOCKFS, World};

/// Nanoseconds in a tick of the made-up clock; processes start a little after one.
const TICK: u64 = 10_000_000;

/// The records of one pass, in pieces that do not end where records do.
pub(super) fn pieces(world: &World, pass: Pass<'_>) -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = match pass {
        Pass::Holders { wanted, pid } => {
            holders(world, wanted, pid).iter().flat_map(HolderRow::encode).collect()
        }
        Pass::Processes if world.iterates => processes(world),
        Pass::Processes => Vec::new(),
    };
    bytes.chunks(100).map(<[u8]>::to_vec).collect()
}

fn stats(world: &World) -> impl Iterator<Item = (String, ProcStat<'_>)> {
    world.nodes.iter().filter_map(|(path, node)| {
        let pid = std::str::from_utf8(path.strip_prefix(b"/proc/")?.strip_suffix(b"/stat")?).ok()?;
        let Node::File { content } = node else { return None };
        let stat = ProcStat::parse(content).ok()?;
        (!world.unvisited.contains(&stat.pid)).then(|| (pid.to_owned(), stat))
    })
}

fn start(stat: &ProcStat<'_>) -> u64 {
    stat.start_ticks * TICK + 4711
}

fn holders(world: &World, wanted: Wanted<'_>, only: Option<u32>) -> Vec<HolderRow> {
    let mut rows = Vec::new();
    for (pid, stat) in stats(world).filter(|(_, stat)| only.is_none_or(|only| only == stat.pid)) {
        let tables = [format!("/proc/{pid}/fd/"), format!("/proc/{pid}/task/")];
        for (path, file) in &world.open {
            let Some(path) =
                std::str::from_utf8(path).ok().filter(|path| tables.iter().any(|t| path.starts_with(t)))
            else {
                continue;
            };
            if file.kind != FileKind::Socket || file.device != SOCKFS {
                continue;
            }
            let mut words = path.rsplit('/');
            let fd = words.next().and_then(|fd| fd.parse().ok()).unwrap();
            let tid = words.nth(1).and_then(|tid| tid.parse().ok()).unwrap();
            let inode = file.inode;
            if !wanted.inodes.is_empty() && !wanted.inodes.contains(&inode) {
                continue;
            }
            let abroad =
                world.rows_abroad.iter().flat_map(|(netns, rows)| rows.iter().map(|row| (*netns, row)));
            // What a program has is the MPTCP socket, not what is below it.
            let all = world.rows.iter().map(|row| (NETNS, row)).chain(abroad);
            let mut same: Vec<_> = all.filter(|(_, (_, row))| u64::from(row.inode) == inode).collect();
            same.sort_by_key(|(_, (protocol, _))| *protocol != IPPROTO_MPTCP);
            let protocol = same.first().map_or(IPPROTO_TCP, |(_, (protocol, _))| *protocol);
            let (netns, known) = same.first().map(|(netns, (_, row))| (*netns, row)).unzip();
            let (netns, state) = (u32::try_from(netns.unwrap_or(NETNS)).unwrap(), known.map(|row| row.state));
            if wanted.netns != 0 && wanted.netns != netns {
                continue;
            }
            if wanted.states != 0 && state.is_some_and(|state| wanted.states & 1 << state == 0) {
                continue;
            }
            let is_theirs = |row: &Row| world.shares_own.is_none_or(|uid| row.uid == uid);
            if !world.iterates && !known.is_some_and(is_theirs) {
                continue;
            }
            let fixed = HolderFixed {
                inode,
                cookie: known.map_or(1, |row| row.cookie),
                start: start(&stat),
                netns,
                pid: stat.pid,
                tid,
                fd,
                protocol,
                ..HolderFixed::default()
            };
            let socket = wanted.describes.then(|| SocketPart { family: 2, ..SocketPart::default() });
            rows.push(HolderRow { fixed, socket });
        }
    }
    rows
}

fn processes(world: &World) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (pid, stat) in stats(world) {
        let node = |name: &str| world.nodes.get(format!("/proc/{pid}/{name}").as_bytes());
        let (path, inode) = match node("exe") {
            Some(Node::Link { text, stat }) => (text.as_slice(), stat.inode),
            _ => (&b""[..], 0),
        };
        let text = |name| match node(name) {
            Some(Node::File { content }) => String::from_utf8_lossy(content).into_owned(),
            _ => String::new(),
        };
        let cgroup = format!("/cg{}", text("cgroup").trim_start_matches("0::").trim_end());
        let cgroup = match world.nodes.get(cgroup.trim_end_matches('/').as_bytes()) {
            Some(Node::Dir { stat }) => stat.inode,
            _ => 0,
        };
        let uid = sockowner_wire::uids(text("status").as_bytes()).unwrap().effective;
        let mut comm = [0; 16];
        comm[..stat.comm.len()].copy_from_slice(stat.comm);
        let fixed = ProcessFixed {
            start: start(&stat),
            cgroup,
            inode,
            // Major 0, minor 99.
            device: u32::try_from(DISK).unwrap(),
            pid: stat.pid,
            parent: stat.ppid,
            uid,
            kernel_thread: u32::from(stat.is_kernel_thread()),
            comm,
            ..ProcessFixed::default()
        };
        bytes.extend(ProcessRow { fixed, path }.encode());
    }
    bytes
}
