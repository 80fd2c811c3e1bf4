//! `OwningModuleInfo`: what a row carries so that its owner is found again, and nobody else for him.
//!
//! | word | meaning |
//! |---|---|
//! | 0 | Windows' service tag. Here the id of the service's cgroup where the row's owner is in one, else 0 |
//! | 1 | version of this layout, [`VERSION`]; 0 in a row that was made by hand |
//! | 2 | start of the owner in clock ticks of the initial time namespace |
//! | 3 | cookie of the socket |
//! | 4 | id of the cgroup in which the socket was created, 0 for not known |
//! | 5 | inode number of the owner's pidfd (Linux 6.9 and later); 0 where the start alone tells it from any later process |
//! | 6 | 64 bits of the boot id, 0 for not known |
//! | 7..15 | 0 |
//!
//! All zero, a pid alone is believed. Words of another version are believed by nobody.

use sockowner::{Entry, Identity, Manager, Process};
use sockowner_wire::mib::INFO_LEN;

use crate::code::Code;

/// "sockown" and the number of this layout.
const VERSION: u64 = u64::from_be_bytes(*b"sockown\x01");

/// The words for the owner of `entry`.
pub(crate) fn words(entry: &Entry, process: &Process) -> [u64; INFO_LEN] {
    let identity = Identity::of(process);
    let cgroup = entry.socket.cgroup.unwrap_or(0);
    let mut words = [0; INFO_LEN];
    words[0] = if has_service(entry, process) { cgroup } else { 0 };
    words[1] = VERSION;
    words[2] = identity.start_ticks.unwrap_or(0);
    words[3] = entry.socket.cookie;
    words[4] = cgroup;
    words[5] = identity.pidfd_inode.unwrap_or(0);
    words[6] = identity.boot.unwrap_or(0);
    words
}

/// The owner is in the system's unit in which the socket was created.
fn has_service(entry: &Entry, process: &Process) -> bool {
    let is_systems = entry.service.as_ref().is_some_and(|service| service.manager == Manager::System);
    is_systems && entry.container.is_none() && entry.service == process.service
}

/// The process that a row names.
pub(crate) fn identity(pid: u32, words: &[u64; INFO_LEN]) -> Result<Identity, Code> {
    let mut identity = Identity::of_pid(pid);
    if words.iter().all(|&word| word == 0) {
        return Ok(identity);
    }
    if words[1] != VERSION {
        // Of another version, or no words of ours at all: nothing proves that the pid is still the same process's.
        return Err(Code::NOT_FOUND);
    }
    let known = |word: u64| (word != 0).then_some(word);
    identity.start_ticks = Some(words[2]);
    // Whose owner was in no service needs no look at its cgroup.
    identity.cgroup = known(words[0]);
    identity.pidfd_inode = known(words[5]);
    identity.boot = known(words[6]);
    Ok(identity)
}
