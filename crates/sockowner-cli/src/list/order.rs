//! The order that `--sort` asks for: numbers by their size, addresses by theirs, the rest by its letters. What has no
//! value stands last, either way around.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use sockowner::Entry;

use super::processes;
use super::value::{Value, value};
use crate::field::{Field, SortBy};

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Nothing,
    Number(u64),
    Address(IpAddr, u16),
    Text(Cow<'a, str>),
}

/// `entries` in the order that `by` asks for; equal ones as they stood.
pub(super) fn sorted<'a>(entries: &'a [Entry], by: &[SortBy]) -> Vec<&'a Entry> {
    let keys: Vec<Key<'_>> =
        entries.iter().flat_map(|entry| by.iter().map(move |by| key(by.field, entry))).collect();
    let mut order: Vec<usize> = (0..entries.len()).collect();
    let keys_of = |at: usize| &keys[at * by.len()..(at + 1) * by.len()];
    order.sort_by(|&one, &other| {
        let pairs = keys_of(one).iter().zip(keys_of(other)).zip(by);
        pairs
            .map(|((one, other), by)| compare(one, other, by.is_reversed))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    order.into_iter().map(|at| &entries[at]).collect()
}

fn key(field: Field, entry: &Entry) -> Key<'_> {
    if field == Field::Holders {
        return match processes(entry) {
            0 => Key::Nothing,
            count => Key::Number(count as u64),
        };
    }
    match value(field, entry) {
        Value::Nothing => Key::Nothing,
        // Why nobody is named is no name.
        Value::Text(_) if field == Field::Process && entry.attribution.primary_owner().is_none() => {
            Key::Nothing
        }
        Value::Number(number) => Key::Number(number),
        Value::Flag(flag) => Key::Number(flag.into()),
        Value::Address(address) => Key::Address(address.ip, address.port),
        Value::Host(address) => Key::Address(address.ip, 0),
        Value::Text(text) => Key::Text(text),
    }
}

fn compare(one: &Key<'_>, other: &Key<'_>, is_reversed: bool) -> Ordering {
    match (one, other) {
        (Key::Nothing, Key::Nothing) => Ordering::Equal,
        (Key::Nothing, _) => Ordering::Greater,
        (_, Key::Nothing) => Ordering::Less,
        (one, other) if is_reversed => other.cmp(one),
        (one, other) => one.cmp(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Key::{Address, Nothing, Number, Text};

    fn order(mut keys: Vec<Key<'_>>, is_reversed: bool) -> Vec<Key<'_>> {
        keys.sort_by(|one, other| compare(one, other, is_reversed));
        keys
    }

    fn address(text: &str) -> Key<'static> {
        let address: std::net::SocketAddr = text.parse().unwrap();
        Address(address.ip(), address.port())
    }

    #[test]
    fn numbers_go_by_size_and_what_has_no_value_stands_last() {
        let keys = || vec![Number(80), Nothing, Number(443), Number(9), Number(8080)];
        assert_eq!(order(keys(), false), [Number(9), Number(80), Number(443), Number(8080), Nothing]);
        assert_eq!(order(keys(), true), [Number(8080), Number(443), Number(80), Number(9), Nothing]);
        let names = vec![Text("b".into()), Nothing, Text("B".into()), Text("a".into())];
        assert_eq!(order(names, false), [Text("B".into()), Text("a".into()), Text("b".into()), Nothing]);
    }

    #[test]
    fn addresses_go_by_size_then_by_port() {
        let texts = ["10.0.0.9:1", "10.0.0.10:1", "192.0.2.1:22", "192.0.2.1:100", "[::1]:1", "[fe80::1]:1"];
        let keys = texts.map(address);
        let mut mixed = keys.to_vec();
        mixed.reverse();
        mixed.swap(0, 3);
        assert_eq!(order(mixed, false), keys);
    }
}
