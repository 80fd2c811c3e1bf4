//! One library call in a process of its own: prints how long it took, then what it found.
//!
//! Timed is what a program has to do to get the answer for the first time: opening included, printing and freeing not.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sockowner::{Address, Entry, Filter, Protocol, Query, Reason, Socket, Source};

/// Makes the call that the arguments name.
pub(super) fn main(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match call(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn call(args: &[&str]) -> Result<()> {
    match args {
        ["snapshot", source] => {
            let (took, found) = timed(|| open(source)?.snapshot(&tcp()).map_err(Into::into))?;
            print(took, found.iter().map(row))
        }
        ["no-owners"] => {
            let (took, found) = timed(|| anyhow::Ok(Query::new()?.snapshot(&tcp().without_owners())?))?;
            print(took, found.iter().map(row))
        }
        ["sockets"] => {
            // With this source nothing but sock_diag can be asked; with one thread it is not asked for halves.
            let plain = || Query::builder().source(Source::Proc).threads(1).open();
            let (took, found) = timed(|| anyhow::Ok(plain()?.sockets(&tcp())?))?;
            print(took, found.0.iter().map(|socket| (ends(socket), None)))
        }
        ["open", source] => {
            let (took, _query) = timed(|| open(source))?;
            print(took, [].into_iter())
        }
        ["owners-of-closed", source] => {
            let socket = closed()?;
            let (took, found) = timed(|| anyhow::Ok(open(source)?.owners(vec![socket])?))?;
            // What is not gone after the first pass is looked for in another.
            let reasons = found.iter().map(|entry| entry.attribution.reason());
            ensure!(reasons.eq([Some(Reason::Gone)]), "the closed socket is not told as gone");
            print(took, [].into_iter())
        }
        ["owner-of", source, local] => {
            let query = open(source)?;
            let socket = listener(&query, local)?;
            // The row is at hand: the question is about its owner.
            let (took, found) = timed(|| anyhow::Ok(query.owner_of(&socket)?))?;
            print(took, [row(&found)].into_iter())
        }
        ["netstat2"] => {
            use netstat2::{AddressFamilyFlags, ProtocolFlags, ProtocolSocketInfo, get_sockets_info};
            let families = AddressFamilyFlags::IPV4 | AddressFamilyFlags::IPV6;
            let (took, found) =
                timed(|| get_sockets_info(families, ProtocolFlags::TCP).map_err(anyhow::Error::from))?;
            let rows = found.iter().filter_map(|found| match &found.protocol_socket_info {
                ProtocolSocketInfo::Tcp(tcp) => {
                    let local = SocketAddr::new(tcp.local_addr, tcp.local_port);
                    let remote = SocketAddr::new(tcp.remote_addr, tcp.remote_port);
                    let remote = (remote.port() != 0).then_some(remote);
                    Some(((local, remote), found.associated_pids.first().copied()))
                }
                ProtocolSocketInfo::Udp(_) => None,
            });
            print(took, rows)
        }
        ["listeners"] => {
            let (took, found) = timed(|| listeners::get_all().map_err(other))?;
            print(took, found.iter().map(|found| ((found.socket, None), Some(found.process.pid))))
        }
        ["listeners-port", local] => {
            let local: SocketAddr = local.parse()?;
            let (took, found) = timed(|| {
                listeners::get_process_by_port(local.port(), listeners::Protocol::TCP).map_err(other)
            })?;
            print(took, [((local, None), Some(found.pid))].into_iter())
        }
        unknown => bail!("no such call: {unknown:?}"),
    }
}

type Ends = (SocketAddr, Option<SocketAddr>);

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let result = work()?;
    Ok((start.elapsed(), result))
}

fn open(source: &str) -> Result<Query> {
    let source = match source {
        "auto" => Source::Auto,
        "bpf" => Source::Bpf,
        "proc" => Source::Proc,
        other => bail!("no such source: {other}"),
    };
    Ok(Query::builder().source(source).open()?)
}

fn tcp() -> Filter {
    Filter::new().protocol(Protocol::Tcp)
}

fn listener(query: &Query, local: &str) -> Result<Socket> {
    let wanted: SocketAddr = local.parse()?;
    let (list, _) = query.sockets(&tcp().listening())?;
    let found = list.into_iter().find(|socket| address(socket.endpoint.local) == wanted);
    found.with_context(|| format!("nobody listens on {local}"))
}

/// A socket that was listed and is closed now: no descriptor stands for it.
fn closed() -> Result<Socket> {
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut socket = listener(&open("proc")?, &listening.local_addr()?.to_string())?;
    // Who is in its cgroup would be read, for want of a holder.
    socket.cgroup = None;
    Ok(socket)
}

fn address(address: Address) -> SocketAddr {
    SocketAddr::new(address.ip, address.port)
}

fn ends(socket: &Socket) -> Ends {
    (address(socket.endpoint.local), socket.endpoint.remote.map(address))
}

fn row(entry: &Entry) -> (Ends, Option<u32>) {
    (ends(&entry.socket), entry.attribution.primary_owner().map(|(process, _)| process.pid))
}

/// This error is sent to no thread.
fn other(error: impl Display) -> anyhow::Error {
    anyhow::Error::msg(error.to_string())
}

fn print(took: Duration, rows: impl Iterator<Item = (Ends, Option<u32>)>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "time {}", took.as_nanos())?;
    for ((local, remote), pid) in rows {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| String::from("-"));
        let (remote, pid) = (or_dash(remote.map(|r| r.to_string())), or_dash(pid.map(|p| p.to_string())));
        writeln!(out, "{local} {remote} {pid}")?;
    }
    Ok(out.flush()?)
}
