//! The recorder, on and off, for one scene; and whether another one runs beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sockowner::os::linux::record;
use sockowner_testkit::{bpf, pid, pidns};

use super::{Figure, program};

/// Where the recorder pins what it makes.
const PINS: &str = "/run/sockowner/record";
/// Every system has it.
const GROUP: &str = "root";
/// A program of every recorder.
const COMMON: &str = "sock_release";
/// Its programs that nothing pins.
const SAMPLING: [&str; 7] = [
    "sample_bind4",
    "sample_bind6",
    "sample_connect4",
    "sample_connect6",
    "sample_accept4",
    "sample_accept6",
    LAST,
];
/// Its maps that nothing pins; of `samples`, a ring buffer, the entries are bytes.
const SAMPLING_MAPS: [&str; 3] = ["samples", "known", "sample_counts"];
/// Loaded last of all.
const LAST: &str = "sample_listen";
/// For the program to begin.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// Says why the recorder cannot be had whole.
pub(super) fn probe() -> Result<Vec<Figure>> {
    private_run()?;
    match record::start(GROUP, false) {
        Err(error) => println!("REFUSED {error:#}"),
        Ok(started) => {
            for hook in started.hooks.iter().filter(|hook| hook.in_use != Some(true)) {
                println!("REFUSED {}: {}", hook.name, hook.refused.as_deref().unwrap_or("?"));
            }
            record::stop()?;
        }
    }
    Ok(Vec::new())
}

/// What is done below `/run` is not seen outside, and ends with the scene.
pub(super) fn private_run() -> Result<()> {
    pidns::cover(Path::new("/run")).context("cover /run")
}

/// The recorder as it is run: `sockowner record run`, which also takes the samples. Ends with this, or with the scene.
pub(super) struct Running(Child);

impl Running {
    /// Returns when all that it attaches is attached.
    pub(super) fn start() -> Result<Self> {
        let mut command = Command::new(program()?);
        command.args(["record", "run", "--group", GROUP]);
        // What it says is not a figure.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Self(command.spawn().context("start sockowner")?);
        let begun = Instant::now();
        while record::status().ok().flatten().is_none() {
            ensure!(begun.elapsed() < PATIENCE, "the program does not begin");
            thread::sleep(LOOK);
        }
        // Where the kernel refuses it, there are no samples.
        while bpf::programs_named(LAST)?.is_empty() && begun.elapsed() < PATIENCE {
            thread::sleep(LOOK);
        }
        Ok(running)
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// So that it takes no time from what is measured.
    pub(super) fn pause(&self, is_paused: bool) -> io::Result<()> {
        pid::pause(self.pid(), is_paused).map_err(io::Error::other)
    }

    pub(super) fn stop(self) -> Result<()> {
        drop(self);
        ensure!(record::stop()?, "nothing was recorded");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many recorders of others run: what they do would be counted as ours.
pub(super) fn others() -> Result<usize> {
    let all = bpf::programs_named(COMMON).context("look at all programs")?;
    let own = programs()?;
    Ok(all.iter().filter(|program| own.iter().all(|(_, own)| own.id != program.id)).count())
}

/// What runs at each hook, pinned or not.
pub(super) fn programs() -> Result<Vec<(String, bpf::Program)>> {
    let mut all = pins(bpf::program_of_link)?;
    for name in SAMPLING {
        all.extend(bpf::programs_named(name)?.into_iter().map(|program| (name.to_owned(), program)));
    }
    Ok(all)
}

/// What it keeps, pinned or not.
pub(super) fn maps() -> Result<Vec<(String, bpf::Map)>> {
    let mut all = pins(bpf::map)?;
    for name in SAMPLING_MAPS {
        all.extend(bpf::maps_named(name)?.into_iter().map(|map| (name.to_owned(), map)));
    }
    Ok(all)
}

/// Everything that is pinned and is of this kind, by its name.
fn pins<T>(read: impl Fn(&Path) -> io::Result<Option<T>>) -> Result<Vec<(String, T)>> {
    let mut found = Vec::new();
    for dir in ["maps", "own"].map(|dir| Path::new(PINS).join(dir)) {
        let Ok(list) = fs::read_dir(&dir) else { continue };
        let paths: Vec<PathBuf> =
            list.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        for path in paths {
            let read = read(&path).with_context(|| format!("read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.extend(read.map(|it| (name, it)));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}
