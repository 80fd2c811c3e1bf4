//! What an actor can be told: one method, one line there, one line back.

use std::ffi::OsStr;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::builder::copy_executable;
use super::protocol::{Command, Reply};
use super::{Actor, Born, Sock, SocketOptions, ThreadSock};
use crate::wait::eventually;

/// Sockets.
impl Actor {
    /// Listens on a TCP address.
    #[track_caller]
    pub fn tcp_listen(&self, addr: impl Display) -> Sock {
        self.tcp_listen_with(addr, SocketOptions::default())
    }

    /// Listens on a TCP (or MPTCP) address with options.
    #[track_caller]
    pub fn tcp_listen_with(&self, addr: impl Display, options: SocketOptions) -> Sock {
        self.sock(&Command::TcpListen { addr: address(addr), options })
    }

    /// Binds a TCP socket and does nothing more with it.
    #[track_caller]
    pub fn tcp_bind_only(&self, addr: impl Display) -> Sock {
        self.sock(&Command::TcpBindOnly { addr: address(addr) })
    }

    /// Connects to a TCP address; the port is one that the kernel chose.
    #[track_caller]
    pub fn tcp_connect(&self, remote: impl Display) -> Sock {
        self.sock(&Command::TcpConnect { local: None, remote: address(remote), wait: true })
    }

    /// Connects from a local address.
    #[track_caller]
    pub fn tcp_connect_from(&self, local: impl Display, remote: impl Display) -> Sock {
        self.sock(&Command::TcpConnect { local: Some(address(local)), remote: address(remote), wait: true })
    }

    /// Begins to connect and does not wait: towards a listener with a full queue it stays in `SYN_SENT`.
    #[track_caller]
    pub fn tcp_connect_begin(&self, remote: impl Display) -> Sock {
        self.sock(&Command::TcpConnect { local: None, remote: address(remote), wait: false })
    }

    /// Accepts a connection of the listener `fd`; waits for one up to half a minute.
    #[track_caller]
    pub fn accept(&self, fd: i32) -> Sock {
        self.sock(&Command::Accept { fd })
    }

    /// As [`accept`](Self::accept), asking for the peer's address with the same call.
    #[track_caller]
    pub fn accept_from(&self, fd: i32) -> Sock {
        self.sock(&Command::AcceptFrom { fd })
    }

    /// Makes a TCP socket without binding it.
    #[track_caller]
    pub fn tcp_unbound(&self, ipv6: bool, reuseport: bool) -> Sock {
        self.sock(&Command::TcpUnbound { ipv6, reuseport })
    }

    /// Binds a socket that it has.
    #[track_caller]
    pub fn bind(&self, fd: i32, addr: impl Display) -> Sock {
        self.done(&Command::Bind { fd, addr: address(addr) });
        self.describe(fd)
    }

    /// Listens on a socket that it has.
    #[track_caller]
    pub fn listen(&self, fd: i32) {
        self.done(&Command::Listen { fd });
    }

    /// Whether there is something to be read, or accepted, now.
    #[track_caller]
    pub fn is_ready(&self, fd: i32) -> bool {
        match self.call(&Command::IsReady { fd }) {
            Reply::Count { value } => value > 0,
            other => self.unexpected(&other),
        }
    }

    /// Connects to a TCP address and closes, so often, one after another; yields the sockets' cookies.
    #[track_caller]
    pub fn connect_many(&self, remote: impl Display, count: usize) -> Vec<u64> {
        self.cookies(&Command::ConnectMany { remote: address(remote), count })
    }

    /// Accepts with the peer's address and closes, so often, one after another; yields the sockets' cookies.
    #[track_caller]
    pub fn accept_many(&self, fd: i32, count: usize) -> Vec<u64> {
        self.cookies(&Command::AcceptMany { fd, count })
    }

    /// Binds a UDP socket and closes it, so often, one after another; yields the sockets' cookies.
    #[track_caller]
    pub fn udp_bind_many(&self, addr: impl Display, count: usize) -> Vec<u64> {
        self.cookies(&Command::BindMany { addr: address(addr), count })
    }

    /// Binds a UDP socket.
    #[track_caller]
    pub fn udp_bind(&self, addr: impl Display) -> Sock {
        self.udp_bind_with(addr, SocketOptions::default())
    }

    /// Binds a UDP socket with options.
    #[track_caller]
    pub fn udp_bind_with(&self, addr: impl Display, options: SocketOptions) -> Sock {
        self.sock(&Command::UdpBind { addr: address(addr), options })
    }

