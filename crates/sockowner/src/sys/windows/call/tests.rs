//! What the real door leaves behind.

use std::net::TcpListener;

use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessHandleCount};

use super::*;
use crate::{ErrorKind, Filter, Identity, Query, module_of};

/// Handles that this process has open.
fn open_handles() -> usize {
    if is_wine() {
        return wine::tests::open_handles();
    }
    let mut count = 0;
    // SAFETY: takes nothing and returns a number that stands for this process.
    let here = unsafe { GetCurrentProcess() };
    // SAFETY: `here` stands for this process, and `count` is writable.
    check(unsafe { GetProcessHandleCount(here, &raw mut count) }).unwrap();
    count as usize
}

/// Other tests open and close some handles meanwhile; these are far fewer than `times`.
fn leaves_no_handle(times: usize, mut act: impl FnMut()) {
    act();
    let before = open_handles();
    (0..times).for_each(|_| act());
    let after = open_handles();
    assert!(after < before + times / 2, "{before} before, {after} after {times} times");
}

#[test]
fn ten_thousand_failing_calls_leave_no_handle_open() {
    let own = std::process::id();
    let of = |pid| Identity::of_pid(pid);
    let failing = [
        of(0xffff_fff0),
        // Opened, and then found to be another.
        Identity { start_ticks: Some(1), ..of(own) },
        Identity { bound_at: Some(1), ..of(own) },
        of(own | 1),
    ];
    let mut turn = 0;
    leaves_no_handle(10_000, || {
        let error = module_of(&failing[turn % failing.len()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        turn += 1;
    });
}

#[test]
fn snapshots_and_modules_leave_no_handle_open() {
    let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let query = Query::new().unwrap();
    leaves_no_handle(100, || drop(query.snapshot(&Filter::new()).unwrap()));
    let tagged = Identity { service_tag: Some(1), ..Identity::of_pid(std::process::id()) };
    leaves_no_handle(1_000, || drop(module_of(&tagged).unwrap()));
}
