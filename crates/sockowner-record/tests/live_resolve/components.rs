//! The module that made the call, of processes that live, change and end.

use std::path::{Path, PathBuf};
use std::process::Command;

use sockowner::ComponentEvidence::{Cfi, CfiIndirect, ExecutableOnly};
use sockowner_record::resolve::{self, Call, Device, Executable, Patience, Resolved, Sample, Unknown};
use sockowner_testkit::Requirement::Root;

use super::daemon::{Daemon, Facts, PATIENT, assert_told, boot, sample};
use super::tracer::{Stop, trace};
use super::workshop::{GCC, TRACING, Workshop};

tests! {
    Outside a_library_is_told needs GCC, TRACING, Root;
    Outside an_executable_is_told needs GCC, TRACING, Root;
    Outside a_plugin_is_told_in_two_threads needs GCC, TRACING, Root;
    Outside a_deleted_library_is_told needs GCC, TRACING, Root;
    Outside a_replaced_library_is_told needs GCC, TRACING, Root;
    Outside an_ended_process_is_told_by_what_the_kernel_noted needs GCC, TRACING, Root;
    Outside an_ended_process_that_was_known_is_told_as_before needs GCC, TRACING, Root;
    Outside a_plugin_in_the_place_of_another_is_told needs GCC, TRACING, Root;
    Outside the_mapping_of_a_known_site_is_enough needs GCC, TRACING, Root;
    Outside what_the_kernel_did_not_tell_of_a_site_is_not_believed needs GCC, TRACING, Root;
    Outside a_plugin_that_has_gone_since_is_not_told_as_its_successor needs GCC, TRACING, Root;
    Outside a_file_that_was_overwritten_is_not_told_as_before needs GCC, TRACING, Root;
    Outside a_mapping_with_other_numbers_is_told_if_its_file_is_as_it_was needs GCC, TRACING, Root;
    Outside a_process_after_exec_is_not_told_as_before needs GCC, TRACING, Root;
    Outside without_a_stack_the_executable_is_told needs GCC, TRACING, Root;
    Outside another_process_with_the_pid_is_not_told needs GCC, TRACING, Root;
}

/// A source of this suite.
pub(super) fn source(name: &str) -> String {
    format!("{}/tests/live_resolve/c/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A library and a program that has it make the calls.
pub(super) fn library_and_user(workshop: &Workshop) -> (PathBuf, PathBuf) {
    let library = workshop.library("component.c", "libcomponent.so", &[]);
    (library, workshop.program("user.c", "user", &["-l:libcomponent.so"]))
}

/// Each call of the program is told of this module, at best, with what the kernel noted and without, at first and again.
fn all_are_told(program: &mut Command, module: &Path) {
    let daemon = Daemon::start();
    let mut calls = 0;
    trace(program, |stop| {
        for (key, facts) in [(1, Facts::Noted), (2, Facts::None)] {
            let twice = vec![sample(stop, key, facts), sample(stop, key, facts)];
            for answer in daemon.resolve(twice).iter().chain([&daemon.one(sample(stop, key, facts))]) {
                assert_told(answer, module, Cfi);
            }
        }
        calls += 1;
    });
    assert!(calls >= 6, "{calls} calls");
    let counts = daemon.counts();
    assert_eq!((counts.resolved[0], counts.samples()), ((Cfi, calls * 6), calls * 6));
    assert_eq!((counts.parsers_lost, counts.openers_lost), (0, 0));
}

fn a_library_is_told() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    all_are_told(&mut Command::new(program), &library);
}

fn an_executable_is_told() {
    let workshop = Workshop::open();
    let program = workshop.program("alone.c", "alone", &["-pthread"]);
    all_are_told(&mut Command::new(&program), &program);
}

fn a_plugin_is_told_in_two_threads() {
    let workshop = Workshop::open();
    let plugin = workshop.library("component.c", "plugin.so", &[]);
    let program = workshop.program("loader.c", "loader", &[]);
    all_are_told(Command::new(program).arg(&plugin), &plugin);
}

fn a_deleted_library_is_told() {
    let workshop = Workshop::open();
    let plugin = workshop.library("component.c", "plugin.so", &[]);
    let program = workshop.program("loader.c", "loader", &[]);
    all_are_told(Command::new(program).arg(&plugin).arg("deleted"), &plugin);
}

fn a_replaced_library_is_told() {
    let workshop = Workshop::open();
    let plugin = workshop.library("component.c", "plugin.so", &[]);
    let program = workshop.program("loader.c", "loader", &[]);
    all_are_told(Command::new(program).arg(&plugin).arg("replaced"), &plugin);
}

/// The samples of a program that has ended.
pub(super) fn of_ended(program: &mut Command, facts: Facts) -> Vec<Sample> {
    let mut samples = Vec::new();
    trace(program, |stop| samples.push(sample(stop, 1, facts)));
    assert!(!samples.is_empty());
    samples
}

/// Which other modules the process had is not known: so what a name stood for is not proved.
fn an_ended_process_is_told_by_what_the_kernel_noted() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let daemon = Daemon::start();
    for answer in daemon.resolve(of_ended(&mut Command::new(&program), Facts::Noted)) {
        assert_told(&answer, &library, CfiIndirect);
    }
    for answer in daemon.resolve(of_ended(&mut Command::new(&program), Facts::None)) {
        assert_eq!(answer, Err(Unknown::Gone));
    }
    // Nor is there anything to be told once the file has gone, too: what remains is the executable.
    std::fs::remove_file(&library).unwrap();
    let daemon = Daemon::start();
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let samples = of_ended(&mut Command::new(&program), Facts::Noted);
    std::fs::remove_file(&library).unwrap();
    for answer in daemon.resolve(samples) {
        let component = answer.unwrap();
        assert_eq!((component.name.to_str(), component.evidence), (Some("user"), ExecutableOnly));
    }
}

