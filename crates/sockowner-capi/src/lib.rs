//! The C ABI: `GetOwnerModuleFromTcpEntry`, its family, and the tables its rows come from.
//!
//! Each exported function is thin: it reads its arguments ([`argument`]), asks the library, and writes into the
//! caller's memory ([`module`], [`table`]). Nothing is decided here about who owns what. [`code::guarded`] keeps panics
//! in.
#![expect(unsafe_code, reason = "a C ABI reads and writes through its caller's pointers")]

mod argument;
mod code;
mod info;
mod module;
pub mod owner;
pub mod rich;
mod room;
mod table;
pub mod tables;
