//! Waiting for a condition, bounded: no test sleeps and hopes.

use std::thread;
use std::time::{Duration, Instant};

/// How long [`eventually`] waits. Long, because a loaded machine must not fail a test; reached in failures alone.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const STEP: Duration = Duration::from_millis(2);

/// Asks `probe` every few milliseconds, for at most a minute, until it yields a value.
///
/// # Panics
///
/// With `what` in the message when the time is over.
#[track_caller]
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    insist(PATIENCE, what, probe)
}

#[track_caller]
fn insist<T>(patience: Duration, what: &str, probe: impl FnMut() -> Option<T>) -> T {
    match poll(patience, probe) {
        Some(value) => value,
        None => panic!("waited {} s in vain for: {what}", patience.as_secs()),
    }
}

/// As [`eventually`], with the caller's patience and without the panic.
pub(crate) fn poll<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_until_there_is_an_answer() {
        let mut left = 3;
        eventually("the third attempt", || {
            left -= 1;
            (left == 0).then_some(())
        });
        assert_eq!(left, 0);
    }

    #[test]
    #[should_panic(expected = "waited 0 s in vain for: a miracle")]
    fn says_what_it_waited_for() {
        insist(Duration::ZERO, "a miracle", || None::<()>);
    }
}
