//! Dividing a table, so that two dumps of it can be read at once.

use zerocopy::byteorder::{NativeEndian, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::netlink;

/// `struct inet_diag_bc_op`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Op {
    pub(super) code: u8,
    pub(super) yes: u8,
    pub(super) no: U16<NativeEndian>,
}

const _: () = assert!(size_of::<Op>() == 4);

/// A half of all sockets, so that two dumps can be read at once. Each socket is in exactly one.
///
/// What tells them apart is the port at the client's end: the remote one where the local one is below 32,768, else the
/// local one. Stripes of 2,048 ports belong to one half and to the other by turns, so that wherever the ports of clients
/// are, each half has about as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The stripes of the even numbers.
    Even,
    /// Those of the odd ones.
    Odd,
}

impl Half {
    /// Ports that servers have are below (ip(7), `ip_local_port_range`).
    const EPHEMERAL: u16 = 32_768;
    const STRIPE: u16 = 2048;
    /// `INET_DIAG_REQ_BYTECODE`, an attribute of requests.
    const ATTRIBUTE: u16 = 1;
    /// `INET_DIAG_BC_JMP`, `_S_GE`, `_D_GE`.
    pub(super) const JUMP: u8 = 1;
    pub(super) const LOCAL_GE: u8 = 2;
    pub(super) const REMOTE_GE: u8 = 4;

    /// A socket with these ports is in this half.
    pub fn takes(self, local_port: u16, remote_port: u16) -> bool {
        self.takes_stripe_of(if local_port >= Self::EPHEMERAL { local_port } else { remote_port })
    }

    const fn takes_stripe_of(self, port: u16) -> bool {
        (port / Self::STRIPE % 2 == 1) == matches!(self, Self::Odd)
    }

    /// The same for the kernel (`net/ipv4/inet_diag.c`, `inet_diag_bc_run`): what ends behind the last instruction is
    /// taken, what jumps further is not. A comparison that holds goes on with the next instruction.
    pub(super) fn program(self) -> Vec<Op> {
        let mut program = Vec::new();
        let other = Self::compare(Self::LOCAL_GE, Self::EPHEMERAL, &mut program);
        self.search(Self::LOCAL_GE, Self::EPHEMERAL, u16::MAX, &mut program);
        Self::jump_from(other, &mut program);
        self.search(Self::REMOTE_GE, 0, u16::MAX, &mut program);
        // Now that the end is known.
        let words = u16::try_from(program.len()).unwrap_or(u16::MAX);
        for (op, left) in program.iter_mut().zip((1..=words).rev()) {
            if op.code == Self::JUMP {
                op.no.set(op.no.get() + left * 4);
            }
        }
        program
    }

    /// Adds it to a request's attributes.
    pub(super) fn push(self, attributes: &mut Vec<u8>) {
        netlink::push_attribute(attributes, Self::ATTRIBUTE, self.program().as_bytes());
    }

    /// Finds the stripe of a port from `first` to `last`.
    fn search(self, code: u8, first: u16, last: u16, program: &mut Vec<Op>) {
        if last - first < Self::STRIPE {
            let beyond = if self.takes_stripe_of(first) { 0 } else { 4 };
            program.push(Op { code: Self::JUMP, yes: 4, no: U16::new(beyond) });
            return;
        }
        let middle = first + (last - first) / 2 + 1;
        let below = Self::compare(code, middle, program);
        self.search(code, middle, last, program);
        Self::jump_from(below, program);
        self.search(code, first, middle - 1, program);
    }

    /// Appends a comparison; gives its place.
    fn compare(code: u8, port: u16, program: &mut Vec<Op>) -> usize {
        let at = program.len();
        program.push(Op { code, yes: 8, no: U16::new(0) });
        program.push(Op { code: 0, yes: 0, no: U16::new(port) });
        at
    }

    /// The comparison at `at` goes on here where it does not hold.
    fn jump_from(at: usize, program: &mut [Op]) {
        let words = u16::try_from(program.len() - at).unwrap_or(u16::MAX);
        program[at].no = U16::new(words * 4);
    }

    /// The half that a request's attributes ask for.
    pub(super) fn find(attributes: &[u8]) -> Option<Self> {
        let program =
            netlink::attributes(attributes).flatten().find(|found| found.kind == Self::ATTRIBUTE)?;
        [Self::Even, Self::Odd].into_iter().find(|half| half.program().as_bytes() == program.value)
    }
}
