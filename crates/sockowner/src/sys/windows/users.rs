//! Users: the account of a process's token, each looked up once.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::door::Door;

/// Names of the accounts that have been asked for.
#[derive(Debug, Default)]
pub(super) struct Users(BTreeMap<Vec<u8>, Option<Arc<str>>>);

impl Users {
    /// The account with this security identifier: its name after its domain's, or, where it has none any more, the
    /// identifier as text.
    pub(super) fn named<D: Door>(&mut self, door: &D, sid: Vec<u8>) -> Option<Arc<str>> {
        let name = |sid: &Vec<u8>| match door.account(sid) {
            Ok(account) if !account.name.is_empty() => {
                let name = String::from_utf16_lossy(&account.name);
                let domain = String::from_utf16_lossy(&account.domain);
                Some(if domain.is_empty() { name } else { format!(r"{domain}\{name}") })
            }
            _ => text(sid),
        };
        self.0.entry(sid).or_insert_with_key(|sid| name(sid).map(Arc::from)).clone()
    }
}

/// A security identifier as people write it: `S-1-5-18`.
fn text(sid: &[u8]) -> Option<String> {
    let (&[revision, count], rest) = sid.split_first_chunk()?;
    let (authority, rest) = rest.split_first_chunk::<6>()?;
    let authority = authority.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let mut text = format!("S-{revision}-{authority}");
    for number in rest.get(..usize::from(count) * 4)?.chunks_exact(4) {
        let number = u32::from_le_bytes(number.try_into().ok()?);
        write!(text, "-{number}").ok()?;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_written_as_everywhere() {
        #[rustfmt::skip]
        let administrators = [
            // Revision, count of numbers, authority.
            1, 2, 0, 0, 0, 0, 0, 5,
            // 32 and 544, little-endian.
            32, 0, 0, 0, 0x20, 2, 0, 0,
        ];
        assert_eq!(text(&administrators).as_deref(), Some("S-1-5-32-544"));
        for length in 0..administrators.len() {
            assert_eq!(text(&administrators[..length]), None, "cut at {length}");
        }
    }
}
