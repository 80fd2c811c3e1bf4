//! What is noted when a socket call enters the kernel.

use std::fmt;

/// A socket call, by the function that a program calls for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Call {
    /// socket(2)
    Socket,
    /// bind(2)
    Bind,
    /// connect(2)
    Connect,
    /// listen(2)
    Listen,
    /// accept(2)
    Accept,
    /// accept4(2)
    Accept4,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Socket, Self::Bind, Self::Connect, Self::Listen, Self::Accept, Self::Accept4];

    /// The symbol that a program calls. A module that defines it is never the component.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Bind => "bind",
            Self::Connect => "connect",
            Self::Listen => "listen",
            Self::Accept => "accept",
            Self::Accept4 => "accept4",
        }
    }

    /// Libraries implement it as nothing but the system call: it pushes no frame, so that the word at the stack
    /// pointer is its return address. Not so connect and accept, which are cancellation points.
    pub(crate) fn is_leaf(self) -> bool {
        matches!(self, Self::Bind | Self::Listen)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

/// The registers that unwinding begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// The instruction behind the system call.
    pub rip: u64,
    /// The stack pointer.
    pub rsp: u64,
    /// The frame pointer, or whatever the code keeps in that register.
    pub rbp: u64,
}

/// One socket call at its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which one.
    pub call: Call,
    /// Where the thread stood.
    pub registers: Registers,
    /// The user's stack from [`rsp`](Registers::rsp) upwards: 512 bytes, or as many as could be read.
    pub stack: Vec<u8>,
}

impl Sample {
    /// The stack's word at `address`. None outside what was read.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.registers.rsp)?).ok()?;
        let bytes = self.stack.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_within_the_stack_that_was_read() {
        let mut sample = Sample {
            call: Call::Bind,
            registers: Registers { rsp: 0x1000, ..Registers::default() },
            stack: vec![],
        };
        assert_eq!(sample.word(0x1000), None);
        sample.stack = (0..17).collect();
        assert_eq!(sample.word(0x1000), Some(0x0706_0504_0302_0100));
        assert_eq!(sample.word(0x1009), Some(0x100f_0e0d_0c0b_0a09));
        for outside in [0, 0xfff, 0x100a, 0x1011, u64::MAX, u64::MAX - 7] {
            assert_eq!(sample.word(outside), None, "{outside:#x}");
        }
        sample.registers.rsp = u64::MAX - 3;
        assert_eq!(sample.word(u64::MAX - 3), Some(0x0706_0504_0302_0100));
        assert_eq!(sample.word(3), None);
    }
}
