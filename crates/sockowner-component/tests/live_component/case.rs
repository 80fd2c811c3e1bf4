//! Runs a program and compares what is told of its calls with what is true.

use std::fmt::Write;
use std::process::Command;

use sockowner_component::{
    Call, Component, Files, Grade, Link, Modules, Process, ProcessMemory, Resolution, Sample,
};

use super::score;
use super::tracer::{Stop, trace};

/// What is told of a call: the module's name and the grade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) module: String,
    pub(super) grade: Grade,
}

pub(super) fn answer(module: &str, grade: Grade) -> Answer {
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

/// Runs the program. Each of its calls has to be told as `expected` says; those for which that is None do not count.
/// What `calls` names has to be among them.
pub(super) fn check(program: &mut Command, calls: &[Call], expected: impl Fn(Call) -> Option<Expected>) {
    let mut seen = Vec::new();
    let mut wrong = Vec::new();
    trace(program, |stop| {
        let call = stop.sample.call;
        let Some(expected) = expected(call) else {
            return;
        };
        seen.push(call);
        for (with_memory, answer) in [(true, &expected.by_memory), (false, &expected.by_names)] {
            let resolution = resolve(stop, with_memory, Files::new().of_process(stop.pid));
            let Some(component) = &resolution.component else {
                panic!("{call}: nothing told, {}", resolution.end);
            };
            let told = Answer { module: component.name.display().to_string(), grade: component.grade };
            score::count(call, with_memory, told.grade, told.module == expected.truth);
            if told != *answer {
                wrong.push(format!(
                    "{call}, memory {with_memory}: expected {answer:?}\n{}",
                    tell(&resolution)
                ));
            }
        }
    });
    assert!(wrong.is_empty(), "{program:?}\n{}", wrong.join("\n"));
    for call in calls {
        assert!(seen.contains(call), "{program:?} made no {call}: {seen:?}");
    }
}

/// The resolution, after the checks that hold for each.
pub(super) fn resolve(stop: &Stop, with_memory: bool, files: Files) -> Resolution {
    let mut modules = Modules::default();
    let mut process = process(stop, with_memory, files);
    let first = modules.resolve(&mut process, &stop.sample);
    // What is kept does not change the answer, and spares work.
    let second = modules.resolve(&mut process, &stop.sample);
    assert_eq!((&first.component, first.end), (&second.component, second.end));
    assert!(second.steps <= first.steps, "{} steps, then {}", first.steps, second.steps);
    if let Some(component) = &first.component {
        is_sound(component);
    }
    // Less of the stack may tell less, but never something else of the best grade.
    let best = first.component.as_ref().filter(|component| component.grade == Grade::Cfi);
    for len in (0..stop.sample.stack.len()).step_by(8) {
        let shorter = Sample { stack: stop.sample.stack[..len].to_vec(), ..stop.sample.clone() };
        let told = modules.resolve(&mut process, &shorter).component;
        if let Some(told) = told.filter(|told| told.grade == Grade::Cfi) {
            assert_eq!(Some(&told.name), best.map(|best| &best.name), "with {len} bytes");
        }
    }
    first
}

pub(super) fn process(stop: &Stop, with_memory: bool, files: Files) -> Process {
    let process = Process::new(stop.mappings.clone(), files);
    if with_memory {
        process.with_memory(ProcessMemory::open(stop.pid).expect("memory of a tracee"))
    } else {
        process
    }
}

fn is_sound(component: &Component) {
    if component.grade == Grade::Cfi {
        let frame = component.chain.iter().position(|frame| Some(frame.offset) == component.offset);
        let inner = &component.chain[..=frame.expect("its frame is in the chain")];
        assert!(inner.iter().all(|frame| matches!(frame.link, Link::Entry | Link::Proved)), "{inner:?}");
        assert!(!component.generated);
    }
}

/// In words, for a failing test.
pub(super) fn tell(resolution: &Resolution) -> String {
    let mut text = format!("  told (the walk ended: {}):", resolution.end);
    if let Some(component) = &resolution.component {
        let _ = write!(text, " {} {}", component.name.display(), component.grade);
        for frame in &component.chain {
            let (kind, link) = (frame.kind, frame.link);
            let _ = write!(text, "\n    {}+{:#x} {kind:?} {link:?}", frame.name.display(), frame.offset);
        }
    }
    text
}

/// All calls of `calls.h`.
pub(super) const ALL: [Call; 5] = [Call::Bind, Call::Listen, Call::Connect, Call::Accept, Call::Accept4];
