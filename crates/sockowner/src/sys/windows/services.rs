//! Services: by the tag that the system keeps of who bound a socket, and by the process that they live in.

use super::buffer::filled;
use super::door::Door;
use crate::{Error, ErrorKind, Result};

/// All that the service manager tells at once (`EnumServicesStatusExW`).
const FIRST: usize = 256 << 10;

/// A service that is starting, running or stopping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Active {
    /// The process it lives in, which may be that of others too.
    pub(super) pid: u32,
    pub(super) name: String,
    /// Others may live in its process: also such as the manager does not tell this caller of.
    pub(super) shares: bool,
}

/// Where the members of an entry stand (`ENUM_SERVICE_STATUS_PROCESSW`). A pointer is as wide as this program's.
mod at {
    const POINTER: usize = size_of::<usize>();
    pub(super) const NAME: usize = 0;
    pub(super) const KIND: usize = 2 * POINTER;
    pub(super) const PID: usize = 2 * POINTER + 28;
    /// Bytes of one.
    pub(super) const SIZE: usize = (2 * POINTER + 36).next_multiple_of(POINTER);
}

/// `SERVICE_WIN32_OWN_PROCESS`: no other service lives in its process.
const OWN_PROCESS: u32 = 0x10;

/// The tag in the first word of what a row says of its owner; `None` where that is no service's.
pub(super) fn tag(word: u64) -> Option<u32> {
    u32::try_from(word).ok().filter(|&tag| tag != 0 && tag != u32::MAX)
}

/// The service with this tag in a process; where the system cannot tell by the tag, the only one that can live there.
///
/// Who has a handle to the process meanwhile may believe that it is the same one.
pub(super) fn named<D: Door>(door: &D, pid: u32, tag: u32) -> Result<Option<String>> {
    match door.service_by_tag(pid, tag) {
        Ok(name) if !name.is_empty() => Ok(Some(String::from_utf16_lossy(&name))),
        _ => Ok(only(&active(door)?, pid).map(str::to_owned)),
    }
}

/// All active services.
pub(super) fn active<D: Door>(door: &D) -> Result<Vec<Active>> {
    const SENTENCE: &str = "ask the service manager which services are active";
    let mut count = 0;
    let filled = filled(FIRST, |buffer| {
        let (fill, listed) = door.services(buffer)?;
        count = listed;
        Ok(fill)
    });
    let filled = filled.map_err(|error| Error::io(SENTENCE, error))?;
    let mut active = read(filled.bytes(), filled.address(), count).ok_or_else(|| {
        Error::new(ErrorKind::Malformed, format!("{SENTENCE}: its list has not the form it should"))
    })?;
    if door.is_wine() {
        // It tells everybody of all services, and gives each a process of its own, whatever its type.
        for service in &mut active {
            service.shares = false;
        }
    }
    Ok(active)
}

/// The one service that lives in a process. Of one that others may share only the visible ones are known.
pub(super) fn only(active: &[Active], pid: u32) -> Option<&str> {
    let mut here = active.iter().filter(|active| active.pid == pid && pid != 0);
    match (here.next(), here.next()) {
        (Some(only), None) if !only.shares => Some(&only.name),
        _ => None,
    }
}

/// Reads `count` entries in `bytes`, which stood at `address` when the system pointed into it. `None` where one has not the
/// form it should: then of no process it is known how many services live in it.
fn read(bytes: &[u8], address: usize, count: usize) -> Option<Vec<Active>> {
    let entries = bytes.get(..count.checked_mul(at::SIZE)?)?;
    entries.chunks_exact(at::SIZE).map(|entry| one(entry, bytes, address)).collect()
}

fn one(entry: &[u8], bytes: &[u8], address: usize) -> Option<Active> {
    let number = |at: usize| entry.get(at..)?.first_chunk().copied().map(u32::from_le_bytes);
    let (pid, kind) = (number(at::PID)?, number(at::KIND)?);
    let name = entry.get(at::NAME..)?.first_chunk().copied().map(usize::from_le_bytes)?;
    let rest = bytes.get(name.checked_sub(address)?..)?;
    let mut units = rest.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let mut name = Vec::new();
    loop {
        match units.next()? {
            0 => break,
            unit => name.push(unit),
        }
    }
    Some(Active { pid, name: String::from_utf16_lossy(&name), shares: kind & OWN_PROCESS == 0 })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Where the system had the list.
    const ADDRESS: usize = 0x1000;

    /// `SERVICE_WIN32_SHARE_PROCESS`.
    const SHARE_PROCESS: u32 = 0x20;

    /// The list of these services, pid and name, as it is in a buffer that stands at `address`; those in processes of `shared`
    /// say that others may live there.
    pub(in crate::sys::windows) fn list(services: &[(u32, &str)], shared: &[u32], address: usize) -> Vec<u8> {
        let mut bytes = vec![0; services.len() * at::SIZE];
        for (index, (pid, name)) in services.iter().enumerate() {
            let pointer = address + bytes.len();
            let entry = &mut bytes[index * at::SIZE..];
            entry[at::NAME..][..size_of::<usize>()].copy_from_slice(&pointer.to_le_bytes());
            let kind = if shared.contains(pid) { SHARE_PROCESS } else { OWN_PROCESS };
            entry[at::KIND..][..4].copy_from_slice(&kind.to_le_bytes());
            entry[at::PID..][..4].copy_from_slice(&pid.to_le_bytes());
            bytes.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        }
        bytes
    }

    fn active(pid: u32, name: &str) -> Active {
        Active { pid, name: name.into(), shares: false }
    }

    #[test]
    fn entries_are_read_with_their_names() {
        let bytes = list(&[(8, "Dnscache"), (12, "Zürich")], &[12], ADDRESS);
        let sharing = Active { shares: true, ..active(12, "Zürich") };
        assert_eq!(read(&bytes, ADDRESS, 2), Some(vec![active(8, "Dnscache"), sharing]));
        assert_eq!(read(&bytes, ADDRESS, 1), Some(vec![active(8, "Dnscache")]));
        assert_eq!(read(&bytes, ADDRESS, 0), Some(vec![]));
    }

    #[test]
    fn a_list_that_is_cut_or_points_outside_is_no_list() {
        let bytes = list(&[(8, "Dnscache")], &[], ADDRESS);
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length], ADDRESS, 1), None, "cut at {length}");
        }
        assert_eq!(read(&bytes, ADDRESS, 2), None, "there are not so many");
        assert_eq!(read(&bytes, ADDRESS, usize::MAX), None, "nor so many");
        assert_eq!(read(&bytes, ADDRESS << 20, 1), None, "the name is before the list");
        assert_eq!(read(&bytes, 0, 1), None, "or behind it");
    }

    #[test]
    fn a_process_with_several_services_is_none_of_them() {
        let active =
            [active(8, "Dnscache"), active(12, "Dhcp"), active(12, "Audiosrv"), active(0, "Starting")];
        assert_eq!(only(&active, 8), Some("Dnscache"));
        assert_eq!((only(&active, 12), only(&active, 16), only(&active, 0)), (None, None, None));
    }

    #[test]
    fn the_one_that_is_seen_in_a_shared_process_need_not_be_alone() {
        let seen = [Active { shares: true, ..active(8, "Dnscache") }];
        assert_eq!(only(&seen, 8), None);
    }

    #[test]
    fn a_tag_is_a_number_of_32_bits_and_not_every_one() {
        let of = [0, 0xffff_ffff, 1 << 32, 1, 0xffff_fffe].map(tag);
        assert_eq!(of, [None, None, None, Some(1), Some(0xffff_fffe)]);
    }
}
