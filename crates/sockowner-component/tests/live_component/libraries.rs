//! Libraries that make the calls themselves, however they are built and loaded.

use std::process::Command;

use sockowner_component::{Call, Error, Files, Grade, Mapping, Modules, Opened, Opener, Process};
use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::live_test;

use super::case::{ALL, Expected, check, resolve, tell};
use super::score;
use super::tracer::trace;
use super::workshop::{GCC, TRACING, Workshop};

pub(super) fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = BUILDS
        .iter()
        .map(|(name, flags)| {
            live_test(&format!("library_{name}"), &[GCC, TRACING], || a_library_is_told(flags))
        })
        .collect();
    trials.extend([
        live_test("stripped_library", &[GCC, TRACING], stripped),
        live_test("plugin_in_two_threads", &[GCC, TRACING], plugin),
        live_test("interposer", &[GCC, TRACING], interposer),
        live_test("interposer_by_tail_call", &[GCC, TRACING], interposer_by_tail_call),
        live_test("two_interposers", &[GCC, TRACING], two_interposers),
        live_test("deleted_library", &[GCC, TRACING], deleted),
        live_test("replaced_library", &[GCC, TRACING], replaced),
        live_test("hooked_slots", &[GCC, TRACING], hooked),
        live_test("library_by_pointer", &[GCC, TRACING], by_pointer),
        live_test("function_behind_plt_of_program", &[GCC, TRACING], behind_plt_of_program),
        live_test("chosen_function", &[GCC, TRACING], chosen),
        live_test("unreadable_libc", &[GCC, TRACING], unreadable_libc),
    ]);
    trials
}

/// How a library may be compiled and linked.
const BUILDS: &[(&str, &[&str])] = &[
    ("without_frame_pointer", &["-fomit-frame-pointer"]),
    ("with_frame_pointer", &["-fno-omit-frame-pointer"]),
    ("without_plt", &["-fno-plt"]),
    ("bound_lazily", &["-Wl,-z,lazy"]),
    ("bound_at_once", &["-Wl,-z,now,-z,relro"]),
    ("with_cet", &["-fcf-protection=full", "-Wl,-z,ibtplt"]),
    ("without_optimisation", &["-O0"]),
    ("with_sysv_hash", &["-Wl,--hash-style=sysv"]),
    ("with_gnu_hash", &["-Wl,--hash-style=gnu"]),
    ("without_build_id", &["-Wl,--build-id=none"]),
    ("with_aligned_stack", &["-mstackrealign", "-mpreferred-stack-boundary=6"]),
];

fn a_library_is_told(flags: &[&str]) {
    let workshop = Workshop::open();
    workshop.library("component.c", "libcomponent.so", flags);
    let program = workshop.program("user.c", "user", &["-l:libcomponent.so"]);
    check(&mut Command::new(program), &ALL, |_| Some(Expected::proved("libcomponent.so")));
}

fn stripped() {
    let workshop = Workshop::open();
    let library = workshop.library("component.c", "libcomponent.so", &[]);
    let program = workshop.program("user.c", "user", &["-l:libcomponent.so"]);
    workshop.tool("strip", &["--strip-all".as_ref(), library.as_ref(), program.as_ref()]);
    check(&mut Command::new(program), &ALL, |_| Some(Expected::proved("libcomponent.so")));
}

fn plugin() {
    let workshop = Workshop::open();
    let plugin = workshop.library("component.c", "plugin.so", &[]);
    let program = workshop.program("loader.c", "loader", &[]);
    check(Command::new(program).arg(plugin), &ALL, |_| Some(Expected::proved("plugin.so")));
}

fn interposer() {
    let workshop = Workshop::open();
    let before = workshop.library("interposer.c", "libbefore.so", &[]);
    workshop.library("component.c", "libcomponent.so", &[]);
    let program = workshop.program("user.c", "user", &["-l:libcomponent.so"]);
    // It calls libc by a pointer of its own.
    let expected = Expected::right("libcomponent.so", Grade::CfiIndirect, Grade::CfiIndirect);
    check(Command::new(program).env("LD_PRELOAD", before), &ALL, |_| Some(expected.clone()));
}

fn interposer_by_tail_call() {
    let workshop = Workshop::open();
    let before = workshop.library("interposer.c", "libbefore.so", &["-DTAIL"]);
    workshop.library("component.c", "libcomponent.so", &[]);
    let program = workshop.program("user.c", "user", &["-l:libcomponent.so"]);
    // It is not on the stack. Memory tells that it was called; without, two modules define the name.
    let expected = Expected::right("libcomponent.so", Grade::CallTarget, Grade::CfiIndirect);
    check(Command::new(program).env("LD_PRELOAD", before), &ALL, |_| Some(expected.clone()));
}

fn two_interposers() {
    let workshop = Workshop::open();
    let first = workshop.library("interposer.c", "libfirst.so", &[]);
    let second = workshop.library("interposer.c", "libsecond.so", &["-DTAIL"]);
    workshop.library("component.c", "libcomponent.so", &[]);
    let program = workshop.program("user.c", "user", &["-l:libcomponent.so"]);
    let preloaded = format!("{}:{}", first.display(), second.display());
    let expected = Expected::right("libcomponent.so", Grade::CfiIndirect, Grade::CfiIndirect);
    check(Command::new(program).env("LD_PRELOAD", preloaded), &ALL, |_| Some(expected.clone()));
}

fn deleted() {
    gone("deleted", |end| matches!(end, Error::Os { .. }));
}

fn replaced() {
    gone("replaced", |end| end == Error::OtherFile);
}

