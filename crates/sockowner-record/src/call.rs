//! The door to the OS: sockets between the processes of the recorder, their rights, and other processes' files.

pub(crate) mod channel;
pub(crate) mod children;
pub(crate) mod clock;
pub(crate) mod files;
pub(crate) mod maps;
pub(crate) mod rights;
pub(crate) mod seccomp;
