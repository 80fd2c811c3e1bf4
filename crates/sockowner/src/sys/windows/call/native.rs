//! The bridge to Linux, where it is installed: a library of ours that Wine gives a half in Linux.

use std::io;
use std::sync::OnceLock;

use sockowner_wire::native::Letter;
use windows_sys::Win32::Foundation::{NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_NOT_SUPPORTED};

use super::library::{self, Address};
use super::status;

/// The library's name.
const NAME: &str = "sockowner_bridge.dll";
/// Room for answers at the first try, and at most.
const ROOM: usize = 1 << 16;
const MOST: usize = 1 << 26;
/// How often they may be more than there is room for.
const TRIES: u32 = 4;

/// `SockownerBridgeAsk`.
type Ask = unsafe extern "system" fn(*mut Letter) -> NTSTATUS;

/// The answers to these questions; `None` where there is no bridge.
pub(super) fn ask(questions: &[u8]) -> io::Result<Option<Vec<u8>>> {
    static BRIDGE: OnceLock<Option<Ask>> = OnceLock::new();
    let Some(ask) = *BRIDGE.get_or_init(bridge) else {
        return Ok(None);
    };
    let mut room = ROOM;
    for _ in 0..TRIES {
        let mut answers = Vec::new();
        answers.try_reserve_exact(room).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        answers.resize(room, 0_u8);
        let mut letter = Letter {
            version: Letter::VERSION,
            size: Letter::SIZE,
            questions: questions.as_ptr().expose_provenance() as u64,
            questions_length: questions.len() as u64,
            room: answers.as_mut_ptr().expose_provenance() as u64,
            room_length: answers.len() as u64,
            answers_length: 0,
        };
        // SAFETY: the letter is whole; `questions` is readable and `answers` writable for the lengths that it says, and
        // nobody else has `answers`. The library is ours, and does as these names say.
        let code = unsafe { ask(&raw mut letter) };
        let length = usize::try_from(letter.answers_length).unwrap_or(usize::MAX);
        match code {
            0 if length <= answers.len() => {
                answers.truncate(length);
                return Ok(Some(answers));
            }
            STATUS_NOT_SUPPORTED => return Ok(None),
            STATUS_BUFFER_TOO_SMALL if length > room && length <= MOST => room = length + length / 8,
            0 | STATUS_BUFFER_TOO_SMALL => return Err(io::ErrorKind::InvalidData.into()),
            code => return Err(status(code)),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// The function of the library, which is installed in the system's directory.
fn bridge() -> Option<Ask> {
    let ask = library::address(library::load_path(NAME)?, c"SockownerBridgeAsk")?;
    // SAFETY: the library of this name is ours, and declares the function so.
    Some(unsafe { std::mem::transmute::<Address, Ask>(ask) })
}
