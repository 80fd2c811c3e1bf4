//! What `tests/c/README.md` tells of the `layout_*.c` and `port_example.c`: each has to compile without a word, in
//! every language they are for; and the numbers they print are those of our Rust structures.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use sockowner_testkit::live_test_unless;

use super::workshop::{Compiler, Program, compile, installed, link, scratch, source, succeed};

/// The structures that the library gives to C, from its own source: a cdylib has no other way to show them.
#[path = "../../src/rich/layout.rs"]
#[expect(dead_code, unreachable_pub, reason = "only sizes and offsets are looked at")]
mod rust;

const C_STANDARDS: [&str; 4] = ["c99", "c11", "c17", "c2x"];
const CXX_STANDARDS: [&str; 4] = ["c++11", "c++14", "c++17", "c++20"];
const FLAGS: [&str; 7] = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wundef", "-Wshadow"];

/// A file with what it needs besides the flags that all have.
struct Case {
    file: &'static str,
    flags: Vec<String>,
    /// In this standard alone it makes no sense.
    but_for: &'static str,
}

fn case(file: &'static str, flags: &[&str]) -> Case {
    Case { file, flags: flags.iter().map(|&flag| flag.to_owned()).collect(), but_for: "" }
}

/// For this system; `windows` is the directory for ports.
fn cases(windows: &str) -> Vec<Case> {
    let mut cases = vec![
        case("layout_ours.c", &[]),
        case("layout_api.c", &[]),
        case("layout_print.c", &[]),
        case("port_example.c", &["-I", windows]),
    ];
    cases.extend((0..8).map(|order| case("layout_order.c", &["-I", windows, &format!("-DORDER={order}")])));
    for names in 1..5 {
        let but_for = if names == 1 { "c99" } else { "" };
        cases.push(Case { but_for, ..case("layout_names.c", &[&format!("-DNAMES={names}")]) });
    }
    cases
}

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (compiler, standards) in
        [("gcc", &C_STANDARDS), ("clang", &C_STANDARDS), ("g++", &CXX_STANDARDS), ("clang++", &CXX_STANDARDS)]
    {
        for bits in ["-m64", "-m32"] {
            let name = format!("layout_by_{}{bits}", compiler.replace("++", "xx").replace('-', "_"));
            let name = name.replace('-', "_");
            let needs = installed(compiler).and_then(|()| has_headers(compiler, bits));
            trials.push(live_test_unless(&name, needs, move || compile_all(compiler, standards, bits)));
        }
    }
    for machine in ["x86_64", "i686"] {
        let compiler = format!("{machine}-w64-mingw32-gcc");
        let needs = installed(&compiler).and_then(|()| installed(&compiler.replace("-gcc", "-g++")));
        trials.push(live_test_unless(&format!("layout_of_mingw_{machine}"), needs, move || mingw(&compiler)));
    }
    let gcc = Compiler::Gcc.supported();
    trials.push(live_test_unless("layout_of_c_is_that_of_rust", gcc.clone(), same_numbers));
    trials.push(live_test_unless("port_example_runs", gcc, || {
        let out = scratch().join("port_example");
        let mut command = compile(Compiler::Gcc);
        command.arg("-I").arg(source("include/sockowner/windows"));
        command.arg(source("tests/c/port_example.c")).arg("-o").arg(&out);
        link(&mut command);
        succeed(&mut command);
        succeed(&mut Command::new(out));
    }));
    trials
}

/// The libraries' headers for this word size are installed. In C++ <stdlib.h> is of that language's own library.
fn has_headers(compiler: &str, bits: &str) -> Result<(), String> {
    let language = if compiler.ends_with("++") { "c++" } else { "c" };
    let probe = scratch().join("probe.h");
    std::fs::write(&probe, "#include <sys/socket.h>\n#include <stddef.h>\n#include <stdlib.h>\n")
        .map_err(|error| error.to_string())?;
    let mut command = Command::new(compiler);
    command.args([bits, "-fsyntax-only", "-x", language]).arg(&probe);
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(format!("no headers for {compiler} {bits}")),
    }
}

fn compile_all(compiler: &str, standards: &[&str], bits: &str) {
    let is_cxx = compiler.ends_with("++");
    let windows = source("include/sockowner/windows");
    let mut cases = cases(windows.to_str().unwrap());
    if is_cxx {
        cases.push(case("layout_ours.cpp", &[]));
    }
    for case in &cases {
        for standard in standards.iter().filter(|standard| **standard != case.but_for) {
            let is_about_names = matches!(case.file, "layout_order.c" | "layout_names.c");
            // Where what is proved is about names alone, the width of characters adds nothing.
            let widths = if is_about_names { &[None][..] } else { &[None, Some("-fshort-wchar")] };
            for wide in widths {
                let mut command = Command::new(compiler);
                command.args(FLAGS).args([bits, &format!("-std={standard}")]).args(*wide);
                command.arg("-I").arg(source("include")).args(&case.flags);
                command.args(is_cxx.then_some("-xc++")).arg(source("tests/c").join(case.file));
                succeed(&mut command);
            }
        }
    }
}

