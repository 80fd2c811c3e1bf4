//! What the C ABI tells while a recorder runs: who bound, and when.

use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::mount::{MountFlags, mount};
use sockowner::os::linux::record;
use sockowner_testkit::Requirement::Cgroup2;
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::{Actor, Requirement, Scenario, eventually};

use super::call::{NOT_FOUND, both, executable, module, row_at, rows};
use super::row::{Kind, Row};
use super::service::NO_SERVICE;
use super::workshop::{Compiler, Program, Workshop, succeed};

tests! {
    Scene the_recorder_starts;
    Alone a_row_has_the_time_of_the_bind needs RECORDER;
    Alone who_bound_owns_while_he_lives needs RECORDER, NO_SERVICE;
    Alone a_connection_is_its_acceptors needs RECORDER, NO_SERVICE;
    Alone c50_time_wait_has_its_recorded_owner_while_he_lives needs RECORDER, NO_SERVICE;
    Alone c24_a_service_is_its_unit_also_where_it_is_recorded needs RECORDER, Cgroup2;
    Alone a_row_from_before_the_recorder_has_no_time needs RECORDER;
    Alone a_proved_library_is_the_module needs RECORDER, NO_SERVICE;
    Alone roles_in_c needs RECORDER, GCC;
    Alone roles_in_c_sanitized needs RECORDER, SANITIZED;
}

const GCC: Requirement = Requirement::Custom("a C program", || Compiler::Gcc.supported());
const SANITIZED: Requirement = Requirement::Custom("sanitizers", || Compiler::Sanitized.supported());
const RECORDER: Requirement = Requirement::Custom("recorder", records);
/// A group that every system has.
const GROUP: &str = "daemon";

fn records() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    let look = || {
        let output = Scenario::new("the_recorder_starts").run();
        let refused = output.lines().find_map(|line| line.strip_prefix("REFUSED "));
        refused.map_or(Ok(()), |why| Err(why.to_owned()))
    };
    ANSWER.get_or_init(look).clone()
}

/// Says why not.
fn the_recorder_starts() {
    let _recorder = private_run();
    match record::start(GROUP, false) {
        Err(error) => println!("REFUSED {error:#}"),
        Ok(started) => {
            let refused = started.hooks.iter().find(|hook| hook.in_use != Some(true));
            if let Some(hook) = refused {
                println!("REFUSED {}: {}", hook.name, hook.refused.as_deref().unwrap_or("?"));
            }
        }
    }
}

/// On drop nothing is recorded any more.
struct Recorder;

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = record::stop();
    }
}

/// What is done below `/run` is not seen outside, and ends with the test.
fn private_run() -> Recorder {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
    Recorder
}

fn recorder() -> Recorder {
    let recorder = private_run();
    record::start(GROUP, false).unwrap();
    recorder
}

/// As a `FILETIME`, in whole milliseconds.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (u64::try_from(since.as_millis()).unwrap() + 11_644_473_600_000) * 10_000
}

/// A millisecond, to which a time is rounded.
const ROUNDED: u64 = 10_000;

fn a_row_has_the_time_of_the_bind() {
    let _recorder = recorder();
    let actor = Actor::spawn();
    let before = now();
    let sockets = [
        (Kind::Tcp, actor.tcp_listen("127.0.0.1:0")),
        (Kind::Tcp6, actor.tcp_listen("[::1]:0")),
        (Kind::Udp, actor.udp_bind("127.0.0.1:0")),
        (Kind::Udp6, actor.udp_bind("[::1]:0")),
    ];
    let after = now();
    for (kind, socket) in sockets {
        let row = row_at(kind, socket.addr);
        assert_eq!(row.pid(), actor.pid());
        let created = row.created();
        assert!((before - ROUNDED..=after + ROUNDED).contains(&created), "{before} {created} {after}");
        // It is no proof: without it, and with another, the owner is the same.
        let told = module(&row);
        assert!(told.is_ok());
        assert_eq!(module(&row.clone().with_created(1)), told);
        // Nor does a row that was made to name a library get one that is not recorded.
        assert_eq!(module(&row.with_info(7, 1)), told);
    }
    // A connect bound it.
    let unbound = actor.udp_unbound(false);
    let connected = actor.udp_connect(unbound.fd, "127.0.0.1:9");
    let row = row_at(Kind::Udp, connected.addr);
    assert!(row.pid() == actor.pid() && row.created() >= after - ROUNDED, "{row:?}");
}

