//! What time it is.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds since boot, time asleep included: the clock of samples.
pub(crate) fn boot() -> u64 {
    nanoseconds(clock_gettime(ClockId::Boottime)).unsigned_abs()
}

/// Nanoseconds since 1970: the clock of files.
pub(crate) fn wall() -> i64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
