//! Maps of the recorder, typed: bpf(2) on elements.
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::{CStr, c_int};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, OwnedFd};

use sockowner_wire::record::Counters;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::bpf::{Request, bpf, descriptor, raw};

/// Commands of bpf(2).
const MAP_LOOKUP_ELEM: c_int = 1;
const MAP_UPDATE_ELEM: c_int = 2;
const MAP_DELETE_ELEM: c_int = 3;
const OBJ_GET: c_int = 7;
const OBJ_GET_INFO_BY_FD: c_int = 15;
const MAP_LOOKUP_AND_DELETE_ELEM: c_int = 21;
const MAP_LOOKUP_BATCH: c_int = 24;
/// `BPF_MAP_TYPE_HASH`, `_LRU_HASH`, `_ARRAY`, `_PERCPU_ARRAY`, `BPF_F_RDONLY` (`linux/bpf.h`).
const HASH: u32 = 1;
const LRU_HASH: u32 = 9;
const ARRAY: u32 = 2;
const PERCPU_ARRAY: u32 = 6;
const RDONLY: u32 = 1 << 3;
/// More processors than any kernel is built for (`NR_CPUS`).
const PROCESSORS_MAX: usize = 8192;
/// How many entries are read at once; a bucket that has more asks for more.
const BATCH: usize = 1024;
/// How often a call is made again that did not get a lock.
const AGAIN: u32 = 8;

/// A map whose keys and values have these types.
#[derive(Debug)]
pub(crate) struct Map<K, V> {
    fd: OwnedFd,
    kind: PhantomData<fn(K) -> V>,
}

/// The counters, one element of each processor.
#[derive(Debug)]
pub(crate) struct PerProcessor(OwnedFd);

/// The first fields of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default, Clone, Copy, FromBytes, IntoBytes)]
pub(super) struct Info {
    pub(super) kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    pub(super) max_entries: u32,
    map_flags: u32,
}

/// Opens what is pinned at `path`; for reading alone, or as much as its file permits.
pub(super) fn open_pinned(path: &CStr, for_reading: bool) -> io::Result<OwnedFd> {
    let mut request = Request::default();
    request.point(0, path.as_ptr().addr());
    request.set(12, if for_reading { RDONLY } else { 0 });
    // SAFETY: BPF_OBJ_GET reads a string at `pathname`, which outlives the call, and numbers; it returns a new descriptor.
    unsafe { descriptor(OBJ_GET, &mut request, 16) }
}

/// What the kernel tells of a map.
pub(super) fn info(map: &OwnedFd) -> io::Result<Info> {
    let mut info = Info::default();
    let mut request = Request::default();
    request.set(0, raw(map));
    request.set(4, 24);
    request.point(8, (&raw mut info).addr());
    // SAFETY: BPF_OBJ_GET_INFO_BY_FD of a map writes at most `info_len` bytes, the 24 of `info`, which is borrowed mutably
    // and outlives the call; every pattern of bits is a value of its fields.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut request, 16) }?;
    Ok(info)
}

/// Calls again where a lock of the map was not to be had. Since 6.15 the kernel gives one up after a quarter of a second,
/// for which a virtual machine's processor can be away while it has the lock.
fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..AGAIN {
        match call() {
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ETIMEDOUT | libc::EDEADLK | libc::EBUSY)) => {}
            done => return done,
        }
    }
    call()
}

fn other_layout() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is another version's")
}

impl<K: IntoBytes + FromBytes + Immutable + Copy, V: FromBytes + IntoBytes + Immutable + Copy> Map<K, V> {
    /// Takes a map whose elements have these sizes, and no other.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let info = info(&fd)?;
        let sizes = (info.key_size as usize, info.value_size as usize);
        if !matches!(info.kind, HASH | LRU_HASH | ARRAY) || sizes != (size_of::<K>(), size_of::<V>()) {
            return Err(other_layout());
        }
        Ok(Self { fd, kind: PhantomData })
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// How many it holds.
    pub(crate) fn capacity(&self) -> io::Result<u32> {
        Ok(info(&self.fd)?.max_entries)
    }

    /// Copies an element.
    pub(crate) fn get(&self, key: &K) -> io::Result<Option<V>> {
        self.copy_out(MAP_LOOKUP_ELEM, key)
    }

    /// Removes an element, and returns what it was.
    pub(crate) fn take(&self, key: &K) -> io::Result<Option<V>> {
        self.copy_out(MAP_LOOKUP_AND_DELETE_ELEM, key)
    }

