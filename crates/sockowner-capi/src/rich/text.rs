//! Names of the system as C has them: bytes of any kind on Unix, UTF-8 on Windows.
//!
//! What is no UTF-16 on Windows, a surrogate alone, is told as U+FFFD; the functions of Windows' own family
//! ([`crate::module`]) write it as it is.

use std::borrow::Cow;
use std::ffi::OsStr;

/// A name on its way out.
#[cfg(unix)]
pub(super) fn bytes_of(name: &OsStr) -> Cow<'_, [u8]> {
    use std::os::unix::ffi::OsStrExt as _;
    Cow::Borrowed(name.as_bytes())
}

/// A name on its way out.
#[cfg(not(unix))]
pub(super) fn bytes_of(name: &OsStr) -> Cow<'_, [u8]> {
    match name.to_string_lossy() {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// A name on its way in; `None` where the system has no such names.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "every sequence of bytes is a name here, not so elsewhere")]
pub(super) fn name_of(bytes: &[u8]) -> Option<&OsStr> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(OsStr::from_bytes(bytes))
}

/// A name on its way in; `None` where the system has no such names.
#[cfg(not(unix))]
pub(super) fn name_of(bytes: &[u8]) -> Option<&OsStr> {
    std::str::from_utf8(bytes).ok().map(OsStr::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_out_and_comes_in_unchanged() {
        for text in ["a", "\u{e4}\u{20ac}\u{1f600}", "C:\\x y.exe", "/usr/bin/z"] {
            assert_eq!(&*bytes_of(OsStr::new(text)), text.as_bytes());
            assert_eq!(name_of(text.as_bytes()), Some(OsStr::new(text)));
        }
    }

    #[test]
    #[cfg(unix)]
    fn bytes_of_any_kind_are_names() {
        let name = name_of(b"a\xffb").unwrap();
        assert_eq!(&*bytes_of(name), b"a\xffb");
    }

    #[test]
    #[cfg(windows)]
    fn what_is_no_utf_16_is_replaced_and_what_is_no_utf_8_no_name() {
        use std::os::windows::ffi::OsStringExt as _;
        let name = std::ffi::OsString::from_wide(&[0x61, 0xd800, 0x62]);
        assert_eq!(&*bytes_of(&name), "a\u{fffd}b".as_bytes());
        assert_eq!(name_of(b"a\xffb"), None);
    }
}
