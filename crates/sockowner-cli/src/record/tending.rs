//! Tending the recorder's tables: by one process at a time, until nothing is recorded any more.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use sockowner::os::linux::record::{self, Reader};

use crate::call::Ending;
use crate::messages::say;

/// Who tends has this locked. Only root can open it, so that nobody else keeps others from tending.
const LOCK: &str = "/run/sockowner/record.lock";
/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(5);
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
    let mut failures = 0;
    loop {
        if turn.is_none() {
            turn = Turn::take()?;
            if turn.is_none() && rival == Rival::Leave {
                return Ok(false);
            }
        }
        if turn.is_some()
            && let Err(error) = record::tend()
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
        if !is_recorded() {
            // Who starts it again does not tend where this process has the turn, so the last look comes after it was given
            // back.
            drop(turn.take());
            if !is_recorded() {
                return Ok(true);
            }
        }
        if ending.comes_within(INTERVAL).context("wait for a signal")? {
            return Ok(false);
        }
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