fn an_ended_process_that_was_known_is_told_as_before() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let daemon = Daemon::start();
    let mut last = None;
    trace(&mut Command::new(&program), |stop| {
        let told = daemon.one(sample(stop, 1, Facts::Noted));
        assert_told(&told, &library, Cfi);
        last = Some([sample(stop, 1, Facts::Noted), sample(stop, 1, Facts::None)]);
    });
    let [noted, unnoted] = last.unwrap();
    assert_told(&daemon.one(noted), &library, Cfi);
    // It may have been anything by then.
    assert_eq!(daemon.one(unnoted), Err(Unknown::Gone));
}

/// The program loads one plugin after the other, of one layout, at one address. The calls, by number from 0, of the first
/// and of the second.
fn reload(daemon_of: impl Fn(usize, &Stop), also: &[&str]) {
    let workshop = Workshop::open();
    let [one, other] = ["one.so", "other.so"].map(|name| workshop.library("component.c", name, &[]));
    let program = workshop.program(&source("reload.c"), "reload", &[]);
    let mut calls = 0;
    let mut places = Vec::new();
    trace(Command::new(program).args([&one, &other]).args(also), |stop| {
        let plugin = stop.mappings.iter().find(|mapping| {
            let name = mapping.path.as_ref().and_then(|path| path.file_name());
            name.is_some_and(|name| name == "one.so" || name == "other.so")
        });
        places.push(plugin.unwrap().start);
        daemon_of(calls, stop);
        calls += 1;
    });
    assert_eq!(calls, 12);
    assert!(places.iter().all(|place| *place == places[0]), "the plugins are not at one place: {places:x?}");
}

fn a_plugin_in_the_place_of_another_is_told() {
    for facts in [Facts::Noted, Facts::None] {
        let daemon = Daemon::start();
        reload(
            |call, stop| {
                let answer = daemon.one(sample(stop, 1, facts));
                if facts == Facts::None && call == 6 {
                    // There was another one when it was looked last, and nobody knows since when there is this.
                    assert_eq!(answer, Err(Unknown::Changed));
                    return;
                }
                let answer = answer.unwrap();
                let name = if call < 6 { "one.so" } else { "other.so" };
                assert_eq!((answer.name.to_str(), answer.evidence), (Some(name), Cfi));
            },
            &[],
        );
    }
}

/// As [`sample`], with nothing but the mapping that holds this address.
fn of_site(stop: &Stop, key: u64, word: u64) -> Sample {
    let mut sample = sample(stop, key, Facts::Noted);
    sample.facts = resolve::Facts::Site;
    sample.mappings.retain(|mapping| (mapping.start..mapping.end).contains(&(word - 1)));
    assert_eq!(sample.mappings.len(), 1, "{word:#x}");
    sample.mappings[0].path = None;
    sample
}

