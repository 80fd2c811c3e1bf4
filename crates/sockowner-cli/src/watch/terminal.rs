//! The terminal, taken for the whole screen and given back as it was, whatever happens.

use std::io::{self, IsTerminal, Write};

use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// What can be taken and given back.
pub(crate) trait Screen {
    fn take(&mut self) -> io::Result<()>;
    fn give_back(&mut self);
}

/// The terminal of stdin and stdout.
#[derive(Debug)]
pub(crate) struct Real;

impl Screen for Real {
    fn take(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)
    }

    fn give_back(&mut self) {
        // Where the terminal is gone there is nothing to give back.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Has the screen as long as it lives; a panic gives it back too, before its message is written.
#[derive(Debug)]
pub(crate) struct Guard<S: Screen>(S);

impl<S: Screen> Guard<S> {
    pub(crate) fn new(mut screen: S) -> io::Result<Self> {
        if let Err(error) = screen.take() {
            screen.give_back();
            return Err(error);
        }
        Ok(Self(screen))
    }
}

impl<S: Screen> Drop for Guard<S> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// From now on a panic in any thread gives the terminal back before anything is said of it.
pub(crate) fn give_back_on_panic() {
    let said_before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        Real.give_back();
        said_before(panic);
    }));
}

/// Ends the process where the terminal has gone, if it has not ended by itself a second later: crossterm, once it reads
/// from a terminal that is gone, tries again for ever. It then holds this process's only other way out.
#[cfg(target_os = "linux")]
pub(crate) fn end_with_it() -> io::Result<()> {
    let wait_and_end = || {
        // Where that cannot be awaited the loop still asks before it reads.
        if crate::call::await_end_of_terminal().is_ok() {
            std::thread::sleep(std::time::Duration::from_secs(1));
            crate::call::end_by(crate::call::HANGUP);
        }
    };
    std::thread::Builder::new().name("terminal".into()).spawn(wait_and_end).map(drop)
}

/// Gives the terminal back, and has it again when this process goes on.
#[cfg(target_os = "linux")]
pub(crate) fn suspend() -> io::Result<()> {
    Real.give_back();
    let stopped = crate::call::stop();
    Real.take()?;
    stopped
}

/// Why the whole screen cannot be used here.
pub(crate) fn refusal() -> Option<&'static str> {
    let term = std::env::var_os("TERM").unwrap_or_default();
    why_not(io::stdin().is_terminal(), io::stdout().is_terminal(), &term.to_string_lossy())
}

fn why_not(stdin: bool, stdout: bool, term: &str) -> Option<&'static str> {
    match (stdin, stdout, term) {
        (_, false, _) => Some("watch needs a terminal, and stdout is none; 'watch --once' prints one view"),
        (false, ..) => Some("watch needs a terminal, and stdin is none; 'watch --once' prints one view"),
        (.., "dumb") => Some("this terminal cannot be drawn on (TERM=dumb); 'watch --once' prints one view"),
        (.., "") if !cfg!(windows) => {
            Some("this terminal does not tell its kind (TERM is not set); 'watch --once' prints one view")
        }
        _ => None,
    }
}

/// Colours are wanted.
pub(crate) fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Puts `text` into the clipboard of the terminal, if it lets programs do so (OSC 52).
pub(crate) fn copy(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()))?;
    out.flush()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * at) & 63) as usize];
            text.push(if at > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::*;

    struct Fake {
        log: Rc<RefCell<Vec<&'static str>>>,
        refuses: bool,
    }

    impl Screen for Fake {
        fn take(&mut self) -> io::Result<()> {
            self.log.borrow_mut().push("taken");
            if self.refuses { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
        }
        fn give_back(&mut self) {
            self.log.borrow_mut().push("given back");
        }
    }

    #[test]
    fn the_terminal_is_given_back_however_it_ends() {
        for (refuses, panics) in [(false, false), (false, true), (true, false)] {
            let log = Rc::default();
            let fake = Fake { log: Rc::clone(&log), refuses };
            let ended = catch_unwind(AssertUnwindSafe(|| {
                let guard = Guard::new(fake);
                assert_eq!(guard.is_err(), refuses);
                assert!(!panics, "on purpose");
            }));
            assert_eq!(ended.is_err(), panics);
            assert_eq!(*log.borrow(), ["taken", "given back"]);
        }
    }

    #[test]
    fn only_a_terminal_that_can_be_drawn_on_will_do() {
        assert_eq!(why_not(true, true, "xterm"), None);
        assert!(why_not(true, false, "xterm").unwrap().contains("stdout"));
        assert!(why_not(false, true, "xterm").unwrap().contains("stdin"));
        assert!(why_not(true, true, "dumb").unwrap().contains("TERM=dumb"));
    }

    #[test]
    fn base64_is_as_its_rfc_has_it() {
        for (plain, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfb]), "//77");
    }
}
