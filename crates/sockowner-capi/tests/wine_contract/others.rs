//! Programs that are staged from here: in a long path, as a service, and a native Linux one.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use sockowner_testkit::eventually;

use super::super::workshop::{profile_dir, scratch, source};
use super::same_source::is_true;
use super::wine::{Machine, Means, Server, finished, ran, trial, wine, wine_path};

pub(super) fn trials(means: &Means) -> Vec<Trial> {
    let bridge = means.as_ref().map_err(Clone::clone).and_then(|machine| Bridge::built(machine));
    let with_bridge = bridge.as_ref().map_err(Clone::clone).and_then(|_| means.clone());
    vec![
        trial("c26_a_long_path_is_told_whole", means, long_path),
        trial("c24_a_service_is_named_by_its_listener", means, service),
        trial("a_native_listener_is_named_through_the_bridge_alone", &with_bridge, move |machine| {
            native(machine, &bridge.unwrap());
        }),
    ]
}

/// Longer than `MAX_PATH`.
fn long_path(machine: &Machine) {
    let dir = scratch().join(["directory-of-fifty-units-0123456789-0123456789-0123"; 6].join("/"));
    let program = dir.join("own_listener.exe");
    let path = wine_path(&program);
    assert!(path.len() > 260);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(machine.compiled("own_listener_of_c26", &["own_listener.c"]), &program).unwrap();
    std::fs::copy(machine.library.join("sockowner.dll"), dir.join("sockowner.dll")).unwrap();
    is_true(&ran(&mut wine(&program)), &path, "own_listener.exe", None).unwrap();
}

/// The program that asks who listens at a port. `name` is what this trial calls it: others run beside it.
fn asker(machine: &Machine, name: &str) -> PathBuf {
    machine.compiled(name, &["who_listens.c", "check.c"])
}

fn service(machine: &Machine) {
    let port_file = scratch().join("service.port");
    let program = machine.compiled("service", &["service.c"]);
    let service = Service::create(&format!("{} {}", wine_path(&program), wine_path(&port_file)));
    sc(&["start", &service.0]);
    let port = eventually("the service's port", || std::fs::read_to_string(&port_file).ok());
    let said = ran(wine(&asker(machine, "who_serves")).arg(&port));
    let fields: Vec<&str> = said.trim_end().split('\t').collect();
    let [pid, name, path] = fields[..] else { panic!("{said:?}") };
    assert_ne!(pid, "0", "{said:?}");
    assert_eq!((name, path), (service.0.as_str(), service.0.as_str()), "a service's name is its path");
}

fn sc(arguments: &[&str]) {
    ran(wine(Path::new("sc")).args(arguments));
}

/// One that is stopped and deleted with this.
struct Service(String);

impl Service {
    fn create(command: &str) -> Self {
        let name = format!("sockowner-contract-{}", std::process::id());
        sc(&["create", &name, "binPath=", command]);
        Self(name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for what in ["stop", "delete"] {
            let said = finished(wine(Path::new("sc")).args([what, &self.0]));
            if !said.status.success() {
                eprintln!("sc {what} {}: {}{}", self.0, said.text, said.errors);
            }
        }
    }
}

/// Both halves of the bridge.
struct Bridge {
    so: PathBuf,
    dll: PathBuf,
}

impl Bridge {
    fn built(machine: &Machine) -> Result<Self, String> {
        let so = profile_dir().join("libsockowner_bridge.so");
        let dll = machine.library.join("sockowner_bridge.dll");
        for half in [&so, &dll] {
            std::fs::metadata(half)
                .map_err(|error| format!("the bridge is not built: {}: {error}", half.display()))?;
        }
        Ok(Self { so, dll })
    }

    fn script(&self, verb: &str, prefix: &Path) {
        let mut script = Command::new(source("../../packaging/wine/sockowner-bridge.sh"));
        let said = finished(script.arg(verb).arg(prefix).env("SO", &self.so).env("DLL", &self.dll));
        assert!(said.status.success(), "{verb}: {}{}", said.text, said.errors);
    }
}

/// This process listens. Without the bridge nobody is named for that, and then the same again.
fn native(machine: &Machine, bridge: &Bridge) {
    let prefix = scratch().join("bridged");
    std::fs::create_dir(&prefix).unwrap();
    let _server = Server::start(&prefix);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let asker = asker(machine, "who_is_native");
    let ask = || {
        let mut command = wine(&asker);
        command.env("WINEPREFIX", &prefix).env("WINEDLLPATH", prefix.join("sockowner-bridge"));
        ran(command.arg(&port))
    };
    assert_eq!(ask(), "0\t1168\n");
    bridge.script("install", &prefix);
    let path = std::env::current_exe().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    // Its number is marked: a process of Wine may have the same one.
    let pid = 0x8000_0000 | std::process::id();
    assert_eq!(ask(), format!("{pid}\t{name}\t{}\n", path.display()));
    bridge.script("remove", &prefix);
    assert_eq!(ask(), "0\t1168\n");
}
