//! The lines that a test and its actor exchange: words separated by single spaces, one command, one reply.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

/// A socket as its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sock {
    /// The descriptor in the actor that answered.
    pub fd: i32,
    /// The local address (`getsockname`).
    pub addr: SocketAddr,
    /// The remote address (`getpeername`), if it is connected.
    pub peer: Option<SocketAddr>,
    /// The inode number in sockfs (`fstat`).
    pub inode: u64,
    /// The socket cookie (`SO_COOKIE`).
    pub cookie: u64,
}

/// A process that connected and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Born {
    /// Its number, in the actor's pid namespace.
    pub pid: u32,
    /// The cookie of its socket.
    pub cookie: u64,
}

/// A socket that one thread alone holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadSock {
    /// The thread's number, as this `/proc` shows it.
    pub tid: u32,
    /// The socket; its descriptor is one of the thread's own table.
    pub sock: Sock,
}

/// How to make a socket, where the defaults do not do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// `SO_REUSEPORT`.
    pub reuseport: bool,
    /// `IPV6_V6ONLY`, set to this; `None` leaves the system's default.
    pub v6only: Option<bool>,
    /// `SO_BINDTODEVICE`: an interface's name.
    pub device: Option<String>,
    /// `IPPROTO_MPTCP` in place of TCP.
    pub mptcp: bool,
    /// Length of the accept queue; `None` is 128.
    pub backlog: Option<i32>,
    /// `TCP_DEFER_ACCEPT`: a connection on which no data came stays a handshake, `SYN_RECV`.
    pub defer_accept: bool,
}

/// A value that is one word of a line.
trait Word: Sized {
    fn print(&self) -> String;
    fn parse(word: &str) -> Option<Self>;
}

macro_rules! plain_words {
    ($($kind:ty),*) => {$(
        impl Word for $kind {
            fn print(&self) -> String {
                self.to_string()
            }
            fn parse(word: &str) -> Option<Self> {
                Self::from_str(word).ok()
            }
        }
    )*};
}

plain_words!(bool, i32, u32, u64, usize, SocketAddr);

impl<T: Word> Word for Option<T> {
    fn print(&self) -> String {
        self.as_ref().map_or(String::from("-"), |value| format!("+{}", value.print()))
    }

    fn parse(word: &str) -> Option<Self> {
        if word == "-" { Some(None) } else { T::parse(word.strip_prefix('+')?).map(Some) }
    }
}

/// Any bytes; those that are not plain stand as `%xx`.
impl Word for OsString {
    fn print(&self) -> String {
        let mut word = String::new();
        for byte in self.as_bytes() {
            if byte.is_ascii_alphanumeric() || b"/._-:".contains(byte) {
                word.push(char::from(*byte));
            } else {
                write!(word, "%{byte:02x}").expect("a String takes everything");
            }
        }
        word
    }

    fn parse(word: &str) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut rest = word;
        while let Some(plain) = rest.find('%') {
            bytes.extend_from_slice(&rest.as_bytes()[..plain]);
            bytes.push(u8::from_str_radix(rest.get(plain + 1..plain + 3)?, 16).ok()?);
            rest = &rest[plain + 3..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        Some(Self::from_vec(bytes))
    }
}

impl Word for PathBuf {
    fn print(&self) -> String {
        self.as_os_str().to_owned().print()
    }

    fn parse(word: &str) -> Option<Self> {
        OsString::parse(word).map(Self::from)
    }
}

impl Word for String {
    fn print(&self) -> String {
        OsString::from(self).print()
    }

    fn parse(word: &str) -> Option<Self> {
        OsString::parse(word)?.into_string().ok()
    }
}

/// Defines an enum whose variants are lines: a verb and the fields in order.
macro_rules! lines {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident $({ $($field:ident: $kind:ty),+ })? = $verb:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant $({ $($field: $kind),+ })?,)+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant $({ $($field),+ })? => {
                        f.write_str($verb)?;
                        $($(write!(f, " {}", $field.print())?;)+)?
                        Ok(())
                    })+
                }
            }
        }

        impl $name {
            pub(crate) fn parse(line: &str) -> Option<Self> {
                let mut words = line.split(' ');
                let parsed = match words.next()? {
                    $($verb => Self::$variant $({ $($field: Word::parse(words.next()?)?),+ })?,)+
                    _ => return None,
                };
                words.next().is_none().then_some(parsed)
            }
        }
    };
}

/// A struct as one word: its fields, separated by commas, none of which has one in its own print.
macro_rules! struct_word {
    ($name:ident { $($field:ident),+ }) => {
        impl Word for $name {
            fn print(&self) -> String {
                [$(self.$field.print()),+].join(",")
            }

            fn parse(word: &str) -> Option<Self> {
                let mut words = word.split(',');
                let parsed = Self { $($field: Word::parse(words.next()?)?),+ };
                words.next().is_none().then_some(parsed)
            }
        }
    };
}

impl Word for Born {
    fn print(&self) -> String {
        format!("{}:{}", self.pid, self.cookie)
    }

    fn parse(word: &str) -> Option<Self> {
        let (pid, cookie) = word.split_once(':')?;
        Some(Self { pid: pid.parse().ok()?, cookie: cookie.parse().ok()? })
    }
}

