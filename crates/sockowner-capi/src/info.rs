//! `OwningModuleInfo`: what a row carries so that its owner is found again, and nobody else for him.
//!
//! | word | meaning |
//! |---|---|
//! | 0 | Windows' service tag. On Linux the id of the service's cgroup where the row's owner is in one, under Wine 1 where he is the process of one service; else 0 |
//! | 1 | version of this layout, [`VERSION`]; 0 in a row that was made by hand |
//! | 2 | start of the owner in clock ticks of the initial time namespace; on Windows his creation, a `FILETIME` |
//! | 3 | cookie of the socket |
//! | 4 | id of the cgroup in which the socket was created, 0 for not known |
//! | 5 | inode number of the owner's pidfd (Linux 6.9 and later); 0 where the start alone tells it from any later process |
//! | 6 | 64 bits of the boot id, 0 for not known |
//! | 7 | 1 where the owner made the recorded call, and from a library; else 0 |
//! | 8..15 | 0 |
//!
//! All zero, a pid alone is believed. Words of another version are believed by nobody. On Windows the system's own rows have
//! words too, of which the first alone has a meaning; they stay as they are ([`told`]).

use sockowner::{Entry, Identity, Manager, Owning, Process, Reason, RowOwner};
use sockowner_wire::mib::{INFO_LEN, Row};

use crate::code::Code;

/// "sockown" and the number of this layout.
const VERSION: u64 = u64::from_be_bytes(*b"sockown\x01");

/// Asks for the only service of a process: Wine's service manager gives no tags.
const ONLY_SERVICE: u64 = 1;

/// The words for the owner of `entry`.
pub(crate) fn words(entry: &Entry, owning: &Owning) -> [u64; INFO_LEN] {
    let process = &*owning.process;
    let identity = Identity::of(process);
    let cgroup = entry.socket.cgroup.unwrap_or(0);
    let mut words = [0; INFO_LEN];
    words[0] = match has_service(entry, process) {
        true if cfg!(windows) => ONLY_SERVICE,
        true => cgroup,
        false => 0,
    };
    words[1] = VERSION;
    words[2] = identity.start_ticks.unwrap_or(0);
    words[3] = entry.socket.cookie;
    words[4] = cgroup;
    words[5] = identity.pidfd_inode.unwrap_or(0);
    words[6] = identity.boot.unwrap_or(0);
    words[7] = owning.component.into();
    words
}

/// The owner is in the system's unit in which the socket was created.
fn has_service(entry: &Entry, process: &Process) -> bool {
    let is_systems = entry.service.as_ref().is_some_and(|service| service.manager == Manager::System);
    is_systems && entry.container.is_none() && entry.service == process.service
}

/// Has `row` say what the system's own row said, where that was of the same owner.
///
/// Whom a row of Wine's names may be another than who is told: of such a row nothing is kept.
pub(crate) fn told(row: &mut Row, told: &RowOwner, reason: Option<Reason>) {
    let is_filled = told.bound_at != 0 || told.info != [0; INFO_LEN];
    if row.pid == 0 && is_filled && reason == Some(Reason::NotPermitted) {
        // It is not Wine's row: the system knows him, and lets nobody look.
        row.pid = told.pid;
    }
    if row.pid == 0 || row.pid == told.pid {
        row.created = told.bound_at;
        row.flags = told.flags;
    }
    if row.pid != 0 && row.pid == told.pid && told.info != [0; INFO_LEN] {
        row.info = told.info;
    }
}

/// The process that a row names. `bound_at` is the row's time of the bind, 0 for not known.
pub(crate) fn identity(pid: u32, words: &[u64; INFO_LEN], bound_at: u64) -> Result<Identity, Code> {
    let known = |word: u64| (word != 0).then_some(word);
    let mut identity = Identity::of_pid(pid);
    if cfg!(windows) {
        identity.bound_at = known(bound_at);
        identity.service_tag = u32::try_from(words[0]).ok().filter(|&tag| tag != 0);
    }
    if words.iter().all(|&word| word == 0) || is_systems(words) {
        return Ok(identity);
    }
    if words[1] != VERSION {
        // Of another version, or no words of ours at all: nothing proves that the pid is still the same process's.
        return Err(Code::NOT_FOUND);
    }
    identity.start_ticks = Some(words[2]);
    // Whose owner was in no service needs no look at its cgroup.
    identity.cgroup = known(words[0]);
    identity.pidfd_inode = known(words[5]);
    identity.boot = known(words[6]);
    // Whose owner did not make the call from a library needs no look at what is recorded.
    identity.component_of = (words[7] == 1).then_some(words[3]);
    Ok(identity)
}