    /// Makes a UDP socket without binding it: [`udp_connect`](Self::udp_connect) has the kernel choose its port.
    #[track_caller]
    pub fn udp_unbound(&self, ipv6: bool) -> Sock {
        self.sock(&Command::UdpUnbound { ipv6 })
    }

    /// Connects a UDP socket.
    #[track_caller]
    pub fn udp_connect(&self, fd: i32, remote: impl Display) -> Sock {
        self.sock(&Command::UdpConnect { fd, remote: address(remote) })
    }

    /// Looks at a socket again.
    #[track_caller]
    pub fn describe(&self, fd: i32) -> Sock {
        self.sock(&Command::Describe { fd })
    }

    /// Sends up to `length` bytes without waiting and returns how many the kernel took. More than the peer reads
    /// and the buffers hold leaves an orphan after [`close`](Self::close).
    #[track_caller]
    pub fn send(&self, fd: i32, length: usize) -> usize {
        match self.call(&Command::Send { fd, length }) {
            Reply::Count { value } => value,
            other => self.unexpected(&other),
        }
    }

    /// Sends the end of the stream.
    #[track_caller]
    pub fn shutdown_write(&self, fd: i32) {
        self.done(&Command::ShutdownWrite { fd });
    }

    /// Makes a later [`close`](Self::close) reset the connection: no `TIME_WAIT`.
    #[track_caller]
    pub fn set_linger_zero(&self, fd: i32) {
        self.done(&Command::LingerZero { fd });
    }

    /// Closes a descriptor of the main table.
    #[track_caller]
    pub fn close(&self, fd: i32) {
        self.done(&Command::Close { fd });
    }

    /// Closes one end of a connection, and the other end once that has heard of it: who closes before he hears of the other's
    /// end comes to `TIME_WAIT`, too.
    #[track_caller]
    pub fn close_first(&self, fd: i32, other: &Self, other_fd: i32) {
        self.close(fd);
        eventually("the other end hears of it", || other.is_ready(other_fd).then_some(()));
        other.close(other_fd);
    }

    /// Opens a path with `O_PATH`, such as a Unix socket's file: a descriptor that is not a socket.
    #[track_caller]
    pub fn o_path_open(&self, path: impl AsRef<Path>) -> i32 {
        match self.call(&Command::OPathOpen { path: path.as_ref().to_owned() }) {
            Reply::Descriptor { fd } => fd,
            other => self.unexpected(&other),
        }
    }
}

/// Descriptors that travel.
impl Actor {
    /// Binds a Unix socket at `path`, writable for everybody, where others can send a descriptor to; an actor has
    /// one such inbox.
    #[track_caller]
    pub fn open_inbox(&self, path: impl AsRef<Path>) {
        self.done(&Command::OpenInbox { path: path.as_ref().to_owned() });
    }

    /// Sends a copy of the descriptor to the inbox at `path` (`SCM_RIGHTS`) and keeps its own. Until the owner of the
    /// inbox receives it, the copy is in flight.
    #[track_caller]
    pub fn send_fd(&self, path: impl AsRef<Path>, fd: i32) {
        self.done(&Command::SendFd { path: path.as_ref().to_owned(), fd });
    }

    /// Receives a descriptor that was sent to the inbox at `path`, which is closed and unlinked.
    #[track_caller]
    pub fn recv_fd(&self, path: impl AsRef<Path>) -> Sock {
        self.sock(&Command::RecvFd { path: path.as_ref().to_owned() })
    }

    /// Sends a copy of the descriptor to another actor, whoever its user is; yields the socket as that one holds it.
    ///
    /// # Panics
    ///
    /// When there is no directory for the inbox, or an actor fails.
    #[track_caller]
    pub fn pass_fd(&self, fd: i32, to: &Self) -> Sock {
        let inbox = world_writable_dir();
        let path = inbox.path().join("inbox");
        to.open_inbox(&path);
        self.send_fd(&path, fd);
        to.recv_fd(&path)
    }
}

/// Processes and threads.
impl Actor {
    /// Forks a child that holds copies of all descriptors and sleeps; yields its number in the test's `/proc`.
    #[track_caller]
    pub fn fork(&self) -> u32 {
        self.pid_of(&Command::Fork)
    }

    /// Forks so many children, one after another, each of which connects to a TCP address and ends; yields them.
    #[track_caller]
    pub fn short_lives(&self, remote: impl Display, count: usize) -> Vec<Born> {
        match self.call(&Command::ShortLives { remote: address(remote), count }) {
            Reply::Processes { list } => list,
            other => self.unexpected(&other),
        }
    }

    /// Forks a child that exits and is not reaped; yields its number.
    #[track_caller]
    pub fn sleep_zombie(&self) -> u32 {
        self.pid_of(&Command::Zombie)
    }

