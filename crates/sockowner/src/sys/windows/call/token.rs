//! What is asked of tokens: who a process's user is, whether the caller is an administrator, and which rights he can enable.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{ERROR_NOT_ALL_ASSIGNED, HANDLE, LUID};
use windows_sys::Win32::Security::{
    AdjustTokenPrivileges, CheckTokenMembership, CreateWellKnownSid, GetTokenInformation, IsValidSid,
    LUID_AND_ATTRIBUTES, LookupAccountSidW, LookupPrivilegeValueW, SE_DEBUG_NAME, SE_PRIVILEGE_ENABLED,
    SECURITY_MAX_SID_SIZE, TOKEN_ACCESS_MASK, TOKEN_ADJUST_PRIVILEGES, TOKEN_PRIVILEGES, TOKEN_QUERY,
    TokenUser, WinBuiltinAdministratorsSid,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::{check, length_of};
use crate::sys::windows::door::Account;

/// Room for the longest security identifier.
type Sid = [u64; (SECURITY_MAX_SID_SIZE as usize).div_ceil(8)];
/// Units of the longest name of an account or a domain, with its NUL.
const LONGEST_NAME: u32 = 257;

/// The token by which this thread acts has the group of administrators, and has it enabled.
pub(super) fn is_administrator() -> io::Result<bool> {
    let mut sid = Sid::default();
    let mut length = length_of(&sid);
    // SAFETY: `sid` is writable for `length` bytes, and no domain is taken for this group.
    check(unsafe {
        CreateWellKnownSid(WinBuiltinAdministratorsSid, null_mut(), sid.as_mut_ptr().cast(), &raw mut length)
    })?;
    let mut is_member = 0;
    // SAFETY: no token stands for that of this thread; `sid` is an identifier, as was just made; `is_member` is writable.
    check(unsafe { CheckTokenMembership(null_mut(), sid.as_mut_ptr().cast(), &raw mut is_member) })?;
    Ok(is_member != 0)
}

/// Enables `SeDebugPrivilege` in the token of this process; `false` where the token does not have it.
pub(in crate::sys::windows) fn enable_debug() -> io::Result<bool> {
    change(&own(TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY)?, debug()?, SE_PRIVILEGE_ENABLED)
}

/// The token of this process.
fn own(rights: TOKEN_ACCESS_MASK) -> io::Result<OwnedHandle> {
    // SAFETY: takes nothing and returns a number that stands for this process.
    let here = unsafe { GetCurrentProcess() };
    // SAFETY: `here` stands for this process for ever.
    unsafe { token_of(here, rights) }
}

/// The number of `SeDebugPrivilege` on this system.
fn debug() -> io::Result<LUID> {
    let mut number = LUID::default();
    // SAFETY: no name stands for this machine; the privilege's ends with a NUL; `number` is writable.
    check(unsafe { LookupPrivilegeValueW(null(), SE_DEBUG_NAME, &raw mut number) })?;
    Ok(number)
}

/// Gives a privilege in a token these attributes; `false` where the token does not have it.
fn change(token: &OwnedHandle, privilege: LUID, attributes: u32) -> io::Result<bool> {
    let wanted = TOKEN_PRIVILEGES {
        PrivilegeCount: 1,
        Privileges: [LUID_AND_ATTRIBUTES { Luid: privilege, Attributes: attributes }],
    };
    let token = token.as_raw_handle();
    // SAFETY: `token` is open with the right to have its privileges changed; `wanted` has as many as it says; what they were
    // before is not asked for.
    check(unsafe { AdjustTokenPrivileges(token, 0, &raw const wanted, 0, null_mut(), null_mut()) })?;
    // It succeeds also where nothing was changed.
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(0) => Ok(true),
        error if error.raw_os_error() == i32::try_from(ERROR_NOT_ALL_ASSIGNED).ok() => Ok(false),
        error => Err(error),
    }
}

/// The token of a process.
///
/// # Safety
/// `process` is an open handle, or stands for this process.
unsafe fn token_of(process: HANDLE, rights: TOKEN_ACCESS_MASK) -> io::Result<OwnedHandle> {
    let mut token: HANDLE = null_mut();
    // SAFETY: `process` can be asked, as the caller says; `token` is writable.
    check(unsafe { OpenProcessToken(process, rights, &raw mut token) })?;
    // SAFETY: `token` was just opened, is no pseudo handle, is closed by CloseHandle, and nobody else owns it.
    Ok(unsafe { OwnedHandle::from_raw_handle(token) })
}

/// The security identifier of a process's user.
pub(super) fn user(process: &OwnedHandle) -> io::Result<Vec<u8>> {
    // SAFETY: `process` is an open handle.
    let token = unsafe { token_of(process.as_raw_handle(), TOKEN_QUERY) }?;
    let mut room = [0_u64; 16];
    let mut length = 0;
    // SAFETY: `token` is open with the right to be asked; `room` is writable for its length and aligned as a `TOKEN_USER`;
    // `length` is writable.
    check(unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            room.as_mut_ptr().cast(),
            length_of(&room),
            &raw mut length,
        )
    })?;
    in_room(&room).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The identifier that a `TOKEN_USER` at the begin of `room` points to, which stands behind it.
