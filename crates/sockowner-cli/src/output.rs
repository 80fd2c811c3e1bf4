//! stdout: buffered, coloured where the terminal and its user want that, and quiet when its reader goes away.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anstream::{AutoStream, ColorChoice};

/// The width of a terminal that does not tell its own.
const USUAL_WIDTH: usize = 80;
const BUFFER: usize = 64 * 1024;

/// What fails where stdout does.
pub(crate) const WRITING: &str = "write to stdout";

/// Text for people or for line-wise tools.
pub(crate) type Output = BufWriter<AutoStream<StdoutLock<'static>>>;

/// Writes text to stdout, styles left out where they are not wanted.
pub(crate) fn text(write: impl FnOnce(&mut Output) -> io::Result<()>) -> io::Result<()> {
    // All of NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM is decided by anstream.
    let mut out = BufWriter::with_capacity(BUFFER, AutoStream::auto(io::stdout().lock()));
    quiet_without_reader(write(&mut out).and_then(|()| out.flush()))
}

/// Writes many lines of text to stdout, in pieces that `write` makes large. It is told whether styles are wanted: where
/// they are not, it writes none, for to find and remove them takes longer than the rest.
pub(crate) fn lines(write: impl FnOnce(&mut dyn Write, bool) -> io::Result<()>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = match AutoStream::choice(&stdout) {
        ColorChoice::Never => write(&mut stdout, false).and_then(|()| stdout.flush()),
        choice => {
            let mut out = AutoStream::new(stdout, choice);
            write(&mut out, true).and_then(|()| out.flush())
        }
    };
    quiet_without_reader(written)
}

/// Writes data to stdout as it is.
pub(crate) fn data(
    write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    quiet_without_reader(write(&mut out).and_then(|()| out.flush()))
}

/// `ERROR_PIPE_NOT_CONNECTED`: what Wine says where the reader of a pipe of Linux has left.
#[cfg(windows)]
const NOT_CONNECTED: Option<i32> = Some(233);

/// That nobody reads on (`| head -1`) is no failure.
pub(crate) fn quiet_without_reader(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        #[cfg(windows)]
        Err(error) if error.raw_os_error() == NOT_CONNECTED => Ok(()),
        other => other,
    }
}

/// The width of the terminal that stdout is; `None` where it is none.
pub(crate) fn width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let told = terminal_size::terminal_size_of(&stdout).map(|(width, _)| usize::from(width.0));
    told.or_else(|| columns(&std::env::var("COLUMNS").ok()?)).or(Some(USUAL_WIDTH))
}

fn columns(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|&columns| columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_the_environment_must_be_a_number() {
        assert_eq!(columns("132"), Some(132));
        assert_eq!(["", "0", "-1", "wide"].map(columns), [None; 4]);
    }

    #[test]
    fn only_a_reader_that_left_is_forgiven() {
        assert!(quiet_without_reader(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(quiet_without_reader(Err(io::ErrorKind::StorageFull.into())).is_err());
        // ERROR_BROKEN_PIPE, ERROR_NO_DATA, and Wine's.
        #[cfg(windows)]
        for code in [109, 232, 233] {
            assert!(quiet_without_reader(Err(io::Error::from_raw_os_error(code))).is_ok(), "{code}");
        }
    }
}
