//! What `sockowner watch` costs while many endpoints stay and some come and go, and whether it still shows the truth then.
//!
//! As root, with tmux: `cargo build --release -p sockowner-cli && cargo run --release -p sockowner-cli --example watch_cost`,
//! and behind it, after `--`:
//!
//! | | |
//! |---|---|
//! | `--minutes N` | for how long; 1 |
//! | `--sockets N` | how many stay; 49500 |
//! | `--rate N` | connections each second that live for one, and leave one endpoint in `TIME_WAIT` for a minute; 10 |
//! | `--source NAME` | as of `sockowner watch`; `bpf` |
//!
//! It tells the share of a processor and the memory every ten seconds. At last nothing comes any more, and what is shown
//! has to be what a fresh list has, else it fails.

#[cfg(target_os = "linux")]
fn main() -> Result<(), String> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED watch_cost: the load is Linux's");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::{BTreeSet, VecDeque};
    use std::fmt::Display;
    use std::fs::read_to_string;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::path::{Path, PathBuf};
    use std::process::{Command, id};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::{scope, sleep};
    use std::time::{Duration, Instant};

    use sockowner_testkit::load::{Load, Shape};
    use sockowner_testkit::{main_prelude, netns};

    /// How many sockets each process of the load has.
    const EACH: usize = 99;
    /// How often memory is looked at.
    const STEP: Duration = Duration::from_secs(10);
    /// How long TIME_WAIT lasts (tcp(7) has no option for it), and marks of closed rows after that.
    const SETTLED: Duration = Duration::from_secs(70);
    /// The most lines that a terminal of tmux has.
    const HIGH: usize = 10_000;

    struct Asked {
        minutes: u64,
        sockets: usize,
        rate: u32,
        source: String,
    }

    pub(super) fn main() -> Result<(), String> {
        main_prelude(&[]);
        let asked = asked(std::env::args().skip(1))?;
        netns::inside(|| measure(&asked))
    }

    fn asked(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
        let mut asked = Asked { minutes: 1, sockets: 49_500, rate: 10, source: "bpf".to_owned() };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            let wrong = |error: &dyn Display| format!("{word} {value}: {error}");
            match word.as_str() {
                "--minutes" => asked.minutes = value.parse().map_err(|error| wrong(&error))?,
                "--sockets" => asked.sockets = value.parse().map_err(|error| wrong(&error))?,
                "--rate" => asked.rate = value.parse().map_err(|error| wrong(&error))?,
                "--source" => asked.source = value,
                _ => return Err(format!("{word}: --minutes, --sockets, --rate or --source is meant")),
            }
        }
        Ok(asked)
    }

    fn measure(asked: &Asked) -> Result<(), String> {
        let program = program()?;
        let shape = Shape { processes: asked.sockets.div_ceil(EACH).max(1), sockets: EACH, others: 0 };
        let _load = Load::start(shape, |_| None)?;
        let screen = Screen::start(&program, &asked.source)?;
        let watch = Process(screen.tmux(&["display-message", "-p", "#{pane_pid}"])?);
        println!(
            "{} sockets stay, {} connections a second for {} min, 120x40, a refresh a second:",
            shape.rows(),
            asked.rate,
            asked.minutes
        );
        sleep(Duration::from_secs(5));
        let is_over = AtomicBool::new(false);
        scope(|scope| {
            let churn = scope.spawn(|| churn(asked.rate, &is_over));
            let told = tell(asked, &screen, &watch);
            is_over.store(true, Ordering::Relaxed);
            churn.join().map_err(|_| "the thread that makes connections panicked")??;
            told
        })?;
        sleep(SETTLED);
        println!("settled: {} kB", watch.memory()?);
        compare(&program, &screen)
    }

    /// What a build of the same profile left beside the examples.
    fn program() -> Result<PathBuf, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let program = own.ancestors().nth(2).unwrap_or(&own).join("sockowner");
        if program.exists() { Ok(program) } else { Err(format!("{} is not built", program.display())) }
    }

    fn tell(asked: &Asked, screen: &Screen, watch: &Process) -> Result<(), String> {
        let (began, before) = (Instant::now(), watch.ticks()?);
        let first = watch.memory()?;
        println!("{:>6} {:>10} {:>8}", "s", "kB", "% of one processor");
        println!("{:>6} {first:>10}", 0);
        let (mut last, mut after_a_minute, mut most) = (before, first, first);
        for step in 1..=asked.minutes * 60 / STEP.as_secs() {
            let (at, due) = (Instant::now(), began + STEP * u32::try_from(step).unwrap_or(u32::MAX));
            sleep(due.saturating_duration_since(at));
            let (ticks, memory) = (watch.ticks()?, watch.memory()?);
            let share = (ticks - last) / at.elapsed().as_secs_f64();
            let seconds = step * STEP.as_secs();
            println!("{seconds:>6} {memory:>10} {share:>8.1}   {}", screen.title()?);
            if seconds == 60 {
                after_a_minute = memory;
            }
            (last, most) = (ticks, most.max(memory));
        }
        // Times are told in hundredths of a second (proc_pid_stat(5)).
        let share = (watch.ticks()? - before) / began.elapsed().as_secs_f64();
        println!("{share:.1} % of a processor");
        println!(
            "{first} kB at the start, {after_a_minute} after a minute, {most} at most, {} at the end",
            watch.memory()?
        );
        Ok(())
    }

    /// Makes so many connections each second, and closes each when it is a second old.
    fn churn(rate: u32, is_over: &AtomicBool) -> Result<(), String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let to = listener.local_addr().map_err(|error| error.to_string())?;
        let mut open = VecDeque::new();
        let (began, mut made) = (Instant::now(), 0);
        while !is_over.load(Ordering::Relaxed) {
            while f64::from(made) < began.elapsed().as_secs_f64() * f64::from(rate) {
                made += 1;
                let near = TcpStream::connect(to).map_err(|error| format!("connect: {error}"))?;
                let (far, _) = listener.accept().map_err(|error| format!("accept: {error}"))?;
                open.push_back((Instant::now(), near, far));
            }
            while open.front().is_some_and(|(since, ..)| since.elapsed() > Duration::from_secs(1)) {
                open.pop_front();
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// What is shown has to be what a fresh list has: every line of it.
    fn compare(program: &Path, screen: &Screen) -> Result<(), String> {
        let list = Command::new(program).args(["--csv", "--no-header", "-o", COLUMNS]).output();
        let list = list.map_err(|error| error.to_string())?;
        let list = String::from_utf8_lossy(&list.stdout);
        let fresh: BTreeSet<String> = list.lines().map(|line| line.replace(',', " ")).collect();
        let high = HIGH.to_string();
        screen.tmux(&["resize-window", "-x", "200", "-y", &high])?;
        screen.tmux(&["send-keys", "Home"])?;
        let (mut shown, mut tries) = (BTreeSet::new(), 0);
        while shown.len() < fresh.len() && tries < 40 {
            sleep(Duration::from_secs(2));
            shown.extend(screen.shown()?.lines().filter_map(row));
            screen.tmux(&["send-keys", "NPage"])?;
            tries += 1;
        }
        let title = screen.title()?;
        let (less, more) = (fresh.difference(&shown).count(), shown.difference(&fresh).count());
        println!(
            "{} lines in a fresh list; of them not shown: {less}; shown, and not in it: {more}",
            fresh.len()
        );
        for line in fresh.symmetric_difference(&shown).take(5) {
            println!("  {line}");
        }
        if less + more > 0 || !title.starts_with(&format!("sockowner  {} endpoints", fresh.len())) {
            return Err(format!("what is shown is not what is there: {title}"));
        }
        Ok(())
    }

    const COLUMNS: &str = "protocol,state,local,remote,pid";

    /// Of a line of the screen what [`COLUMNS`] has; none of one that is no row.
    fn row(line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [protocol @ ("tcp" | "tcp6" | "udp" | "udp6"), state, local, remote, _, pid, ..] => {
                let empty = |word| if matches!(word, "*" | "-") { "" } else { word };
                Some(format!("{protocol} {state} {local} {} {}", empty(remote), empty(pid)))
            }
            _ => None,
        }
    }

    /// A terminal of tmux with `sockowner watch`; its server ends with it.
    struct Screen(String);

    impl Screen {
        fn start(program: &Path, source: &str) -> Result<Self, String> {
            let screen = Self(format!("sockowner-watch-cost-{}", id()));
            let program = program.display().to_string();
            let size = ["new-session", "-d", "-x", "120", "-y", "40", "--"];
            screen.tmux(&[&size[..], &[&program, "watch", "--source", source]].concat())?;
            Ok(screen)
        }

        fn tmux(&self, words: &[&str]) -> Result<String, String> {
            let mut command = Command::new("tmux");
            let output = command.args(["-f", "/dev/null", "-L", &self.0]).args(words).output();
            let output = output.map_err(|error| format!("tmux: {error}"))?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }

        fn shown(&self) -> Result<String, String> {
            self.tmux(&["capture-pane", "-p"])
        }

        fn title(&self) -> Result<String, String> {
            Ok(self.shown()?.lines().next().unwrap_or_default().to_owned())
        }
    }

    impl Drop for Screen {
        fn drop(&mut self) {
            // Where it has ended there is nothing to end.
            let _ = self.tmux(&["kill-server"]);
        }
    }

    /// The process that is watched, by its number.
    struct Process(String);

    impl Process {
        fn ticks(&self) -> Result<f64, String> {
            let stat = read_to_string(format!("/proc/{}/stat", self.0));
            let stat = stat.map_err(|error| format!("watch ended: {error}"))?;
            let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            Ok(fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum())
        }

        /// Its resident memory in kB.
        fn memory(&self) -> Result<u64, String> {
            let status = read_to_string(format!("/proc/{}/status", self.0));
            let status = status.map_err(|error| format!("watch ended: {error}"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse().map_err(|error| format!("VmRSS: {error}"))
        }
    }
}
