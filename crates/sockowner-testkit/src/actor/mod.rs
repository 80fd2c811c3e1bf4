//! A process that does to sockets what a test tells it, one line at a time over its standard input and output.

mod builder;
mod commands;
mod fd_passing;
mod handle;
mod kin;
mod many;
mod mounts;
mod protocol;
mod server;
mod sockets;

pub use builder::Builder;
pub use handle::Actor;
pub use protocol::{Born, Sock, SocketOptions, ThreadSock};
pub(crate) use server::serve;
pub use sockets::cookie_of;
