//! Real services, made with `sc`: each is this test program again.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use windows_sys::Win32::System::Services::{
    RegisterServiceCtrlHandlerW, SERVICE_ACCEPT_STOP, SERVICE_CONTROL_STOP, SERVICE_RUNNING, SERVICE_STATUS,
    SERVICE_STATUS_HANDLE, SERVICE_STOPPED, SERVICE_TABLE_ENTRYW, SERVICE_WIN32_OWN_PROCESS,
    SetServiceStatus, StartServiceCtrlDispatcherW,
};

use super::*;
use crate::{Filter, Identity, Module, Query, Service, module_of};

/// Has this program be the service in its command line, rather than test. To libtest it is the name of no test.
const BE: &str = "be-the-service";
/// Before the directory where each service says what it listens on.
const TOLD_IN: &str = "told-in=";
/// Before the name of a service.
const CALLED: &str = "called=";
const THIS_TEST: &str = "sys::windows::call::service::tests::a_listener_of_a_service_is_named_by_it";

#[test]
fn a_listener_of_a_service_is_named_by_it() {
    if std::env::args().any(|argument| argument == BE) {
        return be_the_service();
    }
    let services = match Services::start(&["one", "other"]) {
        Ok(services) => services,
        Err(why) => {
            eprintln!("SKIPPED {THIS_TEST}: {why}");
            return;
        }
    };
    let snapshot = Query::new().unwrap().snapshot(&Filter::new().listening()).unwrap();
    let name_of = |service: &Option<Arc<Service>>| service.as_ref().map(|service| service.name.clone());
    for (name, local) in &services.listening {
        let entry = snapshot.iter().find(|entry| entry.socket.endpoint.local == (*local).into());
        let entry = entry.unwrap_or_else(|| panic!("{local} is not listed: {:?}", snapshot.gaps()));
        let (process, _) = entry.attribution.primary_owner().unwrap();
        assert_eq!(name_of(&process.service).as_ref(), Some(name));
        assert_eq!(name_of(&entry.service).as_ref(), Some(name));
        let module = |service_tag| module_of(&Identity { service_tag, ..Identity::of(process) }).unwrap();
        let known = entry.socket.told.row.info[0];
        // Without tags any number asks for the one service of the process.
        let tag = if known == 0 { 1 } else { u32::try_from(known).unwrap() };
        assert_eq!(module(Some(tag)), Module::Service(name.clone()));
        for none in [None, Some(0), Some(u32::MAX)] {
            assert_eq!(module(none), Module::Process(services.program()), "{none:?}");
        }
    }
}

/// What a program may need from a directory of the search path, which services do not get.
const STUB: &str = "bcryptprimitives.dll";

/// Services that run; stopped and removed when this is dropped.
#[derive(Debug)]
struct Services {
    dir: PathBuf,
    /// Each with its name.
    listening: Vec<(String, SocketAddr)>,
}

impl Services {
    /// Starts services of these names, each in a process of its own; an error is why that cannot be done here.
    fn start(names: &[&str]) -> Result<Self, String> {
        let own = std::process::id();
        let dir = std::env::temp_dir().join(format!("sockowner-services-{own}-{}", names[0]));
        let told_in = format!("{TOLD_IN}{}", dir.display());
        std::fs::create_dir_all(&dir).unwrap();
        let mut services = Self { dir, listening: Vec::new() };
        let path = services.program();
        std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        let search = std::env::var_os("PATH").unwrap_or_default();
        if let Some(stub) =
            std::env::split_paths(&search).map(|dir| dir.join(STUB)).find(|stub| stub.is_file())
        {
            std::fs::copy(stub, services.dir.join(STUB)).unwrap();
        }
        for name in names {
            let name = format!("sockowner-test-{own}-{name}");
            let command =
                format!("\"{}\" --exact {THIS_TEST} {BE} \"{told_in}\" {CALLED}{name}", path.display());
            sc(&["create", &name, "type=", "own", "start=", "demand", "binPath=", &command])?;
            services.listening.push((name, SocketAddr::from(([0; 4], 0))));
        }
        for (name, local) in &mut services.listening {
            // Whoever may make one may start it.
            sc(&["start", name]).unwrap();
            *local = told(&services.dir.join(&*name));
        }
        Ok(services)
    }

    fn program(&self) -> PathBuf {
        self.dir.join("services-test.exe")
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for verb in ["stop", "delete"] {
            for (name, _) in &self.listening {
                let _ = sc(&[verb, name]);
            }
        }
        // It cannot be removed as long as it runs.
        let is_removed = |_| {
            std::thread::sleep(Duration::from_millis(100));
            std::fs::remove_dir_all(&self.dir).is_ok()
        };
        (0..50).any(is_removed);
    }
}

fn sc(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("sc").args(arguments).output().map_err(|error| format!("start sc: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("sc {}: {said}", arguments[0])) }
}

/// The address in a file that a service writes once it listens.
fn told(path: &Path) -> SocketAddr {
    for _ in 0..600 {
        if let Ok(address) = std::fs::read_to_string(path).unwrap_or_default().parse() {
            return address;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("nothing was told in {}", path.display());
}

/// It was told to stop.
static STOPPED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// The argument that begins so, without that.
fn argument(front: &str) -> String {
    std::env::args().find_map(|argument| Some(argument.strip_prefix(front)?.to_owned())).unwrap()
}

/// Returns when the service has stopped.
fn be_the_service() {
    let mut name: Vec<u16> = argument(CALLED).encode_utf16().chain([0]).collect();
    let table = [
        SERVICE_TABLE_ENTRYW { lpServiceName: name.as_mut_ptr(), lpServiceProc: Some(service) },
        SERVICE_TABLE_ENTRYW { lpServiceName: null_mut(), lpServiceProc: None },
    ];
    // SAFETY: the table ends with an entry without a name; it and the name live until the service has ended.
    let done = unsafe { StartServiceCtrlDispatcherW(table.as_ptr()) };
    assert_ne!(done, 0, "{}", io::Error::last_os_error());
}

unsafe extern "system" fn service(_: u32, _: *mut *mut u16) {
    let name = argument(CALLED);
    let units: Vec<u16> = name.encode_utf16().chain([0]).collect();
    // SAFETY: the name ends with a NUL and is that of the service of this process.
    let handle = unsafe { RegisterServiceCtrlHandlerW(units.as_ptr(), Some(handle)) };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    tell(handle, SERVICE_RUNNING);
    let path = PathBuf::from(argument(TOLD_IN)).join(name);
    std::fs::write(path, listener.local_addr().unwrap().to_string()).unwrap();
    let (stopped, changed) = &STOPPED;
    drop(changed.wait_while(stopped.lock().unwrap(), |stopped| !*stopped).unwrap());
    tell(handle, SERVICE_STOPPED);
}

unsafe extern "system" fn handle(control: u32) {
    if control == SERVICE_CONTROL_STOP {
        *STOPPED.0.lock().unwrap() = true;
        STOPPED.1.notify_all();
    }
}

fn tell(handle: SERVICE_STATUS_HANDLE, state: u32) {
    let status = SERVICE_STATUS {
        dwServiceType: SERVICE_WIN32_OWN_PROCESS,
        dwCurrentState: state,
        dwControlsAccepted: SERVICE_ACCEPT_STOP,
        ..SERVICE_STATUS::default()
    };
    // SAFETY: the handle is of a service of this process, and `status` lives across the call.
    unsafe { SetServiceStatus(handle, &raw const status) };
}
