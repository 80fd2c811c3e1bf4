//! Units and containers: of the cgroup a socket was made in, and of the one its holder is in now.

use std::path::Path;

use sockowner::{Container, Entry, Manager, Process, Reach, Runtime, Service, Source, State};
use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock};

use super::ask::{assert_held, assert_state, at, candidates, owner_of, query, reach, told};

tests! {
    Alone a_system_unit_is_told needs Cgroup2;
    Host a_system_unit_is_told_on_the_host needs Cgroup2;
    Alone a_container_is_told needs Cgroup2;
    Alone a_users_unit_is_no_system_unit needs Cgroup2;
    Alone a_users_container_is_no_system_container needs Cgroup2;
    Alone a_unit_inside_a_container_is_the_containers needs Cgroup2;
    Alone a_unit_below_a_unit_is_not_believed needs Cgroup2;
    Alone a_holder_that_left_the_unit_is_the_owner_all_the_same needs Cgroup2;
    Alone a_holder_of_another_user_that_left_the_unit_is_found needs Cgroup2, OtherUser;
    Alone the_nearest_circle_that_has_a_holder_is_told needs Cgroup2, OtherUser;
    Alone an_accepted_socket_has_its_listeners_cgroup needs Cgroup2;
    Alone a_removed_cgroup_has_an_id_and_no_path needs Cgroup2;
}

const ID: &str = "5ec0de5ec0de5ec0de5ec0de5ec0de5ec0de5ec0de5ec0de5ec0de5ec0de5ec0";
/// Of a container that has cgroups inside: no other test has it as a leaf.
const OUTER: &str = "0de5ec0de5ec0de5ec0de5ec0de5ec0de5ec0de5ec0de5ec0de5ec0de5ec0de5";

/// Name, manager, user.
type Unit<'a> = Option<(&'a str, Manager, Option<u32>)>;
/// Runtime, id, manager.
type Inside<'a> = Option<(Runtime, &'a str, Option<Manager>)>;

fn unit(service: Option<&Service>) -> Unit<'_> {
    service.map(|service| (service.name.as_str(), service.manager, service.uid))
}

fn container(container: Option<&Container>) -> Inside<'_> {
    container.map(|container| {
        assert_eq!((&container.pod, container.nested.len()), (&None, 0));
        (container.runtime, container.id.as_str(), container.manager)
    })
}

fn process(entry: &Entry) -> &Process {
    &entry.attribution.holders()[0].process
}

/// What is told of the cgroup a socket was made in.
fn assert_made_in(entry: &Entry, scratch: &Scratch, service: Unit<'_>, inside: Inside<'_>) {
    let cgroup = entry.cgroup.as_ref().unwrap();
    assert_eq!((entry.socket.cgroup, cgroup.id), (Some(scratch.id()), scratch.id()));
    assert_eq!(cgroup.path.as_deref(), Some(Path::new(scratch.path())));
    assert_eq!(unit(entry.service.as_deref()), service);
    assert_eq!(container(entry.container.as_deref()), inside);
}

/// A process in the cgroup at `path`, and its sockets, have this unit and container.
fn assert_placed(path: &str, service: Unit<'_>, inside: Inside<'_>) {
    let scratch = Scratch::new(path);
    let actor = Actor::builder().cgroup(&scratch).spawn();
    let query = query();
    for sock in [actor.tcp_listen("127.0.0.1:0"), actor.udp_bind("[::1]:0")] {
        let entry = told(&query, &sock);
        assert_held(&entry, &[at(&actor, &sock)]);
        assert_made_in(&entry, &scratch, service, inside);
        assert_eq!(unit(process(&entry).service.as_deref()), service);
        assert_eq!(container(process(&entry).container.as_deref()), inside);
        assert_eq!(reach(&owner_of(&query, &entry.socket)), Some(Reach::Cgroup));
    }
}

fn a_system_unit_is_told() {
    for name in ["sockowner-live.service", "sockowner-live@tty1.service"] {
        assert_placed(&format!("/system.slice/{name}"), Some((name, Manager::System, None)), None);
    }
}

fn a_system_unit_is_told_on_the_host() {
    let name = "sockowner-live-host.service";
    assert_placed(&format!("/system.slice/{name}"), Some((name, Manager::System, None)), None);
}

