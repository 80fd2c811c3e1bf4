//! Wine: its tables leave most rows without a pid, for sockets live in its server. Nothing here runs on Windows.
//!
//! [`walk`] looks at the handles of all processes, [`holders`] tells which rows of the tables they stand for; [`bridge`]
//! asks about sockets of native programs. [`door`] is what is asked of Wine alone.

pub(crate) mod bridge;
pub(crate) mod door;
#[cfg(test)]
mod fake;
pub(crate) mod holders;
#[cfg(test)]
mod tests;
pub(crate) mod told;
pub(crate) mod walk;

pub(crate) use self::holders::Holders;