fn in_room(room: &[u64]) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = room.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let pointer = usize::from_ne_bytes(*bytes.first_chunk()?);
    let sid = bytes.get(pointer.checked_sub(room.as_ptr().addr())?..)?;
    // Revision, count, six bytes of the authority, then so many numbers of 32 bits.
    let count = usize::from(*sid.get(1)?);
    sid.get(..8 + 4 * count).map(<[u8]>::to_vec)
}

/// Name and domain of the account with this security identifier. May ask a server of the domain.
pub(super) fn account(bytes: &[u8]) -> io::Result<Account> {
    let mut sid = Sid::default();
    for (word, bytes) in sid.iter_mut().zip(bytes.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(whole);
    }
    // SAFETY: `sid` is aligned, and has room for as many numbers as an identifier may have; with more it is not valid.
    if unsafe { IsValidSid(sid.as_mut_ptr().cast()) } == 0 || bytes.len() > size_of::<Sid>() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (mut name, mut domain) = ([0; LONGEST_NAME as usize], [0; LONGEST_NAME as usize]);
    let mut lengths = [LONGEST_NAME; 2];
    let [name_length, domain_length] = &mut lengths;
    let mut kind = 0;
    // SAFETY: `sid` is valid; both names are writable for as many units as their lengths say; these and `kind` are writable.
    check(unsafe {
        LookupAccountSidW(
            null(),
            sid.as_mut_ptr().cast(),
            name.as_mut_ptr(),
            name_length,
            domain.as_mut_ptr(),
            domain_length,
            &raw mut kind,
        )
    })?;
    let until_nul = |units: &[u16]| units.iter().copied().take_while(|&unit| unit != 0).collect();
    Ok(Account { domain: until_nul(&domain), name: until_nul(&name) })
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::Security::{
        DuplicateTokenEx, SE_PRIVILEGE_REMOVED, SecurityImpersonation, TOKEN_ALL_ACCESS, TOKEN_DUPLICATE,
        TokenPrimary, TokenPrivileges,
    };

    use super::*;

    /// A token like that of this process, whose privileges are nobody else's matter.
    fn duplicate() -> OwnedHandle {
        let own = own(TOKEN_DUPLICATE | TOKEN_QUERY).unwrap();
        let mut token: HANDLE = null_mut();
        // SAFETY: `own` is open with the right to be duplicated; `token` is writable; there are no attributes.
        let done = unsafe {
            DuplicateTokenEx(
                own.as_raw_handle(),
                TOKEN_ALL_ACCESS,
                null(),
                SecurityImpersonation,
                TokenPrimary,
                &raw mut token,
            )
        };
        check(done).unwrap();
        // SAFETY: `token` was just made, is closed by CloseHandle, and nobody else owns it.
        unsafe { OwnedHandle::from_raw_handle(token) }
    }

    /// The attributes of `SeDebugPrivilege` in a token; `None` where the token does not have it.
    fn attributes(token: &OwnedHandle) -> Option<u32> {
        let mut room = [0_u32; 256];
        let mut length = 0;
        let into = room.as_mut_ptr().cast();
        // SAFETY: `token` can be asked; `room` is writable for its length and aligned as a `TOKEN_PRIVILEGES`.
        let done = unsafe {
            GetTokenInformation(
                token.as_raw_handle(),
                TokenPrivileges,
                into,
                length_of(&room),
                &raw mut length,
            )
        };
        check(done).unwrap();
        let debug = debug().unwrap();
        // A number of 64 bits and 32 of attributes each, behind their count.
        let mut privileges = room[1..].chunks_exact(3).take(room[0] as usize);
        privileges.find(|it| (it[0], it[1].cast_signed()) == (debug.LowPart, debug.HighPart)).map(|it| it[2])
    }

    #[test]
    fn a_privilege_is_enabled_where_the_token_has_it_and_nowhere_else() {
        let token = duplicate();
        let debug = debug().unwrap();
        let is_enabled = || attributes(&token).is_some_and(|it| it & SE_PRIVILEGE_ENABLED != 0);
        let has_it = attributes(&token).is_some();
        if has_it {
            assert!(change(&token, debug, 0).unwrap());
        }
        assert!(!is_enabled());
        assert_eq!(change(&token, debug, SE_PRIVILEGE_ENABLED).unwrap(), has_it);
        assert_eq!(is_enabled(), has_it);
        if has_it {
            assert!(change(&token, debug, SE_PRIVILEGE_REMOVED).unwrap());
        }
        assert_eq!(attributes(&token), None);
        assert!(
            !change(&token, debug, SE_PRIVILEGE_ENABLED).unwrap(),
            "the call succeeds, and enables nothing"
        );
    }

    #[test]
    fn what_is_told_of_the_own_token_is_so() {
        let told = enable_debug().unwrap();
        let own = own(TOKEN_QUERY).unwrap();
        assert_eq!(attributes(&own).is_some_and(|it| it & SE_PRIVILEGE_ENABLED != 0), told);
    }
}