fn a_container_is_told() {
    let expected = Some((Runtime::Docker, ID, Some(Manager::System)));
    assert_placed(&format!("/docker/{ID}"), None, expected);
    assert_placed(&format!("/system.slice/docker-{ID}.scope"), None, expected);
    let expected = Some((Runtime::Podman, ID, Some(Manager::System)));
    assert_placed(&format!("/machine.slice/libpod-{ID}.scope"), None, expected);
}

fn a_users_unit_is_no_system_unit() {
    let expected = Some(("ssh.service", Manager::User, Some(1000)));
    assert_placed("/user.slice/user-1000.slice/user@1000.service/ssh.service", expected, None);
    assert_placed("/user.slice/user-1000.slice/user@1000.service/system.slice/ssh.service", expected, None);
}

fn a_users_container_is_no_system_container() {
    let path = format!("/user.slice/user-1000.slice/user@1000.service/docker-{ID}.scope");
    let manager = Some(("user@1000.service", Manager::System, None));
    assert_placed(&path, manager, Some((Runtime::Docker, ID, Some(Manager::User))));
}

fn a_unit_inside_a_container_is_the_containers() {
    let path = format!("/docker/{OUTER}/system.slice/ssh.service");
    let inside = Some((Runtime::Docker, OUTER, Some(Manager::System)));
    assert_placed(&path, Some(("ssh.service", Manager::Container, None)), inside);
}

fn a_unit_below_a_unit_is_not_believed() {
    let name = "sockowner-live-outer.service";
    assert_placed(&format!("/system.slice/{name}/ssh.service"), Some((name, Manager::System, None)), None);
}

/// A unit with a process that stays in it, and one that has a connection and went to a session.
struct Left {
    holder: Actor,
    connection: Sock,
    _others: [Actor; 2],
    // Removed when nobody is left in them: fields are dropped in order.
    unit: Scratch,
    _session: Scratch,
}

/// As sshd does.
fn leave(name: &str, holder_is: impl Fn(&Scratch) -> Actor) -> Left {
    let unit = Scratch::new(&format!("/system.slice/{name}.service"));
    let session = Scratch::new(&format!("/user.slice/user-0.slice/{name}.scope"));
    let (stayed, client) = (Actor::builder().cgroup(&unit).spawn(), Actor::spawn());
    let holder = holder_is(&unit);
    let listener = stayed.tcp_listen("127.0.0.1:0");
    client.tcp_connect(listener.addr);
    let accepted = stayed.accept(listener.fd);
    let connection = stayed.pass_fd(accepted.fd, &holder);
    stayed.close(accepted.fd);
    session.move_in(holder.pid());
    Left { holder, connection, _others: [stayed, client], unit, _session: session }
}

fn a_holder_that_left_the_unit_is_the_owner_all_the_same() {
    let left = leave("sockowner-live-left", |unit| Actor::builder().cgroup(unit).spawn());
    let query = query();
    let entry = told(&query, &left.connection);
    assert_held(&entry, &[at(&left.holder, &left.connection)]);
    assert_made_in(&entry, &left.unit, Some(("sockowner-live-left.service", Manager::System, None)), None);
    assert_eq!(process(&entry).service, None, "a session scope is no service");
    let near = owner_of(&query, &entry.socket);
    assert_held(&near, &[at(&left.holder, &left.connection)]);
    assert_eq!(reach(&near), Some(if uses_iterators() { Reach::Host } else { Reach::User }));
}

/// Then nobody is looked for among the user's processes: one pass over all is sooner done.
fn uses_iterators() -> bool {
    crate::SOURCE != Source::Proc
}

fn a_holder_of_another_user_that_left_the_unit_is_found() {
    let left = leave("sockowner-live-user", |unit| {
        Actor::builder().cgroup(unit).uid(ORDINARY_UID).gid(ORDINARY_UID).spawn()
    });
    let query = query();
    let entry = told(&query, &left.connection);
    assert_held(&entry, &[at(&left.holder, &left.connection)]);
    assert_eq!((entry.socket.uid, process(&entry).uid), (Some(0), Some(ORDINARY_UID)));
    let near = owner_of(&query, &entry.socket);
    assert_held(&near, &[at(&left.holder, &left.connection)]);
    assert_eq!(reach(&near), Some(Reach::Host));
}