/// A copy of this executable, so that it is seen whose answer it is.
fn actor(dir: &tempfile::TempDir, name: &str) -> (Actor, Result<(String, String), u32>) {
    let path = dir.path().join(name);
    let actor = Actor::builder().exe(&path).spawn();
    let told = executable(&path);
    (actor, told)
}

fn who_bound_owns_while_he_lives() {
    let _recorder = recorder();
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = actor(&dir, "first");
    let (holder, held) = actor(&dir, "holder");
    let (binder, bound) = actor(&dir, "binder");
    for keeps in [true, false] {
        let listener = binder.tcp_listen("127.0.0.1:0");
        let passed = binder.pass_fd(listener.fd, &holder);
        // Who has it and started first is not who bound it.
        let also = binder.pass_fd(listener.fd, &first);
        if !keeps {
            binder.close(listener.fd);
            first.close(also.fd);
        }
        let row = row_at(Kind::Tcp, listener.addr);
        assert_eq!((row.pid(), module(&row)), (binder.pid(), bound.clone()), "{keeps}");
        if keeps {
            holder.close(passed.fd);
            first.close(also.fd);
            binder.close(listener.fd);
        } else {
            let created = row.created();
            binder.kill();
            let row = row_at(Kind::Tcp, listener.addr);
            assert_eq!((row.pid(), module(&row)), (holder.pid(), held.clone()));
            // Clocks are read anew.
            assert!(row.created().abs_diff(created) <= 1000 * ROUNDED);
            return;
        }
    }
}

fn a_connection_is_its_acceptors() {
    let _recorder = recorder();
    let dir = tempfile::tempdir().unwrap();
    let (server, served) = actor(&dir, "server");
    let (worker, worked) = actor(&dir, "worker");
    let (client, connected) = actor(&dir, "client");
    let listener = server.tcp_listen("127.0.0.1:0");
    let near = client.tcp_connect(listener.addr);
    let far = server.accept_from(listener.fd);
    server.pass_fd(far.fd, &worker);
    server.close(far.fd);
    // Accepted without asking for the peer: who accepted it is not known, and who has it is.
    let other = client.tcp_connect(listener.addr);
    let taken = server.accept(listener.fd);
    server.pass_fd(taken.fd, &worker);
    server.close(taken.fd);
    let of = |local, remote| {
        let mut found: Vec<Row> = rows(Kind::Tcp)
            .into_iter()
            .filter(|row| row.local() == local && row.remote() == Some(remote))
            .collect();
        assert_eq!(found.len(), 1);
        let row = found.remove(0);
        assert_ne!(row.created(), 0);
        (row.pid(), module(&row))
    };
    assert_eq!(of(near.addr, listener.addr), (client.pid(), connected));
    assert_eq!(of(listener.addr, near.addr), (server.pid(), served));
    assert_eq!(of(listener.addr, other.addr), (worker.pid(), worked));
}

fn c50_time_wait_has_its_recorded_owner_while_he_lives() {
    let _recorder = recorder();
    let dir = tempfile::tempdir().unwrap();
    let (client, connected) = actor(&dir, "client");
    let (server, _) = actor(&dir, "server");
    let listener = server.tcp_listen("127.0.0.1:0");
    let near = client.tcp_connect(listener.addr);
    let far = server.accept_from(listener.fd);
    client.close_first(near.fd, &server, far.fd);
    let row = || rows(Kind::Tcp).into_iter().find(|row| row.local() == near.addr).unwrap();
    eventually("TIME_WAIT", || (row().state() == Some(11)).then_some(()));
    assert_eq!((row().pid(), module(&row())), (client.pid(), connected));
    let before = row();
    client.kill();
    assert_eq!((row().pid(), row().info()), (0, [0; 16]));
    assert_ne!(row().created(), 0);
    for row in [row(), before] {
        assert_eq!(module(&row), Err(NOT_FOUND));
    }
}

