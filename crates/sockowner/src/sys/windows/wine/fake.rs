//! A Wine without Wine: processes with handles, which change or fail before a call that the test chooses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::OnceLock;

use super::door::{Question, Sample, WineDoor};
use super::told::Told;
use crate::sys::windows::door::{ACCESS_DENIED, INVALID_PARAMETER};
use crate::sys::windows::process_list::Listed;
use crate::{Address, Family, Protocol};

/// The process that looks.
pub(super) const SELF: u32 = 4000;
const INVALID_HANDLE: i32 = 6;

/// What a handle stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// A socket, with a number that makes it this one.
    Socket(u32, Told),
    /// A socket whose address is cut off.
    Odd,
    Pipe,
    /// It must not be asked anything.
    Device,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FakeProcess {
    pub(super) created: u64,
    pub(super) refused: bool,
    pub(super) handles: BTreeMap<u32, Object>,
    /// What the list says of its handles, if not how many there is room for.
    pub(super) counted: Option<u32>,
}

pub(super) type World = BTreeMap<u32, FakeProcess>;
type Change = Box<dyn Fn(&mut World)>;

/// Counts what is open.
#[derive(Clone)]
pub(super) struct Open<T>(T, Rc<Cell<usize>>);

impl<T> Drop for Open<T> {
    fn drop(&mut self) {
        self.1.set(self.1.get() - 1);
    }
}

impl<T: fmt::Debug> fmt::Debug for Open<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Default)]
pub(super) struct FakeWine {
    pub(super) world: RefCell<World>,
    /// Before call n the world becomes another.
    pub(super) change: Option<(usize, Change)>,
    /// Call n fails, with this code.
    pub(super) fail: Option<(usize, i32)>,
    /// It can tell objects apart.
    pub(super) compares: bool,
    pub(super) calls: Cell<usize>,
    pub(super) open: Rc<Cell<usize>>,
    pub(super) turns: Rc<Cell<usize>>,
    pub(super) proven: OnceLock<()>,
}

impl fmt::Debug for FakeWine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeWine").finish_non_exhaustive()
    }
}

impl FakeWine {
    pub(super) fn new(world: World) -> Self {
        Self { world: world.into(), compares: true, ..Self::default() }
    }

    fn call(&self) -> io::Result<()> {
        let call = self.calls.get();
        self.calls.set(call + 1);
        if let Some((at, change)) = &self.change
            && *at == call
        {
            change(&mut self.world.borrow_mut());
        }
        match self.fail {
            Some((at, code)) if at == call => Err(io::Error::from_raw_os_error(code)),
            _ => Ok(()),
        }
    }

    fn opened<T>(&self, what: T) -> Open<T> {
        self.open.set(self.open.get() + 1);
        Open(what, Rc::clone(&self.open))
    }
}

pub(super) fn address(port: u16) -> Address {
    Address::new(Ipv4Addr::LOCALHOST.into(), port)
}

pub(super) fn listener(port: u16) -> Told {
    Told { protocol: Protocol::Tcp, local: address(port), peer: None, listens: true }
}

pub(super) fn connected(local: u16, peer: u16) -> Told {
    Told { peer: Some(address(peer)), listens: false, ..listener(local) }
}

pub(super) fn udp(port: u16) -> Told {
    Told { protocol: Protocol::Udp, local: address(port), peer: None, listens: false }
}

pub(super) fn socket(number: u32, told: Told) -> Object {
    Object::Socket(number, told)
}

fn bytes_of(address: Address, family: Family) -> Vec<u8> {
    let mut bytes = match family {
        Family::Ipv4 => vec![2, 0],
        Family::Ipv6 => vec![23, 0],
    };
    bytes.extend(address.port.to_be_bytes());
    match address.ip {
        std::net::IpAddr::V4(ip) => bytes.extend(ip.octets()),
        std::net::IpAddr::V6(ip) => {
            bytes.extend([0; 4]);
            bytes.extend(ip.octets());
            bytes.extend(address.zone.map_or(0, |zone| zone.index()).to_ne_bytes());
        }
    }
    bytes
}

