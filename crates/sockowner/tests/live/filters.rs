//! Which endpoints a snapshot holds.

use sockowner::{Attribution, Family, Filter, Protocol, Query, State};
use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock};

use super::ask::{assert_complete, assert_held, at, awaited, query};
use super::seen::public_dir;
use super::states::Pair;

tests! {
    Alone nothing_asked_is_everything_there_is;
    Alone a_process_is_asked_by_number;
    Alone every_holder_is_told_whichever_was_asked_for;
    Alone users_are_asked_by_name_and_by_number needs OtherUser;
    Alone time_wait_is_no_users;
    Alone units_are_asked_with_and_without_suffix needs Cgroup2;
    Alone containers_are_asked_by_the_beginning_of_their_id needs Cgroup2;
    Alone executables_are_asked_by_path_and_by_name;
    Alone kinds_of_conditions_have_all_to_be_met;
    Alone without_owners_no_process_is_looked_at;
}

/// The cookies of the endpoints that the filter takes, sorted.
fn listed(query: &Query, filter: &Filter) -> Vec<u64> {
    let found = query.snapshot(filter).unwrap();
    assert_complete(found.gaps());
    let mut cookies: Vec<_> = found.iter().map(|entry| entry.socket.cookie).collect();
    cookies.sort_unstable();
    cookies
}

fn cookies<const N: usize>(socks: [&Sock; N]) -> Vec<u64> {
    let mut cookies: Vec<_> = socks.iter().map(|sock| sock.cookie).collect();
    cookies.sort_unstable();
    cookies
}

fn nothing_asked_is_everything_there_is() {
    let actor = Actor::spawn();
    let query = query();
    assert_eq!(listed(&query, &Filter::new()), [0; 0]);
    let [t4, t6] = ["127.0.0.1:0", "[::1]:0"].map(|address| actor.tcp_listen(address));
    let [u4, u6] = ["127.0.0.1:0", "[::1]:0"].map(|address| actor.udp_bind(address));
    assert_eq!(listed(&query, &Filter::new()), cookies([&t4, &t6, &u4, &u6]));
    let filter = Filter::new;
    assert_eq!(listed(&query, &filter().protocol(Protocol::Tcp)), cookies([&t4, &t6]));
    assert_eq!(listed(&query, &filter().family(Family::Ipv6)), cookies([&t6, &u6]));
    assert_eq!(
        listed(&query, &filter().family(Family::Ipv4).protocol(Protocol::Udp).protocol(Protocol::Tcp)),
        cookies([&t4, &u4])
    );
    assert_eq!(listed(&query, &filter().state(State::UNCONNECTED)), cookies([&u4, &u6]));
}

fn a_process_is_asked_by_number() {
    let [one, two, three] = [0; 3].map(|_| Actor::spawn());
    let first = one.tcp_listen("127.0.0.1:0");
    let second = two.udp_bind("127.0.0.1:0");
    let third = three.tcp_listen("127.0.0.1:0");
    let query = query();
    assert_eq!(listed(&query, &Filter::new().pid(one.pid())), cookies([&first]));
    let both = Filter::new().pid(two.pid()).pid(three.pid());
    assert_eq!(listed(&query, &both), cookies([&second, &third]));
    assert_eq!(listed(&query, &Filter::new().pid(1)), [0; 0]);
}

fn every_holder_is_told_whichever_was_asked_for() {
    let (one, two) = (Actor::spawn(), Actor::spawn());
    let shared = one.tcp_listen("127.0.0.1:0");
    let passed = one.pass_fd(shared.fd, &two);
    let query = query();
    for actor in [&one, &two] {
        let found = query.snapshot(&Filter::new().pid(actor.pid())).unwrap();
        assert_eq!(found.entries().len(), 1);
        assert_held(&found.entries()[0], &[at(&one, &shared), at(&two, &passed)]);
    }
}

fn users_are_asked_by_name_and_by_number() {
    let (roots, theirs) = (Actor::spawn(), Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn());
    let (first, second) = (roots.tcp_listen("127.0.0.1:0"), theirs.tcp_listen("127.0.0.1:0"));
    let passed = roots.tcp_listen("127.0.0.1:0");
    roots.pass_fd(passed.fd, &theirs);
    roots.close(passed.fd);
    let query = query();
    let user = |user: &str| listed(&query, &Filter::new().user(user));
    let of_root = cookies([&first, &passed]);
    assert_eq!(user("root"), of_root, "the socket's user counts");
    assert_eq!(user("0"), of_root);
    let of_theirs = cookies([&second, &passed]);
    assert_eq!(user(&ORDINARY_UID.to_string()), of_theirs, "and a holder's");
    if let Some(name) = super::seen::user_name(ORDINARY_UID) {
        assert_eq!(user(&name), of_theirs);
    }
    assert_eq!(user("roo"), [0; 0]);
    assert_eq!(user("no such user"), [0; 0]);
}

