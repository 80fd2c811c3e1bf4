//! The protocol that a request asks for.

use crate::netlink::{self, push_attribute};

/// `IPPROTO_TCP`.
pub const IPPROTO_TCP: u16 = 6;
/// `IPPROTO_UDP`.
pub const IPPROTO_UDP: u16 = 17;
/// `IPPROTO_MPTCP`: the socket that a program holds; its subflows are TCP sockets, which have its inode number and cookies of
/// their own.
pub const IPPROTO_MPTCP: u16 = 262;
/// `INET_DIAG_REQ_PROTOCOL`, a number of 32 bits: the protocol where it is too large for the request's own field, since Linux
/// 5.9. Older kernels pass it over.
pub(super) const ATTRIBUTE: u16 = 3;
/// Adds one to a request's attributes.
pub(super) fn push(protocol: u16, attributes: &mut Vec<u8>) {
    push_attribute(attributes, ATTRIBUTE, &u32::from(protocol).to_ne_bytes());
}

/// The protocol for a field of eight bits: what does not fit is `IPPROTO_IP`, which nobody answers for, so that a kernel that
/// does not read the attribute does not tell another protocol's sockets.
pub(super) fn short(protocol: u16) -> u8 {
    u8::try_from(protocol).unwrap_or(0)
}

/// The protocol that a request's attributes ask for.
pub(super) fn find(attributes: &[u8]) -> Option<u16> {
    let mut found = netlink::attributes(attributes).flatten();
    let value = found.find(|attribute| attribute.kind == ATTRIBUTE)?.value;
    u32::from_ne_bytes(value.try_into().ok()?).try_into().ok()
}
