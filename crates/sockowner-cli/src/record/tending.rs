//! Tending the recorder's tables: by one process at a time, until nothing is recorded any more.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sockowner::os::linux::record::{Reader, Tender};

use super::MAPS;
use super::kept::COMPONENTS;
use super::part::Part;
use crate::call::Ending;
use crate::messages::say;

/// Who tends has this locked. Only root can open it, so that nobody else keeps others from tending.
const LOCK: &str = "/run/sockowner/record.lock";
/// Between two looks whether it is recorded still.
const INTERVAL: Duration = Duration::from_secs(5);
/// Between two sweeps, where the tables do not fill before.
const SWEEP: Duration = Duration::from_secs(30);
/// Between two where they do: there may be nobody whose closed sockets are too many.
const SWEEP_AGAIN: Duration = Duration::from_secs(2);
/// Between two looks whether they do.
const FILLING: Duration = Duration::from_millis(250);
/// Between two looks at what was sampled: nothing wakes this process.
const STEP: Duration = Duration::from_millis(50);
/// It leaves word every five seconds.
const SILENCE: Duration = Duration::from_secs(20);
/// Failures in a row, after which it is given up: a minute of them.
const PATIENCE: u32 = 12;

/// What to do where another process tends already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rival {
    /// There is nothing to do then.
    Leave,
    /// Wait to take its place.
    Await,
}

/// The right to tend; given back on drop.
#[derive(Debug)]
struct Turn {
    _locked: File,
}

impl Turn {
    /// `None`: another process has it.
    fn take() -> anyhow::Result<Option<Self>> {
        let file = open(true).with_context(|| format!("open {LOCK}"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _locked: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {LOCK}")),
        }
    }
}

fn open(create: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(LOCK)
}

/// The process that tends has done nothing for so long, where that is too long.
pub(super) fn is_silent_for() -> Option<Duration> {
    COMPONENTS.age().filter(|age| is_done() == Some(true) && *age > SILENCE)
}

/// Whether a process tends; `None`: the caller may not know.
pub(super) fn is_done() -> Option<bool> {
    match open(false) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

/// Tends until it is wished that this process ends, or nothing is recorded any more; true in the latter case.
pub(super) fn go_on(ending: &Ending, rival: Rival) -> anyhow::Result<bool> {
    let mut turn = match rival {
        Rival::Leave => match take_patiently()? {
            None => return Ok(false),
            turn => turn,
        },
        Rival::Await => Turn::take()?,
    };
    if turn.is_none() {
        say("another process tends what is recorded; this one waits to take its place");
    }
    let (mut failures, mut part, mut broom) = (0, Part::default(), Broom::default());
    loop {
        if turn.is_none() {
            turn = Turn::take()?;
            if turn.is_none() && rival == Rival::Leave {
                return Ok(false);
            }
        }
        if turn.is_some()
            && let Err(error) = broom.sweep()
            && is_recorded()
        {
            failures += 1;
            if failures == PATIENCE {
                return Err(error.into());
            }
            say(&format!("{error:#}"));
        } else {
            failures = 0;
        }
        if turn.is_some() {
            part.renew();
        }
        if !is_recorded() {
            // Who starts it again does not tend where this process has the turn, so the last look comes after it was given
            // back.
            (part, broom) = Default::default();
            drop(turn.take());
            if !is_recorded() {
                return Ok(true);
            }
        }
        if is_ended(ending, &mut part, &broom).context("wait for a signal")? {
            return Ok(false);
        }
    }
}

/// What sweeps the tables.
#[derive(Debug, Default)]
struct Broom {
    tender: Option<Tender>,
    swept: Option<Instant>,
}

impl Broom {
    /// Sweeps, if it is time.
    fn sweep(&mut self) -> sockowner::Result<()> {
        // There may be another recorder by now.
        self.tender = None;
        let tender = self.tender.insert(Tender::open()?);
        let is_time = self.swept.is_none_or(|swept| swept.elapsed() >= SWEEP);
        if is_time || tender.is_filling()? {
            tender.tend()?;
            self.swept = Some(Instant::now());
        }
        Ok(())
    }

    /// What it swept is not recorded any more.
    fn has_nothing_left(&self) -> bool {
        self.tender.is_some()
            && std::fs::metadata(MAPS).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// It is time before the time.
    fn is_needed(&self) -> bool {
        // What cannot be told shows when it is swept.
        self.swept.is_some_and(|swept| swept.elapsed() >= SWEEP_AGAIN)
            && self.tender.as_ref().is_some_and(|tender| tender.is_filling().unwrap_or(true))
    }
}

/// Waits until the next look; true: it is wished that this process ends.
fn is_ended(ending: &Ending, part: &mut Part, broom: &Broom) -> io::Result<bool> {
    let next = Instant::now() + INTERVAL;
    let mut look = Instant::now() + FILLING;
    loop {
        let now = Instant::now();
        if now >= look {
            if broom.is_needed() || broom.has_nothing_left() {
                return Ok(false);
            }
            look = now + FILLING;
        }
        let Some(left) = next.checked_duration_since(now).filter(|left| !left.is_zero()) else {
            return Ok(false);
        };
        if ending.comes_within(left.min(if part.follows() { STEP } else { FILLING }))? {
            return Ok(true);
        }
        part.step();
    }
}

/// What only asks whether somebody tends has the lock for a moment.
fn take_patiently() -> anyhow::Result<Option<Turn>> {
    for _ in 0..20 {
        if let Some(turn) = Turn::take()? {
            return Ok(Some(turn));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(None)
}

/// That it cannot be told is no proof that nothing is.
pub(super) fn is_recorded() -> bool {
    !matches!(Reader::open(), Ok(None))
}
