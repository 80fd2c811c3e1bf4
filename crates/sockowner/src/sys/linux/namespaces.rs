//! Network namespaces: which there are, what they are called, and the way into each.
//!
//! Source: `/run/netns`, where ip-netns(8) mounts those that it names, and `/proc/PID/ns/net`. To enter one takes
//! `CAP_SYS_ADMIN` (setns(2)); that a process lives in one is told to who may inspect it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::diag::Diag;
use super::door::{Door, is_exhausted, is_gone, is_refused};
use super::{Proc, System};
use crate::sys::Options;
use crate::{Error, ErrorKind, Gap, GapReason, Query, QueryBuilder, Result};

/// What the gaps are about.
pub(super) const SOURCE: &str = "netns";
const NAMED: &str = "/run/netns";

/// The network namespaces that can be told, by inode number.
pub(super) type Namespaces = BTreeMap<u64, Known>;

/// One network namespace.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Its names under `/run/netns`, sorted.
    names: Vec<String>,
    /// Processes that live in it, sorted.
    pids: Vec<u32>,
    /// The caller's own number, where he lives in it: gone once it is read, so nothing is called after it.
    own: Option<u32>,
}

impl Known {
    /// Its name; `None` where nothing names it.
    fn label(&self) -> Option<String> {
        let pid = || self.pids.first().map(|pid| format!("pid:{pid}"));
        self.names.first().map(|name| as_place(name)).or_else(pid)
    }

    /// The files that stand for it.
    fn paths(&self) -> impl Iterator<Item = String> {
        let named = self.names.iter().map(|name| format!("{NAMED}/{name}"));
        let pids = self.pids.iter().chain(&self.own);
        named.chain(pids.map(|pid| format!("/proc/{pid}/ns/net")))
    }
}

/// A name under `/run/netns` in the form that [`open`] takes for this name.
fn as_place(name: &str) -> String {
    let is_process = name.strip_prefix("pid:").is_some_and(|number| is_number(number.as_bytes()));
    if is_process { format!("{NAMED}/{name}") } else { name.to_owned() }
}

/// What the namespace with this inode number is called.
pub(super) fn label(namespaces: &Namespaces, netns: u64) -> Arc<str> {
    let known = namespaces.get(&netns).and_then(Known::label);
    known.unwrap_or_else(|| netns.to_string()).into()
}

impl<D: Door> System<D> {
    /// Every network namespace that has a name or in which a process lives that can be inspected.
    pub(super) fn namespaces(&self, gaps: &mut Vec<Gap>) -> Namespaces {
        let mut namespaces = Namespaces::new();
        self.add_named(&mut namespaces, gaps);
        if let Ok(proc) = &self.proc {
            self.add_inhabited(proc, &mut namespaces, gaps);
        }
        namespaces
    }

    fn add_named(&self, namespaces: &mut Namespaces, gaps: &mut Vec<Gap>) {
        let mut names = Vec::new();
        let listed = self
            .door
            .open_root(NAMED.as_bytes())
            .and_then(|dir| self.door.list(&dir, &mut |entry| names.push(entry.name.to_vec())));
        match listed {
            // Nobody ever named one.
            Err(error) if is_gone(&error) => return,
            Err(error) => gaps.push(Gap::new(SOURCE, NAMED, reason(&Error::io(NAMED, error)), 1)),
            Ok(()) => {}
        }
        names.sort_unstable();
        for name in names {
            // Who made the name is root, who may have taken any: what is no text cannot be asked for by it either.
            let name = String::from_utf8_lossy(&name).into_owned();
            match self.door.open_namespace(format!("{NAMED}/{name}").as_bytes()) {
                Ok((_, netns)) => namespaces.entry(netns).or_default().names.push(name),
                // A file that is left over stands for nothing.
                Err(error) if error.kind() == std::io::ErrorKind::InvalidInput || is_gone(&error) => {}
                Err(error) => gaps.push(Gap::new(SOURCE, &name, reason(&Error::io(NAMED, error)), 1)),
            }
        }
    }

