//! Addresses as text, for tables with very many: as the library prints them, but without the machinery of `format!`.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use sockowner::Address;

/// Appends `address` as it prints itself; gives how many bytes of that are the port with what separates it.
pub(crate) fn push(text: &mut String, address: &Address) -> usize {
    let separator = match address.ip {
        IpAddr::V4(ip) => {
            push_v4(text, ip);
            push_zone(text, address);
            ":"
        }
        IpAddr::V6(ip) => {
            // Writing to a String does not fail.
            let _ = write!(text, "[{ip}");
            push_zone(text, address);
            "]:"
        }
    };
    let host = text.len();
    text.push_str(separator);
    text.push_str(itoa::Buffer::new().format(address.port));
    text.len() - host
}

fn push_v4(text: &mut String, ip: Ipv4Addr) {
    for (at, octet) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
}

fn push_zone(text: &mut String, address: &Address) {
    if let Some(zone) = address.zone {
        // Writing to a String does not fail.
        let _ = write!(text, "%{zone}");
    }
}

#[cfg(test)]
mod tests {
    use sockowner::Interface;
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
            }
        }
    }
}
