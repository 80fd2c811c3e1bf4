//! The half in Linux: what Wine calls.
#![expect(unsafe_code, reason = "the edge to Wine")]

use std::slice;

use nix::sys::signal::{SigSet, SigmaskHow};
use sockowner_wire::native::{self, Letter};

use crate::answer;

/// It is of another version (`STATUS_NOT_SUPPORTED`).
const NOT_SUPPORTED: i32 = 0xc000_00bb_u32.cast_signed();
/// The answer does not fit (`STATUS_BUFFER_TOO_SMALL`).
const TOO_SMALL: i32 = 0xc000_0023_u32.cast_signed();
/// The question is not understood (`STATUS_INVALID_PARAMETER`).
const INVALID: i32 = 0xc000_000d_u32.cast_signed();
/// It failed (`STATUS_UNSUCCESSFUL`).
const FAILED: i32 = 0xc000_0001_u32.cast_signed();

/// A function that the half in Windows can have called.
type Function = unsafe extern "C" fn(*mut Letter) -> i32;

/// Wine looks for this name.
#[unsafe(no_mangle)]
pub static __wine_unix_call_funcs: [Function; 1] = [ask];

/// Answers a letter.
///
/// # Safety
/// `letter` points to a [`Letter`] whose first two fields can be read. Where they are ours, all of it can be written, its
/// questions are readable for their length, its room is writable for its own, and nobody else writes to any of them.
unsafe extern "C" fn ask(letter: *mut Letter) -> i32 {
    if letter.is_null() || !letter.is_aligned() {
        return INVALID;
    }
    // SAFETY: `letter` is aligned, and its first two fields can be read, as this function demands.
    let layout = unsafe { *letter.cast::<[u32; 2]>() };
    if layout != [Letter::VERSION, Letter::SIZE] {
        return NOT_SUPPORTED;
    }
    // SAFETY: `letter` is aligned, has this layout, and is nobody else's, as this function demands.
    let letter = unsafe { &mut *letter };
    let (Ok(question_length), Ok(room)) =
        (usize::try_from(letter.questions_length), usize::try_from(letter.room_length))
    else {
        return INVALID;
    };
    let (question, answer) = (pointer(letter.questions), pointer(letter.room));
    if question.is_null() || answer.is_null() {
        return INVALID;
    }
    // SAFETY: `question` is not null and is readable for its length, as this function demands; bytes are always aligned.
    let question = unsafe { slice::from_raw_parts(question.cast_const(), question_length) };
    let Ok(questions) = native::read_questions(question) else {
        return INVALID;
    };
    let Some(told) = in_a_thread(move || native::write_answers(&answer::answers(&questions))) else {
        return FAILED;
    };
    letter.answers_length = told.len() as u64;
    if told.len() > room {
        return TOO_SMALL;
    }
    // SAFETY: `answer` is not null and writable for `room` bytes, as this function demands, and `told` is no longer; it is
    // memory of our own, so they do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(told.as_ptr(), answer, told.len()) };
    0
}

fn pointer(address: u64) -> *mut u8 {
    usize::try_from(address).map_or(std::ptr::null_mut(), std::ptr::with_exposed_provenance_mut)
}

/// Has it done in a thread that Wine knows nothing of: this one's stack is small, and a signal there is Wine's, so the new
/// one has them all blocked. `None` where it could not be begun, or panicked.
fn in_a_thread<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    // A thread begins with the signals blocked that its maker has blocked.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).ok()?;
    let thread = std::thread::Builder::new().name("sockowner".into()).stack_size(1 << 21).spawn(what);
    let restored = before.thread_set_mask();
    let told = thread.ok()?.join().ok()?;
    restored.ok().map(|()| told)
}

#[cfg(test)]
mod tests {
    use sockowner_wire::native::{Question, Why};

    use super::*;

    fn send(question: &[u8], room: &mut [u8]) -> (i32, usize) {
        let mut letter = Letter {
            version: Letter::VERSION,
            size: Letter::SIZE,
            questions: question.as_ptr().expose_provenance() as u64,
            questions_length: question.len() as u64,
            room: room.as_mut_ptr().expose_provenance() as u64,
            room_length: room.len() as u64,
            answers_length: 0,
        };
        // SAFETY: the letter is whole; both buffers are as long as it says, and nobody else's.
        let status = unsafe { ask(&raw mut letter) };
        (status, usize::try_from(letter.answers_length).unwrap())
    }

    #[test]
    fn a_letter_is_answered_where_there_is_room() {
        let question = native::write_questions(&[Question::Process(std::process::id())]);
        let (status, needed) = send(&question, &mut [0; 1]);
        assert_eq!(status, TOO_SMALL);
        let mut room = vec![0; needed + 7];
        assert_eq!(send(&question, &mut room), (0, needed));
        let answers = native::read_answers(&room[..needed]).unwrap();
        assert_eq!(answers[0].as_ref().unwrap().pid, std::process::id());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let question = native::write_questions(&[Question::Process(u32::MAX)]);
        assert_eq!(send(&question[..question.len() - 1], &mut [0; 64]), (INVALID, 0));
        let mut letter = Letter {
            version: Letter::VERSION + 1,
            size: Letter::SIZE,
            questions: 0,
            questions_length: 0,
            room: 0,
            room_length: 0,
            answers_length: 0,
        };
        // SAFETY: the letter is whole.
        assert_eq!(unsafe { ask(&raw mut letter) }, NOT_SUPPORTED);
        letter.version = Letter::VERSION;
        // SAFETY: as above; it says that there is nothing to read or write.
        assert_eq!(unsafe { ask(&raw mut letter) }, INVALID);
        // SAFETY: nothing is read of it.
        assert_eq!(unsafe { ask(std::ptr::null_mut()) }, INVALID);
    }

    #[test]
    fn a_panic_ends_there_and_signals_are_as_they_were() {
        let before = SigSet::thread_get_mask().unwrap();
        assert_eq!(in_a_thread(|| 7), Some(7));
        assert_eq!(in_a_thread(|| -> u8 { panic!("on purpose") }), None);
        let blocked = in_a_thread(|| SigSet::thread_get_mask().unwrap().contains(nix::sys::signal::SIGUSR1));
        assert_eq!(blocked, Some(true));
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }

    #[test]
    fn nobody_is_gone() {
        let question = native::write_questions(&[Question::Process(u32::MAX)]);
        let mut room = [0; 64];
        let (status, length) = send(&question, &mut room);
        assert_eq!((status, native::read_answers(&room[..length])), (0, Ok(vec![Err(Why::Gone)])));
    }
}
