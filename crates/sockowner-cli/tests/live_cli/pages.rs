//! `who`: every byte of its pages.

use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Sock, SocketOptions};

use super::golden::{Template, assert_text};
use super::machine::{CONTAINER, FORGED, Machine, NAMES, Program};
use super::program::{Answer, PublicCopy, ask, public_dir};
use super::seen::{netns, user_name};

tests! {
    Alone a_single_holder needs Cgroup2;
    Alone several_holders_and_an_unaccepted_connection needs Cgroup2, OtherUser;
    Alone the_wildcard_that_serves_an_address needs Cgroup2, OtherUser;
    Alone time_wait needs Cgroup2, OtherUser;
    Alone a_container_and_what_is_not_permitted needs Cgroup2, OtherUser;
    Alone a_forged_unit needs Cgroup2, OtherUser;
    Alone a_container_inside_another needs Cgroup2;
}

/// What the program said is this text, once the names in it are filled in.
#[track_caller]
pub(super) fn assert_page(page: &Answer, program: &Program, sock: &Sock, text: &str) {
    let mut golden = Template::new(text);
    golden.fill("pid", program.pid());
    golden.fill("dir", program.path.parent().unwrap().display());
    golden.fill("cgroup", program.cgroup.id());
    golden.fill("fd", sock.fd);
    golden.fill("inode", sock.inode);
    golden.fill("cookie", sock.cookie);
    golden.fill("netns", netns());
    let ordinary = user_name(ORDINARY_UID);
    golden.fill(
        "user",
        ordinary.as_ref().map_or("uid 1000, which has no name".into(), |n| format!("{n} (uid 1000)")),
    );
    golden
        .fill("by user", ordinary.map_or("by uid 1000".into(), |name| format!("by user {name} (uid 1000)")));
    assert_text(page.stdout(), &golden.into_text());
}

fn a_single_holder() {
    let dir = public_dir();
    let resolver = Program::start(&dir, "resolver", 0, NAMES);
    let sock = resolver.actor.udp_bind("127.0.0.53:53");
    for words in [&["who", ":53"][..], &["who", "udp/127.0.0.53:53"]] {
        let page = ask(words);
        page.assert_complete();
        assert_page(&page, &resolver, &sock, SINGLE);
    }
}

const SINGLE: &str = "\
udp 127.0.0.53:53 UNCONNECTED
  owner       resolver, pid <pid>
              the only process that has it
              <dir>/resolver
              started <time> by user root (uid 0)
              command line: <dir>/resolver --sockowner-testkit-actor
  service     sockowner-names.service
  container   none
  cgroup      /system.slice/sockowner-names.service (id <cgroup>)
  user        root (uid 0)
  holders     resolver pid <pid> fd <fd>
  socket      inode <inode>, cookie <cookie>, network namespace <netns>
  not known   who created and bound it, when, and from which library: nothing records that here
";

fn several_holders_and_an_unaccepted_connection() {
    assert_port_80(":80", "");
}

fn the_wildcard_that_serves_an_address() {
    let said = "  match       wildcard: it listens on every address, so it serves tcp/127.0.0.1:80 too\n";
    assert_port_80("tcp/127.0.0.1:80", said);
}

/// The listener, and a connection that nobody has accepted.
fn assert_port_80(asked: &str, matched: &str) {
    let machine = Machine::start();
    let page = ask(&["who", asked]);
    page.assert_complete();
    let [first, second] = machine.workers;
    // Its cookie can be asked for by whoever accepts it.
    let pending = machine.nginx.actor.accept(machine.http.fd);
    assert_eq!(pending.peer, Some(machine.waiting.addr));
    let mut golden = Template::new(SEVERAL);
    golden.fill("match", matched);
    golden.fill("first", first);
    golden.fill("second", second);
    golden.fill("pending", pending.cookie);
    assert_page(&page, &machine.nginx, &machine.http, golden.text());
}

const SEVERAL: &str = "\
tcp 0.0.0.0:80 LISTEN
<match>  owner       nginx, pid <pid>
              the one that started first of 3 that have it: a convention, not proof
              <dir>/nginx
              started <time> by user root (uid 0)
              command line: <dir>/nginx --sockowner-testkit-actor
  service     sockowner-web.service
  container   none
  cgroup      /system.slice/sockowner-web.service (id <cgroup>)
  user        root (uid 0)
  holders     nginx pid <pid> fd <fd>
              nginx pid <first> fd <fd>
              nginx pid <second> fd <fd>
  socket      inode <inode>, cookie <cookie>, network namespace <netns>
  not known   who created and bound it, when, and from which library: nothing records that here

tcp 127.0.0.1:80 -> 127.0.0.1:40002 ESTABLISHED
  owner       (no holder) no process has it: closed and lingering, or not yet accepted
  service     sockowner-web.service
  container   none
  cgroup      /system.slice/sockowner-web.service (id <cgroup>)
  user        not known: the kernel tells none of a socket without a file
  candidates  in the cgroup it was made in, which does not make them owners:
              nginx pid <pid>, started <time>
              nginx pid <first>, started <time>
              nginx pid <second>, started <time>
  socket      no inode (no file stands for it), cookie <pending>, network namespace <netns>
  not known   who created, connected or accepted it, when, and from which library: nothing records that here
";

fn time_wait() {
    let machine = Machine::start();
    for words in [&["who", ":40001"][..], &["who", "127.0.0.1:40001", "tcp/127.0.0.1:80"]] {
        let page = ask(words);
        page.assert_complete();
        assert_page(&page, &machine.client, &machine.past, TIME_WAIT);
    }
}