impl WineDoor for FakeWine {
    /// Number and creation time: a later process with that number is another.
    type Process = Open<(u32, u64)>;
    type Duplicate = Open<Object>;
    type Turn = Open<()>;
    type Socket = ();

    fn own_pid(&self) -> u32 {
        SELF
    }

    fn turn(&self) -> io::Result<Open<()>> {
        self.call()?;
        assert_eq!(self.turns.replace(1), 0, "this thread would wait for itself");
        Ok(Open((), Rc::clone(&self.turns)))
    }

    fn processes(&self) -> io::Result<(Vec<Listed>, u64)> {
        self.call()?;
        let world = self.world.borrow();
        let listed = |(&pid, process): (&u32, &FakeProcess)| {
            let highest = process.handles.keys().next_back().map_or(0, |&handle| handle / 4);
            let handles = process.counted.unwrap_or(highest.next_power_of_two());
            Listed { pid, parent: 0, created: process.created, name: Vec::new(), handles }
        };
        Ok((world.iter().map(listed).collect(), 0))
    }

    fn open_holder(&self, pid: u32) -> io::Result<Self::Process> {
        self.call()?;
        match self.world.borrow().get(&pid) {
            None => Err(io::Error::from_raw_os_error(INVALID_PARAMETER)),
            Some(process) if process.refused => Err(io::Error::from_raw_os_error(ACCESS_DENIED)),
            Some(process) => Ok(self.opened((pid, process.created))),
        }
    }

    fn created(&self, process: &Self::Process) -> io::Result<u64> {
        self.call().map(|()| process.0.1)
    }

    fn duplicate(&self, process: &Self::Process, handle: u32) -> io::Result<Self::Duplicate> {
        self.call()?;
        assert_eq!(self.turns.get(), 1, "another program may look meanwhile");
        let (pid, created) = process.0;
        let world = self.world.borrow();
        let process = world.get(&pid).filter(|process| process.created == created);
        let handle = process.and_then(|process| process.handles.get(&handle));
        let handle = handle.ok_or_else(|| io::Error::from_raw_os_error(INVALID_HANDLE))?;
        Ok(self.opened(handle.clone()))
    }

    fn is_pipe(&self, duplicate: &Self::Duplicate) -> bool {
        duplicate.0 != Object::Device
    }

    fn ask(
        &self,
        duplicate: &Self::Duplicate,
        question: Question,
        into: &mut [u8],
    ) -> io::Result<Option<usize>> {
        self.call()?;
        let told = match &duplicate.0 {
            Object::Socket(_, told) => told,
            Object::Odd if question == Question::Local => return Ok(Some(3)),
            Object::Odd => &udp(1),
            Object::Pipe => return Ok(None),
            Object::Device => panic!("a device was asked"),
        };
        let tcp = told.protocol == Protocol::Tcp;
        let family = if told.local.ip.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
        let answer = match question {
            Question::Info => words(&[
                if family == Family::Ipv4 { 2 } else { 23 },
                if tcp { 1 } else { 2 },
                if tcp { 6 } else { 17 },
            ]),
            Question::Local => bytes_of(told.local, family),
            Question::Peer => match told.peer {
                Some(peer) => bytes_of(peer, family),
                None => return Ok(None),
            },
            Question::Listens => words(&[u32::from(told.listens)]),
        };
        into[..answer.len()].copy_from_slice(&answer);
        Ok(Some(answer.len()))
    }

    fn same(&self, one: &Self::Duplicate, other: &Self::Duplicate) -> io::Result<bool> {
        self.call()?;
        if !self.compares {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(one.0 == other.0)
    }

    fn samples(&self) -> io::Result<[Sample<()>; 2]> {
        self.call()?;
        let world = self.world.borrow();
        let sample = |handle: u32| match &world[&SELF].handles[&handle] {
            Object::Socket(_, told) => Sample { socket: (), handle, told: *told },
            other => panic!("a sample is no socket: {other:?}"),
        };
        Ok([sample(0x10), sample(0x14)])
    }

    fn proven(&self) -> &OnceLock<()> {
        &self.proven
    }
}
