//! Processes that do as they are told: one line on their input, one on their output.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use sockowner::{Filter, Query};

use super::PART;

/// A process that does as it is told; it is gone when this is dropped.
pub(super) struct Puppet {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Puppet {
    /// What is inheritable at this moment it inherits.
    pub(super) fn new() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(PART, "puppet")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut puppet = Self { child, orders, answers: BufReader::new(answers) };
        puppet.tell("are you there");
        puppet
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it do something, and waits until it has.
    pub(super) fn tell(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "no answer to '{order}'");
        answer.trim().to_owned()
    }

    /// The same, where the answer is an address.
    pub(super) fn address(&mut self, order: &str) -> SocketAddr {
        let answer = self.tell(order);
        answer.parse().unwrap_or_else(|_| panic!("'{order}' gave '{answer}'"))
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Default)]
struct Sockets {
    listeners: Vec<TcpListener>,
    streams: Vec<TcpStream>,
    datagrams: Vec<UdpSocket>,
}

pub(super) fn play(part: &str) {
    assert_eq!(part, "puppet");
    let mut sockets = Sockets::default();
    for order in std::io::stdin().lines() {
        println!("{}", obey(&mut sockets, &order.unwrap()));
    }
}

fn obey(sockets: &mut Sockets, order: &str) -> String {
    let (verb, object) = order.split_once(' ').unwrap_or((order, ""));
    match verb {
        "listen" => {
            let listener = TcpListener::bind(object).unwrap();
            let local = listener.local_addr().unwrap();
            sockets.listeners.push(listener);
            local.to_string()
        }
        "accept" => {
            let (stream, peer) = sockets.listeners.last().unwrap().accept().unwrap();
            sockets.streams.push(stream);
            peer.to_string()
        }
        "connect" => {
            let stream = TcpStream::connect(object).unwrap();
            let local = stream.local_addr().unwrap();
            sockets.streams.push(stream);
            local.to_string()
        }
        // Two addresses: its own, and the peer's or `-`.
        "datagrams" => {
            let (local, peer) = object.split_once(' ').unwrap();
            let local: SocketAddr = local.parse().unwrap();
            let socket = socket2::Socket::new(
                socket2::Domain::for_address(local),
                socket2::Type::DGRAM,
                Some(socket2::Protocol::UDP),
            )
            .unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&local.into()).unwrap();
            let socket = UdpSocket::from(socket);
            if peer != "-" {
                socket.connect(peer).unwrap();
            }
            let local = socket.local_addr().unwrap();
            sockets.datagrams.push(socket);
            local.to_string()
        }
        "look" => {
            let query = Query::new().unwrap();
            let (sockets, _) = query.sockets(&Filter::new().listening()).unwrap();
            (0..50).for_each(|_| drop(query.owners(sockets.clone()).unwrap()));
            sockets.len().to_string()
        }
        "close" => {
            *sockets = Sockets::default();
            "closed".to_owned()
        }
        _ => "here".to_owned(),
    }
}
