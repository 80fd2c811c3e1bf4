//! Addresses as people see them: as the library prints them, but that the name of a zone, which may be a user's choice, can
//! do nothing to a terminal. And without the machinery of `format!`, for tables with very many.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use sockowner::{Address, Endpoint, Socket};

use crate::text::shown;

/// `address` with its port.
pub(crate) fn text(address: &Address) -> String {
    let mut text = String::with_capacity(48);
    push(&mut text, address);
    text
}

/// Without its port and brackets.
pub(crate) fn host(address: &Address) -> String {
    let mut text = String::with_capacity(40);
    push_host(&mut text, address);
    text
}

/// The local address of `socket`, with the interface that it is bound to, as its zone.
pub(crate) fn local(socket: &Socket) -> Address {
    let mut local = socket.endpoint.local;
    local.zone = local.zone.or(socket.interface);
    local
}

/// What `endpoint` is called, with its state.
pub(crate) fn endpoint(endpoint: &Endpoint) -> String {
    let Endpoint { protocol, local, remote, state, .. } = endpoint;
    let remote = remote.as_ref().map(|remote| format!(" -> {}", text(remote))).unwrap_or_default();
    format!("{protocol} {}{remote} {state}", text(local))
}

/// Appends `address`; gives how many bytes of that are the port with what separates it.
pub(crate) fn push(text: &mut String, address: &Address) -> usize {
    let separator = match address.ip {
        IpAddr::V4(_) => {
            push_host(text, address);
            ":"
        }
        IpAddr::V6(_) => {
            text.push('[');
            push_host(text, address);
            "]:"
        }
    };
    let host = text.len();
    text.push_str(separator);
    text.push_str(itoa::Buffer::new().format(address.port));
    text.len() - host
}

fn push_host(text: &mut String, address: &Address) {
    match address.ip {
        IpAddr::V4(ip) => push_v4(text, ip),
        IpAddr::V6(ip) => {
            // Writing to a String does not fail.
            let _ = write!(text, "{ip}");
        }
    }
    if let Some(zone) = address.zone {
        text.push('%');
        match zone.name() {
            Some(name) => text.push_str(&shown(name)),
            None => text.push_str(itoa::Buffer::new().format(zone.index())),
        }
    }
}

fn push_v4(text: &mut String, ip: Ipv4Addr) {
    for (at, octet) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
}

#[cfg(test)]
mod tests {
    use sockowner::{Interface, Protocol, State};
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn an_address_looks_as_it_prints_itself() {
        for (address, tail) in [
            ("0.0.0.0:0", ":0"),
            ("1.20.255.9:65535", ":65535"),
            ("[::]:22", "]:22"),
            ("[::ffff:192.0.2.1]:80", "]:80"),
            ("[2001:db8::1:0:0:1]:443", "]:443"),
        ] {
            let mut address = Address::from(address.parse::<SocketAddr>().unwrap());
            for zone in [None, Some(Interface::new(3, Some("eth0"))), Some(Interface::new(3, None))] {
                address.zone = zone;
                let mut text = "before ".to_owned();
                let kept = push(&mut text, &address);
                assert_eq!(text, format!("before {address}"));
                assert_eq!(&text[text.len() - kept..], tail);
                assert_eq!(self::text(&address), address.to_string());
                assert_eq!(host(&address), address.host().to_string());
                for remote in [None, Some(address)] {
                    let endpoint = Endpoint::new(Protocol::Tcp, State::ESTABLISHED, address, remote);
                    assert_eq!(self::endpoint(&endpoint), endpoint.to_string());
                }
            }
        }
    }

    #[test]
    fn a_zone_is_shown_as_other_names_are() {
        let mut address = Address::from("[fe80::1]:9".parse::<SocketAddr>().unwrap());
        address.zone = Some(Interface::new(4, Some("\x1b]0;x,y")));
        assert_eq!(text(&address), r#"[fe80::1%"\x1b]0;x,y"]:9"#);
        assert_eq!(host(&address), r#"fe80::1%"\x1b]0;x,y""#);
        let endpoint = Endpoint::new(Protocol::Tcp, State::ESTABLISHED, address, Some(address));
        assert!(!self::endpoint(&endpoint).contains('\x1b'));
    }
}
