//! Labels at the left, values in a column beside them.

use std::io::{self, Write};

use anstyle::Style;
use sockowner::Socket;

use crate::address;
use crate::text::wrap;

const HEAD: Style = Style::new().bold();
const LABEL: Style = Style::new().dimmed();
/// Where values begin.
const INDENT: usize = 14;

/// Writes one endpoint's lines: labels at the left, values in a column.
#[derive(Debug)]
pub(crate) struct Block<'a, W> {
    out: &'a mut W,
    width: Option<usize>,
}

impl<'a, W: Write> Block<'a, W> {
    /// Writes to `out`; sentences are divided at `width`.
    pub(crate) fn new(out: &'a mut W, width: Option<usize>) -> Self {
        Self { out, width }
    }

    /// The line that names the endpoint.
    pub(crate) fn head(&mut self, socket: &Socket) -> io::Result<()> {
        let mut endpoint = socket.endpoint;
        endpoint.local = address::local(socket);
        writeln!(self.out, "{HEAD}{}{HEAD:#}", address::endpoint(&endpoint))
    }

    /// A value of the system, which is never divided.
    pub(crate) fn datum(&mut self, label: &str, value: &str) -> io::Result<()> {
        let room = INDENT - 2;
        writeln!(self.out, "  {LABEL}{label:room$}{LABEL:#}{value}")
    }

    /// Words of ours.
    pub(crate) fn sentence(&mut self, label: &str, words: &str) -> io::Result<()> {
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(INDENT).max(1));
        let mut label = label;
        for line in wrap(words, room) {
            self.datum(label, &line)?;
            label = "";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_divided_and_values_of_the_system_are_not() {
        let mut out = Vec::new();
        let mut block = Block::new(&mut out, Some(24));
        block.sentence("owner", "none that could be seen").unwrap();
        block.datum("", "/a/path with/many words in it").unwrap();
        let text = anstream::adapter::strip_bytes(&out).into_vec();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "  owner       none that\n              could be\n              seen\n              /a/path with/many words in it\n"
        );
    }
}
