//! The loads.

use std::ops::Range;

use anyhow::{Context as _, Result};
use sockowner_testkit::load::Shape;

/// One load to measure on.
#[derive(Debug)]
pub(super) struct Size {
    /// What it is asked for by.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) shape: Shape,
}

/// From many sockets to many processes to many descriptors.
pub(super) const ALL: [Size; 3] = [
    Size {
        name: "500x99",
        title: "500 processes x 99 sockets",
        shape: Shape { processes: 500, sockets: 99, others: 0 },
    },
    Size {
        name: "2000x5",
        title: "2,000 processes x 5 sockets",
        shape: Shape { processes: 2000, sockets: 5, others: 0 },
    },
    Size {
        name: "1m",
        title: "1,000,000 descriptors, 100 sockets",
        shape: Shape { processes: 100, sockets: 1, others: 9_999 },
    },
];

/// Enough to see that everything works.
pub(super) const SMOKE: Size =
    Size { name: "smoke", title: "smoke", shape: Shape { processes: 12, sockets: 9, others: 3 } };

impl Size {
    pub(super) fn named(name: &str) -> Result<&'static Self> {
        let names = ALL.each_ref().map(|size| size.name).join(", ");
        ALL.iter().find(|size| size.name == name).with_context(|| format!("--size is one of {names}"))
    }

    /// The processes that have a cgroup of their own: one in a hundred. In the middle, so that whoever goes through
    /// all processes in order meets them half-way.
    pub(super) fn few(&self) -> Range<usize> {
        let middle = self.shape.processes / 2;
        middle..middle + (self.shape.processes / 100).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_in_the_middle() {
        assert_eq!(ALL.each_ref().map(Size::few), [250..255, 1000..1020, 50..51]);
        assert_eq!(SMOKE.few(), 6..7);
        assert!(Size::named("500x99").is_ok() && Size::named("smoke").is_err());
    }
}