    fn add_inhabited(&self, proc: &Proc<D>, namespaces: &mut Namespaces, gaps: &mut Vec<Gap>) {
        let object = "/proc/*/ns/net";
        let pids = match self.pids(proc) {
            Ok(pids) => pids,
            Err(error) => return gaps.push(Gap::new(SOURCE, object, reason(&error), 1)),
        };
        let (mut refused, mut failed) = (0, 0);
        for pid in pids {
            match self.door.stat(&proc.dir, format!("{pid}/ns/net").as_bytes()) {
                Ok(file) => {
                    let known = namespaces.entry(file.inode).or_default();
                    if pid == self.door.own_pid() {
                        known.own = Some(pid);
                    } else {
                        known.pids.push(pid);
                    }
                }
                Err(error) if is_gone(&error) => {}
                Err(error) if is_refused(&error) => refused += 1,
                Err(_) => failed += 1,
            }
        }
        if refused > 0 || proc.hides_processes {
            gaps.push(Gap::new(SOURCE, object, GapReason::NotPermitted, refused));
        }
        if failed > 0 {
            gaps.push(Gap::new(SOURCE, object, GapReason::Changed, failed));
        }
    }

    /// Enters the namespace with this inode number.
    pub(super) fn enter(&self, netns: u64, known: &Known) -> Result<Diag<D>> {
        for path in known.paths() {
            match self.door.open_namespace(path.as_bytes()) {
                Ok((namespace, inode)) if inode == netns => {
                    return Diag::enter(&self.door, namespace, netns);
                }
                Err(error) if is_exhausted(&error) => {
                    return Err(Error::io(format!("open {path}"), error));
                }
                // The process ended or moved on, the name is another's by now.
                _ => {}
            }
        }
        Err(Error::new(ErrorKind::NotFound, "nothing stands for it any more"))
    }
}

/// Why a namespace could not be entered.
pub(super) fn reason(error: &Error) -> GapReason {
    match error.kind() {
        ErrorKind::NotPermitted => GapReason::NotPermitted,
        ErrorKind::NotFound => GapReason::Gone,
        ErrorKind::Unsupported => GapReason::Unsupported,
        _ => GapReason::Interrupted,
    }
}

/// Opens a query inside the network namespace that a person wrote: a name under `/run/netns`, the number of a process that
/// lives in it (`4711` or `pid:4711`), or the path of a file that stands for it. What has a `/` is a path. Digits alone are
/// a name where there is one, else a process; where they are both, of two namespaces, that is refused.
///
/// Every answer is about that namespace; processes and cgroups are the caller's own. The calling thread stays where it is,
/// and the namespace lives at least as long as the query.
///
/// # Platform
/// Linux: setns(2) in a thread of its own, which takes `CAP_SYS_ADMIN`, also in the user namespace that the network
/// namespace belongs to; of a process that may be inspected.
///
/// # Errors
/// Where there is no such namespace, there are two, or it may not be entered; and as [`QueryBuilder::open`].
pub fn open(place: impl AsRef<OsStr>, builder: QueryBuilder) -> Result<Query> {
    builder.open_in(place.as_ref())
}

/// The file that stands for what a person wrote.
fn path(place: &OsStr) -> Result<Vec<u8>> {
    let bytes = place.as_bytes();
    let number = bytes.strip_prefix(b"pid:").unwrap_or(bytes);
    if bytes.is_empty() || bytes.contains(&0) || matches!(bytes, b"." | b"..") {
        let what = "a network namespace is a name under /run/netns, a process's number, or a path";
        return Err(Error::new(ErrorKind::InvalidInput, what));
    }
    Ok(if bytes.contains(&b'/') {
        bytes.to_vec()
    } else if is_number(number) {
        [b"/proc/", number, b"/ns/net"].concat()
    } else {
        named_path(bytes)
    })
}

