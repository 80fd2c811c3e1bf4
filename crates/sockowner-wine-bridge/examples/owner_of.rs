//! Prints who owns the TCP socket that listens at an address, and who has the pid that was told: for the bridge's test,
//! run by Wine.

use std::net::SocketAddr;

use sockowner::{Filter, Identity, Query, State, module_of};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address: SocketAddr = std::env::args().nth(1).ok_or("usage: owner_of ADDRESS")?.parse()?;
    let snapshot = Query::new()?.snapshot(&Filter::new().listening())?;
    for entry in &snapshot {
        if entry.socket.endpoint.local != address.into() || entry.socket.endpoint.state != State::LISTEN {
            continue;
        }
        let Some((process, _)) = entry.attribution.primary_owner() else {
            println!("unknown {:?}", entry.attribution.reason());
            continue;
        };
        let path = process.executable.as_ref().map(|executable| executable.path.display().to_string());
        println!("owner {:#x} {}", process.pid, path.unwrap_or_default());
        let module = module_of(&Identity::of_pid(process.pid))?;
        println!("module {}", module.path().display());
    }
    for gap in snapshot.gaps() {
        println!("gap {gap}");
    }
    Ok(())
}
