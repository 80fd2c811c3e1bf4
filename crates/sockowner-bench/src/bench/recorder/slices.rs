//! Short slices of time, many of them, in turn: what disturbs the machine disturbs a few.

use std::io;
use std::time::Instant;

/// Something that is done over and over.
pub(super) struct Work {
    pub(super) name: &'static str,
    /// How often in one slice: some milliseconds.
    times: u32,
    run: Box<dyn FnMut() -> io::Result<()>>,
}

impl Work {
    pub(super) fn new(name: &'static str, times: u32, run: impl FnMut() -> io::Result<()> + 'static) -> Self {
        Self { name, times, run: Box::new(run) }
    }

    /// So often, without a look at the time.
    pub(super) fn repeat(&mut self, times: u32) -> io::Result<()> {
        (0..times).try_for_each(|_| (self.run)())
    }

    /// One slice: nanoseconds each time took.
    fn slice(&mut self) -> io::Result<f64> {
        let start = Instant::now();
        self.repeat(self.times)?;
        Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(self.times))
    }
}

/// So many slices of each, in turn, after one that does not count; `begin(true)` comes before each turn, and `begin(false)`
/// after it. The median of each, in nanoseconds.
pub(super) fn run(
    works: &mut [Work],
    slices: usize,
    mut begin: impl FnMut(bool) -> io::Result<()>,
) -> io::Result<Vec<f64>> {
    let mut taken = vec![Vec::with_capacity(slices); works.len()];
    for slice in 0..=slices {
        begin(true)?;
        for (work, taken) in works.iter_mut().zip(&mut taken) {
            let nanos = work.slice()?;
            if slice > 0 {
                taken.push(nanos);
            }
        }
        begin(false)?;
    }
    Ok(taken.into_iter().map(median).collect())
}

/// Of an even number the mean of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.get(half), values.len() % 2) {
        (Some(middle), 1) => *middle,
        (Some(above), _) => f64::midpoint(values[half - 1], *above),
        (None, _) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_told() {
        assert!(median(Vec::new()).is_nan());
        assert!((median(vec![9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
        assert!((median(vec![8.0, 2.0, 4.0, 6.0]) - 5.0).abs() < f64::EPSILON);
    }

    #[test]
    fn every_slice_but_the_first_counts() {
        use std::cell::Cell;
        use std::rc::Rc;
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let work = Work::new("count", 3, move || {
            counted.set(counted.get() + 1);
            Ok(())
        });
        assert_eq!(run(&mut [work], 4, |_| Ok(())).expect("it cannot fail").len(), 1);
        assert_eq!(count.get(), 15);
    }
}
