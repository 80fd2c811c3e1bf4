//! The C programs, and those in other languages, each as a trial.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use sockowner_testkit::Requirement::{Cgroup2, Netns};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::{live_test_unless, netns};

use super::service::NO_SERVICE;
use super::workshop::{
    Compiler, Program, compile, installed, link, profile_dir, scratch, source, start_in, succeed,
};

const CONTRACT: Program = Program {
    name: "contract",
    sources: &[
        "contract.c",
        "check.c",
        "arguments.c",
        "sizing.c",
        "result.c",
        "life.c",
        "tables.c",
        "rows.c",
        "threads.c",
    ],
};
const RICH: Program = Program { name: "rich", sources: &["rich.c", "check.c"] };

/// Each is a way in which programs out there call, and works.
const CALLERS: [Program; 9] = [
    Program { name: "caller_one_call", sources: &["callers/one_call.c"] },
    Program { name: "caller_two_calls", sources: &["callers/two_calls.c"] },
    Program { name: "caller_growing_from_16", sources: &["callers/growing_from_16.c"] },
    Program { name: "caller_first_return_ignored", sources: &["callers/first_return_ignored.c"] },
    Program { name: "caller_second_size_0", sources: &["callers/second_size_0.c"] },
    Program { name: "caller_copied_buffer", sources: &["callers/copied_buffer.c"] },
    Program { name: "caller_at_least_the_struct", sources: &["callers/at_least_the_struct.c"] },
    Program { name: "caller_whole_machine", sources: &["callers/whole_machine.c"] },
    SERVICE_OR_PROCESS,
];
const SERVICE_OR_PROCESS: Program =
    Program { name: "caller_service_or_process", sources: &["callers/service_or_process.c"] };

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (program, whole) in [(CONTRACT, "contract"), (RICH, "rich")] {
        trials.extend(one_by_one(program));
        for compiler in Compiler::ALL {
            let needs = compiler.supported().and(NO_SERVICE.check());
            trials.push(live_test_unless(&format!("{whole}_as_{}", compiler.name()), needs, move || {
                let mut command = Command::new(program.compiled(compiler));
                // One program makes all the calls; the library is the same for the others.
                every_check(command.env_remove("SOCKOWNER_FULL"));
            }));
        }
        let is_wanted = std::env::var_os("SOCKOWNER_FULL").is_some();
        let wanted =
            if is_wanted { Ok(()) } else { Err("it takes minutes: SOCKOWNER_FULL=1 runs it".to_owned()) };
        let needs = wanted.and(installed("valgrind")).and(Compiler::Gcc.supported()).and(NO_SERVICE.check());
        trials.push(live_test_unless(&format!("{whole}_under_valgrind"), needs, move || {
            every_check(&mut under_valgrind(&program.compiled(Compiler::Gcc)));
        }));
    }
    trials.extend(callers());
    trials.extend(other_languages());
    trials.push(live_test_unless("contract_and_callers_for_mingw", Compiler::Mingw.supported(), || {
        CONTRACT.compiled(Compiler::Mingw);
        let sources = CALLERS.iter().flat_map(|caller| caller.sources);
        let mut command = compile(Compiler::Mingw);
        command.arg("-fsyntax-only").args(sources.map(|path| source("tests/c").join(path)));
        succeed(&mut command);
    }));
    trials
}

/// The checks of one program, each in a process of its own. What they are called, the program says.
fn one_by_one(program: Program) -> Vec<Trial> {
    let name = format!("{}_in_c", program.name);
    if let Err(why) = Compiler::Gcc.supported() {
        return vec![live_test_unless(&name, Err(why), || ())];
    }
    let path = program.compiled(Compiler::Gcc);
    let list = succeed(Command::new(&path).arg("--list"));
    let one = |line: &str| {
        let (name, alone) = line.split_once(' ').unwrap_or((line, ""));
        let needs = if alone.is_empty() { Ok(()) } else { Netns.check() };
        // One of them tells the program's own name.
        let needs = if name.starts_with("c20_") { needs.and(NO_SERVICE.check()) } else { needs };
        let mut command = Command::new(&path);
        command.arg(name);
        let is_alone = !alone.is_empty();
        live_test_unless(name, needs, move || {
            if is_alone {
                alone_if_possible(&mut command);
            } else {
                succeed(&mut command);
            }
        })
    };
    list.lines().map(one).collect()
}

