//! The proxy: a program that knows nothing of sockowner finds the functions in Wine's iphlpapi.dll, as long as
//! `packaging/wine/iphlpapi-proxy.sh` has it there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use sockowner_testkit::live_test_unless;

use super::super::workshop::{Compiler, compile, installed, scratch, source, succeed};
use super::same_source::is_true;
use super::wine::{Machine, Means, Server, finished, ran, trial, wine, wine_path};

pub(super) fn trials(means: &Means) -> Vec<Trial> {
    let with_tools = means.clone().and_then(|machine| {
        installed("x86_64-w64-mingw32-objdump")?;
        Ok(machine)
    });
    vec![
        trial("the_proxy_serves_an_unmodified_program_and_leaves_no_trace", &with_tools, proxy),
        live_test_unless("the_proxy_is_refused_where_there_is_no_prefix", Ok(()), || {
            let nowhere = std::env::temp_dir().join("sockowner-no-prefix");
            for arguments in [vec!["install"], vec!["remove"], vec![], vec!["else"]] {
                let said = finished(script().args(arguments).arg(&nowhere));
                assert!(!said.status.success() && !said.errors.is_empty());
            }
        }),
        live_test_unless("the_proxy_is_refused_in_a_prefix_of_32_bits", Ok(()), || {
            let prefix = tempfile::tempdir().unwrap();
            let prefix = prefix.path();
            let system = prefix.join("drive_c/windows/system32");
            std::fs::create_dir_all(&system).unwrap();
            let library = system.join("iphlpapi.dll");
            std::fs::write(&library, for_32_bits()).unwrap();
            std::fs::write(prefix.join("sockowner.dll"), "").unwrap();
            let said = finished(script().arg("install").arg(prefix).env("BUILT", prefix));
            assert!(!said.status.success() && said.errors.contains("32 bits"), "{}", said.errors);
            assert_eq!(std::fs::read(&library).unwrap(), for_32_bits());
        }),
    ]
}

/// What a library of Wine's for 32 bits begins with.
fn for_32_bits() -> Vec<u8> {
    let mut bytes = vec![0; 0x200];
    bytes[..2].copy_from_slice(b"MZ");
    // Where the header of the format stands.
    bytes[60] = 0x80;
    bytes[64..80].copy_from_slice(b"Wine builtin DLL");
    // `IMAGE_FILE_MACHINE_I386`.
    bytes[0x80..0x86].copy_from_slice(b"PE\0\0\x4c\x01");
    bytes
}

fn script() -> Command {
    Command::new(source("../../packaging/wine/iphlpapi-proxy.sh"))
}

fn proxy(machine: &Machine) {
    let prefix = scratch().join("proxied");
    std::fs::create_dir(&prefix).unwrap();
    let server = Server::start(&prefix);
    let program = unmodified();
    let run = || {
        let mut command = wine(&program);
        command.env("WINEPREFIX", &prefix);
        command
    };
    let act = |what: &str| {
        finished(script().args([what.as_ref(), prefix.as_os_str()]).env("BUILT", &machine.library))
    };
    let is_served = || {
        let said = ran(&mut run());
        is_true(&said, &wine_path(&program), "own_listener.exe", None).unwrap();
    };
    let is_not_served = || assert!(!finished(&mut run()).status.success(), "Wine has the functions itself");

    // Newer Wine may have them: then there is nothing to be seen before.
    let has_them = finished(&mut run()).status.success();
    let before = traces(&prefix);
    assert!(act("install").status.success());
    is_served();
    assert_ne!(traces(&prefix), before);
    let again = act("install");
    assert!(!again.status.success() && again.errors.contains("it is installed"));
    is_served();
    assert!(act("remove").status.success());
    assert_eq!(traces(&prefix), before);
    if !has_them {
        is_not_served();
    }
    assert!(!act("remove").status.success());
    assert_eq!(traces(&prefix), before);

    // An override that came back, as where the registry was lost with its server.
    overridden(&prefix, &["add", "/t", "REG_SZ", "/d", "native,builtin"]);
    let refused = act("install");
    assert!(!refused.status.success() && refused.errors.contains("remove takes it back"));
    assert!(act("remove").status.success());
    assert_eq!(traces(&prefix), before);
    // One that was lost.
    assert!(act("install").status.success());
    overridden(&prefix, &["delete"]);
    assert!(act("remove").status.success());
    assert_eq!(traces(&prefix), before);
    // An installation that ended between two files.
    let system = prefix.join("drive_c/windows/system32");
    std::fs::write(system.join("iphlpapi_sockowner.dll"), "").unwrap();
    std::fs::rename(system.join("iphlpapi.dll"), system.join("iphlpapi_orig.dll")).unwrap();
    assert!(!act("install").status.success());
    assert!(act("remove").status.success());
    assert_eq!(traces(&prefix), before);
    // Somebody else's override stays.
    overridden(&prefix, &["add", "/t", "REG_SZ", "/d", "builtin"]);
    assert!(!act("remove").status.success());
    assert_ne!(traces(&prefix), before);
    drop(server);
}

/// `reg` of the override.
fn overridden(prefix: &Path, arguments: &[&str]) {
    let (verb, rest) = arguments.split_first().unwrap();
    let mut reg = wine(Path::new("reg"));
    reg.args([*verb, r"HKCU\Software\Wine\DllOverrides", "/v", "iphlpapi", "/f"]).args(rest);
    ran(reg.env("WINEPREFIX", prefix));
}

/// The program of the same source, linked with the system's library alone, and with nothing of ours beside it.
fn unmodified() -> PathBuf {
    let dir = scratch().join("unmodified");
    std::fs::create_dir(&dir).unwrap();
    let program = dir.join("own_listener.exe");
    let mut command = compile(Compiler::Mingw);
    command.arg(source("tests/c/own_listener.c")).arg("-o").arg(&program);
    succeed(command.args(["-liphlpapi", "-lws2_32"]));
    program
}

/// What an installation could leave: each file of the system's directory with its content's length and digest, and the
/// override.
fn traces(prefix: &Path) -> BTreeMap<String, String> {
    let system = prefix.join("drive_c/windows/system32");
    let mut sums = Command::new("sh");
    sums.args(["-c", "find . -type f -exec cksum {} +"]).current_dir(&system);
    let sums = succeed(&mut sums);
    let line = |line: &str| line.rsplit_once(' ').map(|(sum, name)| (name.to_owned(), sum.to_owned()));
    let mut traces: BTreeMap<String, String> = sums.lines().filter_map(line).collect();
    assert!(traces.contains_key("./iphlpapi.dll"));
    let mut query = wine(Path::new("reg"));
    // Beside it Wine writes keys of its own, whenever it comes to it.
    query.args(["query", r"HKCU\Software\Wine\DllOverrides", "/s"]).env("WINEPREFIX", prefix);
    traces.insert("registry".to_owned(), ran(&mut query));
    traces
}