/// Words of the system's own tables: on Windows those that are not of any version of ours.
fn is_systems(words: &[u64; INFO_LEN]) -> bool {
    cfg!(windows) && words[1] >> 8 != VERSION >> 8
}

#[cfg(test)]
mod tests {
    use sockowner_wire::mib::Side;

    use super::*;

    #[test]
    fn a_component_is_looked_for_where_the_row_says_so_and_by_its_socket() {
        let mut words = [0; INFO_LEN];
        (words[1], words[2], words[3]) = (VERSION, 1000, 4711);
        assert_eq!(identity(7, &words, 0).unwrap().component_of, None);
        words[7] = 1;
        assert_eq!(identity(7, &words, 0).unwrap().component_of, Some(4711));
        words[7] = 2;
        assert_eq!(identity(7, &words, 0).unwrap().component_of, None, "of a later version");
        assert_eq!(identity(7, &[0; INFO_LEN], 0).unwrap().component_of, None);
    }

    #[test]
    fn words_of_another_version_of_ours_are_believed_nowhere() {
        let mut words = [0; INFO_LEN];
        (words[1], words[2]) = (VERSION + 1, 1000);
        assert_eq!(identity(7, &words, 0).unwrap_err(), Code::NOT_FOUND);
    }

    #[test]
    fn words_of_the_system_are_a_tag_on_windows_and_nothing_on_linux() {
        for words in [[77, 0], [77, 5], [0, 5]].map(|first| {
            let mut words = [0; INFO_LEN];
            words[..2].copy_from_slice(&first);
            words
        }) {
            let proved = identity(7, &words, 9);
            if cfg!(windows) {
                let proved = proved.unwrap();
                let tag = u32::try_from(words[0]).unwrap();
                assert_eq!((proved.pid, proved.bound_at, proved.start_ticks), (7, Some(9), None));
                assert_eq!(proved.service_tag, (tag != 0).then_some(tag));
            } else {
                assert_eq!(proved.unwrap_err(), Code::NOT_FOUND);
            }
        }
    }

    #[test]
    fn the_time_of_the_bind_is_a_proof_on_windows_alone() {
        let bound_at = |at| identity(7, &[0; INFO_LEN], at).unwrap().bound_at;
        assert_eq!(bound_at(9), cfg!(windows).then_some(9));
        assert_eq!(bound_at(0), None);
    }

    /// What becomes of a row of ours for this owner, and of the system's words.
    fn kept(pid: u32, system: (u32, u64, u64), reason: Option<Reason>) -> (u32, u64, u64) {
        let side = Side { ip: std::net::Ipv4Addr::LOCALHOST.into(), scope: 0, port: 1 };
        let mut row =
            Row { local: side, remote: side, state: 2, pid, created: 0, flags: 0, info: [1; INFO_LEN] };
        let mut owner = RowOwner::default();
        (owner.pid, owner.bound_at, owner.info[0]) = system;
        owner.flags = 1;
        told(&mut row, &owner, reason);
        let is_his = [0, owner.pid].contains(&row.pid);
        assert_eq!((row.flags, row.created), if is_his { (1, owner.bound_at) } else { (0, 0) });
        assert!(row.info == [1; INFO_LEN] || row.info == owner.info);
        (row.pid, row.created, row.info[0])
    }

    #[test]
    fn the_systems_words_stay_in_a_row_of_the_same_owner() {
        assert_eq!(kept(8, (8, 5, 77), None), (8, 5, 77));
        assert_eq!(kept(8, (8, 5, 0), None), (8, 5, 1), "all zero: ours");
    }

    #[test]
    fn nothing_stays_of_a_row_that_names_another() {
        assert_eq!(kept(8, (12, 5, 77), None), (8, 0, 1));
        assert_eq!(kept(8, (0, 0, 0), None), (8, 0, 1));
    }

    #[test]
    fn who_may_not_be_seen_keeps_his_number_and_who_is_gone_does_not() {
        assert_eq!(kept(0, (8, 5, 77), Some(Reason::NotPermitted)), (8, 5, 77));
        assert_eq!(kept(0, (8, 0, 0), Some(Reason::NotPermitted)), (0, 0, 1), "as Wine's rows are");
        for reason in [Reason::Gone, Reason::NoVisibleHolder] {
            assert_eq!(kept(0, (8, 5, 77), Some(reason)), (0, 5, 1), "{reason}");
        }
    }
}
