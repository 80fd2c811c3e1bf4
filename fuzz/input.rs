//! Numbers out of an input.

/// Bytes from the front of an input, and zeros once it is used up.
#[derive(Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        self.fill(&mut taken);
        taken
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    pub(crate) fn fill(&mut self, into: &mut [u8]) {
        let (taken, left) = self.0.split_at(into.len().min(self.0.len()));
        into[..taken.len()].copy_from_slice(taken);
        into[taken.len()..].fill(0);
        self.0 = left;
    }
}
