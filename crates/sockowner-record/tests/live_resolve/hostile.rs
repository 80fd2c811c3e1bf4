//! Files that are not what they were, or not what they seem.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{major, minor};
use sockowner::ComponentEvidence::{CfiIndirect, ExecutableOnly};
use sockowner_record::resolve::{Device, Mapping, Sample, Unknown};
use sockowner_testkit::Requirement::Root;

use super::components::{library_and_user, of_ended};
use super::daemon::{Daemon, Facts, assert_told, boot};
use super::workshop::{GCC, TRACING, Workshop};

tests! {
    Outside a_library_that_is_cut_short_does_no_harm needs GCC, TRACING, Root;
    Outside what_is_no_regular_file_is_not_opened needs GCC, TRACING, Root;
    Outside spoilt_libraries_do_no_harm needs GCC, TRACING, Root;
}

/// The mapping of this file in a sample becomes that of what the path names now.
fn as_now(sample: &mut Sample, path: &Path) {
    let metadata = path.symlink_metadata().unwrap();
    for mapping in sample.mappings.iter_mut().filter(|mapping| mapping.path.as_deref() == Some(path)) {
        let device = Device { major: major(metadata.dev()), minor: minor(metadata.dev()) };
        *mapping = Mapping { device, inode: metadata.ino(), ..mapping.clone() };
    }
    sample.time = boot();
}

/// The resolver works as before.
fn lives(daemon: &Daemon) {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let answer = daemon.resolve(of_ended(&mut Command::new(program), Facts::Noted)).remove(0);
    assert_told(&answer, &library, CfiIndirect);
    let counts = daemon.counts();
    assert_eq!((counts.parsers_lost, counts.openers_lost), (0, 0));
}

fn a_library_that_is_cut_short_does_no_harm() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let samples = of_ended(&mut Command::new(&program), Facts::Noted);
    let whole = std::fs::read(&library).unwrap();
    let daemon = Daemon::start();
    for len in (0..whole.len()).step_by(whole.len() / 40) {
        std::fs::write(&library, &whole[..len]).unwrap();
        // To the samples it is a file that changed after the calls.
        for answer in daemon.resolve(samples.clone()) {
            assert!(
                matches!(&answer, Err(Unknown::Changed | Unknown::TooOld))
                    || answer.is_ok_and(|component| {
                        component.evidence == ExecutableOnly && component.name == "user"
                    })
            );
        }
        let mut now = samples.clone();
        for sample in &mut now {
            as_now(sample, &library);
        }
        for answer in daemon.resolve(now) {
            let component = answer.unwrap();
            assert!(
                component.path.as_deref() != Some(&library)
                    || component.evidence != sockowner::ComponentEvidence::Cfi
            );
        }
    }
    lives(&daemon);
}

fn what_is_no_regular_file_is_not_opened() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let samples = of_ended(&mut Command::new(&program), Facts::Noted);
    let daemon = Daemon::start();
    let kinds: [fn(&Path); 4] = [
        |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        |path| std::fs::create_dir(path).unwrap(),
        |path| std::os::unix::fs::symlink("/dev/tty", path).unwrap(),
        |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
    ];
    std::fs::remove_file(&library).unwrap();
    for make in kinds {
        make(&library);
        let mut now = samples.clone();
        for sample in &mut now {
            as_now(sample, &library);
        }
        for answer in daemon.resolve(now) {
            assert_told(&answer, &program, ExecutableOnly);
        }
        if library.symlink_metadata().unwrap().is_dir() {
            std::fs::remove_dir(&library).unwrap();
        } else {
            std::fs::remove_file(&library).unwrap();
        }
    }
    lives(&daemon);
}

/// Bytes changed here and there, in headers above all.
fn spoilt_libraries_do_no_harm() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let samples = of_ended(&mut Command::new(&program), Facts::Noted);
    let whole = std::fs::read(&library).unwrap();
    let daemon = Daemon::start();
    let mut count = 0;
    for at in (4..0x400).step_by(7).chain((0x400..whole.len()).step_by(whole.len() / 64)) {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 0xff;
        std::fs::write(&library, &spoilt).unwrap();
        let mut now = samples.clone();
        for sample in &mut now {
            as_now(sample, &library);
        }
        count += daemon.resolve(now).len();
    }
    let counts = daemon.counts();
    assert_eq!(counts.samples(), count as u64);
    assert!(
        counts.unknown.iter().all(|(unknown, count)| {
            *count == 0 || matches!(unknown, Unknown::Changed | Unknown::Nothing)
        }),
        "{counts:?}"
    );
    lives(&daemon);
}
