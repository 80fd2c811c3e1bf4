//! Stands in where there is no backend: refuses with one sentence.

use super::{Options, Scope, Search, Sockets};
use crate::{
    Address, Entry, Error, ErrorKind, Gap, Identity, Module, Owning, Pattern, Protocol, Record, Result,
    RowOwner, Socket, SourceState,
};

#[derive(Debug)]
pub(crate) enum System {}

/// Nothing is seen here.
#[derive(Debug)]
pub(crate) enum Seen {}

/// No row is seen here.
pub(crate) type Told = ();

pub(crate) fn row_owner((): &Told) -> Option<&RowOwner> {
    None
}

fn refuse<T>() -> Result<T> {
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("find socket owners: sockowner has no backend for {}", std::env::consts::OS),
    ))
}

pub(crate) fn module_of(_: &Identity) -> Result<Module> {
    refuse()
}

pub(crate) fn boot() -> Option<u64> {
    None
}

pub(crate) fn no_visible_holder() -> &'static str {
    "no process was read"
}

impl System {
    pub(crate) fn open(_: Options) -> Result<Self> {
        refuse()
    }

    pub(crate) fn sources(&self) -> Vec<SourceState> {
        match *self {}
    }

    pub(crate) fn sockets(&self, _: &Scope) -> Result<Sockets> {
        match *self {}
    }

    pub(crate) fn connection(&self, _: Protocol, _: Address, _: Address) -> Result<Option<Socket>> {
        match *self {}
    }

    pub(crate) fn recorded(&self, _: Address, _: Address) -> Result<Option<(Socket, Record)>> {
        match *self {}
    }

    pub(crate) fn survey(&self, _: &Scope) -> Result<(Sockets, Option<Seen>)> {
        match *self {}
    }

    pub(crate) fn everywhere(&self, _: &Scope, _: Search) -> Result<(Vec<Entry>, Vec<Gap>)> {
        match *self {}
    }

    pub(crate) fn attribute(
        &self,
        _: Vec<Socket>,
        _: Search,
        _: Option<Seen>,
    ) -> Result<(Vec<Entry>, Vec<Gap>)> {
        match *self {}
    }

    pub(crate) fn closed(&self, _: &Pattern) -> Result<Option<(Vec<Entry>, Vec<Gap>)>> {
        match *self {}
    }

    pub(crate) fn owning(&self, _: &[Entry]) -> Vec<Option<Owning>> {
        match *self {}
    }

    pub(crate) fn netns(&self) -> Option<u64> {
        match *self {}
    }
}
