//! Reads what C asks: a filter that may be older or newer than this library, an endpoint.

use std::ffi::{CStr, c_char};

use sockowner::{Family, Protocol, State};

use super::layout::{Filter, LISTENING, NO_OWNERS};
use super::text::name_of;

/// What is wrong with the caller's input, as a sentence.
pub(super) type Wrong = String;

/// Reads the caller's filter into one of our size: what is missing is zero, what we do not know must be.
///
/// # Safety
/// `filter` points to `filter->size` readable bytes, of which the first hold that size; it need not be aligned.
pub(super) unsafe fn grown(filter: *const Filter) -> Result<Filter, Wrong> {
    // SAFETY: the first member is readable (the contract); no alignment is asked of it.
    let size = unsafe { filter.cast::<usize>().read_unaligned() };
    if size < size_of::<usize>() || size > 65536 {
        return Err(format!("read the filter: its size is {size}"));
    }
    // SAFETY: readable for `size` bytes (the contract); bytes have no alignment.
    let given = unsafe { std::slice::from_raw_parts(filter.cast::<u8>(), size) };
    let known = size.min(size_of::<Filter>());
    if given[known..].iter().any(|&byte| byte != 0) {
        return Err(format!(
            "read the filter: it has {size} bytes, and sets one that this version does not know"
        ));
    }
    let mut own = std::mem::MaybeUninit::<Filter>::zeroed();
    // SAFETY: `own` is writable for `size_of::<Filter>() >= known` bytes, `given` has as many, and they are apart.
    unsafe { std::ptr::copy_nonoverlapping(given.as_ptr(), own.as_mut_ptr().cast::<u8>(), known) };
    // SAFETY: every byte was zeroed or copied, and pointers and integers have no invalid values.
    Ok(unsafe { own.assume_init() })
}

/// The library's filter for the caller's.
///
/// # Safety
/// Each text of `asked` is NULL or a NUL-terminated string.
pub(super) unsafe fn filter(asked: &Filter) -> Result<sockowner::Filter, Wrong> {
    // SAFETY: the contract, for each of the texts below.
    let text = |what: &str, text: *const c_char| unsafe { words(what, text) };
    let mut filter = sockowner::Filter::new();
    if asked.reserved != [0; 4] || asked.flags & !(LISTENING | NO_OWNERS) != 0 {
        return Err("read the filter: it sets what this version does not know".to_owned());
    }
    if let Some(protocol) = text("protocol", asked.protocol)? {
        let found = Protocol::ALL.into_iter().find(|known| known.as_str() == protocol);
        filter = filter.protocol(found.ok_or_else(|| unknown("protocol", protocol))?);
    }
    if let Some(family) = text("family", asked.family)? {
        let found = Family::ALL.into_iter().find(|known| known.as_str() == family);
        filter = filter.family(found.ok_or_else(|| unknown("family", family))?);
    }
    if let Some(state) = text("state", asked.state)? {
        filter = filter.state(state.parse::<State>().map_err(|error| error.to_string())?);
    }
    if asked.flags & LISTENING != 0 {
        if !asked.state.is_null() {
            return Err("read the filter: SOCKOWNER_LISTENING does not go with a state".to_owned());
        }
        filter = filter.listening();
    }
    if let Some(user) = text("user", asked.user)? {
        filter = filter.user(user);
    }
    if let Some(unit) = text("unit", asked.unit)? {
        filter = filter.unit(unit);
    }
    if let Some(container) = text("container", asked.container)? {
        filter = filter.container(container);
    }
    // SAFETY: the contract.
    if let Some(executable) = unsafe { bytes("executable", asked.executable) }? {
        let name = name_of(executable).ok_or_else(|| "read the executable: it is not UTF-8".to_owned())?;
        filter = filter.executable(name);
    }
    if asked.pid != 0 {
        filter = filter.pid(asked.pid);
    }
    if asked.flags & NO_OWNERS != 0 {
        if asked.pid != 0 || !asked.executable.is_null() {
            return Err(
                "read the filter: SOCKOWNER_NO_OWNERS does not go with a pid or an executable".to_owned()
            );
        }
        filter = filter.without_owners();
    }
    Ok(filter)
}

fn unknown(what: &str, word: &str) -> Wrong {
    format!("read the filter: '{}' is no {what}", word.escape_debug())
}

/// # Safety
/// `text` is NULL or a NUL-terminated string that lives as long as `'a`.
unsafe fn bytes<'a>(what: &str, text: *const c_char) -> Result<Option<&'a [u8]>, Wrong> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and NUL-terminated (the contract).
    match unsafe { CStr::from_ptr(text) }.to_bytes() {
        b"" => Err(format!("read the {what}: it is empty")),
        bytes => Ok(Some(bytes)),
    }
}

/// # Safety
/// As [`bytes`].
pub(super) unsafe fn words<'a>(what: &str, text: *const c_char) -> Result<Option<&'a str>, Wrong> {
    // SAFETY: the same contract.
    let bytes = unsafe { bytes(what, text) }?;
    bytes
        .map(|bytes| std::str::from_utf8(bytes).map_err(|_| format!("read the {what}: it is not UTF-8")))
        .transpose()
}
