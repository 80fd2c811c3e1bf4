//! Plugins that come and go, and what their calls are told as.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::mount::{MountFlags, mount};
use sockowner::ComponentEvidence::{self, Cfi};
use sockowner::os::linux::record::{self, Reader};
use sockowner_record::follow::{Counts, Follower};
use sockowner_record::resolve::Patience;
use sockowner_testkit::{Requirement, Scenario};

use super::workshop::{GCC, Workshop};

tests! {
    Scene mappings_are_told;
    Alone each_plugin_is_told_and_then_known needs GCC, FOLLOWS;
    Alone a_plugin_is_not_told_as_its_successor needs GCC, FOLLOWS;
    Alone a_plugin_is_not_told_as_who_was_there_before_and_is_again needs GCC, FOLLOWS;
}

const FOLLOWS: Requirement = Requirement::Custom("mappings of samples", follows);

/// Whether the kernel samples, and looks for the mappings of each.
fn follows() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    let try_it = || {
        let output = Scenario::new("mappings_are_told").run();
        let refused = output.lines().find_map(|line| line.strip_prefix("REFUSED "));
        refused.map_or(Ok(()), |why| Err(why.to_owned()))
    };
    ANSWER.get_or_init(try_it).clone()
}

fn mappings_are_told() {
    private_run();
    let program = std::env::current_exe().unwrap();
    let started = record::start("daemon", false).map_err(Into::into);
    match started.and_then(|_| Follower::start(&program, &[])) {
        Err(error) => println!("REFUSED {error:#}"),
        Ok((_, hooks)) => {
            if let Some(hook) = hooks.iter().find(|hook| hook.in_use != Some(true)) {
                println!("REFUSED {}: {}", hook.name, hook.refused.as_deref().unwrap_or("?"));
            }
        }
    }
    let _ = record::stop();
}

fn private_run() {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
}

/// The children answer, however long they wait for a processor.
const PATIENT: Patience = Patience {
    start: Duration::from_secs(60),
    opener: Duration::from_secs(30),
    parser: Duration::from_secs(60),
    age: Duration::from_secs(60),
};

/// Records and follows; on drop no more.
struct Following {
    follower: Follower,
    reader: Reader,
}

impl Following {
    fn start() -> Self {
        private_run();
        record::start("daemon", false).unwrap();
        let program = std::env::current_exe().unwrap();
        // With room for what others on the machine do meanwhile, and time.
        let (follower, _) = Follower::start_with(&program, &[], 64 * 1024 * 1024, PATIENT).unwrap();
        Self { follower, reader: Reader::open().unwrap().unwrap() }
    }

    /// Looks at all there is. How many samples since the last time were from known sites: others' are not in this namespace,
    /// and so never are.
    fn step(&mut self) -> u64 {
        let before = self.follower.counts().unwrap();
        loop {
            let samples = |counts: &Counts| counts.resolved.samples() + counts.not_asked;
            let taken = samples(&self.follower.counts().unwrap());
            self.follower.step().unwrap();
            let after = self.follower.counts().unwrap();
            assert_eq!((after.lost, after.too_old), (0, 0));
            if samples(&after) == taken {
                return after.known_sites - before.known_sites;
            }
        }
    }

    /// What connected a socket, where it is told.
    fn told(&self, cookie: u64) -> Option<(String, ComponentEvidence)> {
        let roles = self.reader.socket(cookie).unwrap().unwrap().roles;
        let component = roles.binder.unwrap().component?;
        Some((component.name.to_str().unwrap().to_owned(), component.evidence))
    }

    /// It may be that nobody knows; but it is no other one.
    #[track_caller]
    fn is_no_other(&self, cookie: u64, name: &str) {
        let told = self.told(cookie).map(|(name, _)| name);
        assert!(told.as_deref().is_none_or(|told| told == name), "{told:?} was told, {name} called");
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let stopped = record::stop();
        if !std::thread::panicking() {
            assert!(stopped.unwrap());
        }
    }
}

