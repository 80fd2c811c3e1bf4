//! Private network namespaces, entered by a fresh thread that lives as long as the closure.
#![expect(unsafe_code, reason = "unshare is unsafe in rustix for the sake of one flag that is not used here")]

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread;

use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::rtnetlink;

/// Runs `work` on a fresh thread in a new network namespace whose `lo` is up, and returns its result.
///
/// Threads and processes started from `work` belong to that namespace. The calling thread stays where it is.
///
/// `/proc/net` and `/proc/self/net` show the *main* thread's namespace, not this one: look into
/// `/proc/thread-self/net`.
///
/// # Panics
///
/// With the panic of `work`, or the reason for which there is no new namespace.
pub fn inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    on_fresh_thread(|| {
        if let Err(error) = enter() {
            panic!("make a network namespace: {error}");
        }
        work()
    })
}

/// Whether [`inside`] works here, else why not.
pub fn supported() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| on_fresh_thread(enter).map_err(|error| format!("no new network namespace: {error}")))
        .clone()
}

/// The inode number that names the calling thread's network namespace.
///
/// # Panics
///
/// Without a mounted `/proc`.
pub fn inode() -> u64 {
    match fs::metadata("/proc/thread-self/ns/net") {
        Ok(namespace) => namespace.ino(),
        Err(error) => panic!("look at /proc/thread-self/ns/net: {error}"),
    }
}

/// Adds an interface with these addresses (`"fe80::1/64"`), brings it up and returns its index, the number that
/// stands as the zone in `[fe80::1%2]:80`.
///
/// It is a `dummy` interface or, where the kernel has none, one end of a `veth` pair (the other end's name gets a
/// `p` appended). Only for use [`inside`] a private namespace; addresses can be used at once.
pub fn add_dummy(name: &str, addresses: &[&str]) -> Result<u32, String> {
    let peer = format!("{name}p");
    let dummy = rtnetlink::add_link(name, rtnetlink::Kind::Dummy);
    let links: &[&str] = match dummy {
        Ok(()) => &[name],
        Err(no_dummy) => {
            let veth = rtnetlink::add_link(name, rtnetlink::Kind::Veth { peer: &peer });
            veth.map_err(|no_veth| {
                format!("add the interface {name}: as dummy: {no_dummy}; as veth: {no_veth}")
            })?;
            &[name, &peer]
        }
    };
    for link in links {
        rtnetlink::set_up(link).map_err(|error| format!("bring {link} up: {error}"))?;
    }
    for address in addresses {
        add_address(name, address)?;
    }
    rtnetlink::index(name).map_err(|error| format!("look up the index of {name}: {error}"))
}

/// Adds an address (`"192.0.2.1/32"`) to an interface of the calling thread's namespace. On `lo`, all of
/// `127.0.0.0/8` and `::1` are there already.
pub fn add_address(interface: &str, address: &str) -> Result<(), String> {
    let parsed = address.split_once('/').and_then(|(ip, prefix)| {
        let ip: IpAddr = ip.parse().ok()?;
        Some((ip, prefix.parse().ok()?))
    });
    let (ip, prefix) = parsed.ok_or_else(|| format!("not of the form address/prefix: {address}"))?;
    rtnetlink::add_address(interface, ip, prefix)
        .map_err(|error| format!("add {address} to {interface}: {error}"))
}

/// Moves the calling thread into a new network namespace and brings `lo` up.
pub(crate) fn enter() -> io::Result<()> {
    // SAFETY: the flag the function is unsafe for, a private descriptor table, is not among these.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
    bring_lo_up()
}

pub(crate) fn bring_lo_up() -> io::Result<()> {
    rtnetlink::set_up("lo")
}

/// Runs `work` on a thread of its own, so that what it unshares ends with it; panics pass through.
pub(crate) fn on_fresh_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        // The name shows in panic messages: keep the test's.
        let name = thread::current().name().unwrap_or("live test").to_owned();
        let thread = thread::Builder::new().name(name).spawn_scoped(scope, work);
        match thread.expect("start a thread").join() {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    })
}
