//! The actor's life: read a command, do it, answer.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::{env, fmt};

use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::builder::comm_of;
use super::protocol::{Command, Reply, Sock};
use super::{fd_passing, kin, many, mounts, sockets};

/// What went wrong, as the test will read it.
pub(super) type Outcome<T> = Result<T, String>;

/// For `map_err`: puts the operation before the cause.
pub(super) fn context<E: fmt::Display>(operation: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{operation}: {error}")
}

/// All that an actor holds. Dropping it closes everything.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// The descriptors that commands made, by number.
    pub(super) fds: BTreeMap<i32, OwnedFd>,
    pub(super) inbox: Option<(PathBuf, OwnedFd)>,
    pub(super) children: Vec<kin::Forked>,
    pub(super) threads: Vec<kin::OwnTable>,
}

/// Serves until standard input ends. `adopted` are the descriptors that an exec left open, as text.
pub(crate) fn serve(adopted: Option<&str>) -> ! {
    // When the program was reached by a link of /proc, the kernel named the process after that.
    let name = comm_of(Path::new(&env::args_os().next().unwrap_or_default()));
    let started = set_comm(&name).map(|()| kin::adopt(adopted));
    match started {
        Ok(server) => {
            say(&Reply::Done);
            run(server)
        }
        Err(message) => {
            say(&Reply::Failed { message });
            exit(1)
        }
    }
}

/// The loop; in the main thread, or in the one that outlived it.
pub(super) fn run(mut server: Server) -> ! {
    let mut line = String::new();
    loop {
        line.clear();
        match io::stdin().read_line(&mut line) {
            Ok(0) | Err(_) => exit(0),
            Ok(_) => {}
        }
        let result = match Command::parse(line.trim_end_matches('\n')) {
            Some(Command::LeaveMain { addr }) => kin::leave_main(server, addr),
            Some(command) => server.obey(command),
            None => Err(String::from("not a command")),
        };
        say(&result.unwrap_or_else(|message| Reply::Failed { message }));
    }
}

/// Answers; a test that does not listen any more is the end.
pub(super) fn say(reply: &Reply) {
    let mut out = io::stdout();
    if writeln!(out, "{reply}").and_then(|()| out.flush()).is_err() {
        exit(1);
    }
}