/// Of words without a comma.
impl<T: Word> Word for Vec<T> {
    fn print(&self) -> String {
        self.iter().map(T::print).collect::<Vec<_>>().join(",")
    }

    fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::new()) } else { word.split(',').map(T::parse).collect() }
    }
}

struct_word!(Sock { fd, addr, peer, inode, cookie });
struct_word!(SocketOptions { reuseport, v6only, device, mptcp, backlog, defer_accept });

lines! {
    /// What a test asks of its actor.
    Command {
        TcpListen { addr: SocketAddr, options: SocketOptions } = "tcp-listen",
        TcpBindOnly { addr: SocketAddr } = "tcp-bind-only",
        TcpConnect { local: Option<SocketAddr>, remote: SocketAddr, wait: bool } = "tcp-connect",
        Accept { fd: i32 } = "accept",
        AcceptFrom { fd: i32 } = "accept-from",
        TcpUnbound { ipv6: bool, reuseport: bool } = "tcp-unbound",
        Bind { fd: i32, addr: SocketAddr } = "bind",
        Listen { fd: i32 } = "listen",
        IsReady { fd: i32 } = "is-ready",
        ConnectMany { remote: SocketAddr, count: usize } = "connect-many",
        AcceptMany { fd: i32, count: usize } = "accept-many",
        BindMany { addr: SocketAddr, count: usize } = "bind-many",
        ShortLives { remote: SocketAddr, count: usize } = "short-lives",
        UdpBind { addr: SocketAddr, options: SocketOptions } = "udp-bind",
        UdpUnbound { ipv6: bool } = "udp-unbound",
        UdpConnect { fd: i32, remote: SocketAddr } = "udp-connect",
        Describe { fd: i32 } = "describe",
        Send { fd: i32, length: usize } = "send",
        ShutdownWrite { fd: i32 } = "shutdown-write",
        LingerZero { fd: i32 } = "linger-zero",
        Close { fd: i32 } = "close",
        OPathOpen { path: PathBuf } = "o-path-open",
        OpenInbox { path: PathBuf } = "open-inbox",
        SendFd { path: PathBuf, fd: i32 } = "send-fd",
        RecvFd { path: PathBuf } = "recv-fd",
        Fork = "fork",
        Zombie = "zombie",
        KillChild { pid: u32 } = "kill-child",
        ListenInThread { addr: SocketAddr } = "listen-in-thread",
        EndThread { tid: u32 } = "end-thread",
        LeaveMain { addr: SocketAddr } = "leave-main",
        Exec { path: Option<PathBuf> } = "exec",
        SetComm { name: OsString } = "set-comm",
        Chdir { path: PathBuf } = "chdir",
        DropDumpable = "drop-dumpable",
        BindMount { source: PathBuf, target: PathBuf } = "bind-mount",
    }
}

lines! {
    /// What the actor answers; also, unasked, its first line and the first after an exec.
    Reply {
        Done = "done",
        Count { value: usize } = "count",
        Descriptor { fd: i32 } = "descriptor",
        Process { pid: u32 } = "process",
        Processes { list: Vec<Born> } = "processes",
        Cookies { list: Vec<u64> } = "cookies",
        Socket { sock: Sock } = "socket",
        ThreadSocket { tid: u32, sock: Sock } = "thread-socket",
        Failed { message: String } = "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_the_line() {
        let options = SocketOptions {
            reuseport: true,
            v6only: Some(false),
            device: Some(String::from("a, %b-")),
            mptcp: false,
            backlog: Some(-1),
            defer_accept: true,
        };
        let addr = "[fe80::1%3]:80".parse().unwrap();
        let strange = OsString::from_vec(b"/tmp/\xff \n%,-".to_vec());
        for command in [
            Command::TcpListen { addr, options },
            Command::TcpConnect { local: None, remote: addr, wait: true },
            Command::Exec { path: Some(PathBuf::from(&strange)) },
            Command::Exec { path: Some(PathBuf::new()) },
            Command::SetComm { name: strange },
            Command::Fork,
        ] {
            let line = command.to_string();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(Command::parse(&line), Some(command), "{line}");
        }
    }

    #[test]
    fn replies_survive_the_line() {
        let addr = "127.0.0.1:1".parse().unwrap();
        let sock = Sock { fd: 3, addr, peer: Some(addr), inode: 7, cookie: u64::MAX };
        for reply in [
            Reply::ThreadSocket { tid: 9, sock },
            Reply::Failed { message: String::from("bind 0.0.0.0:1: ÄÖ\nno") },
            Reply::Failed { message: String::new() },
            Reply::Processes { list: vec![Born { pid: 7, cookie: u64::MAX }, Born { pid: 8, cookie: 1 }] },
            Reply::Processes { list: Vec::new() },
            Reply::Cookies { list: vec![1, 2] },
        ] {
            assert_eq!(Reply::parse(&reply.to_string()), Some(reply));
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for line in
            ["", "fork ", "fork 1", "close", "close x", "close 1 2", "nothing", "set-comm %f", "exec x"]
        {
            assert_eq!(Command::parse(line), None, "{line:?}");
        }
    }
}
