//! Runs a program and compares what is told of its calls with what is true.

use std::fmt::Write;
use std::process::Command;

use sockowner_component::{
    Call, Component, Files, Grade, Link, Location, Modules, Process, ProcessMemory, Resolution, Sample,
};

pub(super) use super::expected::{ALL, Answer, Expected};
use super::score;
use super::tracer::{Stop, trace};

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
        is_told_by_its_site(stop, component, &first);
    }
    the_trace_is_all_there_is(&mut modules, &mut process, &stop.sample, &first);
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

/// A sample that the trace fits has the same answer, whatever else is different in it.
fn the_trace_is_all_there_is(
    modules: &mut Modules,
    process: &mut Process,
    sample: &Sample,
    answer: &Resolution,
) {
    assert!(answer.trace.fits(sample));
    let mut others = vec![sample.clone()];
    for at in (0..sample.stack.len()).step_by(8) {
        let mut other = sample.clone();
        other.stack[at] ^= 0x08;
        others.push(other);
    }
    others[0].registers.rbp ^= 0x08;
    for other in others.iter().filter(|other| answer.trace.is_whole() && answer.trace.fits(other)) {
        let told = modules.resolve(process, other);
        assert_eq!((&told.component, told.end), (&answer.component, answer.end), "{:?}", answer.trace);
    }
    let mut elsewhere = sample.clone();
    elsewhere.registers.rip ^= 1;
    assert!(!answer.trace.fits(&elsewhere));
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

/// The address that the component was told by is where its site says, and in its module, or in who called that as its last act.
fn is_told_by_its_site(stop: &Stop, component: &Component, resolution: &Resolution) {
    let Some(site) = resolution.trace.site() else {
        assert_eq!((component.grade, component.offset), (Grade::ExecutableOnly, None));
        return;
    };
    let mut mappings = stop.mappings.clone();
    mappings.sort_by_key(|mapping| mapping.start);
    let mapping = &mappings[site.mapping];
    let address = match site.location {
        Location::Instruction => stop.sample.registers.rip,
        Location::Stack(slot) => {
            let word = &stop.sample.stack[slot.into()..][..8];
            u64::from_le_bytes(word.try_into().expect("8 bytes")) - 1
        }
        Location::Elsewhere => panic!("{site:?}"),
    };
    assert!((mapping.start..mapping.end).contains(&address), "{address:#x} {mapping:?}");
    let of_component = mapping.path.as_ref() == Some(&component.path);
    assert!(of_component || component.grade == Grade::CallTarget, "{mapping:?} {component:?}");
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
