//! Each test has real sockets in this process and in others, which are this program again.

mod child;
mod holders;
mod walk;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use sockowner::{Address, Attribution, Entry, Filter, Protocol, Query, Snapshot, State};

/// Says which part this program plays in another one's test.
const PART: &str = "SOCKOWNER_TEST_PART";

pub(crate) fn main() -> ExitCode {
    if let Ok(part) = std::env::var(PART) {
        child::play(&part);
        return ExitCode::SUCCESS;
    }
    let tests: [(&str, fn()); 15] = [
        ("a_listener_is_its_process", holders::a_listener_is_its_process),
        ("both_ends_of_a_connection", holders::both_ends_of_a_connection),
        ("an_accepted_socket_is_not_the_listener", holders::an_accepted_socket_is_not_the_listener),
        ("what_waits_for_accept_is_nobodys", holders::what_waits_for_accept_is_nobodys),
        ("a_shared_port_has_each_its_own_holder", holders::a_shared_port_has_each_its_own_holder),
        ("an_inherited_socket_has_both_holders", holders::an_inherited_socket_has_both_holders),
        ("datagrams_connected_and_not", holders::datagrams_connected_and_not),
        ("who_used_a_socket_is_one_of_its_holders", holders::who_used_a_socket_is_one_of_its_holders),
        ("both_families", holders::both_families),
        ("an_address_alone_makes_no_listener", holders::an_address_alone_makes_no_listener),
        ("who_waits_to_be_connected_is_not_guessed", holders::who_waits_to_be_connected_is_not_guessed),
        ("who_is_gone_is_not_named", holders::who_is_gone_is_not_named),
        ("five_hundred_sockets", walk::five_hundred_sockets),
        ("while_others_look", walk::while_others_look),
        ("while_programs_start", walk::while_programs_start),
    ];
    let is_wine = Path::new(r"C:\windows\system32\winecfg.exe").exists();
    let trials = tests.map(|(name, test)| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!is_wine)
    });
    if !is_wine {
        eprintln!("SKIPPED wine: this is not Wine");
    }
    // One after the other: what is inheritable in one test, a process of another one would inherit.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn snapshot() -> Snapshot {
    Query::new().unwrap().snapshot(&Filter::new()).unwrap()
}

/// The rows of this name; of TCP those that listen where there is no peer.
fn rows(snapshot: &Snapshot, protocol: Protocol, local: SocketAddr, peer: Option<SocketAddr>) -> Vec<&Entry> {
    let is_it = |entry: &&Entry| {
        let endpoint = &entry.socket.endpoint;
        endpoint.protocol == protocol
            && is_same(endpoint.local, local)
            && match (protocol, peer) {
                (Protocol::Tcp, Some(peer)) => endpoint.remote.is_some_and(|remote| is_same(remote, peer)),
                (Protocol::Tcp, None) => endpoint.state == State::LISTEN,
                _ => true,
            }
    };
    snapshot.iter().filter(is_it).collect()
}

/// Address and port are, whatever zone Wine tells.
fn is_same(address: Address, other: SocketAddr) -> bool {
    (address.ip, address.port) == (other.ip(), other.port())
}

/// The pids of the one row of this name.
fn pids(snapshot: &Snapshot, protocol: Protocol, local: SocketAddr, peer: Option<SocketAddr>) -> Vec<u32> {
    match rows(snapshot, protocol, local, peer)[..] {
        [entry] => pids_of(entry),
        ref rows => {
            let listed: Vec<_> = snapshot.iter().map(|entry| entry.socket.endpoint.to_string()).collect();
            panic!("{} rows of {local} {peer:?}: {listed:?}, {:?}", rows.len(), snapshot.gaps())
        }
    }
}

/// Who holds it, each process once.
fn pids_of(entry: &Entry) -> Vec<u32> {
    if let Attribution::Recorded(owner) = &entry.attribution {
        panic!(
            "{} was told to be bound by {}: Wine does not know that",
            entry.socket.endpoint, owner.process.pid
        );
    }
    let mut pids: Vec<_> = entry.attribution.holders().iter().map(|holder| holder.process.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}
