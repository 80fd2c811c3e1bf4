//! What systemd says of the units, without running them.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::build::Packages;
use super::{Checks, fresh, is_installed, output};

/// Each unit with the exposure that systemd-analyze may find at most, in tenths. Two mount what everybody
/// has to see: no mount namespace, and with it most protections of files, can be had.
const UNITS: [(&str, &str); 3] = [
    ("sockowner-record.service", "27"),
    ("sockowner-record-hooks.service", "45"),
    ("sockowner-share.service", "45"),
];
/// Where the units are that ours refer to.
const SYSTEM: &str = "/usr/lib/systemd/system";

pub(super) fn run(packages: &Packages, checks: &mut Checks) -> Result<()> {
    if !is_installed("systemd-analyze") || !Path::new(SYSTEM).exists() {
        checks.skip("units", "systemd is not installed");
        return Ok(());
    }
    let root = packages.home.join("units");
    fresh(&root)?;
    output(Command::new("dpkg-deb").arg("-x").arg(&packages.deb).arg(&root))?;
    output(Command::new("cp").args(["-r", "--no-clobber"]).arg(SYSTEM).arg(root.join("usr/lib/systemd")))?;
    let analyze = || {
        let mut command = Command::new("systemd-analyze");
        command.args(["--no-pager", "--man=no"]).arg(format!("--root={}", root.display()));
        command
    };
    for (unit, exposure) in UNITS {
        let verified = output(analyze().args(["--recursive-errors=no", "verify", unit]));
        checks.add(&format!("{unit} is verified"), verified.map(drop));
        let mut security = analyze();
        security.args(["--offline=true", &format!("--threshold={exposure}"), "security", unit]);
        checks.add(&format!("{unit} is not more exposed than it has to be"), output(&mut security).map(drop));
    }
    Ok(())
}
