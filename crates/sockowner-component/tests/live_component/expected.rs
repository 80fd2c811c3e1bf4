//! What is true of a call, and what is expected to be told of it. Another crate's tests expect the same.

use sockowner_component::{Call, Grade};

/// What is told of a call: the module's name and the grade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) module: String,
    pub(super) grade: Grade,
}

fn answer(module: &str, grade: Grade) -> Answer {
    Answer { module: module.into(), grade }
}

/// What is expected of a call.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The module whose code makes it.
    pub(super) truth: String,
    /// What is told with the process's memory.
    pub(super) by_memory: Answer,
    /// What is told from the files alone.
    pub(super) by_names: Answer,
}

impl Expected {
    /// The right module, with these grades.
    pub(super) fn right(module: &str, by_memory: Grade, by_names: Grade) -> Self {
        let (by_memory, by_names) = (answer(module, by_memory), answer(module, by_names));
        Self { truth: module.into(), by_memory, by_names }
    }

    /// The right module, and proved.
    pub(super) fn proved(module: &str) -> Self {
        Self::right(module, Grade::Cfi, Grade::Cfi)
    }

    /// The same answer both ways.
    pub(super) fn told(truth: &str, module: &str, grade: Grade) -> Self {
        Self { truth: truth.into(), by_memory: answer(module, grade), by_names: answer(module, grade) }
    }
}

/// All calls of `calls.h`.
pub(super) const ALL: [Call; 5] = [Call::Bind, Call::Listen, Call::Connect, Call::Accept, Call::Accept4];