/// The oracle: mingw-w64's own headers have the layout of our list.
fn mingw(gcc: &str) {
    let gxx = gcc.replace("-gcc", "-g++");
    let flags = FLAGS.iter().filter(|flag| **flag != "-Wundef").copied();
    let flags: Vec<&str> = flags.collect();
    let run = |compiler: &str, language: &[&str], file: &str| {
        let mut command = Command::new(compiler);
        command.args(&flags).args(language).arg("-I").arg(source("include"));
        succeed(command.arg(source("tests/c").join(file)));
    };
    for file in ["layout_mingw.c", "layout_windows.c", "port_example.c"] {
        run(gcc, &["-std=c11", "-D_WIN32_WINNT=0x0600"], file);
        run(&gxx, &["-xc++", "-std=c++17", "-D_WIN32_WINNT=0x0A00"], file);
    }
    run(&gxx, &["-std=c++17", "-D_WIN32_WINNT=0x0A00"], "layout_mingw.cpp");
}

/// `name size` for a structure and `name.member offset size` for each member, as `layout_print.c` has them.
macro_rules! layout {
    ($($c_name:literal $rust:ident { $($member:ident $(as $c_member:literal)?),+ })+) => {{
        let mut lines = BTreeMap::new();
        $(
            lines.insert($c_name.to_owned(), size_of::<rust::$rust>());
            $(
                let member = stringify!($member);
                $(let member = { let _ = member; $c_member };)?
                let offset = std::mem::offset_of!(rust::$rust, $member);
                lines.insert(format!("{}.{member}", $c_name), offset);
            )+
        )+
        lines
    }};
}

fn same_numbers() {
    let rust = layout! {
        "sockowner_filter" Filter {
            size, protocol, family, state, user, unit, container, executable, pid, flags, reserved
        }
        "sockowner_service" Service { size, name, kind, manager, uid, reserved32, reserved }
        "sockowner_container" Container { size, runtime, id, pod, manager, nested_count, nested, reserved }
        "sockowner_process" Process {
            size, name, comm, path, user, service, container, start_ticks, start_time, exe_device, exe_inode, pid,
            uid, path_verified, exited, reserved
        }
        "sockowner_holder" Holder { size, process, tid, fd, reserved }
        "sockowner_candidate" Candidate { size, process, evidence, reserved }
        "sockowner_endpoint" Endpoint {
            size, protocol, family, state, local_address, remote_address, local_bytes, remote_bytes, local_scope,
            remote_scope, local_port, remote_port, uid, netns, inode, cookie, cgroup_id, cgroup_path, user, service,
            container, owner, evidence, reason, matched as "match", holder_count, holders, candidate_count,
            candidates, created_at, changed, reserved32, roles, closed_at, reserved
        }
        "sockowner_frame" Frame { size, name, path, build_id, offset, reserved }
        "sockowner_component" Component {
            size, name, path, build_id, offset, evidence, frame_count, frames, generated, reserved32, reserved
        }
        "sockowner_role" Role {
            size, name, comm, path, evidence, service, container, component, start_ticks, start_time, time,
            exe_device, exe_inode, cgroup_id, pid, tid, uid, implicit, deleted, kernel_thread, reserved
        }
        "sockowner_roles" Roles {
            size, creator, binder, listener, acceptor, creator_reason, binder_reason, listener_reason,
            acceptor_reason, reserved
        }
        "sockowner_gap" Gap { size, source, object, reason, count, reserved }
        "sockowner_result" Answer { size, endpoint_count, endpoints, gap_count, gaps, reserved }
    };
    let print = Program { name: "layout_print", sources: &["layout_print.c"] }.compiled(Compiler::Gcc);
    let c = printed(&print);
    assert_eq!(c, rust, "left: C, right: Rust");
}

/// What the program prints of our own API's structures. A structure's numbers are size and alignment, a member's offset
/// and size.
fn printed(program: &Path) -> BTreeMap<String, usize> {
    let text = succeed(&mut Command::new(program));
    let ours = text.lines().filter(|line| line.starts_with("sockowner_") && !line.contains("large_integer"));
    let line = |line: &str| {
        let mut words = line.split(' ');
        (words.next().unwrap().to_owned(), words.next().unwrap().parse().unwrap())
    };
    ours.map(line).collect()
}
