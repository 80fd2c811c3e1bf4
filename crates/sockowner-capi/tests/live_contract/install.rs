//! What `packaging/install-capi` installs is enough to build and run a program, as the README says it is done.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use sockowner_testkit::guide::Section;
use sockowner_testkit::live_test_unless;

use super::service::NO_SERVICE;
use super::workshop::{Compiler, installed, profile_dir, scratch, source, succeed};

/// Where a package would have it.
const PREFIX: &str = "/opt/sockowner";

pub(super) fn trials() -> Vec<Trial> {
    let tools = || installed("pkg-config").and(Compiler::Gcc.supported());
    vec![
        live_test_unless("installed_files_are_these", Ok(()), files),
        live_test_unless("installed_the_example_tells_the_owner", tools().and(NO_SERVICE.check()), example),
        live_test_unless(
            "installed_a_windows_program_compiles",
            tools().and(NO_SERVICE.check()),
            windows_program,
        ),
        live_test_unless("installed_below_destdir_pkg_config_finds_it", tools(), below_destdir),
        live_test_unless("the_program_of_the_readme_is_the_example", Ok(()), readme),
        live_test_unless(
            "the_guide_tells_how_to_port_a_program",
            tools().and(installed("cc")).and(NO_SERVICE.check()),
            || guide("Port a Windows program", "tests/c/port_example.c"),
        ),
        live_test_unless(
            "the_guide_tells_how_to_use_it_from_c",
            tools().and(installed("cc")).and(NO_SERVICE.check()),
            || guide("Use it from C", "examples/listeners.c"),
        ),
    ]
}

/// Installs below `dir` and yields the prefix as programs find it.
fn install(dir: &str, destdir: bool) -> PathBuf {
    let dir = scratch().join(dir);
    let mut command = Command::new(source("../../packaging/install-capi"));
    command.env("BUILT", profile_dir());
    let prefix = if destdir {
        command.env("DESTDIR", &dir).arg(PREFIX);
        dir.join(&PREFIX[1..])
    } else {
        command.env_remove("DESTDIR").arg(&dir);
        dir
    };
    succeed(&mut command);
    prefix
}

/// What pkg-config says of the library installed at `prefix`.
fn pkg_config(prefix: &Path) -> Command {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_LIBDIR", prefix.join("lib/pkgconfig"));
    command.env_remove("PKG_CONFIG_PATH").env_remove("PKG_CONFIG_SYSROOT_DIR");
    command
}

/// Compiles with these flags, which are all that leads to the library.
fn build(program: &str, out: &str, flags: &[String]) -> PathBuf {
    let out = scratch().join(out);
    let mut command = Command::new("gcc");
    command.args(["-Wall", "-Wextra", "-Werror"]).arg(source(program)).arg("-o").arg(&out);
    // One string is what a shell makes of `$(pkg-config ...)`.
    succeed(command.args(flags.iter().flat_map(|flags| flags.split_whitespace())));
    out
}

fn started(program: PathBuf, prefix: &Path) -> String {
    succeed(Command::new(program).env("LD_LIBRARY_PATH", prefix.join("lib")))
}

fn files() {
    let prefix = install("install-files", true);
    let mut found = Vec::new();
    let mut dirs = vec![prefix.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in dir.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.push(path.strip_prefix(&prefix).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    let mut expected = Vec::new();
    for dir in ["sockowner", "sockowner/windows"] {
        for header in source("include").join(dir).read_dir().unwrap() {
            let header = header.unwrap();
            if header.file_type().unwrap().is_file() {
                expected.push(format!("include/{dir}/{}", header.file_name().to_str().unwrap()));
            }
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let (soname, _) = version.rsplit_once('.').unwrap();
    expected.extend(
        ["lib/libsockowner.a", "lib/libsockowner.so", "lib/pkgconfig/sockowner.pc"].map(str::to_owned),
    );
    expected.extend([soname, version].map(|version| format!("lib/libsockowner.so.{version}")));
    expected.sort();
    assert_eq!(found, expected);

    let pc = fs::read_to_string(prefix.join("lib/pkgconfig/sockowner.pc")).unwrap();
    assert!(
        pc.starts_with(&format!("prefix={PREFIX}\n")) && pc.contains(&format!("\nVersion: {version}\n")),
        "{pc}"
    );
    assert!(!pc.contains('@'), "{pc}");
}

fn example() {
    let prefix = install("install-example", false);
    let flags = succeed(pkg_config(&prefix).args(["--cflags", "--libs", "sockowner"]));
    let program = build("examples/listeners.c", "installed-listeners", &[flags]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let exe = fs::read_link("/proc/self/exe").unwrap();
    let expected = format!("port {port}, pid {}: {}", std::process::id(), exe.display());
    let text = started(program, &prefix);
    assert!(text.lines().any(|line| line == expected), "no line {expected:?} in\n{text}");
}

fn windows_program() {
    let prefix = install("install-windows", false);
    let cflags = succeed(pkg_config(&prefix).args(["--cflags", "sockowner"]));
    let windows = succeed(pkg_config(&prefix).args(["--variable=windows_cflags", "sockowner"]));
    let libs = succeed(pkg_config(&prefix).args(["--libs", "sockowner"]));
    let program = build("tests/c/port_example.c", "installed-port-example", &[cflags, windows, libs]);
    assert!(!started(program, &prefix).is_empty());
}

/// As a package is made: the files are not yet where they say that they are.
fn below_destdir() {
    let prefix = install("install-destdir", true);
    let root = prefix.to_str().unwrap().strip_suffix(PREFIX).unwrap();
    let ask = |what: &str| {
        succeed(pkg_config(&prefix).env("PKG_CONFIG_SYSROOT_DIR", root).args([what, "sockowner"]))
    };
    let flags = [ask("--cflags"), ask("--libs")];
    let expected = [format!("-I{root}{PREFIX}/include"), format!("-L{root}{PREFIX}/lib -lsockowner")];
    assert_eq!(flags.each_ref().map(|flags| flags.trim()), expected.each_ref().map(String::as_str));
    build("examples/listeners.c", "destdir-listeners", &flags);
    let plain = succeed(pkg_config(&prefix).args(["--variable=includedir", "sockowner"]));
    assert_eq!(plain.trim(), format!("{PREFIX}/include"));
}

fn readme() {
    let readme = fs::read_to_string(source("../../README.md")).unwrap();
    let programs: Vec<&str> =
        readme.split("```c\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(programs, [fs::read_to_string(source("examples/listeners.c")).unwrap()]);
}

/// The commands of a section, where the library is installed and the example is in the working directory.
fn guide(title: &str, example: &str) {
    let example = source(example);
    let name = example.file_stem().unwrap().to_str().unwrap();
    let prefix = install(&format!("guide-{name}"), false);
    let dir = prefix.join("work");
    fs::create_dir_all(&dir).unwrap();
    fs::copy(&example, dir.join(example.file_name().unwrap())).unwrap();
    let _listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let exe = fs::read_link("/proc/self/exe").unwrap();
    let mut section = Section::of(include_str!("../../../../GUIDE.md"), title);
    section.step(|command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&dir).env("LD_LIBRARY_PATH", prefix.join("lib"));
        shell.env("PKG_CONFIG_LIBDIR", prefix.join("lib/pkgconfig")).env_remove("PKG_CONFIG_PATH");
        let said = succeed(shell.env_remove("PKG_CONFIG_SYSROOT_DIR"));
        let said = said.replace(exe.to_str().unwrap(), "/srv/shop/web");
        Some(said.replace(exe.file_name().unwrap().to_str().unwrap(), "web"))
    });
    section.end();
}
