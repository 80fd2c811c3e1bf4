//! What is asked of tokens: who a process's user is, and whether the caller is an administrator.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Security::{
    CheckTokenMembership, CreateWellKnownSid, GetTokenInformation, IsValidSid, LookupAccountSidW,
    SECURITY_MAX_SID_SIZE, TOKEN_QUERY, TokenUser, WinBuiltinAdministratorsSid,
};
use windows_sys::Win32::System::Threading::OpenProcessToken;

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

/// The security identifier of a process's user.
pub(super) fn user(process: &OwnedHandle) -> io::Result<Vec<u8>> {
    let mut token: HANDLE = null_mut();
    // SAFETY: `process` is an open handle with the right to be asked; `token` is writable.
    check(unsafe { OpenProcessToken(process.as_raw_handle(), TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: `token` was just opened, is no pseudo handle, is closed by CloseHandle, and nobody else owns it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
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
