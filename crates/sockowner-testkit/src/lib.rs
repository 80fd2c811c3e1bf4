//! Real processes with real sockets in private namespaces, for the live tests of sockowner's crates.
//!
//! A live test binary has `harness = false` and this `main`:
//!
//! ```no_run
//! # #[cfg(target_os = "linux")] mod live {
//! use sockowner_testkit::{self as testkit, Actor, Scenario, netns_test, scenario_test};
//!
//! fn main() -> std::process::ExitCode {
//!     testkit::main_prelude(&[("recycled", recycled)]);
//!     testkit::run(vec![
//!         netns_test("a forked child holds the listener", &[], forked),
//!         scenario_test("a recycled pid names nobody", &[], Scenario::new("recycled")),
//!     ])
//! }
//!
//! fn forked() {
//!     let actor = Actor::spawn();
//!     let listener = actor.tcp_listen("127.0.0.1:0");
//!     let child = actor.fork();
//!     // Now ask the library about `listener`: it has to find `actor.pid()` and `child`.
//! }
//!
//! /// Runs as pid 1 of its own namespaces, with its own `/proc`.
//! fn recycled() {
//!     let first = Actor::builder().pid(4711).spawn();
//!     drop(first);
//!     let second = Actor::builder().pid(4711).spawn();
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! A suite with many tests writes them as tables: see [`stage`].
//!
//! The actors and scenarios are re-executions of the test binary itself; [`main_prelude`] is where such a process
//! takes its own way and never returns. Everything here panics when a fixture cannot be had, with the reason: a
//! test's requirements ([`Requirement`]) are the place where a machine that lacks something is told apart.

#![cfg(target_os = "linux")]

mod actor;
pub mod bpf;
pub mod cgroup;
pub mod guide;
pub mod load;
pub mod netns;
pub mod pid;
pub mod pidns;
pub mod privileges;
mod role;
mod rtnetlink;
pub mod seccomp;
mod skip;
mod sock_diag;
pub mod stage;
pub mod uring;
mod wait;

pub use actor::{Actor, Born, Builder, Sock, SocketOptions, ThreadSock, cookie_of};
pub use libtest_mimic;
pub use pidns::{ProcMount, Scenario};
pub use role::{main_prelude, run_if_actor};
pub use skip::{Requirement, live_test, live_test_unless, netns_test, run, run_in_turn, scenario_test};
pub use sock_diag::SockDiag;
pub use wait::eventually;
