//! The list of all processes, as `SystemProcessInformation` has it: needs no right.

/// One process of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// `FILETIME`; 0 for the system's own.
    pub(crate) created: u64,
    /// Base name of its executable; empty for the idle process.
    pub(crate) name: Vec<u16>,
    /// How many handles it has; under Wine, how many its table has room for: none has a higher number.
    pub(crate) handles: u32,
}

/// Where the members of an entry stand (`SYSTEM_PROCESS_INFORMATION`; the times and the parent are reserved in the public
/// header, and have stood here in every version). A pointer is as wide as this program's.
mod at {
    const POINTER: usize = size_of::<usize>();
    pub(super) const NEXT: usize = 0;
    pub(super) const CREATED: usize = 32;
    pub(super) const NAME_LENGTH: usize = 56;
    pub(super) const NAME: usize = 56 + POINTER;
    pub(super) const PID: usize = 56 + 3 * POINTER;
    pub(super) const PARENT: usize = 56 + 4 * POINTER;
    pub(super) const HANDLES: usize = 56 + 5 * POINTER;
}

/// Reads the list in `bytes`, which stood at `address` when the system pointed into it. The second is how many entries do
/// not have the form they should; what comes after one whose length is wrong is not found.
pub(super) fn read(bytes: &[u8], address: usize) -> (Vec<Listed>, u64) {
    let mut list = Vec::new();
    let mut malformed = 0;
    let mut start = 0;
    while let Some(entry) = bytes.get(start..).filter(|entry| !entry.is_empty()) {
        match one(entry, bytes, address) {
            Some(listed) => list.push(listed),
            None => malformed += 1,
        }
        match u32_at(entry, at::NEXT) {
            None | Some(0) => break,
            // The next is further on, so this ends.
            Some(next) => start += next as usize,
        }
    }
    (list, malformed)
}

fn one(entry: &[u8], bytes: &[u8], address: usize) -> Option<Listed> {
    let created = entry.get(at::CREATED..)?.first_chunk().copied().map(u64::from_le_bytes)?;
    let pid = u32::try_from(pointer_at(entry, at::PID)?).ok()?;
    let parent = u32::try_from(pointer_at(entry, at::PARENT)?).ok()?;
    let handles = u32_at(entry, at::HANDLES)?;
    let length = entry.get(at::NAME_LENGTH..)?.first_chunk().copied().map(u16::from_le_bytes)?;
    let name = match pointer_at(entry, at::NAME)? {
        0 => &[],
        pointer => {
            let from = pointer.checked_sub(address)?;
            bytes.get(from..from.checked_add(length.into())?)?
        }
    };
    let name = name.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    Some(Listed { pid, parent, created, name, handles })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn pointer_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().copied().map(usize::from_le_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The list of these processes, number, parent, creation time and name, as it is in a buffer that stands at `address`.
    pub(in crate::sys::windows) fn list_of(
        processes: &[(u32, u32, u64, Vec<u16>)],
        address: usize,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, (pid, parent, created, name)) in processes.iter().enumerate() {
            let start = bytes.len();
            let length = (256 + 2 * name.len()).next_multiple_of(8);
            bytes.resize(start + length, 0);
            let mut put = |at: usize, part: &[u8]| bytes[start + at..][..part.len()].copy_from_slice(part);
            let next = if index + 1 == processes.len() { 0 } else { u32::try_from(length).unwrap() };
            let name: Vec<u8> = name.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            put(at::NEXT, &next.to_le_bytes());
            put(at::CREATED, &created.to_le_bytes());
            put(at::NAME_LENGTH, &u16::try_from(name.len()).unwrap().to_le_bytes());
            put(at::NAME, &(address + start + 256).to_le_bytes());
            put(at::PID, &(*pid as usize).to_le_bytes());
            put(at::PARENT, &(*parent as usize).to_le_bytes());
            put(256, &name);
        }
        bytes
    }

    /// Where the system had the list.
    const ADDRESS: usize = 0x1000;

    /// One entry of 256 bytes that begins at `at_list`, with its name in it.
    fn entry(pid: usize, name: &[u8], at_list: usize, is_last: bool) -> Vec<u8> {
        let mut entry = vec![0; 256];
        let mut put = |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
        put(at::NEXT, &(if is_last { 0_u32 } else { 256 }).to_le_bytes());
        put(at::CREATED, &77_u64.to_le_bytes());
        put(at::NAME_LENGTH, &u16::try_from(name.len()).unwrap().to_le_bytes());
        put(at::NAME, &(ADDRESS + at_list + 200).to_le_bytes());
        put(at::PID, &pid.to_le_bytes());
        put(at::PARENT, &12_usize.to_le_bytes());
        put(at::HANDLES, &64_u32.to_le_bytes());
        put(200, name);
        entry
    }

    #[test]
    fn entries_are_read_with_names_that_are_no_text() {
        // "a", and half of a pair.
        let mut bytes = entry(8, &[0x61, 0, 0x3d, 0xd8], 0, false);
        bytes.extend(entry(16, b"", 256, true));
        let listed =
            |pid, name: &[u16]| Listed { pid, parent: 12, created: 77, name: name.to_vec(), handles: 64 };
        assert_eq!(read(&bytes, ADDRESS), (vec![listed(8, &[0x61, 0xd83d]), listed(16, &[])], 0));
    }

    #[test]
    fn what_points_outside_or_is_cut_is_counted() {
        let bytes = entry(8, &[0x61, 0], 4096, true);
        assert_eq!(read(&bytes, ADDRESS), (vec![], 1), "its name is beyond the list");
        assert_eq!(read(&bytes, ADDRESS << 20), (vec![], 1), "or before it");
        assert_eq!(read(&entry(usize::MAX, b"", 0, true), ADDRESS), (vec![], 1), "no pid is so large");
        let whole = entry(8, b"", 0, true);
        for length in 1..at::HANDLES + 4 {
            assert_eq!(read(&whole[..length], ADDRESS), (vec![], 1), "cut at {length}");
        }
        assert_eq!(read(&[], ADDRESS), (vec![], 0));
    }
}
