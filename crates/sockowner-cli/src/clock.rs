//! Times: local for people, UTC for programs.

use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

/// Start times are counted in ticks of this many milliseconds, so finer digits would be noise.
const TICK: i64 = 10;

/// RFC 3339 in UTC, with milliseconds: `2026-11-22T09:14:03.120Z`.
pub(crate) fn utc(time: SystemTime) -> Option<String> {
    Some(format!("{:.3}", rounded(time)?))
}

/// In the time zone of this program's environment, with its distance from UTC: `2026-11-22 10:14:03 +01:00`.
pub(crate) fn local(time: SystemTime, zone: &TimeZone) -> Option<String> {
    let time = rounded(time)?.to_zoned(zone.clone());
    Some(time.strftime("%Y-%m-%d %H:%M:%S %:z").to_string())
}

/// The time zone of this program's environment; UTC where it has none that can be read.
pub(crate) fn local_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

fn rounded(time: SystemTime) -> Option<Timestamp> {
    let round = jiff::TimestampRound::new().smallest(Unit::Millisecond).increment(TICK);
    Timestamp::try_from(time).ok()?.round(round).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    #[test]
    fn programs_get_utc_in_whole_ticks() {
        assert_eq!(utc(at(1_795_338_843_118)).as_deref(), Some("2026-11-22T09:14:03.120Z"));
        assert_eq!(utc(at(0)).as_deref(), Some("1970-01-01T00:00:00.000Z"));
    }

    #[test]
    fn people_get_local_time_and_are_told_which() {
        let zone = TimeZone::fixed(jiff::tz::offset(-3));
        let time = at(1_795_338_843_118);
        assert_eq!(local(time, &zone).as_deref(), Some("2026-11-22 06:14:03 -03:00"));
        assert_eq!(local(time, &TimeZone::UTC).as_deref(), Some("2026-11-22 09:14:03 +00:00"));
    }
}