/// The program that loads plugins.
struct Host {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Host {
    fn start(program: &Path) -> Self {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    fn does(&mut self, line: &str) -> u64 {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim().parse().unwrap_or_else(|_| panic!("{line}: {answer:?}"))
    }

    /// Where it is.
    fn load(&mut self, number: u8, plugin: &Path) -> u64 {
        self.does(&format!("load {number} {}", plugin.display()))
    }

    fn unload(&mut self, number: u8) {
        self.does(&format!("unload {number}"));
    }

    /// Another plugin in its place.
    fn reload(&mut self, number: u8, plugin: &Path, place: u64) {
        self.unload(number);
        assert_eq!(self.load(number, plugin), place, "the plugins are not at one place");
    }

    /// The cookie of the socket.
    fn call(&mut self, number: u8) -> u64 {
        self.does(&format!("call {number}"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program, and two plugins whose code is the same.
fn program_and_plugins(workshop: &Workshop) -> (PathBuf, [PathBuf; 2]) {
    let source = |name: &str| format!("{}/tests/live_follow/c/{name}", env!("CARGO_MANIFEST_DIR"));
    let plugins = ["one.so", "two.so"].map(|name| workshop.library(&source("plugin.c"), name, &[]));
    (workshop.program(&source("host.c"), "host", &[]), plugins)
}

fn proved(name: &str) -> (String, ComponentEvidence) {
    (name.to_owned(), Cfi)
}

/// Both call the same function of the C library, from stacks of one shape.
fn each_plugin_is_told_and_then_known() {
    let workshop = Workshop::open();
    let (program, plugins) = program_and_plugins(&workshop);
    let mut following = Following::start();
    let mut host = Host::start(&program);
    let names = ["one.so", "two.so"];
    for (number, plugin) in (0..).zip(&plugins) {
        host.load(number, plugin);
    }
    for known in [0, 1, 1] {
        for (number, name) in (0..).zip(names) {
            let cookie = host.call(number);
            assert_eq!((following.step(), following.told(cookie)), (known, Some(proved(name))));
        }
    }
    // Many at once.
    let cookies: Vec<_> =
        (0..50).flat_map(|_| (0..).zip(names)).map(|(number, name)| (name, host.call(number))).collect();
    assert_eq!(following.step(), 100);
    for (name, cookie) in cookies {
        assert_eq!(following.told(cookie), Some(proved(name)));
    }
}

/// The other one is there when the call is looked at.
fn a_plugin_is_not_told_as_its_successor() {
    let workshop = Workshop::open();
    let (program, [one, two]) = program_and_plugins(&workshop);
    let mut following = Following::start();
    let mut host = Host::start(&program);
    let place = host.load(0, &one);
    // Before anything is known of the process, and then from a site that is known by the call before.
    let cookie = host.call(0);
    host.reload(0, &two, place);
    following.step();
    following.is_no_other(cookie, "one.so");
    for (name, next) in [("two.so", &one), ("one.so", &two), ("two.so", &one)] {
        // Its place was that of a known site; once that is forgotten, it is told again, and then known.
        let cookie = host.call(0);
        following.step();
        following.is_no_other(cookie, name);
        let cookie = host.call(0);
        following.step();
        assert_eq!(following.told(cookie), Some(proved(name)));
        let cookie = host.call(0);
        host.reload(0, next, place);
        assert_eq!(following.step(), 1);
        following.is_no_other(cookie, name);
    }
}

/// Whoever looks before and after sees the same plugin both times; another one was there at the call.
fn a_plugin_is_not_told_as_who_was_there_before_and_is_again() {
    let workshop = Workshop::open();
    let (program, [one, two]) = program_and_plugins(&workshop);
    let mut following = Following::start();
    let mut host = Host::start(&program);
    let place = host.load(0, &one);
    for known in [0, 1] {
        let cookie = host.call(0);
        assert_eq!((following.step(), following.told(cookie)), (known, Some(proved("one.so"))));
    }
    host.reload(0, &two, place);
    let cookie = host.call(0);
    host.reload(0, &one, place);
    // Its site was known, and the kernel told that it is another one's.
    assert_eq!((following.step(), following.told(cookie)), (1, None));
    // So it is not known any more.
    for known in [0, 1] {
        let cookie = host.call(0);
        assert_eq!((following.step(), following.told(cookie)), (known, Some(proved("one.so"))));
    }
}