const TIME_WAIT: &str = "\
tcp 127.0.0.1:40001 -> 127.0.0.1:80 TIME_WAIT
  owner       (no holder) no process has it: closed and lingering, or not yet accepted
  service     not known: the kernel tells no cgroup of this socket
  container   not known
  user        not known: the kernel tells none of a socket without a file
  socket      no inode (no file stands for it), cookie <cookie>, network namespace <netns>
  not known   who created, connected or accepted it, when, and from which library: nothing records that here
";

fn a_container_and_what_is_not_permitted() {
    let dir = public_dir();
    let redis = Program::start(&dir, "redis-server", 0, &format!("/docker/{CONTAINER}"));
    let sock = redis.actor.tcp_listen("127.0.0.1:6379");
    let page = ask(&["who", ":6379"]);
    page.assert_complete();
    let owner = "\
redis-server, pid <pid>
              the only process that has it
              <dir>/redis-server
              started <time> by user root (uid 0)
              command line: <dir>/redis-server --sockowner-testkit-actor";
    let golden = |owner, holders| IN_CONTAINER.replace("<owner>", owner).replace("<holders>", holders);
    let holders = "holders     redis-server pid <pid> fd <fd>";
    assert_page(&page, &redis, &sock, &golden(owner, holders));

    let page = PublicCopy::new().ask(&["who", ":6379"]);
    let owner = "(not permitted) a process that could not be inspected for want of permission may hold it";
    let candidates = "\
candidates  in the cgroup it was made in, which does not make them owners:
              redis-server pid <pid>, started <time>";
    assert_page(&page, &redis, &sock, &golden(owner, candidates));
    let said = "sockowner: 1 of 1 endpoint has no process shown: 2 processes may not be inspected; \
                run 'sudo sockowner who :6379' to see them\n";
    page.assert_ended(0, said);
}

const IN_CONTAINER: &str = "\
tcp 127.0.0.1:6379 LISTEN
  owner       <owner>
  service     none
  container   docker/3f1c7e0d5b2a49788e6d1f0c3b5a79e2d4c6b8fa0e1d2c3b4a59687766554433
  cgroup      /docker/3f1c7e0d5b2a49788e6d1f0c3b5a79e2d4c6b8fa0e1d2c3b4a59687766554433 (id <cgroup>)
  user        root (uid 0)
  <holders>
  socket      inode <inode>, cookie <cookie>, network namespace <netns>
  not known   who created and bound it, when, and from which library: nothing records that here
";

fn a_forged_unit() {
    let dir = public_dir();
    let sshd = Program::start(&dir, "sshd", ORDINARY_UID, FORGED);
    let sock = sshd.actor.tcp_listen("[::]:2222");
    let page = ask(&["who", ":2222"]);
    page.assert_complete();
    assert_page(&page, &sshd, &sock, FORGED_UNIT);
    // All of it is this user's own, but a process of root's may have it too.
    let page = PublicCopy::new().ask(&["who", "[::]:2222"]);
    page.assert_complete();
    let only = "the only process that has it";
    let as_seen = format!("{only}, as far as may be seen: 1 process may not be inspected");
    assert_page(&page, &sshd, &sock, &FORGED_UNIT.replace(only, &as_seen));
}

const FORGED_UNIT: &str = "\
tcp [::]:2222 LISTEN
  owner       sshd, pid <pid>
              the only process that has it
              <dir>/sshd
              started <time> <by user>
              command line: <dir>/sshd --sockowner-testkit-actor
  service     user/1000/ssh.service (the name is the choice of uid 1000)
  container   none
  cgroup      /user.slice/user-1000.slice/user@1000.service/app.slice/ssh.service (id <cgroup>)
  user        <user>
  holders     sshd pid <pid> fd <fd>
  socket      inode <inode>, cookie <cookie>, network namespace <netns>
              serves IPv4 too
  not known   who created and bound it, when, and from which library: nothing records that here
";

fn a_container_inside_another() {
    // No other test has it as a leaf.
    const OUTER: &str = "b5c7d9e1f3a0426480a2c4e6f8091b3d5f7190a2b4c6d8e0f1a3b5c7d9e1f2a4";
    const INNER: &str = "a2b4c6d8e0f1029384756a6b7c8d9e0ff0e9d8c7b6a6574839201f0e8d6c4b2a";
    let dir = public_dir();
    let cgroup = format!("/docker/{OUTER}/system.slice/docker-{INNER}.scope");
    let app = Program::start(&dir, "app", 0, &cgroup);
    let options = SocketOptions { v6only: Some(true), ..SocketOptions::default() };
    let sock = app.actor.tcp_listen_with("[::]:9000", options);
    let page = ask(&["who", ":9000"]);
    page.assert_complete();
    let golden = NESTED.replace("<outer>", OUTER).replace("<inner>", INNER);
    assert_page(&page, &app, &sock, &golden);
}

const NESTED: &str = "\
tcp [::]:9000 LISTEN
  owner       app, pid <pid>
              the only process that has it
              <dir>/app
              started <time> by user root (uid 0)
              command line: <dir>/app --sockowner-testkit-actor
  service     none
  container   docker/<outer>
              inside it container/docker/<inner>
  cgroup      /docker/<outer>/system.slice/docker-<inner>.scope (id <cgroup>)
  user        root (uid 0)
  holders     app pid <pid> fd <fd>
  socket      inode <inode>, cookie <cookie>, network namespace <netns>
              IPv6 only
  not known   who created and bound it, when, and from which library: nothing records that here
";
