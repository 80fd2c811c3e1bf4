//! What a socket of Wine tells of itself, read as bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Address, Family, Interface, Protocol};

/// Room for the longest answer, a `sockaddr_in6`.
pub(super) const ROOM: usize = 28;

const AF_INET: u32 = 2;
const AF_INET6: u32 = 23;

/// A socket of Wine as it tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) protocol: Protocol,
    pub(crate) local: Address,
    /// Its peer's address, where it is connected; of TCP, also where the peer has closed.
    pub(crate) peer: Option<Address>,
    /// TCP: it accepts connections.
    pub(crate) listens: bool,
}

/// Family and protocol of a socket, by its answer to [`Question::Info`](super::door::Question::Info); `None` where it is
/// neither TCP nor UDP.
pub(super) fn kind(answer: &[u8]) -> Option<(Family, Protocol)> {
    let family = match word(answer, 0)? {
        AF_INET => Family::Ipv4,
        AF_INET6 => Family::Ipv6,
        _ => return None,
    };
    // SOCK_STREAM with IPPROTO_TCP, SOCK_DGRAM with IPPROTO_UDP.
    match (word(answer, 4)?, word(answer, 8)?) {
        (1, 6) => Some((family, Protocol::Tcp)),
        (2, 17) => Some((family, Protocol::Udp)),
        _ => None,
    }
}

/// Does a TCP socket listen.
pub(super) fn listens(answer: &[u8]) -> Option<bool> {
    word(answer, 0).map(|word| word != 0)
}

/// An address of that family; `None` where it is none, or without a port.
pub(super) fn address(answer: &[u8], family: Family) -> Option<Address> {
    let told = u16::from_ne_bytes(*answer.first_chunk()?);
    let port = u16::from_be_bytes(*answer.get(2..)?.first_chunk()?);
    if port == 0 {
        return None;
    }
    match (u32::from(told), family) {
        (AF_INET, Family::Ipv4) => {
            let ip: [u8; 4] = *answer.get(4..)?.first_chunk()?;
            Some(Address::new(IpAddr::V4(Ipv4Addr::from(ip)), port))
        }
        (AF_INET6, Family::Ipv6) => {
            let ip: [u8; 16] = *answer.get(8..)?.first_chunk()?;
            let scope = word(answer, 24)?;
            let zone = (scope != 0).then(|| Interface::new(scope, None));
            Some(Address { zone, ..Address::new(IpAddr::V6(Ipv6Addr::from(ip)), port) })
        }
        _ => None,
    }
}

fn word(answer: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*answer.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_read() {
        let answer = |family: u32, kind: u32, protocol: u32| {
            [family, kind, protocol].iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>()
        };
        assert_eq!(kind(&answer(2, 1, 6)), Some((Family::Ipv4, Protocol::Tcp)));
        assert_eq!(kind(&answer(23, 2, 17)), Some((Family::Ipv6, Protocol::Udp)));
        for other in [answer(1, 1, 6), answer(2, 3, 1), answer(2, 1, 17), answer(2, 2, 6), answer(0, 0, 0)] {
            assert_eq!(kind(&other), None);
        }
        for length in 0..12 {
            assert_eq!(kind(&answer(2, 1, 6)[..length]), None);
        }
    }

    #[test]
    fn an_ipv4_address_is_read() {
        // AF_INET, port 42699, 127.0.0.1, padding.
        let answer = [2, 0, 0xa6, 0xcb, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let read = address(&answer, Family::Ipv4);
        assert_eq!(read, Some(Address::new(Ipv4Addr::LOCALHOST.into(), 42699)));
        assert_eq!(address(&answer, Family::Ipv6), None, "of the other family");
        for length in 0..8 {
            assert_eq!(address(&answer[..length], Family::Ipv4), None);
        }
        let without_port = [2, 0, 0, 0, 127, 0, 0, 1];
        assert_eq!(address(&without_port, Family::Ipv4), None);
    }

    #[test]
    fn an_ipv6_address_is_read_with_its_zone() {
        #[rustfmt::skip]
        let mut answer = [
            // AF_INET6, port 41293, no flow.
            23, 0, 0xa1, 0x4d, 0, 0, 0, 0,
            // ::ffff:127.0.0.1
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1,
            // No zone.
            0, 0, 0, 0,
        ];
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        assert_eq!(address(&answer, Family::Ipv6), Some(Address::new(mapped.into(), 41293)));
        for length in 0..answer.len() {
            assert_eq!(address(&answer[..length], Family::Ipv6), None);
        }
        answer[24] = 3;
        let zone = address(&answer, Family::Ipv6).and_then(|address| address.zone);
        assert_eq!(zone.map(|zone| zone.index()), Some(3));
    }

    #[test]
    fn a_listener_is_told() {
        assert_eq!(listens(&[1, 0, 0, 0]), Some(true));
        assert_eq!(listens(&[0, 0, 0, 0]), Some(false));
        assert_eq!(listens(&[1, 0]), None);
    }
}