/// Whether the process is known already or not.
fn the_mapping_of_a_known_site_is_enough() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let daemon = Daemon::start();
    let mut last = None;
    let mut calls = 0;
    trace(&mut Command::new(program), |stop| {
        let mut first = daemon.answers(vec![sample(stop, 1, Facts::Noted)]);
        let Resolved { component, site } = first.remove(0).unwrap();
        let site = site.unwrap();
        assert_told(&Ok(component), &library, Cfi);
        let slot = usize::from(site.slot.unwrap());
        assert_eq!(stop.sample.stack[slot..slot + 8], site.word.to_le_bytes());
        calls += 1;
        for key in [1, 2, 1000 + calls] {
            let mut answer = daemon.answers(vec![of_site(stop, key, site.word)]);
            let Resolved { component, site } = answer.remove(0).unwrap();
            assert_eq!(site, None, "it is known");
            assert_told(&Ok(component), &library, Cfi);
        }
        // Without the kernel's word there is no site, and none is known.
        assert_eq!(daemon.answers(vec![sample(stop, 1, Facts::None)]).remove(0).unwrap().site, None);
        last = Some([1, 9].map(|key| of_site(stop, key, site.word)));
    });
    assert!(calls >= 6, "{calls} calls");
    // Of a process that has ended, what is told does not hold where the call was made.
    for sample in last.unwrap() {
        assert_eq!(daemon.one(sample), Err(Unknown::Gone));
    }
}

/// Another module was at that place, or was not told.
fn what_the_kernel_did_not_tell_of_a_site_is_not_believed() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let daemon = Daemon::start();
    let mut calls = 0;
    trace(&mut Command::new(program), |stop| {
        let first = daemon.answers(vec![sample(stop, 1, Facts::Noted)]).remove(0).unwrap();
        let word = first.site.unwrap().word;
        calls += 1;
        for (number, key) in [1, 1, 1, 1000 + calls, 2000 + calls, 3000 + calls].into_iter().enumerate() {
            let mut other = match number % 3 {
                // The library's place was another file's.
                0 => of_site(stop, key, word),
                // Something else was told.
                1 => of_site(stop, key, stop.sample.registers.rip),
                _ => sample(stop, key, Facts::Noted),
            };
            match number % 3 {
                0 => other.mappings[0].inode += 1,
                1 => {}
                _ => other.mappings.retain(|mapping| mapping.path.as_ref() != Some(&library)),
            }
            assert_eq!(daemon.one(other), Err(Unknown::Changed), "{number}");
        }
        assert_told(&daemon.one(sample(stop, 1, Facts::Noted)), &library, Cfi);
    });
    assert!(calls >= 6, "{calls} calls");
}

fn a_plugin_that_has_gone_since_is_not_told_as_its_successor() {
    let daemon = Daemon::start();
    let earlier = std::sync::Mutex::new(Vec::new());
    reload(
        |call, stop| {
            let mut earlier = earlier.lock().unwrap();
            if call < 6 {
                // Known by the first plugin's calls, or not at all.
                let _ = daemon.one(sample(stop, 1, Facts::None));
                earlier.extend(
                    [(1, Facts::Noted), (2, Facts::Noted), (1, Facts::None)]
                        .map(|(key, facts)| (facts, sample(stop, key, facts))),
                );
                return;
            }
            for (facts, sample) in earlier.drain(..) {
                let answer = daemon.one(sample);
                if facts == Facts::None {
                    assert_eq!(answer, Err(Unknown::Changed));
                    continue;
                }
                // What else was mapped is known only as long as the first plugin's calls are.
                let answer = answer.unwrap();
                assert_eq!(answer.name.to_str(), Some("one.so"));
                assert!(matches!(answer.evidence, Cfi | CfiIndirect), "{}", answer.evidence);
            }
        },
        &[],
    );
}

/// The second plugin is written into the first one's file: inode and path are the same.
fn a_file_that_was_overwritten_is_not_told_as_before() {
    for facts in [Facts::Noted, Facts::None] {
        let daemon = Daemon::start();
        let (first, first_id) = (std::sync::Mutex::new(Vec::new()), std::sync::Mutex::new(None));
        reload(
            |call, stop| {
                let mut first = first.lock().unwrap();
                if call < 6 {
                    let told = daemon.one(sample(stop, 1, facts)).unwrap();
                    first_id.lock().unwrap().clone_from(&told.build_id);
                    first.push(sample(stop, 1, facts));
                    return;
                }
                for sample in first.drain(..) {
                    assert_eq!(daemon.one(sample), Err(Unknown::Changed));
                }
                // The file was written so short a time ago that it may have been after the call.
                match daemon.one(sample(stop, 1, facts)) {
                    Ok(told) => {
                        assert_eq!((told.name.to_str(), told.evidence), (Some("one.so"), Cfi));
                        assert_ne!(told.build_id, first_id.lock().unwrap().clone());
                    }
                    Err(unknown) => assert_eq!(unknown, Unknown::Changed),
                }
            },
            &["overwrite"],
        );
    }
}

