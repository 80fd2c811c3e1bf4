//! Which module made each call: modules are opened by one process and read by another, neither with more rights than
//! that takes.
//!
//! [`Resolver`] belongs to the daemon. It starts two children, which run [`opener`] and [`parser`], and gives them
//! [`Sample`]s in batches:
//!
//! ```text
//! daemon ── samples ──▶ parser ── "that mapping, please" ──▶ opener
//!        ◀─ components ─       ◀─ a descriptor, or why not ─
//! ```
//!
//! - The **opener** may look at other users' processes and read any file, and does nothing else: it hands over
//!   `/proc/PID/maps`, and ELF files: what a process executes, and what the parser says that one executed which has
//!   ended or gone on since. It never reads a process's memory, and of a file no more than its first four bytes.
//! - The **parser** has no capability, no network and no way to open anything. It reads the ELF files, which are their
//!   owners' data, and unwinds. It can be taken over and tell nonsense; it cannot tell more than that.
//! - The **daemon** trusts neither: lengths are checked, waiting has an end, and who does not answer is killed and
//!   started anew. What could not be found out is [`Unknown`], with its cause, and counted.
//!
//! Stack bytes and registers are in memory of the daemon and the parser alone, are overwritten once they are used, and
//! are not used when they are older than ten seconds. None of the children can dump a core.

mod answers;
mod batch;
mod bytes;
mod desk;
mod doubt;
mod opener;
mod parser;
mod request;
mod resolver;
mod sample;
mod spaces;
mod wary;

pub use opener::opener;
pub use parser::parser;
#[doc(hidden)]
pub use resolver::Patience;
pub use resolver::Resolver;
pub use sample::{Counts, Facts, Resolved, Sample, Site, Unknown};
pub use sockowner_component::{Call, Device, Executable, Mapping, Registers};
