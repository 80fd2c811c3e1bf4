//! Reading packets piece by piece, and what their pieces are made of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::Malformed;

/// What is left of a packet.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    length: usize,
    what: &'static str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(packet: &'a [u8], what: &'static str) -> Self {
        Self { rest: packet, length: packet.len(), what }
    }

    /// What was read last does not fit, or what is to be read next.
    pub(super) fn malformed(&self) -> Malformed {
        Malformed::new(self.what, self.length - self.rest.len())
    }

    pub(super) fn fixed<T: FromBytes + Immutable + KnownLayout>(&mut self) -> Result<T, Malformed> {
        let (value, rest) = T::read_from_prefix(self.rest).map_err(|_| self.malformed())?;
        self.rest = rest;
        Ok(value)
    }

    pub(super) fn bytes(&mut self, length: U16) -> Result<Vec<u8>, Malformed> {
        let split = self.rest.split_at_checked(length.get().into());
        let (bytes, rest) = split.ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(bytes.to_vec())
    }

    /// So many of what `read` reads. What a packet says of their number costs no memory before they are there.
    pub(super) fn many<T>(
        &mut self,
        count: u32,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(read(self)?);
        }
        Ok(all)
    }

    /// The address in a piece that was read, if it has one.
    pub(super) fn ip(&self, family: u8, bytes: [u8; 16]) -> Result<Option<IpAddr>, Malformed> {
        let [a, b, c, d, ..] = bytes;
        match family {
            0 => Ok(None),
            4 => Ok(Some(Ipv4Addr::new(a, b, c, d).into())),
            6 => Ok(Some(Ipv6Addr::from(bytes).into())),
            _ => Err(self.malformed()),
        }
    }

    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }
}

/// 0, 4 or 6, and the address.
pub(super) fn write_ip(ip: Option<IpAddr>) -> (u8, [u8; 16]) {
    match ip {
        None => (0, [0; 16]),
        Some(IpAddr::V4(ip)) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            (4, bytes)
        }
        Some(IpAddr::V6(ip)) => (6, ip.octets()),
    }
}
