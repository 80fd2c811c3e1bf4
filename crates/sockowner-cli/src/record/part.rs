//! What the process that tends does beside that: it finds out whose code made each call, and tells everybody of his own
//! processes. Without it the kernel records all the same.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sockowner_record::follow::Follower;
use sockowner_record::serve::Server;

use super::MAPS;
use super::components::{Components, Following};
use super::hooks::Asked;
use super::kept::COMPONENTS;
use crate::messages::say;

/// This program, also where its file was replaced meanwhile.
const PROGRAM: &str = "/proc/self/exe";
const SOCKET: &str = "/run/sockowner/record.sock";
/// Between two looks whether there is news for `status`.
const NEWS: Duration = Duration::from_secs(1);

/// What is done while this process has the turn to tend.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Device and inode number of the directory of the tables that are followed: each recorder has its own.
    tables: Option<(u64, u64)>,
    follower: Option<Follower>,
    /// What can be sampled.
    hooks: Vec<Asked>,
    /// Why nobody follows.
    refused: Option<String>,
    service: Option<Service>,
    /// What was left for `status`, and when that was looked at last.
    kept: Option<Components>,
    kept_at: Option<Instant>,
}

/// A thread that answers.
#[derive(Debug)]
struct Service {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Part {
    /// Begins, where the recorder was started, or started anew, since the last time; and leaves word for `status`.
    pub(super) fn renew(&mut self) {
        let Ok(directory) = std::fs::metadata(MAPS) else { return };
        let tables = Some((directory.dev(), directory.ino()));
        if self.tables != tables {
            // One recorder's samples are not another's.
            self.follower = None;
            self.tables = tables;
            self.kept = None;
            self.begin();
        }
        if self.service.is_none() {
            match Service::begin() {
                Ok(service) => self.service = Some(service),
                Err(error) => say(&format!("{error:#}: only root and the group can read what is recorded")),
            }
        }
        // Also where there is no news: so it shows that this process goes on.
        self.kept = None;
        self.tell();
    }

    /// Leaves word for `status`, where there is news.
    fn tell(&mut self) {
        let told = self.told();
        if self.kept.as_ref() != Some(&told) {
            if let Err(error) = COMPONENTS.write(&told) {
                say(&format!("{error:#}"));
            }
            self.kept = Some(told);
        }
        self.kept_at = Some(Instant::now());
    }

    fn begin(&mut self) {
        match Follower::start(Path::new(PROGRAM), &["record"]).context("find out whose code makes calls") {
            Ok((follower, hooks)) => {
                self.hooks = hooks.iter().map(Asked::from).collect();
                self.refused = None;
                self.follower = Some(follower);
            }
            Err(error) => {
                let why = format!("{error:#}");
                say(&format!("{why}: who made them is recorded all the same"));
                self.refused = Some(why);
            }
        }
    }

    /// There is something to be done in between.
    pub(super) fn follows(&self) -> bool {
        self.follower.is_some()
    }

    /// Takes what was sampled.
    pub(super) fn step(&mut self) {
        if let Some(follower) = &mut self.follower
            && let Err(error) = follower.step()
        {
            let why = format!("find out whose code makes calls: {error:#}");
            say(&why);
            self.refused = Some(why);
            // What it sampled goes with it. The next recorder is followed again.
            self.follower = None;
        }
        if self.kept_at.is_some_and(|at| at.elapsed() >= NEWS) {
            self.tell();
        }
    }

    fn told(&self) -> Components {
        let following = match &self.follower {
            None => Following::No { why: self.refused.clone().unwrap_or_default() },
            Some(follower) => match follower.counts() {
                Ok(counts) => {
                    Following::Yes { hooks: self.hooks.clone(), counts: Box::new((&counts).into()) }
                }
                Err(error) => Following::No { why: error.to_string() },
            },
        };
        Components { following, serving: self.service.is_some() }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.kept.is_some()
            && let Err(error) = COMPONENTS.forget()
        {
            say(&format!("{error:#}"));
        }
    }
}

impl Service {
    fn begin() -> anyhow::Result<Self> {
        let mut server = Server::bind(Path::new(SOCKET))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let serve = move || {
            if let Err(error) = server.run(&until) {
                say(&format!("serve what is recorded: {error}"));
            }
        };
        let thread = thread::Builder::new().name("serve".to_owned()).spawn(serve);
        let thread = thread.context("serve what is recorded: start a thread")?;
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It looks twice a second.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
