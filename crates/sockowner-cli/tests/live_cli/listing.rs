//! The whole list: every byte of it, as a table and as JSON.

use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::privileges::ORDINARY_UID;

use super::golden::{Template, assert_text};
use super::machine::{CONTAINER, Machine};
use super::program::ask;
use super::seen::user_name;

tests! {
    Alone the_table needs Cgroup2, OtherUser;
    Alone the_document needs Cgroup2, OtherUser;
}

fn the_table() {
    let machine = Machine::start();
    let [nginx, redis, sshd, resolver, client] =
        [&machine.nginx, &machine.redis, &machine.sshd, &machine.resolver, &machine.client]
            .map(super::machine::Program::pid);
    let user = user_name(ORDINARY_UID).unwrap_or_else(|| ORDINARY_UID.to_string());
    let width = user.len().max("USER".len());
    let all = ask(&[]);
    all.assert_complete();
    // A namespace of process numbers is new: none of them has more than three digits.
    assert_text(
        all.stdout(),
        &format!(
            "\
PROTO  STATE        LOCAL            REMOTE           {:width$}  PID  PROCESS       UNIT
tcp    LISTEN       0.0.0.0:80       *                {:width$}  {nginx:>3}  nginx +2      sockowner-web.service
tcp    LISTEN       127.0.0.1:2222   *                {user:width$}  {sshd:>3}  sshd          user/1000/ssh.service
tcp    LISTEN       127.0.0.1:6379   *                {:width$}  {redis:>3}  redis-server  docker/{CONTAINER}
tcp6   LISTEN       [::1]:8080       *                {user:width$}  {sshd:>3}  sshd          user/1000/ssh.service
udp    UNCONNECTED  127.0.0.53:53    *                {:width$}  {resolver:>3}  resolver      sockowner-names.service
tcp    ESTABLISHED  127.0.0.1:80     127.0.0.1:40002  {:width$}    -  (no holder)   sockowner-web.service
tcp    ESTABLISHED  127.0.0.1:6379   127.0.0.1:40003  {:width$}  {redis:>3}  redis-server  docker/{CONTAINER}
tcp    TIME_WAIT    127.0.0.1:40001  127.0.0.1:80     {:width$}    -  (no holder)   -
tcp    ESTABLISHED  127.0.0.1:40002  127.0.0.1:80     {user:width$}  {client:>3}  client        -
tcp    ESTABLISHED  127.0.0.1:40003  127.0.0.1:6379   {user:width$}  {client:>3}  client        -
udp    ESTABLISHED  127.0.0.1:40053  127.0.0.53:53    {user:width$}  {client:>3}  client        -
",
            "USER", "root", "root", "root", "-", "root", "-"
        ),
    );
    let alone = ask(&["--no-owners", "-l6"]);
    alone.assert_complete();
    assert_text(
        alone.stdout(),
        &format!(
            "\
PROTO  STATE   LOCAL       REMOTE  {:width$}  PID  PROCESS  UNIT
tcp6   LISTEN  [::1]:8080  *       {user:width$}    -  -        user/1000/ssh.service
",
            "USER"
        ),
    );
}

fn the_document() {
    let machine = Machine::start();
    let all = ask(&["--json"]);
    all.assert_complete();
    // An endpoint a line there, all in one line here.
    let mut golden = Template::new(&include_str!("golden/list.json").replace('\n', ""));
    machine.fill(&mut golden);
    assert_text(all.stdout(), &(golden.into_text() + "\n"));
}
