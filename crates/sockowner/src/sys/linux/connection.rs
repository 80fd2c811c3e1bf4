//! One connection, and what is recorded of it: no process is looked at.

use std::collections::BTreeSet;
use std::slice;

use super::System;
use super::attribute::Places;
use super::door::Door;
use super::recorded;
use crate::{Address, Error, ErrorKind, Record, Result, Socket};

impl<D: Door> System<D> {
    /// The connection with exactly these addresses, and what is recorded of it.
    pub(crate) fn recorded(&self, local: Address, remote: Address) -> Result<Option<(Socket, Record)>> {
        let Some(socket) = self.exact_connection(local, remote)? else { return Ok(None) };
        let mut gaps = Vec::new();
        let record = self.recorder.read_one(&self.door, &socket, &mut gaps);
        if let Some(gap) = gaps.first() {
            let what = format!("read what is recorded of {}: {}", socket.endpoint, gap.object);
            return Err(Error::new(ErrorKind::System, format!("{what}: {}", gap.reason)));
        }
        let mut record = record.unwrap_or_default();
        let ids: BTreeSet<_> = recorded::cgroup_ids(slice::from_ref(&record)).collect();
        let places = Places::new(self.cgroups.former_paths(&self.door, ids));
        places.name_roles(&mut record);
        Ok(Some((socket, record)))
    }
}
