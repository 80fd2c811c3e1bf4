//! Programs that make the calls themselves, and code that is no library's.

use std::ffi::OsStr;
use std::process::Command;

use sockowner_component::{Call, Error, Files, Grade, Kind};
use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::live_test;

use super::case::{ALL, Expected, check, resolve, tell};
use super::tracer::trace;
use super::workshop::{GCC, MUSL, RUSTC, TRACING, Workshop};

pub(super) fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = BUILDS
        .iter()
        .map(|(name, flags)| {
            live_test(&format!("program_{name}"), &[GCC, TRACING], || a_program_is_told("gcc", flags))
        })
        .collect();
    trials.extend([
        live_test("program_static_with_musl", &[MUSL, TRACING], || {
            a_program_is_told("musl-gcc", &["-static"]);
        }),
        live_test("library_with_musl", &[MUSL, TRACING], musl),
        live_test("coroutine", &[GCC, TRACING], coroutine),
        live_test("signal_handler", &[GCC, TRACING], signal),
        live_test("signal_handler_by_tail_call", &[GCC, TRACING], signal_by_tail_call),
        live_test("raw_system_calls", &[GCC, TRACING], raw),
        live_test("generated_code_with_frame_pointer", &[GCC, TRACING], || generated("framed", true)),
        live_test("generated_code_without_frame_pointer", &[GCC, TRACING], || generated("frameless", false)),
        live_test("rust", &[RUSTC, TRACING], || rust(&[])),
        live_test("rust_optimised", &[RUSTC, TRACING], || rust(&["-O", "-Cstrip=symbols"])),
        live_test("rust_static", &[RUSTC, TRACING], || rust(&["-Ctarget-feature=+crt-static"])),
    ]);
    trials
}

const BUILDS: &[(&str, &[&str])] = &[
    ("dynamic", &["-pthread"]),
    ("without_pie", &["-pthread", "-no-pie"]),
    ("static", &["-pthread", "-static"]),
    ("static_pie", &["-pthread", "-static-pie"]),
    ("that_exports", &["-pthread", "-rdynamic"]),
];

fn a_program_is_told(compiler: &str, flags: &[&str]) {
    let workshop = Workshop::open();
    let program = workshop.cc(compiler, "alone.c", "alone", flags);
    check(&mut Command::new(program), &ALL, |_| Some(Expected::proved("alone")));
}

/// musl's libc has no unwind information, and none of its functions is without a frame.
fn musl() {
    let workshop = Workshop::open();
    workshop.cc(
        "musl-gcc",
        "component.c",
        "libcomponent.so",
        &["-shared", "-fPIC", "-Wl,-soname,libcomponent.so"],
    );
    let program = workshop.cc("musl-gcc", "user.c", "user", &["-l:libcomponent.so"]);
    let expected = Expected::told("libcomponent.so", "user", Grade::ExecutableOnly);
    check(&mut Command::new(program), &ALL, |_| Some(expected.clone()));
}

fn coroutine() {
    let workshop = Workshop::open();
    let program = workshop.program("coroutine.c", "coroutine", &[]);
    let mut shortest = usize::MAX;
    trace(&mut Command::new(&program), |stop| shortest = shortest.min(stop.sample.stack.len()));
    assert!(shortest < 512, "the stack's end is not near");
    check(&mut Command::new(program), &ALL, |_| Some(Expected::proved("coroutine")));
}

fn signal() {
    let workshop = Workshop::open();
    let program = workshop.program("signal.c", "signal", &[]);
    check(&mut Command::new(program), &ALL, |_| Some(Expected::proved("signal")));
}

/// The handler is not on the stack; what was interrupted is not the component, or told with doubt.
fn signal_by_tail_call() {
    let workshop = Workshop::open();
    let program = workshop.program("signal.c", "signal", &["-DTAIL"]);
    let expected = Expected::told("signal", "signal", Grade::ExecutableOnly);
    check(&mut Command::new(program), &[Call::Listen], |_| Some(expected.clone()));
}

fn raw() {
    let workshop = Workshop::open();
    workshop.library("raw.c", "libraw.so", &[]);
    let program = workshop.program("user.c", "user", &["-l:libraw.so"]);
    let calls = [Call::Bind, Call::Listen];
    check(&mut Command::new(program), &calls, |_| Some(Expected::proved("libraw.so")));
}

fn generated(how: &str, is_framed: bool) {
    let workshop = Workshop::open();
    let program = workshop.program("generated.c", "generated", &[]);
    let mut calls = 0;
    trace(Command::new(program).arg(how), |stop| {
        calls += 1;
        let resolution = resolve(stop, true, Files::new());
        let told = resolution.component.as_ref().unwrap();
        let answer = (told.name.as_os_str(), told.grade, told.generated, resolution.end);
        let expected = (OsStr::new("generated"), Grade::ExecutableOnly, true, Error::Generated);
        assert_eq!(answer, expected, "{}", tell(&resolution));
        // With the frame pointer it is known where in the program.
        assert_eq!(told.offset.is_some(), is_framed, "{}", tell(&resolution));
        assert!(told.chain.iter().any(|frame| frame.kind == Kind::Generated));
    });
    assert_eq!(calls, 1);
}

fn rust(flags: &[&str]) {
    let workshop = Workshop::open();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live_component/c/network.rs");
    let mut arguments = vec![OsStr::new("--edition=2021"), OsStr::new("-onetwork"), OsStr::new(source)];
    arguments.extend(flags.iter().map(OsStr::new));
    workshop.tool("rustc", &arguments);
    let calls = [Call::Bind, Call::Listen, Call::Connect, Call::Accept4];
    // The standard library repeats connect after EINTR, and keeps the pointer in a register meanwhile. In a
    // static program the system call is its own.
    let is_static = flags.iter().any(|flag| flag.contains("crt-static"));
    check(&mut Command::new(workshop.path("network")), &calls, |call| {
        let grade = if call == Call::Connect && !is_static { Grade::CfiIndirect } else { Grade::Cfi };
        Some(Expected::told("network", "network", grade))
    });
}
