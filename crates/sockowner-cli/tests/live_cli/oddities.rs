//! `who` of what is unusual: files that are gone, names and places that changed, threads, interfaces, strangers.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{major, minor};
use serde_json::Value;
use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Sock, SocketOptions};

use super::golden::Template;
use super::machine::{Program, SESSION, WEB};
use super::pages::assert_page;
use super::program::{ask, public_dir};
use super::seen::user_name;

tests! {
    Alone a_deleted_executable needs Cgroup2;
    Alone a_name_of_its_own_choice_and_a_new_place needs Cgroup2;
    Alone a_thread_with_a_table_of_its_own needs Cgroup2;
    Alone a_socket_bound_to_an_interface needs Cgroup2;
    Alone holders_that_differ needs Cgroup2, OtherUser;
    Alone a_page_in_json_is_the_row_and_more needs Cgroup2;
}

/// Between the name and the time of the start, below the holders, and below the socket.
#[derive(Default)]
struct Odd<'a> {
    executable: &'a str,
    owner: &'a str,
    holders: &'a str,
    socket: &'a str,
    /// Behind the address.
    zone: &'a str,
}

/// The page of 127.0.0.1:80, which is usual but for this.
#[track_caller]
fn assert_odd(program: &Program, sock: &Sock, odd: &Odd<'_>) {
    let page = ask(&["who", ":80"]);
    page.assert_complete();
    let line = |text: &str| if text.is_empty() { String::new() } else { format!("              {text}\n") };
    let page_at = PAGE.replacen("127.0.0.1", &format!("127.0.0.1{}", odd.zone), 1);
    let mut golden = Template::new(&page_at);
    golden.fill("about the executable", line(odd.executable));
    golden.fill("about the owner", line(odd.owner));
    golden.fill("holders", if odd.holders.is_empty() { "server pid <pid> fd <fd>" } else { odd.holders });
    golden.fill("about the socket", line(odd.socket));
    assert_page(&page, program, sock, golden.text());
}

const PAGE: &str = "\
tcp 127.0.0.1:80 LISTEN
  owner       server, pid <pid>
              the only process that has it
              <dir>/server
<about the executable>              started <time> by user root (uid 0)
              command line: <dir>/server --sockowner-testkit-actor
<about the owner>  service     sockowner-web.service
  container   none
  cgroup      /system.slice/sockowner-web.service (id <cgroup>)
  user        root (uid 0)
  holders     <holders>
  socket      inode <inode>, cookie <cookie>, network namespace <netns>
<about the socket>  not known   who created and bound it, when, and from which library: nothing records that here
";

fn a_deleted_executable() {
    let dir = public_dir();
    let server = Program::start(&dir, "server", 0, WEB);
    let listener = server.actor.tcp_listen("127.0.0.1:80");
    let file = fs::metadata(&server.path).unwrap();
    let (major, minor) = (major(file.dev()), minor(file.dev()));
    server.actor.unlink_self_exe();
    let deleted = format!("(deleted since it was started; device {major}:{minor}, inode {})", file.ino());
    assert_odd(&server, &listener, &Odd { executable: &deleted, ..Odd::default() });
}

fn a_name_of_its_own_choice_and_a_new_place() {
    let dir = public_dir();
    let elsewhere = Scratch::new("/system.slice/sockowner-elsewhere.service");
    let session = Scratch::new("/user.slice/user-0.slice/session-sockowner.scope");
    let server = Program::start(&dir, "server", 0, WEB);
    let listener = server.actor.tcp_listen("127.0.0.1:80");
    server.actor.set_comm("kworker/0:1");
    elsewhere.move_in(server.pid());
    let owner = "now in sockowner-elsewhere.service";
    assert_odd(&server, &listener, &Odd { executable: "calls itself kworker/0:1", owner, ..Odd::default() });
    session.move_in(server.pid());
    let owner = "now in no service or container";
    assert_odd(&server, &listener, &Odd { executable: "calls itself kworker/0:1", owner, ..Odd::default() });
}

fn a_thread_with_a_table_of_its_own() {
    let dir = public_dir();
    let server = Program::start(&dir, "server", 0, WEB);
    let thread = server.actor.thread_with_own_fd_table("127.0.0.1:80");
    let holders = format!("server pid <pid> thread {}, which has a table of its own, fd <fd>", thread.tid);
    assert_odd(&server, &thread.sock, &Odd { holders: &holders, ..Odd::default() });
}

fn a_socket_bound_to_an_interface() {
    let dir = public_dir();
    let server = Program::start(&dir, "server", 0, WEB);
    let options = SocketOptions { device: Some("lo".into()), ..SocketOptions::default() };
    let listener = server.actor.tcp_listen_with("127.0.0.1:80", options);
    assert_odd(&server, &listener, &Odd { socket: "bound to interface lo", zone: "%lo", ..Odd::default() });
    assert_eq!(ask(&["--no-header", "-o", "local,interface"]).stdout(), "127.0.0.1%lo:80  lo\n");
    let told = &ask(&["who", "127.0.0.1%lo:80", "--json"]).endpoints()[0];
    assert_eq!((&told["local_address"], &told["interface"]), (&"127.0.0.1".into(), &"lo".into()));
}

fn holders_that_differ() {
    let dir = public_dir();
    let server = Program::start(&dir, "server", 0, WEB);
    let listener = server.actor.tcp_listen("127.0.0.1:80");
    let other = Program::start(&dir, "helper", ORDINARY_UID, SESSION);
    let passed = server.actor.pass_fd(listener.fd, &other.actor);
    let again = server.actor.pass_fd(listener.fd, &other.actor);
    let page = ask(&["who", ":80"]);
    page.assert_complete();
    let mut golden = Template::new(PAGE);
    golden.fill("about the executable", "");
    golden.fill("about the owner", "");
    golden.fill("about the socket", "");
    let user = user_name(ORDINARY_UID).unwrap_or_else(|| ORDINARY_UID.to_string());
    let (pid, first, second) = (other.pid(), passed.fd, again.fd);
    golden.fill(
        "holders",
        format!(
            "server pid <pid> fd <fd>\n              helper pid {pid} fd {first}, {second}, <dir>/helper, user {user}"
        ),
    );
    let golden = golden.text().replace(
        "the only process that has it",
        "the one that started first of 2 that have it: a convention, not proof",
    );
    assert_page(&page, &server, &listener, &golden);
}

fn a_page_in_json_is_the_row_and_more() {
    let dir = public_dir();
    let server = Program::start(&dir, "server", 0, WEB);
    server.actor.tcp_listen("0.0.0.0:80");
    let without_times = |mut row: Value| {
        row["owner"]["start_time"].take();
        row["holders"][0]["start_time"].take();
        row
    };
    let row = without_times(ask(&["--json"]).endpoints().remove(0));
    for (asked, matched) in [(":80", "exact"), ("0.0.0.0:80", "exact"), ("127.0.0.1:80", "wildcard")] {
        let page = ask(&["who", asked, "--json"]);
        page.assert_complete();
        let mut page = page.json();
        assert_eq!((&page["schema"], &page["gaps"]), (&1.into(), &Value::Array(Vec::new())));
        let mut pages = page["endpoints"].as_array_mut().unwrap().drain(..);
        let (page, rest) = (pages.next().unwrap(), pages.len());
        assert_eq!(rest, 0);
        let mut expected = row.clone();
        expected["match"] = matched.into();
        let path = server.path.to_str().unwrap();
        expected["owner"]["cmdline"] = vec![path, "--sockowner-testkit-actor"].into();
        assert_eq!(without_times(page), expected);
    }
}
