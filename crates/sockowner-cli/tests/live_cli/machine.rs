//! A small machine: services, a container, a user's programs, and what passes between them. All addresses are
//! fixed: the network namespace is the test's own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock, eventually};
use tempfile::TempDir;

use super::golden::Template;
use super::program::{ask, public_dir};
use super::seen::{netns, start_ticks, user_name};

// Tests that use the same cgroup take turns. Whoever needs several takes them in this order, lest two wait for each
// other.
pub(super) const WEB: &str = "/system.slice/sockowner-web.service";
/// Below `/docker`.
pub(super) const CONTAINER: &str = "3f1c7e0d5b2a49788e6d1f0c3b5a79e2d4c6b8fa0e1d2c3b4a59687766554433";
/// Any user can make a cgroup of this name there.
pub(super) const FORGED: &str = "/user.slice/user-1000.slice/user@1000.service/app.slice/ssh.service";
pub(super) const NAMES: &str = "/system.slice/sockowner-names.service";
pub(super) const SESSION: &str = "/user.slice/user-1000.slice/session-sockowner.scope";

/// A program that runs, in a cgroup of its own.
pub(super) struct Program {
    pub(super) actor: Actor,
    pub(super) path: PathBuf,
    /// Removed when nobody is left in it: fields are dropped in order.
    pub(super) cgroup: Scratch,
}

impl Program {
    /// A copy of this executable, as root or as an ordinary user.
    pub(super) fn start(dir: &TempDir, name: &str, uid: u32, cgroup: &str) -> Self {
        let cgroup = Scratch::new(cgroup);
        let path = dir.path().join(name);
        let actor = Actor::builder().exe(&path).cgroup(&cgroup).uid(uid).gid(uid).spawn();
        Self { actor, path, cgroup }
    }

    pub(super) fn pid(&self) -> u32 {
        self.actor.pid()
    }

    fn fill(&self, name: &str, golden: &mut Template) {
        golden.fill(&format!("{name}.pid"), self.pid());
        golden.fill(&format!("{name}.ticks"), start_ticks(self.pid()));
        golden.fill(&format!("{name}.file"), fs::metadata(&self.path).unwrap().ino());
        golden.fill(&format!("{name}.cgroup"), self.cgroup.id());
    }
}

pub(super) struct Machine {
    /// Listens, and has two workers that have the listener too.
    pub(super) nginx: Program,
    pub(super) workers: [u32; 2],
    pub(super) http: Sock,
    /// In a container.
    pub(super) redis: Program,
    pub(super) store: Sock,
    /// Of an ordinary user, who calls the unit `ssh.service`.
    pub(super) sshd: Program,
    pub(super) shell: Sock,
    pub(super) notes: Sock,
    pub(super) resolver: Program,
    pub(super) names: Sock,
    /// Of an ordinary user, in no unit.
    pub(super) client: Program,
    pub(super) query: Sock,
    pub(super) past: Sock,
    pub(super) waiting: Sock,
    pub(super) connected: Sock,
    pub(super) accepted: Sock,
    pub(super) dir: TempDir,
}

impl Machine {
    pub(super) fn start() -> Self {
        let dir = public_dir();
        let nginx = Program::start(&dir, "nginx", 0, WEB);
        let redis = Program::start(&dir, "redis-server", 0, &format!("/docker/{CONTAINER}"));
        let sshd = Program::start(&dir, "sshd", ORDINARY_UID, FORGED);
        let resolver = Program::start(&dir, "resolver", 0, NAMES);
        let client = Program::start(&dir, "client", ORDINARY_UID, SESSION);

        let http = nginx.actor.tcp_listen("0.0.0.0:80");
        let workers = [nginx.actor.fork(), nginx.actor.fork()];
        let store = redis.actor.tcp_listen("127.0.0.1:6379");
        let shell = sshd.actor.tcp_listen("127.0.0.1:2222");
        let notes = sshd.actor.tcp_listen("[::1]:8080");
        let names = resolver.actor.udp_bind("127.0.0.53:53");
        let query = client.actor.udp_bind("127.0.0.1:40053");
        let query = client.actor.udp_connect(query.fd, names.addr);

        let past = client.actor.tcp_connect_from("127.0.0.1:40001", "127.0.0.1:80");
        let served = nginx.actor.accept(http.fd);
        client.actor.close(past.fd);
        // Who closes before he hears of the other's end is in TIME_WAIT, too.
        eventually("CLOSE_WAIT", || {
            let found = ask(&["--json", "--no-owners", "--state", "close-wait"]);
            (found.endpoints().len() == 1).then_some(())
        });
        nginx.actor.close(served.fd);
        let waiting = client.actor.tcp_connect_from("127.0.0.1:40002", "127.0.0.1:80");
        let connected = client.actor.tcp_connect_from("127.0.0.1:40003", store.addr);
        let accepted = redis.actor.accept(store.fd);
        eventually("TIME_WAIT", || {
            let found = ask(&["--json", "--no-owners", "--state", "time-wait"]);
            (found.endpoints().len() == 1).then_some(())
        });
        Self {
            nginx,
            workers,
            http,
            redis,
            store,
            sshd,
            shell,
            notes,
            resolver,
            names,
            client,
            query,
            past,
            waiting,
            connected,
            accepted,
            dir,
        }
    }

    /// Puts in what is different each time.
    pub(super) fn fill(&self, golden: &mut Template) {
        self.fill_all(&mut [golden]);
    }

    /// The same in several texts. Only once: it accepts the connection that waits.
    pub(super) fn fill_all(&self, goldens: &mut [&mut Template]) {
        // Its cookie can be asked for by whoever accepts it.
        let pending = self.nginx.actor.accept(self.http.fd);
        for golden in goldens {
            golden.fill("pending.cookie", pending.cookie);
            self.fill_one(golden);
        }
    }

    fn fill_one(&self, golden: &mut Template) {
        for (name, program) in [
            ("nginx", &self.nginx),
            ("redis", &self.redis),
            ("sshd", &self.sshd),
            ("resolver", &self.resolver),
            ("client", &self.client),
        ] {
            program.fill(name, golden);
        }
        golden.fill("worker1.pid", self.workers[0]);
        golden.fill("worker2.pid", self.workers[1]);
        golden.fill("past.cookie", self.past.cookie);
        for (name, sock) in [
            ("http", &self.http),
            ("store", &self.store),
            ("shell", &self.shell),
            ("notes", &self.notes),
            ("names", &self.names),
            ("query", &self.query),
            ("waiting", &self.waiting),
            ("connected", &self.connected),
            ("accepted", &self.accepted),
        ] {
            golden.fill(&format!("{name}.inode"), sock.inode);
            golden.fill(&format!("{name}.cookie"), sock.cookie);
            golden.fill(&format!("{name}.fd"), sock.fd);
        }
        golden.fill("device", fs::metadata(&self.nginx.path).unwrap().dev());
        golden.fill("dir", self.dir.path().display());
        golden.fill("netns", netns());
        golden.fill("user", user_name(ORDINARY_UID).map_or("null".into(), |name| format!("{name:?}")));
    }
}
