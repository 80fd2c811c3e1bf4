//! Names of users, each asked for once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::door::{Door, is_refused};
use crate::{Gap, GapReason};

/// User names of one request, from the system's name service (nsswitch.conf(5)).
#[derive(Debug)]
pub(crate) struct Users<'a, D: Door> {
    door: &'a D,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    names: BTreeMap<u32, Option<Arc<str>>>,
    refused: u64,
    failed: u64,
}

impl<'a, D: Door> Users<'a, D> {
    pub(crate) fn new(door: &'a D) -> Self {
        Self { door, known: Mutex::default() }
    }

    /// `None` where the user has no name, or it cannot be had.
    pub(crate) fn name(&self, uid: u32) -> Option<Arc<str>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.names.get(&uid) {
            return name.clone();
        }
        let name = match self.door.user_name(uid) {
            Ok(name) => name.map(Arc::from),
            Err(error) => {
                *(if is_refused(&error) { &mut known.refused } else { &mut known.failed }) += 1;
                None
            }
        };
        known.names.insert(uid, name.clone());
        name
    }

    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        [(known.refused, GapReason::NotPermitted), (known.failed, GapReason::Unsupported)]
            .into_iter()
            .filter(|&(count, _)| count > 0)
            .map(|(count, reason)| Gap::new("users", "the user database", reason, count))
            .collect()
    }
}
