//! What is measured.

use std::fs;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::abi::{self, Abi, Own, ROW};
use sockowner_testkit::cgroup::Scratch;

/// The argument with which this program starts itself for a first call; the next one says of what.
const FIRST: &str = "--first";
/// `OwningModuleInfo[0]` in a row: not 0 where the owner is in the service of its socket.
const TAG: std::ops::Range<usize> = 32..40;

pub(crate) fn main() {
    if std::env::args().nth(1).as_deref() == Some(FIRST) {
        return first();
    }
    abi::build();
    let abi = Abi::load();
    let mut buffer = [0; 4096];
    println!("one side : the other, of medians (of the fastest)");

    let own = Own::listen(&abi);
    let call = || abi.owner(&own.row, &mut buffer);
    in_turns(500, 100, call, || abi::bare(false)).print("a row : open, stat, exe", "<= 1.5");
    in_service(&abi);
    cold();

    let mut table = vec![0; abi.pair().len() + 1000 * ROW];
    let fill = in_turns(100, 1, || abi.fill(&mut table), || drop(black_box(abi::snapshot())));
    fill.print("a table with owners : snapshot", "<= 1.1");
    let second = || abi.fill(&mut table);
    in_turns(100, 1, || drop(black_box(abi.pair())), second).print("both calls of a pair : the second", "");
    let second = || abi.fill(&mut table);
    let first = || {
        black_box(abi.size());
    };
    in_turns(100, 1, first, second).print("the first call of a pair : the second", "");
}

/// How long each round of the one and of the other took.
#[derive(Debug, Default)]
struct Rounds {
    one: Vec<Duration>,
    other: Vec<Duration>,
}

/// The first round is a part of it: a median does not see it.
fn in_turns(rounds: u32, calls: u32, mut one: impl FnMut(), mut other: impl FnMut()) -> Rounds {
    let mut times = Rounds::default();
    let time = |call: &mut dyn FnMut()| {
        let started = Instant::now();
        (0..calls).for_each(|_| call());
        started.elapsed() / calls
    };
    let started = Instant::now();
    for _ in 0..rounds {
        // On a crowded machine fewer have to do.
        if started.elapsed() > Duration::from_secs(5) {
            break;
        }
        times.one.push(time(&mut one));
        times.other.push(time(&mut other));
    }
    times
}

impl Rounds {
    fn print(mut self, what: &str, target: &str) {
        self.one.sort_unstable();
        self.other.sort_unstable();
        let middle = self.one.len() / 2;
        let ratio = |at: usize| self.one[at].as_secs_f64() / self.other[at].as_secs_f64();
        let (one, other) = (self.one[middle], self.other[middle]);
        println!("{what:42} {:5.2} ({:.2})  {one:.1?} : {other:.1?}  {target}", ratio(middle), ratio(0));
    }
}

/// A row whose owner is in the service that made its socket: one read of `cgroup` more.
fn in_service(abi: &Abi) {
    const WHAT: &str = "a service's row : open, stat, exe, cgroup";
    let service = match Scratch::try_new("/system.slice/sockowner-bench.service") {
        Ok(service) => service,
        Err(why) => return println!("{WHAT:42} skipped: {why}"),
    };
    let pid = std::process::id();
    let home = own_cgroup();
    service.move_in(pid);
    let own = Own::listen(abi);
    let mut buffer = [0; 4096];
    if own.row[TAG] == [0; 8] {
        println!("{WHAT:42} skipped: the row names no service");
    } else {
        let call = || abi.owner(&own.row, &mut buffer);
        in_turns(500, 100, call, || abi::bare(true)).print(WHAT, "<= 1.5");
    }
    fs::write(home.join("cgroup.procs"), "0").expect("back to where this came from");
}

/// The directory of the cgroup that this process is in.
fn own_cgroup() -> std::path::PathBuf {
    let text = fs::read_to_string("/proc/self/cgroup").expect("we live");
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    sockowner_testkit::cgroup::mount_point().expect("a cgroup was made").join(path)
}

/// What a process pays that asks for the first time, with a row that it has just got. Each round is a new process.
fn cold() {
    let exe = std::env::current_exe().expect("this program has a path");
    let mut warm = Rounds::default();
    let mut cold = Vec::new();
    for _ in 0..60 {
        let mut command = Command::new(&exe);
        let output = command.arg(FIRST).stderr(Stdio::inherit()).output().expect("it starts again");
        let text = String::from_utf8(output.stdout).expect("numbers");
        let times: Vec<u64> =
            text.split_whitespace().map(|time| time.parse().expect("nanoseconds")).collect();
        let [call, first, later] = times[..] else { panic!("not three times: {text}") };
        warm.one.push(Duration::from_nanos(call));
        warm.other.push(Duration::from_nanos(later));
        cold.push(Duration::from_nanos(first));
    }
    let cold = Rounds { one: warm.one.clone(), other: cold };
    warm.print("a first row : open, stat, exe", "<= 3");
    cold.print("a first row : a first open, stat, exe", "");
}

/// Such a process: tells what its first row took, its first `bare` after that, and one of many.
fn first() {
    let abi = Abi::load();
    let own = Own::listen(&abi);
    let mut buffer = [0; 4096];
    let started = Instant::now();
    abi.owner(&own.row, &mut buffer);
    let call = started.elapsed();
    let mut bare = in_turns(50, 1, || abi::bare(false), || ()).one;
    let first = bare[0];
    bare.sort_unstable();
    println!("{} {} {}", call.as_nanos(), first.as_nanos(), bare[bare.len() / 2].as_nanos());
}
