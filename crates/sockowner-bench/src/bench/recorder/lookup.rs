//! What was recorded of one endpoint, against the least that can be asked about it.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sockowner::os::linux::record::Reader;
use sockowner::{Address, Filter, Pattern, Protocol, Query, RoleKind, Socket, State};
use sockowner_testkit::SockDiag;

use super::slices::{Work, run};
use super::{Figure, switch};

/// What is measured, by its name; the rest are compared with the first.
pub(super) const WORKS: [&str; 4] = [BARE, BY_COOKIE, RECORDED, WHO];
pub(super) const BARE: &str = "exact lookup by sock_diag, and nothing else";
const BY_COOKIE: &str = "`Reader::socket`: what was recorded, by cookie";
pub(super) const RECORDED: &str = "`Query::recorded`: a connection, and what was recorded of it";
const WHO: &str = "`Query::who`: a connection in TIME_WAIT";

type Ends = (SocketAddrV4, SocketAddrV4);

pub(super) fn measure(is_quick: bool) -> Result<Vec<Figure>> {
    switch::private_run()?;
    let running = switch::Running::start()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let live = TcpStream::connect(listener.local_addr()?)?;
    let ends = ends(&live)?;
    let waiting = in_time_wait(&listener)?;
    let mut works = works(ends, waiting)?;
    let nanos = run(&mut works, if is_quick { 3 } else { 60 }, |_| Ok(()))?;
    drop(live);
    running.stop()?;
    Ok(WORKS.iter().zip(nanos).map(|(name, nanos)| (format!("lookup {name}"), nanos)).collect())
}

/// Each is right before it is fast.
fn works(live: Ends, waiting: Ends) -> Result<Vec<Work>> {
    let own = Some(std::process::id());
    let open_reader = || Reader::open()?.context("nothing is recorded");
    let (bare, by_cookie) = (SockDiag::open()?, open_reader()?);
    let cookie = bare.exact(live.0, live.1)?;
    let binder = by_cookie.socket(cookie)?.context("the connection is recorded")?.roles.binder;
    ensure!(binder.context("its binder is recorded")?.process.pid == own, "another binder is recorded");
    let (query, asked) = (Query::new()?, Query::new()?);
    let address = |end: SocketAddrV4| Address::new((*end.ip()).into(), end.port());
    let pattern = Pattern::local((*waiting.0.ip()).into(), waiting.0.port());
    let pattern = pattern.connected_to((*waiting.1.ip()).into(), waiting.1.port());
    let found = query.who(&pattern)?;
    let entry = found.iter().next().context("the connection in TIME_WAIT is found")?;
    ensure!(entry.socket.endpoint.local == address(waiting.0), "another connection is found");
    let owner = entry.attribution.primary_owner().map(|(process, _)| process.pid);
    ensure!(owner == own, "its owner is {owner:?}");
    Ok(vec![
        Work::new(BARE, 300, move || bare.exact(live.0, live.1).map(drop)),
        Work::new(BY_COOKIE, 300, move || {
            let known = by_cookie.socket(cookie).map_err(io::Error::other)?;
            told(known.is_some_and(|known| known.roles.binder.is_some()))
        }),
        Work::new(RECORDED, 300, move || {
            let known = asked.recorded(address(live.0), address(live.1)).map_err(io::Error::other)?;
            told(known.is_some_and(|(_, record)| record.role(RoleKind::Binder).is_some()))
        }),
        Work::new(WHO, 30, move || match query.who(&pattern) {
            Ok(found) if found.iter().any(|entry| entry.record.role(RoleKind::Binder).is_some()) => Ok(()),
            other => Err(io::Error::other(format!("{other:?}"))),
        }),
    ])
}

fn told(is_told: bool) -> io::Result<()> {
    if is_told { Ok(()) } else { Err(io::Error::other("not recorded")) }
}

fn ends(stream: &TcpStream) -> Result<Ends> {
    match (stream.local_addr()?, stream.peer_addr()?) {
        (SocketAddr::V4(local), SocketAddr::V4(remote)) => Ok((local, remote)),
        other => anyhow::bail!("not IPv4: {other:?}"),
    }
}

/// A connection of this process's, which closes its end first.
fn in_time_wait(listener: &TcpListener) -> Result<Ends> {
    // The first that the listener has is the live one's.
    let _live = listener.accept()?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let ends = ends(&client)?;
    let (mut server, _) = listener.accept()?;
    drop(client);
    // Who hears of the end before he closes is not the one that waits.
    ensure!(server.read(&mut [0])? == 0, "the client said something");
    drop(server);
    let query = Query::new()?;
    let begun = Instant::now();
    loop {
        let (rows, _) = query.sockets(&Filter::new().protocol(Protocol::Tcp))?;
        let waits =
            |row: &Socket| row.endpoint.state == State::TIME_WAIT && row.endpoint.local.port == ends.0.port();
        if rows.iter().any(waits) {
            return Ok(ends);
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "the connection is not in TIME_WAIT");
        thread::sleep(Duration::from_millis(10));
    }
}