fn named_path(name: &[u8]) -> Vec<u8> {
    [NAMED.as_bytes(), b"/", name].concat()
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// What a namespace is called that was asked for by `place`: as [`label`] has it where that is told by the place alone.
fn called(place: &OsStr) -> Arc<str> {
    let text = place.to_string_lossy();
    let name = text.strip_prefix(NAMED).and_then(|rest| rest.strip_prefix('/'));
    match name.filter(|name| !name.contains('/') && !matches!(*name, "" | "." | "..")) {
        Some(name) => as_place(name).into(),
        None => text.into(),
    }
}

/// A namespace that is held, its inode number, and what it is called.
type Opened<D> = (<D as Door>::Namespace, u64, Arc<str>);

/// Opens the namespace that a person wrote.
fn opened<D: Door>(door: &D, place: &OsStr) -> Result<Opened<D>> {
    let path = path(place)?;
    let found = |(namespace, netns)| (namespace, netns, called(place));
    let number = place.as_bytes();
    if !is_number(number) {
        return door.open_namespace(&path).map(found).map_err(|error| failed(&path, error));
    }
    let of_process =
        |(namespace, netns)| (namespace, netns, format!("pid:{}", place.to_string_lossy()).into());
    let (process, named) = (door.open_namespace(&path), named_path(number));
    match (door.open_namespace(&named), process) {
        (Err(error), _) | (_, Err(error)) if is_exhausted(&error) => Err(failed(&path, error)),
        // A file that is left over stands for nothing.
        (Err(error), process) if is_gone(&error) || error.kind() == std::io::ErrorKind::InvalidInput => {
            process.map(of_process).map_err(|error| failed(&path, error))
        }
        (by_name, Err(error)) if is_gone(&error) => by_name.map(found).map_err(|error| failed(&named, error)),
        (Ok(by_name), Ok(process)) if by_name.1 == process.1 => Ok(found(by_name)),
        _ => {
            let number = place.to_string_lossy();
            let what = format!("it is a name and a process: write {NAMED}/{number} or pid:{number}");
            Err(Error::new(ErrorKind::InvalidInput, what))
        }
    }
}

/// Why the file at `path` was not opened.
fn failed(path: &[u8], cause: std::io::Error) -> Error {
    let shown = String::from_utf8_lossy(path).escape_debug().to_string();
    match cause.kind() {
        std::io::ErrorKind::InvalidInput => {
            Error::new(ErrorKind::InvalidInput, format!("{shown} is no network namespace"))
        }
        _ => Error::io(format!("open {shown}"), cause),
    }
}

impl<D: Door> System<D> {
    /// As [`open_with`](Self::open_with), inside the network namespace that a person wrote.
    pub(crate) fn open_inside(door: D, options: Options, place: &OsStr) -> Result<Self> {
        let doing = format!("enter the network namespace '{}'", place.to_string_lossy().escape_debug());
        let (namespace, netns, name) = opened(&door, place).map_err(|error| error.context(doing.clone()))?;
        let diag = Diag::enter(&door, namespace, netns).map_err(|error| {
            let is_refused = error.kind() == ErrorKind::NotPermitted;
            let takes = if is_refused { ", which takes root (CAP_SYS_ADMIN)" } else { "" };
            error.context(format!("{doing}{takes}"))
        })?;
        Ok(Self { netns_name: Some(name), ..Self::open_on(door, diag, options)? })
    }

    /// What the network namespace `netns` is called, where it was asked for by name.
    pub(super) fn name_of(&self, netns: Option<u64>) -> Option<Arc<str>> {
        self.netns_name.clone().filter(|_| netns.is_some() && netns == self.diag.netns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_name_or_a_process_but_not_both() {
        use super::super::door::FileKind;
        use super::super::fake::{Fake, Node, World, stat};
        let mut world = World::default();
        let mut stands = |path: &str, netns| {
            let node = Node::Link { text: Vec::new(), stat: stat(FileKind::Other, 4, netns) };
            world.nodes.insert(path.into(), node);
        };
        stands("/run/netns/11", 1);
        stands("/proc/12/ns/net", 2);
        stands("/run/netns/13", 3);
        stands("/proc/13/ns/net", 4);
        stands("/run/netns/14", 5);
        stands("/proc/14/ns/net", 5);
        stands("/proc/15/ns/net", 6);
        stands("/run/netns/16", 7);
        world.file("/run/netns/15", "left over");
        // It lives, but may not be inspected.
        world.nodes.insert(b"/proc/16/ns/net".to_vec(), Node::Fails(13));
        let found = |place: &str| {
            let (_, netns, name) = opened(&Fake::new(world.clone()), OsStr::new(place))?;
            Ok::<_, Error>((netns, name.to_string()))
        };
        for (place, netns, name) in [
            ("11", 1, "11"),
            ("12", 2, "pid:12"),
            ("14", 5, "14"),
            ("15", 6, "pid:15"),
            ("pid:13", 4, "pid:13"),
        ] {
            assert_eq!(found(place).unwrap(), (netns, name.to_owned()), "{place}");
        }
        assert_eq!(found("/run/netns/13").unwrap(), (3, "13".to_owned()));
        for place in ["13", "16"] {
            let refused = found(place).unwrap_err();
            let what = format!("it is a name and a process: write /run/netns/{place} or pid:{place}");
            assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::InvalidInput, what));
        }
        assert_eq!(found("17").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_place_is_a_name_a_process_or_a_path() {
        let path = |text: &str| path(OsStr::new(text)).map(|path| String::from_utf8(path).unwrap());
        for (place, expected) in [
            ("blue", "/run/netns/blue"),
            ("4711", "/proc/4711/ns/net"),
            ("pid:4711", "/proc/4711/ns/net"),
            ("pid:x", "/run/netns/pid:x"),
            ("4711x", "/run/netns/4711x"),
            ("/run/netns/4711", "/run/netns/4711"),
            ("./x", "./x"),
        ] {
            assert_eq!(path(place).unwrap(), expected, "{place}");
        }
        for place in ["", ".", "..", "a\0b"] {
            assert_eq!(path(place).unwrap_err().kind(), ErrorKind::InvalidInput, "{place:?}");
        }
    }

    #[test]
    fn a_name_goes_before_a_process_and_that_before_the_number() {
        let mut namespaces = Namespaces::new();
        namespaces.insert(1, Known { names: vec!["a".into(), "b".into()], pids: vec![7], own: None });
        namespaces.insert(2, Known { names: Vec::new(), pids: vec![7, 9], own: None });
        namespaces.insert(4, Known { own: Some(8), ..Known::default() });
        namespaces.insert(5, Known { names: vec!["pid:7".into()], ..Known::default() });
        let labels = [1, 2, 3, 4, 5].map(|netns| label(&namespaces, netns).to_string());
        assert_eq!(labels, ["a", "pid:7", "3", "4", "/run/netns/pid:7"]);
        assert_eq!(namespaces[&4].paths().collect::<Vec<_>>(), ["/proc/8/ns/net"]);
        let paths: Vec<_> = namespaces[&1].paths().collect();
        assert_eq!(paths, ["/run/netns/a", "/run/netns/b", "/proc/7/ns/net"]);
    }

    #[test]
    fn what_was_asked_for_is_called_so_that_it_can_be_asked_for_again() {
        for (place, expected) in [
            ("blue", "blue"),
            ("/run/netns/blue", "blue"),
            ("/run/netns/pid:7", "/run/netns/pid:7"),
            ("/run/netns/..", "/run/netns/.."),
            ("pid:7", "pid:7"),
            ("./x", "./x"),
        ] {
            assert_eq!(&*called(OsStr::new(place)), expected);
        }
    }
}