    /// Kills and reaps a child, forked or zombie.
    #[track_caller]
    pub fn kill_child(&self, pid: u32) {
        self.done(&Command::KillChild { pid });
    }

    /// Starts a thread with a descriptor table of its own (`unshare(CLONE_FILES)`), in which a TCP listener is the
    /// only socket; the main table does not have it.
    #[track_caller]
    pub fn thread_with_own_fd_table(&self, addr: impl Display) -> ThreadSock {
        match self.call(&Command::ListenInThread { addr: address(addr) }) {
            Reply::ThreadSocket { tid, sock } => ThreadSock { tid, sock },
            other => self.unexpected(&other),
        }
    }

    /// Ends such a thread, and with it its listener.
    #[track_caller]
    pub fn end_thread(&self, tid: u32) {
        self.done(&Command::EndThread { tid });
    }

    /// Goes on in a second thread, which listens on a TCP address, while the main thread exits: a zombie leader
    /// whose `/proc/PID/fd` and `exe` are empty. Descriptors made before stay open, in the same table.
    #[track_caller]
    pub fn listen_in_thread_and_exit_main(&self, addr: impl Display) -> Sock {
        self.sock(&Command::LeaveMain { addr: address(addr) })
    }

    /// Executes its executable anew. Sockets and other descriptors made by commands stay open; threads end, an
    /// inbox is closed.
    #[track_caller]
    pub fn exec(&self) {
        self.done(&Command::Exec { path: None });
    }

    /// Executes a copy of the executable, which is made at `path`.
    #[track_caller]
    pub fn exec_copy(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        if let Err(error) = copy_executable(path) {
            self.fail(&error);
        }
        self.done(&Command::Exec { path: Some(path.to_owned()) });
        *self.exe() = Some(path.to_owned());
    }

    /// Executes the file at `path` as the actor sees it, which has to be a copy of the executable: see
    /// [`bind_mount`](Self::bind_mount).
    #[track_caller]
    pub fn exec_at(&self, path: impl AsRef<Path>) {
        self.done(&Command::Exec { path: Some(path.as_ref().to_owned()) });
        *self.exe() = None;
    }

    /// Enters a mount namespace of its own and mounts the file `source` over the file `target` there: for the actor
    /// alone, the one has the other's path. Needs root, or a
    /// [user namespace](crate::Builder::new_user_namespace).
    #[track_caller]
    pub fn bind_mount(&self, source: impl AsRef<Path>, target: impl AsRef<Path>) {
        let (source, target) = (source.as_ref().to_owned(), target.as_ref().to_owned());
        self.done(&Command::BindMount { source, target });
    }

    /// Unlinks the copy that it runs, made by [`Builder::exe`](crate::Builder::exe) or
    /// [`exec_copy`](Self::exec_copy); the test's own executable is never unlinked.
    #[track_caller]
    pub fn unlink_self_exe(&self) {
        let path = self.exe().clone();
        match path.as_deref().map(std::fs::remove_file) {
            Some(Ok(())) => {}
            Some(Err(error)) => self.fail(&format!("unlink its executable: {error}")),
            None => self.fail("unlink its executable: it runs the test's own"),
        }
    }

    /// Changes the thread's name, which as the main thread's is the process's `comm`: 15 bytes, any but NUL.
    #[track_caller]
    pub fn set_comm(&self, name: impl AsRef<OsStr>) {
        self.done(&Command::SetComm { name: name.as_ref().to_owned() });
    }

    /// Changes the working directory.
    #[track_caller]
    pub fn chdir(&self, path: impl AsRef<Path>) {
        self.done(&Command::Chdir { path: PathBuf::from(path.as_ref()) });
    }

    /// `PR_SET_DUMPABLE` 0: its `/proc` directory becomes root's, and other users' looks are refused.
    #[track_caller]
    pub fn drop_dumpable(&self) {
        self.done(&Command::DropDumpable);
    }
}

#[track_caller]
fn address(text: impl Display) -> SocketAddr {
    let text = text.to_string();
    match text.parse() {
        Ok(addr) => addr,
        Err(error) => panic!("{text:?}: {error}"),
    }
}

#[track_caller]
fn world_writable_dir() -> tempfile::TempDir {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    let made = tempfile::Builder::new().permissions(Permissions::from_mode(0o1777)).tempdir();
    let open = made.and_then(|dir| {
        // The umask took some of it.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o777))?;
        Ok(dir)
    });
    match open {
        Ok(dir) => dir,
        Err(error) => panic!("make a directory for an inbox: {error}"),
    }
}
