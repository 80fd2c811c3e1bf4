//! What this process is: the test binary itself, or one of its re-executions.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::{actor, load, pidns};

/// First argument of a process that serves as an actor.
pub(crate) const ACTOR: &str = "--sockowner-testkit-actor";
/// First argument of a process that runs one scenario.
pub(crate) const SCENARIO: &str = "--sockowner-testkit-scenario";
/// First argument of a process of a load.
pub(crate) const LOAD: &str = "--sockowner-testkit-load";
/// First argument of a process that starts and measures a program.
pub(crate) const LAUNCH: &str = "--sockowner-testkit-launch";

/// To be called first in the `main` of every live test binary; `scenarios` are what
/// [`Scenario`](crate::Scenario) can run by name.
///
/// Returns in the test binary proper. In a re-execution made by this crate it does that process's work and exits.
pub fn main_prelude(scenarios: &[(&str, fn())]) {
    // Read before a scenario covers /proc.
    own_exe();
    let mut args = env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    match args.next().as_deref() {
        Some(ACTOR) => actor::serve(args.next().as_deref()),
        Some(SCENARIO) => pidns::serve(scenarios, &args.collect::<Vec<_>>()),
        Some(LOAD) => load::serve_worker(&args.collect::<Vec<_>>()),
        Some(LAUNCH) => load::serve_launcher(&args.collect::<Vec<_>>()),
        _ => {}
    }
}

/// [`main_prelude`] for a test binary without scenarios.
pub fn run_if_actor() {
    main_prelude(&[]);
}

/// The running executable's path, as it was at the first call.
pub(crate) fn own_exe() -> &'static Path {
    static OWN: OnceLock<PathBuf> = OnceLock::new();
    OWN.get_or_init(|| {
        // Without /proc: this crate starts its processes with their path for a name.
        let name = || env::args_os().next().map(PathBuf::from).filter(|name| name.is_absolute());
        env::current_exe().ok().or_else(name).expect("the running executable has a path")
    })
}
