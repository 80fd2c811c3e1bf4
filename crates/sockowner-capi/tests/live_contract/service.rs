//! Whether a test runs in a service of the system, and how it leaves one.

use std::path::PathBuf;

use sockowner_testkit::Requirement;
use sockowner_testkit::cgroup::{self, Scratch};

/// Rows of this process and its children are told as processes.
pub(super) const NO_SERVICE: Requirement = Requirement::Custom("no service", outside_services);

/// Neither this process nor, then, what it starts is in a service of the system.
fn outside_services() -> Result<(), String> {
    let path = own_cgroup();
    let in_one = path.split('/').any(|part| part.ends_with(".service"));
    if in_one { Err(format!("this runs in {path}, and cannot leave it")) } else { Ok(()) }
}

/// The process's path in the cgroup2 hierarchy.
fn own_cgroup() -> String {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned()
}

/// Keeps this process, and with it whatever it starts, in a cgroup that is no service's: a machine's CI may run it in
/// one. Where that cannot be had it stays where it is.
#[derive(Debug)]
pub(super) struct Apart(Option<(Scratch, PathBuf)>);

impl Apart {
    pub(super) fn enter() -> Self {
        let home = |()| Some(cgroup::mount_point().ok()?.join(own_cgroup().trim_start_matches('/')));
        Self(cgroup::supported().ok().and_then(home).map(|home| {
            let pid = std::process::id();
            let apart = Scratch::new(&format!("/sockowner-contract-{pid}"));
            apart.move_in(pid);
            (apart, home)
        }))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some((_, home)) = &self.0 {
            // A cgroup with a process in it cannot be removed.
            std::fs::write(home.join("cgroup.procs"), "0").unwrap();
        }
    }
}