/// One in the cgroup, one of the same user, one of another: each is found when those before it are gone.
fn the_nearest_circle_that_has_a_holder_is_told() {
    let unit = Scratch::new("/system.slice/sockowner-live-circles.service");
    let below = Scratch::new("/system.slice/sockowner-live-circles.service/worker");
    let elsewhere = Scratch::new("/system.slice/sockowner-live-elsewhere.service");
    let stranger = Actor::builder().cgroup(&elsewhere).uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let colleague = Actor::builder().cgroup(&elsewhere).spawn();
    let maker = Actor::builder().cgroup(&unit).spawn();
    let listener = maker.tcp_listen("127.0.0.1:0");
    let theirs = maker.pass_fd(listener.fd, &stranger);
    let ours = maker.pass_fd(listener.fd, &colleague);
    below.move_in(maker.pid());
    let query = query();
    let row = told(&query, &listener).socket;
    let all = [at(&stranger, &theirs), at(&colleague, &ours), at(&maker, &listener)];
    assert_held(&told(&query, &listener), &all);
    let near = owner_of(&query, &row);
    assert_held(&near, &[at(&maker, &listener)]);
    assert_eq!(reach(&near), Some(Reach::Cgroup), "cgroups below count");
    drop(maker);
    let near = owner_of(&query, &row);
    if uses_iterators() {
        assert_held(&near, &[at(&stranger, &theirs), at(&colleague, &ours)]);
        assert_eq!(reach(&near), Some(Reach::Host));
    } else {
        assert_held(&near, &[at(&colleague, &ours)]);
        assert_eq!(reach(&near), Some(Reach::User));
    }
    drop(colleague);
    let near = owner_of(&query, &row);
    assert_held(&near, &[at(&stranger, &theirs)]);
    assert_eq!(reach(&near), Some(Reach::Host));
    let service = process(&near).service.as_deref();
    assert_eq!(unit_name(service), Some("sockowner-live-elsewhere.service"));
    assert_eq!(unit_name(near.service.as_deref()), Some("sockowner-live-circles.service"));
}

fn unit_name(service: Option<&Service>) -> Option<&str> {
    unit(service).map(|(name, ..)| name)
}

fn an_accepted_socket_has_its_listeners_cgroup() {
    let unit = Scratch::new("/system.slice/sockowner-live-listens.service");
    let other = Scratch::new("/system.slice/sockowner-live-accepts.service");
    let (listens, accepts) =
        (Actor::builder().cgroup(&unit).spawn(), Actor::builder().cgroup(&other).spawn());
    let listener = listens.tcp_listen("127.0.0.1:0");
    let passed = listens.pass_fd(listener.fd, &accepts);
    let client = accepts.tcp_connect(listener.addr);
    let server = accepts.accept(passed.fd);
    let query = query();
    let entry = told(&query, &server);
    assert_held(&entry, &[at(&accepts, &server)]);
    assert_eq!(unit_name(entry.service.as_deref()), Some("sockowner-live-listens.service"));
    assert_eq!(unit_name(process(&entry).service.as_deref()), Some("sockowner-live-accepts.service"));
    let entry = told(&query, &client);
    assert_eq!(unit_name(entry.service.as_deref()), Some("sockowner-live-accepts.service"));
}

fn a_removed_cgroup_has_an_id_and_no_path() {
    let unit = Scratch::new("/system.slice/sockowner-live-removed.service");
    let elsewhere = Scratch::new("/system.slice/sockowner-live-moved.service");
    let actor = Actor::builder().cgroup(&unit).spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    elsewhere.move_in(actor.pid());
    let id = unit.id();
    drop(unit);
    let entry = told(&query(), &listener);
    assert_state(&entry, State::LISTEN);
    assert_held(&entry, &[at(&actor, &listener)]);
    let cgroup = entry.cgroup.as_ref().unwrap();
    assert_eq!((cgroup.id, cgroup.path.as_deref()), (id, None));
    assert_eq!((unit_name(entry.service.as_deref()), candidates(&entry).len()), (None, 0));
    assert_eq!(unit_name(process(&entry).service.as_deref()), Some("sockowner-live-moved.service"));
}
