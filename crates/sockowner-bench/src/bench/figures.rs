//! Times and ratios.

use std::time::Duration;

/// The times of one contender.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Duration>);

/// What is told of two of them: how many times as long the first took, by their medians and by their least.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) min: f64,
}

impl Times {
    pub(super) fn push(&mut self, time: Duration) {
        let at = self.0.partition_point(|other| *other <= time);
        self.0.insert(at, time);
    }

    /// Milliseconds.
    pub(super) fn min(&self) -> f64 {
        self.0.first().map_or(f64::NAN, millis)
    }

    /// Milliseconds; of an even number of times the mean of the two in the middle.
    pub(super) fn median(&self) -> f64 {
        let half = self.0.len() / 2;
        match (self.0.get(half), self.0.len() % 2) {
            (Some(middle), 1) => millis(middle),
            (Some(above), _) => f64::midpoint(millis(&self.0[half - 1]), millis(above)),
            (None, _) => f64::NAN,
        }
    }

    pub(super) fn to(&self, reference: &Self) -> Ratio {
        Ratio { median: self.median() / reference.median(), min: self.min() / reference.min() }
    }
}

fn millis(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: &[u64]) -> Times {
        let mut times = Times::default();
        for &millis in millis {
            times.push(Duration::from_millis(millis));
        }
        times
    }

    #[test]
    fn least_and_middle() {
        let odd = times(&[9, 1, 5]);
        assert_eq!((odd.min(), odd.median()), (1.0, 5.0));
        let even = times(&[8, 2, 4, 6]);
        assert_eq!((even.min(), even.median()), (2.0, 5.0));
        assert!(times(&[]).median().is_nan());
        assert_eq!(even.to(&odd), Ratio { median: 1.0, min: 2.0 });
    }
}