/// The mapped file is not to be had by its path.
fn gone(how: &str, is_end: fn(Error) -> bool) {
    let workshop = Workshop::open();
    let plugin = workshop.library("component.c", "plugin.so", &[]);
    let program = workshop.program("loader.c", "loader", &[]);
    let mut calls = 0;
    trace(Command::new(&program).arg(&plugin).arg(how), |stop| {
        calls += 1;
        let by_path = resolve(stop, false, Files::new());
        let told = by_path.component.as_ref().unwrap();
        assert_eq!((told.name.as_os_str(), told.grade), ("loader".as_ref(), Grade::ExecutableOnly));
        assert!(is_end(by_path.end), "{}", tell(&by_path));
        let frame = told.chain.last().unwrap();
        assert_eq!((frame.name.as_os_str(), frame.path.as_ref()), ("plugin.so".as_ref(), Some(&plugin)));
        // The link of the kernel's leads to it all the same, for those who may follow it.
        let by_mapping = resolve(stop, false, Files::new().of_process(stop.pid));
        let told = by_mapping.component.as_ref().unwrap();
        if told.grade != Grade::ExecutableOnly {
            assert_eq!((told.name.as_os_str(), told.grade), ("plugin.so".as_ref(), Grade::Cfi));
            assert!(told.build_id.is_some());
        }
    });
    assert_eq!(calls, 12);
}

/// A hook that a program puts into slots of the GOT, and that calls the real function as its last act.
fn hooked() {
    let workshop = Workshop::open();
    workshop.library("hook.c", "libhook.so", &[]);
    workshop.library("component.c", "libcomponent.so", &["-fno-plt"]);
    let program = workshop.program("hooked.c", "hooked", &["-l:libcomponent.so", "-l:libhook.so"]);
    let mut calls = 0;
    trace(&mut Command::new(program), |stop| {
        if stop.sample.call == Call::Listen {
            calls += 1;
            let told = resolve(stop, true, Files::new());
            let component = told.component.as_ref().unwrap();
            let answer = (component.name.as_os_str(), component.grade);
            assert_eq!(answer, ("libhook.so".as_ref(), Grade::CallTarget), "{}", tell(&told));
        }
    });
    assert_eq!(calls, 1);
}

fn by_pointer() {
    let workshop = Workshop::open();
    workshop.library("component.c", "libcomponent.so", &["-DBY_POINTER"]);
    let program = workshop.program("user.c", "user", &["-l:libcomponent.so"]);
    check(&mut Command::new(program), &ALL, |call| {
        let grade = if call == Call::Listen { Grade::CfiIndirect } else { Grade::Cfi };
        Some(Expected::right("libcomponent.so", grade, grade))
    });
}

/// A program that is not position-independent takes the address of listen: then its PLT stands for that function in
/// the whole process, and is where the library's slot leads.
fn behind_plt_of_program() {
    let workshop = Workshop::open();
    workshop.library("component.c", "libcomponent.so", &["-fno-plt"]);
    let flags = ["-no-pie", "-fno-pic", "-DTAKES_ADDRESS", "-l:libcomponent.so"];
    let program = workshop.program("user.c", "user", &flags);
    check(&mut Command::new(program), &ALL, |call| {
        let by_memory = if call == Call::Listen { Grade::CfiIndirect } else { Grade::Cfi };
        Some(Expected::right("libcomponent.so", by_memory, Grade::Cfi))
    });
}

/// The function that makes the call is chosen when its library is loaded.
fn chosen() {
    let workshop = Workshop::open();
    workshop.library("chosen.c", "libchosen.so", &[]);
    let program = workshop.program("user.c", "user", &["-l:libchosen.so"]);
    check(&mut Command::new(program), &[Call::Listen], |_| Some(Expected::proved("libchosen.so")));
}

/// All files but libc.
struct WithoutLibc(Files);

impl Opener for WithoutLibc {
    fn open(&self, mapping: &Mapping) -> Result<Opened, Error> {
        let is_libc = mapping.path.as_ref().is_some_and(|path| path.ends_with("libc.so.6"));
        if is_libc { Err(Error::NotRegular) } else { self.0.open(mapping) }
    }
}

/// What pushes no frame is told by the word at the stack pointer, behind a call of that very name. Where the name is
/// called by pointer, nothing is told.
fn unreadable_libc() {
    for flags in [&[][..], &["-fno-plt"], &["-DBY_POINTER"]] {
        let workshop = Workshop::open();
        workshop.library("component.c", "libcomponent.so", flags);
        let program = workshop.program("user.c", "user", &["-l:libcomponent.so"]);
        trace(&mut Command::new(program), |stop| {
            let mut process = Process::new(stop.mappings.clone(), WithoutLibc(Files::new()));
            let resolution = Modules::default().resolve(&mut process, &stop.sample);
            let component = resolution.component.as_ref().unwrap();
            let is_leaf = stop.sample.call == Call::Bind
                || stop.sample.call == Call::Listen && !flags.iter().any(|flag| flag.starts_with("-D"));
            let expected = if is_leaf {
                ("libcomponent.so", Grade::ReturnAddress)
            } else {
                ("user", Grade::ExecutableOnly)
            };
            let is_right = component.name.as_os_str() == "libcomponent.so";
            score::count(stop.sample.call, false, component.grade, is_right);
            assert_eq!(
                (component.name.to_str().unwrap(), component.grade),
                expected,
                "{}",
                tell(&resolution)
            );
            assert_eq!(resolution.end, Error::NotRegular);
        });
    }
}
