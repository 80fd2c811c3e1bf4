//! Prints who listens on this machine: `cargo run --example listeners`.

use sockowner::{Filter, Query};

fn main() -> sockowner::Result<()> {
    let query = Query::new()?;
    let snapshot = query.snapshot(&Filter::new().listening())?;
    for entry in &snapshot {
        let endpoint = entry.socket.endpoint;
        let unit = entry.service.as_ref().map_or("-", |service| service.name.as_str());
        match entry.attribution.primary_owner() {
            Some((process, evidence)) => {
                println!(
                    "{endpoint}: {} (pid {}, {evidence}), unit {unit}",
                    process.name.to_string_lossy(),
                    process.pid
                );
            }
            None => println!("{endpoint}: unknown, {:?}, unit {unit}", entry.attribution.reason()),
        }
    }
    for gap in snapshot.gaps() {
        eprintln!("not seen: {gap}");
    }
    Ok(())
}
