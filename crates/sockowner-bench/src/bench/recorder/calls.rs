//! The kernel's part: calls while it is recorded and while it is not, in turn; and each program by itself.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sockowner_testkit::bpf;

use super::slices::{Work, median, run};
use super::{Figure, switch};

/// What is measured, by its name.
pub(super) const CYCLE: &str = "TCP cycle, IPv4";
pub(super) const WORKS: [&str; 6] = [CYCLE, CYCLE6, "UDP socket, bind, close", UDP, UNIX, GETPPID];
const CYCLE6: &str = "TCP cycle, IPv6";
const UDP: &str = "UDP send and receive";
const UNIX: &str = "Unix write and read";
const GETPPID: &str = "getppid";

/// How much of each.
struct Extent {
    rounds: usize,
    slices: usize,
    /// Sockets that come and go before each: a table is never empty where it is recorded for long.
    before: u32,
    /// Cycles while the programs are counted.
    counted: u32,
}

const WHOLE: Extent = Extent { rounds: 16, slices: 10, before: 20_000, counted: 5_000 };
const SHORT: Extent = Extent { rounds: 2, slices: 3, before: 500, counted: 500 };
/// What is left of the one state when the other begins.
const SETTLING: Duration = Duration::from_millis(30);
/// In which the program takes the samples of one turn: it looks every 50 ms.
const TAKING: Duration = Duration::from_millis(70);

pub(super) fn measure(is_quick: bool) -> Result<Vec<Figure>> {
    switch::private_run()?;
    let extent = if is_quick { SHORT } else { WHOLE };
    let mut works = works().context("open what is measured")?;
    let mut figures = compare(&mut works, &extent)?;
    let running = switch::Running::start()?;
    fill(extent.before)?;
    figures.extend(count(&mut works, extent.counted)?);
    running.stop()?;
    Ok(figures)
}

/// Each round has both states, in another order than the one before.
fn compare(works: &mut [Work], extent: &Extent) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut all: Vec<[Vec<f64>; 2]> = works.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    let (mut disturbed, mut round) = (0, 0);
    while round < extent.rounds {
        let mut taken = [Vec::new(), Vec::new()];
        let mut others = 0;
        for is_on in [round % 2 == 0, round % 2 != 0] {
            let running = is_on.then(switch::Running::start).transpose()?;
            fill(extent.before)?;
            thread::sleep(SETTLING);
            others += switch::others()?;
            taken[usize::from(is_on)] = run(works, extent.slices, |begins| {
                if let Some(running) = &running {
                    running.pause(begins)?;
                }
                // What was sampled is taken meanwhile: a full ring costs less.
                thread::sleep(if begins { Duration::ZERO } else { TAKING });
                Ok(())
            })?;
            others += switch::others()?;
            running.map_or(Ok(()), switch::Running::stop)?;
        }
        if others > 0 {
            disturbed += 1;
            ensure!(disturbed < 100, "another recorder runs on this machine");
            thread::sleep(Duration::from_millis(200));
            continue;
        }
        round += 1;
        for (index, both) in all.iter_mut().enumerate() {
            both[0].push(taken[0][index]);
            both[1].push(taken[1][index]);
        }
    }
    for (work, [off, on]) in works.iter().zip(all) {
        let ratios = off.iter().zip(&on).map(|(off, on)| on / off).collect();
        let added = off.iter().zip(&on).map(|(off, on)| on - off).collect();
        let name = work.name;
        figures.push((format!("off {name}"), median(off)));
        figures.push((format!("on {name}"), median(on)));
        figures.push((format!("added {name}"), median(added)));
        figures.push((format!("ratio {name}"), median(ratios)));
    }
    figures.push(("disturbed rounds".to_owned(), f64::from(disturbed)));
    Ok(figures)
}

/// Runs and time of each program in so many cycles.
fn count(works: &mut [Work], cycles: u32) -> Result<Vec<Figure>> {
    let cycle = works.iter_mut().find(|work| work.name == CYCLE).context("there is a cycle")?;
    cycle.repeat(200)?;
    let stats = bpf::Stats::enable().context("have programs counted")?;
    let before = switch::programs()?;
    cycle.repeat(cycles)?;
    let after = switch::programs()?;
    drop(stats);
    let mut figures = Vec::new();
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        let [runs, nanos] = [after.runs - before.runs, after.nanos - before.nanos].map(to_f64);
        figures.push((format!("runs {name}"), runs / f64::from(cycles)));
        figures.push((format!("nanos {name}"), if runs > 0.0 { nanos / runs } else { 0.0 }));
    }
    Ok(figures)
}

/// By sockets that leave nothing in TIME_WAIT.
fn fill(sockets: u32) -> io::Result<()> {
    (0..sockets).try_for_each(|_| UdpSocket::bind(local4(0)).map(drop))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) fn to_f64(number: u64) -> f64 {
    number as f64
}

fn works() -> io::Result<Vec<Work>> {
    let (near, far) = (UdpSocket::bind(local4(0))?, UdpSocket::bind(local4(0))?);
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;
    let (mut one, mut other) = UnixStream::pair()?;
    Ok(vec![
        Work::new(CYCLE, 100, Cycle::listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?.repeated()),
        Work::new(CYCLE6, 15, Cycle::listen(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)))?.repeated()),
        Work::new(WORKS[2], 100, || UdpSocket::bind(local4(0)).map(drop)),
        Work::new(UDP, 500, move || {
            near.send(b"a")?;
            far.recv(&mut [0]).map(drop)
        }),
        Work::new(UNIX, 1_000, move || {
            one.write_all(b"a")?;
            other.read_exact(&mut [0])
        }),
        Work::new(GETPPID, 5_000, || {
            std::hint::black_box(std::os::unix::process::parent_id());
            Ok(())
        }),
    ])
}

fn local4(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// socket and connect, accept4 with the peer's address, close and close: one thread has both ends, so that nothing waits.
pub(super) struct Cycle {
    listener: TcpListener,
    to: SocketAddr,
    count: u32,
}

impl Cycle {
    pub(super) fn listen(at: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        let to = listener.local_addr()?;
        Ok(Self { listener, to, count: 0 })
    }

    /// Once.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        self.count += 1;
        if self.to.is_ipv4() {
            // What is left in TIME_WAIT is not met again: each address of loopback has so many connections.
            let [_, high, middle, low] = (self.count / 1_000).to_be_bytes();
            self.to.set_ip(Ipv4Addr::new(127, high + 1, middle, low.max(1)).into());
        }
        let client = TcpStream::connect(self.to)?;
        let (server, _) = self.listener.accept()?;
        drop(client);
        drop(server);
        Ok(())
    }

    fn repeated(mut self) -> impl FnMut() -> io::Result<()> {
        move || self.turn()
    }
}
