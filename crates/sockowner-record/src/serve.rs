//! What was recorded, for whoever asks at `/run/sockowner/record.sock`: each is told of his own processes.
//!
//! Root and the recorder's group are told everything. Everybody else is told of a process in a role if its real, effective
//! and saved user at the call were his effective one when he connected, and it could be looked into by others of that user.
//! Pids are those of the pid namespace of whoever connected. Of a socket in which he may know nobody he learns that it is
//! noted, if he names its cookie, for it is withheld then, and nothing else; a list of closed ones does not tell him whether
//! there are any of others.
//!
//! Nobody can keep others waiting: a question is one short packet and its answer another, a user has a few connections and
//! his turn once in a round, and one who does not ask, or does not read, is let go.

#[path = "call/serve.rs"]
mod call;
mod clients;
mod tables;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sockowner::os::linux::record;

use self::call::{Listener, Ready};
use self::clients::{Client, Clients};
use self::tables::Tables;

/// So many are accepted at once.
const ACCEPTED_AT_ONCE: usize = 64;
/// Where descriptors are used up, nobody is accepted for so long.
const PAUSE: Duration = Duration::from_millis(100);
/// At least so often [`Server::run`] looks whether it is over.
const ROUND: Duration = Duration::from_millis(500);

/// Why it is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The recorder notes users by the numbers of the initial user namespace, which are other users' here.
    #[error("serve what is recorded: this is another user namespace than the initial one")]
    UserNamespace,
    /// A step failed.
    #[error("serve what is recorded at {path}: {step}")]
    Step {
        /// Where the socket was to be.
        path: String,
        /// Which.
        step: &'static str,
        /// How.
        source: io::Error,
    },
}

/// How much each may have, and all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections.
    pub clients: usize,
    /// Of one user.
    pub of_one_user: usize,
    /// Who has not asked for so long is let go, or has not read his answer.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { clients: 128, of_one_user: 8, idle: Duration::from_secs(10) }
    }
}

/// What it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Answers that were sent.
    pub answers: u64,
    /// Connections that were ended, as they were too many, asked nothing, or did not read.
    pub let_go: u64,
    /// Packets that were no questions.
    pub malformed: u64,
}

/// The server: one thread's.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    clients: Clients,
    tables: Tables,
    paused_until: Option<Instant>,
    served: Served,
}

impl Server {
    /// Begins to listen at this path, whose directory only root may be able to change; what has the name is replaced. To be
    /// called by whoever has the turn to tend what is recorded.
    ///
    /// # Errors
    /// Where a step is refused, or this is not the initial user namespace.
    pub fn bind(path: &Path) -> Result<Self, Error> {
        Self::bind_with(path, Limits::default())
    }

    /// As [`bind`](Self::bind), with other limits.
    pub fn bind_with(path: &Path, limits: Limits) -> Result<Self, Error> {
        let failed = |(step, source)| Error::Step { path: path.display().to_string(), step, source };
        let is_initial = call::is_in_initial_user_namespace();
        if !is_initial.map_err(|error| failed(("examine the user namespace", error)))? {
            return Err(Error::UserNamespace);
        }
        let listener = Listener::bind(path).map_err(failed)?;
        let (clients, tables) = (Clients::new(limits), Tables::default());
        Ok(Self { listener, clients, tables, paused_until: None, served: Served::default() })
    }

    /// Serves until it is over.
    ///
    /// # Errors
    /// Where it can no longer wait for anybody.
    pub fn run(&mut self, is_over: &AtomicBool) -> io::Result<()> {
        while !is_over.load(Ordering::Relaxed) {
            self.step(ROUND)?;
        }
        Ok(())
    }

    /// What it did until now.
    pub fn served(&self) -> Served {
        self.served
    }

    /// One round: waits for somebody, accepts who came, and answers one question of each user.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn step(&mut self, at_most: Duration) -> io::Result<()> {
        let now = Instant::now();
        self.paused_until = self.paused_until.filter(|until| *until > now);
        self.clients.wake(now);
        let ready = self.wait(now, at_most)?;
        let Some((comes, ready)) = ready.split_first() else { return Ok(()) };
        self.served.let_go += self.clients.note(ready, Instant::now());
        let Self { clients, tables, served, .. } = self;
        let mut took = BTreeMap::new();
        for client in clients.turns() {
            let before = Instant::now();
            serve(client, tables, served);
            took.insert(client.uid(), before.elapsed());
        }
        clients.rest(took, Instant::now());
        if comes.to_read {
            self.accept();
        }
        Ok(())
    }

    fn wait(&self, now: Instant, at_most: Duration) -> io::Result<Vec<Ready>> {
        let listens = Ready { to_read: self.paused_until.is_none(), ..Ready::default() };
        let mut sockets: Vec<(BorrowedFd<'_>, Ready)> = vec![(self.listener.as_fd(), listens)];
        sockets.extend(self.clients.wishes());
        let next = self.clients.next_time().into_iter().chain(self.paused_until).min();
        let left = next.map_or(at_most, |next| next.saturating_duration_since(now).min(at_most));
        call::wait(&sockets, left)
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTED_AT_ONCE {
            match self.listener.accept() {
                Ok(None) => return,
                Ok(Some(socket)) => {
                    // Who cannot be told is not served.
                    if let Ok(peer) = call::peer(&socket) {
                        self.served.let_go += self.clients.admit(Client::new(socket, peer, Instant::now()));
                    }
                }
                // Descriptors or memory are used up.
                Err(_) => {
                    self.served.let_go += u64::from(self.clients.end_longest_idle());
                    self.paused_until = Some(Instant::now() + PAUSE);
                    return;
                }
            }
        }
    }
}

/// Takes a question, if one is there, and answers it. Where what is recorded cannot be read nobody is answered.
fn serve(client: &mut Client, tables: &mut Tables, served: &mut Served) {
    let Some(packet) = client.receive() else { return };
    let Ok(open) = tables.open() else { return client.end() };
    let asker = client.asker(open.as_ref().map(|open| open.group));
    let answer = record::answer(open.as_ref().map(|open| &*open.reader), &asker, &packet);
    let Some(answer) = answer else {
        served.malformed += 1;
        return client.end();
    };
    client.answer(answer, Instant::now());
    served.answers += 1;
}