fn time_wait_is_no_users() {
    let pair = Pair::new();
    pair.near.close_first(pair.client.fd, &pair.far, pair.server.fd);
    let query = query();
    awaited(&query, &pair.client, &pair.server, State::TIME_WAIT);
    for user in ["root", "0", ""] {
        let found = listed(&query, &Filter::new().user(user).state(State::TIME_WAIT));
        assert_eq!(found, [0; 0], "{user:?}");
    }
    assert_eq!(listed(&query, &Filter::new().state(State::TIME_WAIT)), cookies([&pair.client]));
}

fn units_are_asked_with_and_without_suffix() {
    let unit = Scratch::new("/system.slice/sockowner-live-unit.service");
    let other = Scratch::new("/system.slice/sockowner-live-unit2.service");
    let [inside, moved] = [0; 2].map(|_| Actor::builder().cgroup(&unit).spawn());
    let stranger = Actor::builder().cgroup(&other).spawn();
    let (first, second) = (inside.tcp_listen("127.0.0.1:0"), moved.tcp_listen("127.0.0.1:0"));
    let third = stranger.tcp_listen("127.0.0.1:0");
    other.move_in(moved.pid());
    let query = query();
    let units = |unit: &str| listed(&query, &Filter::new().unit(unit));
    for name in ["sockowner-live-unit", "sockowner-live-unit.service"] {
        assert_eq!(units(name), cookies([&first, &second]), "{name}");
    }
    assert_eq!(units("sockowner-live-unit2"), cookies([&second, &third]), "made in or held in");
    assert_eq!(units("sockowner-live"), [0; 0]);
}

fn containers_are_asked_by_the_beginning_of_their_id() {
    let ids = ["f1174e".repeat(11), "f1174f".repeat(11)].map(|id| id[..64].to_owned());
    let cgroups = ids.each_ref().map(|id| Scratch::new(&format!("/docker/{id}")));
    let actors = cgroups.each_ref().map(|cgroup| Actor::builder().cgroup(cgroup).spawn());
    let [first, second] = actors.each_ref().map(|actor| actor.tcp_listen("127.0.0.1:0"));
    let query = query();
    let containers = |id: &str| listed(&query, &Filter::new().container(id));
    assert_eq!(containers(&ids[0]), cookies([&first]));
    assert_eq!(containers(&ids[1][..12]), cookies([&second]));
    assert_eq!(containers("f1174"), cookies([&first, &second]));
    assert_eq!(containers("1174"), [0; 0]);
    assert_eq!(containers(""), [0; 0]);
}

fn executables_are_asked_by_path_and_by_name() {
    let dir = public_dir();
    let path = dir.path().join("server");
    let server = Actor::builder().exe(&path).spawn();
    let other = Actor::spawn();
    let (first, second) = (server.tcp_listen("127.0.0.1:0"), other.tcp_listen("127.0.0.1:0"));
    let query = query();
    let executables = |path: &std::ffi::OsStr| listed(&query, &Filter::new().executable(path));
    assert_eq!(executables(path.as_os_str()), cookies([&first]));
    assert_eq!(executables("server".as_ref()), cookies([&first]));
    assert_eq!(executables("serve".as_ref()), [0; 0]);
    assert_eq!(executables("/server".as_ref()), [0; 0]);
    other.set_comm("server");
    assert_eq!(executables("server".as_ref()), cookies([&first]), "the program, not what it says");
    server.unlink_self_exe();
    assert_eq!(executables(path.as_os_str()), cookies([&first]), "deleted or not");
    let own = std::env::current_exe().unwrap();
    assert_eq!(executables(own.as_os_str()), cookies([&second]));
}

fn kinds_of_conditions_have_all_to_be_met() {
    let (one, two) = (Actor::spawn(), Actor::spawn());
    let (tcp, udp) = (one.tcp_listen("127.0.0.1:0"), one.udp_bind("127.0.0.1:0"));
    let other = two.tcp_listen("127.0.0.1:0");
    let query = query();
    let of_one = || Filter::new().pid(one.pid());
    assert_eq!(listed(&query, &of_one()), cookies([&tcp, &udp]));
    assert_eq!(listed(&query, &of_one().state(State::LISTEN)), cookies([&tcp]));
    assert_eq!(listed(&query, &of_one().user("root").protocol(Protocol::Udp)), cookies([&udp]));
    assert_eq!(listed(&query, &of_one().user("nobody")), [0; 0]);
    assert_eq!(listed(&query, &of_one().pid(two.pid()).listening()), cookies([&tcp, &udp, &other]));
}

fn without_owners_no_process_is_looked_at() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let found = query().snapshot(&Filter::new().without_owners()).unwrap();
    assert_complete(found.gaps());
    let entry = &found.entries()[0];
    assert_eq!(entry.attribution, Attribution::NotAsked);
    assert_eq!((entry.attribution.primary_owner(), entry.attribution.reason()), (None, None));
    assert_eq!((entry.socket.cookie, entry.user.as_deref()), (listener.cookie, Some("root")));
    assert!(entry.candidates.is_empty() && !entry.is_not_permitted());
    assert_eq!(listed(&query(), &Filter::new().without_owners().user("0")), cookies([&listener]));
    assert_eq!(listed(&query(), &Filter::new().without_owners().pid(actor.pid())), [0; 0]);
}