    fn copy_out(&self, command: c_int, key: &K) -> io::Result<Option<V>> {
        let mut value = V::new_zeroed();
        let mut request = self.element(key);
        request.point(16, value.as_mut_bytes().as_mut_ptr().addr());
        // SAFETY: the command reads the map's key size at `key` and writes its value size at `value`: `new` established
        // that these are the sizes of K and V. Both outlive the call, and any bytes are a V.
        match patiently(|| unsafe { bpf(command, &mut request, 32) }) {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets an element, made if there is none.
    pub(crate) fn set(&self, key: &K, value: &V) -> io::Result<()> {
        let mut request = self.element(key);
        request.point(16, value.as_bytes().as_ptr().addr());
        // SAFETY: BPF_MAP_UPDATE_ELEM reads the map's key size at `key` and its value size at `value`: `new` established
        // that these are the sizes of K and V. Both outlive the call.
        patiently(|| unsafe { bpf(MAP_UPDATE_ELEM, &mut request, 32) }).map(drop)
    }

    /// Removes an element; false where there is none.
    pub(crate) fn remove(&self, key: &K) -> io::Result<bool> {
        let mut request = self.element(key);
        // SAFETY: BPF_MAP_DELETE_ELEM reads the map's key size at `key`: `new` established that it is the size of K.
        match patiently(|| unsafe { bpf(MAP_DELETE_ELEM, &mut request, 32) }) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The caller's `key` outlives its use.
    fn element(&self, key: &K) -> Request {
        let mut request = Request::default();
        request.set(0, raw(&self.fd));
        request.point(8, key.as_bytes().as_ptr().addr());
        request
    }

    /// Calls `each` with the elements of a hash. Such as come or go meanwhile may be missed, and none is told twice but
    /// where it goes and comes again.
    pub(crate) fn each(&self, mut each: impl FnMut(&K, &V)) -> io::Result<()> {
        let mut room = BATCH;
        let mut position = None;
        loop {
            let mut keys = vec![K::new_zeroed(); room];
            let mut values = vec![V::new_zeroed(); room];
            match patiently(|| self.batch(&mut position, &mut keys, &mut values)) {
                // A bucket has more than there is room for, and nothing was copied.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < BATCH << 8 => room *= 2,
                Err(error) => return Err(error),
                Ok((count, is_last)) => {
                    let count = count.min(room);
                    keys[..count].iter().zip(&values[..count]).for_each(|(key, value)| each(key, value));
                    if is_last {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Copies as many as there is room for; how many, and whether they are the last.
    fn batch(
        &self,
        position: &mut Option<u64>,
        keys: &mut [K],
        values: &mut [V],
    ) -> io::Result<(usize, bool)> {
        let before = position.unwrap_or(0);
        let mut after = 0_u64;
        let count = u32::try_from(keys.len().min(values.len())).map_err(io::Error::other)?;
        let mut request = Request::default();
        if position.is_some() {
            request.point(0, (&raw const before).addr());
        }
        request.point(8, (&raw mut after).addr());
        request.point(16, keys.as_mut_bytes().as_mut_ptr().addr());
        request.point(24, values.as_mut_bytes().as_mut_ptr().addr());
        request.set(32, count);
        request.set(36, u32::from_ne_bytes(self.fd.as_raw_fd().to_ne_bytes()));
        // SAFETY: BPF_MAP_LOOKUP_BATCH of a hash reads 4 bytes at `in_batch`, if given, and writes 4 at `out_batch`: numbers
        // of 8 bytes here. It writes at most `count` keys and values of the map's sizes, which `new` established to be those
        // of K and V, and both slices have `count` of them, borrowed mutably; any bytes are a K or a V.
        let result = unsafe { bpf(MAP_LOOKUP_BATCH, &mut request, 56) };
        *position = Some(after);
        let copied = usize::try_from(request.get(32)).unwrap_or(0);
        match result {
            Ok(_) => Ok((copied, false)),
            // The end; what was copied until there counts.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((copied, true)),
            Err(error) => {
                // Where it was.
                *position = (before != 0).then_some(before);
                Err(error)
            }
        }
    }
}

impl PerProcessor {
    /// Takes the map of counters.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let info = info(&fd)?;
        if (info.kind, info.key_size, info.value_size) != (PERCPU_ARRAY, 4, 24) {
            return Err(other_layout());
        }
        Ok(Self(fd))
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// The sum of all processors'.
    pub(crate) fn sum(&self) -> io::Result<Counters> {
        let key = 0_u32;
        let mut values = vec![Counters::default(); PROCESSORS_MAX];
        let mut request = Request::default();
        request.set(0, raw(&self.0));
        request.point(8, (&raw const key).addr());
        request.point(16, values.as_mut_bytes().as_mut_ptr().addr());
        // SAFETY: BPF_MAP_LOOKUP_ELEM reads 4 bytes at `key`, and writes the 24 bytes of a value for each possible processor
        // at `value`: `new` established the sizes, and there is room for more processors than a kernel can have.
        unsafe { bpf(MAP_LOOKUP_ELEM, &mut request, 32) }?;
        Ok(values.iter().fold(Counters::default(), |sum, one| Counters {
            events: sum.events + one.events,
            dropped: sum.dropped + one.dropped,
            refused: sum.refused + one.refused,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it is called that fails so, and what comes of it.
    fn called(fails: &[i32]) -> (usize, Option<i32>) {
        let mut count = 0;
        let result = patiently(|| {
            count += 1;
            fails.get(count - 1).map_or(Ok(()), |error| Err(io::Error::from_raw_os_error(*error)))
        });
        (count, result.err().and_then(|error| error.raw_os_error()))
    }

    #[test]
    fn what_got_no_lock_is_called_again() {
        assert_eq!(called(&[]), (1, None));
        assert_eq!(called(&[libc::ETIMEDOUT, libc::EDEADLK, libc::EBUSY]), (4, None));
        assert_eq!(called(&[libc::EBUSY, libc::EPERM]), (2, Some(libc::EPERM)));
        assert_eq!(called(&[libc::ETIMEDOUT; 20]), (9, Some(libc::ETIMEDOUT)));
    }
}