/// On overlayfs the kernel notes other numbers for a file than `/proc` shows. Here they are made up.
fn a_mapping_with_other_numbers_is_told_if_its_file_is_as_it_was() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    // By then both files are older than their times are coarse.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let daemon = Daemon::start();
    let (mut calls, mut earlier) = (0, Vec::new());
    trace(&mut Command::new(&program), |stop| {
        let with_numbers = || {
            let mut noted = sample(stop, 1, Facts::Noted);
            for mapping in &mut noted.mappings {
                mapping.device.minor += 1;
                mapping.inode += 1;
            }
            noted
        };
        calls += 1;
        if calls <= 3 {
            earlier.push(with_numbers());
            assert_told(&daemon.one(with_numbers()), &library, Cfi);
            return;
        }
        if calls == 4 {
            // A file that is given the name of the mapped one may be another one.
            std::fs::rename(&library, workshop.path("other")).unwrap();
            std::fs::rename(workshop.path("other"), &library).unwrap();
            for sample in earlier.drain(..) {
                assert_eq!(daemon.one(sample), Err(Unknown::Changed));
            }
        }
        // One of another path is another one.
        let mut elsewhere = with_numbers();
        for mapping in &mut elsewhere.mappings {
            mapping.path = Some("/made-up".into());
        }
        let answer = daemon.one(elsewhere);
        assert!(answer.is_err() || answer.is_ok_and(|told| told.evidence == ExecutableOnly));
    });
    assert!(calls > 4, "{calls}");
}

fn a_process_after_exec_is_not_told_as_before() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let alone = workshop.program("alone.c", "alone", &["-pthread"]);
    let first = workshop.program(&source("exec.c"), "first", &["-l:libcomponent.so"]);
    for facts in [Facts::Noted, Facts::None] {
        let daemon = Daemon::start();
        let (mut calls, mut earlier) = (0, Vec::new());
        trace(Command::new(&first).arg(&alone), |stop| {
            let is_first = calls < 6;
            let module = if is_first { &library } else { &alone };
            for sample in earlier.drain(..).filter(|_| !is_first) {
                match facts {
                    Facts::Noted => assert_told(&daemon.one(sample), &library, Cfi),
                    Facts::None => assert_eq!(daemon.one(sample), Err(Unknown::Changed)),
                }
            }
            assert_told(&daemon.one(sample(stop, 1, facts)), module, Cfi);
            if is_first {
                earlier.push(sample(stop, 1, facts));
            }
            calls += 1;
        });
        assert!(calls > 6, "{calls}");
    }
    drop(program);
}

fn without_a_stack_the_executable_is_told() {
    let workshop = Workshop::open();
    let (_, program) = library_and_user(&workshop);
    let daemon = Daemon::start();
    trace(&mut Command::new(&program), |stop| {
        let mut without = sample(stop, 1, Facts::Noted);
        without.stack.clear();
        assert_told(&daemon.one(without.clone()), &program, ExecutableOnly);
        // What the kernel says it was started from is taken for it, whether it can be opened or not.
        without.process = 2;
        without.pid = None;
        without.executable =
            Some(Executable { device: Device::default(), inode: 1, path: "/usr/bin/made-up".into() });
        assert_told(&daemon.one(without.clone()), Path::new("/usr/bin/made-up"), ExecutableOnly);
        without.executable = None;
        without
            .mappings
            .retain(|mapping| mapping.path.as_ref().is_some_and(|path| path.ends_with("libc.so.6")));
        assert_eq!(without.mappings.len(), 1);
        assert_eq!(daemon.one(without), Err(Unknown::Nothing));
    });
}

fn another_process_with_the_pid_is_not_told() {
    let workshop = Workshop::open();
    let (_, program) = library_and_user(&workshop);
    let daemon = Daemon::start_with(Patience { age: Patience::default().age, ..PATIENT });
    trace(&mut Command::new(&program), |stop| {
        let mut other = sample(stop, 1, Facts::None);
        other.start_ticks -= 1;
        assert_eq!(daemon.one(other), Err(Unknown::Gone));
        let mut old = sample(stop, 2, Facts::Noted);
        old.time = boot().saturating_sub(10_000_000_000);
        assert_eq!(daemon.one(old), Err(Unknown::TooOld));
        let mut large = sample(stop, 2, Facts::Noted);
        large.stack.resize(1 << 20, 0);
        assert_eq!(daemon.one(large), Err(Unknown::TooLarge));
        assert_ne!(stop.sample.call, Call::Socket);
    });
}
