//! Our own C API (`sockowner.h`): snapshots and explanations with all that the library knows.

mod arena;
mod ask;
mod build;
mod layout;
mod text;

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use sockowner::{Error, ErrorKind, Pattern, Query, Snapshot};

pub use self::layout::{Answer, Filter};

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// A failure on its way to the caller: a code, and a sentence.
struct Failure(c_int, String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::InvalidInput => layout::INVALID_INPUT,
            ErrorKind::NotPermitted => layout::NOT_PERMITTED,
            ErrorKind::Unsupported => layout::UNSUPPORTED,
            ErrorKind::NotFound => layout::NOT_FOUND,
            ErrorKind::Changed => layout::CHANGED,
            ErrorKind::Malformed => layout::MALFORMED,
            _ => layout::SYSTEM,
        };
        Self(code, format!("{error:#}"))
    }
}

impl From<ask::Wrong> for Failure {
    fn from(wrong: ask::Wrong) -> Self {
        Self(layout::INVALID_INPUT, wrong)
    }
}

/// Makes a result of what `ask` gives, and keeps its failure for [`sockowner_last_error`].
///
/// # Safety
/// `out` is NULL or writable; it need not be aligned.
unsafe fn answer(out: *mut *mut Answer, ask: impl FnOnce() -> Result<Snapshot, Failure>) -> c_int {
    let put = |result: *mut Answer| {
        if !out.is_null() {
            // SAFETY: not NULL, and so writable (the contract); no alignment is asked of it.
            unsafe { out.write_unaligned(result) };
        }
    };
    let made = catch_unwind(AssertUnwindSafe(|| {
        if out.is_null() {
            return Err(Failure(
                layout::INVALID_INPUT,
                "store the result: the place for it is NULL".to_owned(),
            ));
        }
        let snapshot = ask()?;
        Ok(Box::new(build::whole(&snapshot)))
    }));
    let failure = match made {
        Ok(Ok(whole)) => {
            // `Whole` begins with the `Answer`: its address is the answer's, and `sockowner_free` takes it back.
            put(Box::into_raw(whole).cast());
            Failure(layout::OK, String::new())
        }
        Ok(Err(failure)) => {
            put(std::ptr::null_mut());
            failure
        }
        Err(_) => {
            put(std::ptr::null_mut());
            Failure(layout::INTERNAL, "a fault of the library: it panicked".to_owned())
        }
    };
    let Failure(code, sentence) = failure;
    let sentence = CString::new(sentence.replace('\0', "\u{fffd}")).unwrap_or_default();
    // A thread that is ending may keep none, and a panic here would end the caller's program.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = sentence);
    code
}

/// Every endpoint that `filter` takes. See `sockowner.h`.
///
/// # Safety
/// `filter` is NULL, or points to `filter->size` readable bytes with texts that are NULL or NUL-terminated; `out` is
/// NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockowner_snapshot(filter: *const Filter, out: *mut *mut Answer) -> c_int {
    let ask = || {
        let filter = if filter.is_null() {
            sockowner::Filter::new()
        } else {
            // SAFETY: not NULL; the caller's contract, handed on unchanged.
            let own = unsafe { ask::grown(filter) }?;
            // SAFETY: as above, for the texts.
            unsafe { ask::filter(&own) }?
        };
        Ok(Query::new()?.snapshot(&filter)?)
    };
    // SAFETY: the caller's contract, handed on unchanged.
    unsafe { answer(out, ask) }
}

/// All about what `endpoint` names. See `sockowner.h`.
///
/// # Safety
/// `endpoint` is NULL or a NUL-terminated string; `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockowner_who(endpoint: *const c_char, out: *mut *mut Answer) -> c_int {
    let ask = || {
        // SAFETY: the caller's contract, handed on unchanged.
        let endpoint = unsafe { ask::words("endpoint", endpoint) }?;
        let endpoint = endpoint.ok_or_else(|| "read the endpoint: it is NULL".to_owned())?;
        Ok(Query::new()?.who(&endpoint.parse::<Pattern>()?)?)
    };
    // SAFETY: the caller's contract, handed on unchanged.
    unsafe { answer(out, ask) }
}

/// Frees a result and all within. See `sockowner.h`.
///
/// # Safety
/// `result` is NULL, or was made by this library and not freed before; nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockowner_free(result: *mut Answer) {
    if !result.is_null() {
        // SAFETY: `answer` made it by `Box::<Whole>::into_raw`, and `Whole` begins with the `Answer`; it is freed once
        // (the contract).
        drop(unsafe { Box::from_raw(result.cast::<build::Whole>()) });
    }
}

/// Why this thread's last request failed. See `sockowner.h`.
#[unsafe(no_mangle)]
pub extern "C" fn sockowner_last_error() -> *const c_char {
    // A thread that is ending has no last error any more.
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// The library's version. See `sockowner.h`.
#[unsafe(no_mangle)]
pub extern "C" fn sockowner_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
