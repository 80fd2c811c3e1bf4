//! Whom the caller may be told of: the rule by which the system's own iphlpapi names modules.

use std::io;

/// Whether the caller may be told of a process that he may open, with this executable.
///
/// Of what runs from the system's directory only administrators are told, and not those whose token was stripped of that
/// group by UAC. The caller's token is looked at only where it matters.
pub(super) fn may_be_told(
    image: &[u16],
    system_directory: &[u16],
    is_administrator: impl FnOnce() -> io::Result<bool>,
) -> io::Result<bool> {
    if is_below(image, system_directory) { is_administrator() } else { Ok(true) }
}

/// Whether a path is that of a file in a directory or below it. Case makes no difference, as in the file system.
fn is_below(path: &[u16], directory: &[u16]) -> bool {
    const SEPARATOR: u16 = b'\\' as u16;
    let directory = directory.strip_suffix(&[SEPARATOR]).unwrap_or(directory);
    // No directory at all has nothing below it.
    if directory.is_empty() || path.len() <= directory.len() {
        return false;
    }
    let (front, rest) = path.split_at(directory.len());
    rest.first() == Some(&SEPARATOR)
        && front.iter().zip(directory).all(|(&one, &other)| upper(one) == upper(other))
}

/// The capital of a unit; half of a pair, and what has no single capital, is its own.
fn upper(unit: u16) -> u16 {
    let Some(small) = char::from_u32(unit.into()) else { return unit };
    let mut capitals = small.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(capital), None) => u16::try_from(u32::from(capital)).unwrap_or(unit),
        _ => unit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::windows::door::ACCESS_DENIED;

    const SYSTEM32: &str = r"C:\Windows\system32";

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn told(image: &str, directory: &str, is_administrator: bool) -> bool {
        may_be_told(&units(image), &units(directory), || Ok(is_administrator)).unwrap()
    }

    #[test]
    fn what_is_the_systems_is_told_to_administrators_alone() {
        for image in [
            r"C:\Windows\System32\svchost.exe",
            r"c:\WINDOWS\SYSTEM32\svchost.exe",
            r"C:\Windows\system32\wbem\WmiPrvSE.exe",
        ] {
            for directory in [SYSTEM32, r"C:\WINDOWS\System32", r"C:\Windows\system32\"] {
                assert!(told(image, directory, true), "{image} in {directory}");
                assert!(!told(image, directory, false), "{image} in {directory}");
            }
        }
    }

    #[test]
    fn anything_else_is_told_to_everybody_without_a_look_at_the_token() {
        for image in [
            r"C:\Program Files\server.exe",
            r"C:\Windows\explorer.exe",
            r"C:\Windows\SysWOW64\svchost.exe",
            // The names only begin alike.
            r"C:\Windows\system32.exe",
            r"C:\Windows\system32x\svchost.exe",
            r"D:\Windows\system32\svchost.exe",
            // Is not below itself.
            SYSTEM32,
            "",
        ] {
            let unasked = || panic!("the token was looked at for {image}");
            assert!(may_be_told(&units(image), &units(SYSTEM32), unasked).unwrap());
        }
        assert!(told(r"\svchost.exe", "", false), "there is no such directory");
    }

    #[test]
    fn case_is_that_of_letters_of_any_script_and_odd_units_are_themselves() {
        assert!(!told(r"C:\FENÊTRES\a.exe", r"c:\fenêtres", false));
        // No single letter is the capital of this one.
        assert!(told(r"C:\STRASSE\a.exe", r"c:\straße", false));
        let (one, other) = ([0xd83d, b'\\'.into(), 97], [0xd83d]);
        assert!(!may_be_told(&one, &other, || Ok(false)).unwrap());
        assert!(may_be_told(&one, &[0xd83e], || Ok(false)).unwrap());
    }

    #[test]
    fn where_the_token_cannot_be_asked_nothing_is_decided() {
        let refused = || Err(io::Error::from_raw_os_error(ACCESS_DENIED));
        let image = units(r"C:\Windows\system32\svchost.exe");
        assert!(may_be_told(&image, &units(SYSTEM32), refused).is_err());
    }
}