/// Runs all checks of a program; without a network namespace to be alone in, those that need none.
fn every_check(command: &mut Command) {
    if Netns.check().is_err() {
        command.arg("--here");
    }
    alone_if_possible(command);
}

/// Runs a program in a network namespace of its own, if there can be one.
fn alone_if_possible(command: &mut Command) {
    if Netns.check().is_ok() {
        netns::inside(|| succeed(command));
    } else {
        succeed(command);
    }
}

/// With a hundredth of the counts. Any error is one, and so is memory that nobody points to; what is pointed into, as
/// Rust's own record of the calling thread is, is not.
fn under_valgrind(program: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
    command.arg("--errors-for-leak-kinds=definite,indirect").arg(program);
    command.env("SOCKOWNER_SCALE", "100");
    command
}

/// One caller, which takes one argument: whether it runs in a service.
fn call(path: PathBuf) -> Command {
    let mut command = Command::new(path);
    command.arg("process");
    command
}

fn callers() -> Vec<Trial> {
    let mut trials = Vec::new();
    for program in CALLERS {
        let needs = Compiler::Gcc.supported().and(NO_SERVICE.check());
        trials.push(live_test_unless(program.name, needs, move || {
            alone_if_possible(&mut call(program.compiled(Compiler::Gcc)));
        }));
    }
    for compiler in &Compiler::ALL[1..] {
        let needs = compiler.supported().and(NO_SERVICE.check());
        trials.push(live_test_unless(&format!("callers_as_{}", compiler.name()), needs, || {
            for program in CALLERS {
                alone_if_possible(&mut call(program.compiled(*compiler)));
            }
        }));
    }
    let needs = Compiler::Gcc.supported().and(Cgroup2.check());
    trials.push(live_test_unless("caller_in_a_service", needs, || {
        let unit = Scratch::new("/system.slice/sockowner-caller.service");
        let mut command = Command::new(SERVICE_OR_PROCESS.compiled(Compiler::Gcc));
        start_in(command.arg("service"), &unit);
        alone_if_possible(&mut command);
    }));
    trials
}

fn other_languages() -> Vec<Trial> {
    let python = installed("python3").and(NO_SERVICE.check());
    let mut trials = vec![live_test_unless("listeners_by_python", python, || {
        let mut command = Command::new("python3");
        command.arg(source("tests/python/listeners.py")).arg(profile_dir().join("libsockowner.so"));
        assert!(!succeed(&mut command).is_empty());
    })];
    for compiler in Compiler::ALL.into_iter().filter(|compiler| compiler.is_cxx()) {
        let needs = compiler.supported().and(NO_SERVICE.check());
        trials.push(live_test_unless(&format!("listeners_by_{}", compiler.name()), needs, move || {
            let out = scratch().join(format!("listeners-{}", compiler.name()));
            let mut command = compile(compiler);
            command.arg("-std=c++17").arg(source("tests/cpp/listeners.cpp")).arg("-o").arg(&out);
            link(&mut command);
            succeed(&mut command);
            assert!(!succeed(&mut Command::new(out)).is_empty());
        }));
    }
    let needs = Compiler::Gcc.supported().and(NO_SERVICE.check());
    trials.push(live_test_unless("a_caller_with_the_static_library", needs, || {
        let out = scratch().join("static");
        let mut command = compile(Compiler::Gcc);
        command.arg("-pthread").arg(source("tests/c/callers/two_calls.c")).arg("-o").arg(&out);
        // What `rustc --print native-static-libs` says.
        command.arg(profile_dir().join("libsockowner.a")).args(["-lgcc_s", "-lm", "-ldl", "-lrt"]);
        succeed(&mut command);
        succeed(&mut Command::new(out));
    }));
    trials
}