impl Server {
    fn obey(&mut self, command: Command) -> Outcome<Reply> {
        match command {
            Command::TcpListen { addr, options } => self.keep(sockets::tcp_listen(addr, &options)?),
            Command::TcpBindOnly { addr } => self.keep(sockets::tcp_bind_only(addr)?),
            Command::TcpConnect { local, remote, wait } => {
                self.keep(sockets::tcp_connect(local, remote, wait)?)
            }
            Command::Accept { fd } => self.keep(sockets::accept(self.fd(fd)?)?),
            Command::AcceptFrom { fd } => self.keep(sockets::accept_from(self.fd(fd)?)?),
            Command::TcpUnbound { ipv6, reuseport } => self.keep(sockets::tcp_unbound(ipv6, reuseport)?),
            Command::Bind { fd, addr } => done(sockets::bind_to(self.fd(fd)?, addr)),
            Command::Listen { fd } => done(sockets::start_listening(self.fd(fd)?)),
            Command::IsReady { fd } => {
                let value = usize::from(sockets::is_readable(self.fd(fd)?)?);
                Ok(Reply::Count { value })
            }
            Command::ConnectMany { remote, count } => told(many::connect(remote, count)),
            Command::AcceptMany { fd, count } => told(many::accept(self.fd(fd)?, count)),
            Command::BindMany { addr, count } => told(many::bind(addr, count)),
            Command::ShortLives { remote, count } => {
                Ok(Reply::Processes { list: many::short_lives(remote, count)? })
            }
            Command::UdpBind { addr, options } => self.keep(sockets::udp_bind(addr, &options)?),
            Command::UdpUnbound { ipv6 } => self.keep(sockets::udp_unbound(ipv6)?),
            Command::UdpConnect { fd, remote } => {
                sockets::connect(self.fd(fd)?, remote)?;
                socket_reply(self.fd(fd)?)
            }
            Command::Describe { fd } => socket_reply(self.fd(fd)?),
            Command::Send { fd, length } => {
                let value = sockets::send(self.fd(fd)?, length)?;
                Ok(Reply::Count { value })
            }
            Command::ShutdownWrite { fd } => done(sockets::shutdown_write(self.fd(fd)?)),
            Command::LingerZero { fd } => done(sockets::linger_zero(self.fd(fd)?)),
            Command::Close { fd } => {
                self.fd(fd)?;
                self.fds.remove(&fd);
                Ok(Reply::Done)
            }
            Command::OPathOpen { path } => {
                let opened = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
                let fd = self.insert(opened.map_err(context("open"))?);
                Ok(Reply::Descriptor { fd })
            }
            Command::OpenInbox { path } => {
                let socket = fd_passing::open_inbox(&path)?;
                self.inbox = Some((path, socket));
                Ok(Reply::Done)
            }
            Command::SendFd { path, fd } => done(fd_passing::send(&path, self.fd(fd)?)),
            Command::RecvFd { path } => {
                let inbox = self.inbox.take_if(|(at, _)| *at == path);
                let (_, inbox) = inbox.ok_or("there is no such inbox")?;
                let received = fd_passing::receive(&inbox, &path)?;
                self.keep(received)
            }
            Command::Fork => self.fork(kin::Errand::Sleep),
            Command::Zombie => self.fork(kin::Errand::Exit),
            Command::KillChild { pid } => done(kin::kill(&mut self.children, pid)),
            Command::ListenInThread { addr } => {
                let (thread, sock) = kin::OwnTable::start(addr)?;
                let tid = thread.tid();
                self.threads.push(thread);
                Ok(Reply::ThreadSocket { tid, sock })
            }
            Command::EndThread { tid } => {
                let thread = self.threads.iter().position(|thread| thread.tid() == tid);
                done(self.threads.swap_remove(thread.ok_or("there is no such thread")?).end())
            }
            Command::LeaveMain { .. } => Err(String::from("the loop does this one")),
            Command::Exec { path } => Err(kin::exec(&self.fds, path.as_deref())),
            Command::SetComm { name } => done(set_comm(&name)),
            Command::Chdir { path } => done(env::set_current_dir(path).map_err(context("chdir"))),
            Command::DropDumpable => {
                let set = set_dumpable_behavior(DumpableBehavior::NotDumpable);
                done(set.map_err(context("prctl PR_SET_DUMPABLE")))
            }
            Command::BindMount { source, target } => done(mounts::bind(&source, &target)),
        }
    }

    fn fork(&mut self, errand: kin::Errand) -> Outcome<Reply> {
        let child = kin::fork(errand)?;
        let pid = child.shown;
        self.children.push(child);
        Ok(Reply::Process { pid })
    }

    fn fd(&self, fd: i32) -> Outcome<&OwnedFd> {
        self.fds.get(&fd).ok_or_else(|| format!("no command made a descriptor {fd}"))
    }

    fn insert(&mut self, fd: OwnedFd) -> i32 {
        let number = fd.as_raw_fd();
        self.fds.insert(number, fd);
        number
    }

    /// Holds a new socket and tells about it.
    pub(super) fn keep(&mut self, socket: OwnedFd) -> Outcome<Reply> {
        let number = self.insert(socket);
        socket_reply(self.fd(number)?)
    }
}

fn socket_reply(socket: &OwnedFd) -> Outcome<Reply> {
    let sock: Sock = sockets::describe(socket)?;
    Ok(Reply::Socket { sock })
}

fn told(result: Outcome<Vec<u64>>) -> Outcome<Reply> {
    result.map(|list| Reply::Cookies { list })
}

fn done(result: Outcome<()>) -> Outcome<Reply> {
    result.map(|()| Reply::Done)
}

fn set_comm(name: &OsStr) -> Outcome<()> {
    let name = CString::new(name.as_bytes()).map_err(context("a name for the process"))?;
    rustix::thread::set_name(&name).map_err(context("prctl PR_SET_NAME"))
}