fn c24_a_service_is_its_unit_also_where_it_is_recorded() {
    let _recorder = recorder();
    let unit = Scratch::new("/system.slice/sockowner-recorded.service");
    let actor = Actor::builder().cgroup(&unit).spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let row = row_at(Kind::Tcp, listener.addr);
    assert_eq!((row.pid(), module(&row)), (actor.pid(), both("sockowner-recorded.service")));
}

fn a_row_from_before_the_recorder_has_no_time() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let _recorder = recorder();
    let row = row_at(Kind::Tcp, listener.addr);
    assert_eq!((row.pid(), row.created()), (actor.pid(), 0));
}

fn roles_in_c() {
    run_in_c(Compiler::Gcc);
}

fn roles_in_c_sanitized() {
    run_in_c(Compiler::Sanitized);
}

fn run_in_c(compiler: Compiler) {
    let _recorder = recorder();
    let _workshop = Workshop::of_a_scene();
    let program = Program { name: "recorded", sources: &["recorded.c", "check.c"] }.compiled(compiler);
    let said = succeed(&mut Command::new(program));
    for line in ["creator: recorded-", "binder: recorded-", "listener: recorded-", "acceptor: recorded-"] {
        assert!(said.lines().any(|told| told.starts_with(line)), "{line} is not in {said}");
    }
}

fn a_proved_library_is_the_module() {
    use sockowner::os::linux::record::{Noted, Sampler, Store};
    use sockowner::{Component, ComponentEvidence};
    let _recorder = recorder();
    let dir = tempfile::tempdir().unwrap();
    let (binder, own) = actor(&dir, "binder");
    let (holder, held) = actor(&dir, "holder");
    let (mut sampler, _) = Sampler::attach().unwrap();
    let mut store = Store::open().unwrap();
    for (evidence, expected) in [
        (ComponentEvidence::Cfi, Ok(("libmade.so".to_owned(), "/lib/libmade.so".to_owned()))),
        (ComponentEvidence::CallTarget, own.clone()),
        (ComponentEvidence::CfiIndirect, own.clone()),
        (ComponentEvidence::ReturnAddress, own.clone()),
    ] {
        let listener = binder.tcp_listen("127.0.0.1:0");
        let mut component = Component::new("libmade.so", evidence);
        component.path = Some("/lib/libmade.so".into());
        component.offset = Some(16);
        component.chain = vec![sockowner::ComponentFrame::new("libmade.so", 16)];
        component.chain[0].path = Some("/lib/libmade.so".into());
        let id = store.component(0, &component).unwrap().unwrap();
        let mut noted = Vec::new();
        sampler
            .take(10_000, |sample| {
                if sample.cookie == listener.cookie {
                    noted.push(Noted {
                        cookie: sample.cookie,
                        role: sample.role,
                        when: sample.when,
                        process: sample.process,
                        component: id,
                    });
                }
            })
            .unwrap();
        assert_eq!(noted.len(), 2, "bind and listen");
        assert_eq!(sampler.note(&noted).unwrap(), 2);
        let row = row_at(Kind::Tcp, listener.addr);
        assert_eq!((row.pid(), module(&row)), (binder.pid(), expected.clone()), "{evidence}");
        for kind in Kind::ALL {
            assert_eq!(module(&Row::by_hand(kind, binder.pid())), own, "by its pid alone");
        }
        let passed = binder.pass_fd(listener.fd, &holder);
        binder.close(listener.fd);
        let row = row_at(Kind::Tcp, listener.addr);
        assert_eq!((row.pid(), module(&row)), (binder.pid(), expected), "{evidence}");
        holder.close(passed.fd);
    }
    let listener = binder.tcp_listen("127.0.0.1:0");
    binder.pass_fd(listener.fd, &holder);
    binder.kill();
    let row = row_at(Kind::Tcp, listener.addr);
    assert_eq!((row.pid(), module(&row)), (holder.pid(), held));
}
