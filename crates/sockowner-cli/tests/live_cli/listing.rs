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
    Alone the_lines_and_the_records needs Cgroup2, OtherUser;
    Alone columns_and_order_are_chosen needs Cgroup2, OtherUser;
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

fn the_lines_and_the_records() {
    let machine = Machine::start();
    let lines = ask(&["--jsonl"]);
    lines.assert_complete();
    assert_eq!(lines.json_lines().len(), 11);
    let records = ask(&["--csv"]);
    records.assert_complete();
    let without_header = ask(&["--csv", "--no-header"]);
    without_header.assert_complete();
    let (_, below) = records.stdout().split_once('\n').unwrap();
    assert_eq!(without_header.stdout(), below);

    // The document has an endpoint a line there.
    let document = include_str!("golden/list.json").lines().map(|line| line.trim_end_matches(','));
    let endpoints = document.filter(|line| line.starts_with("{\"protocol\""));
    let text = endpoints.map(|line| line.replacen('{', "{\"schema\":1,", 1) + "\n").collect::<String>();
    let mut of_lines = Template::new(&text);
    let mut of_records = Template::new(include_str!("golden/list.csv"));
    of_records.fill("name", user_name(ORDINARY_UID).unwrap_or_else(|| ORDINARY_UID.to_string()));
    machine.fill_all(&mut [&mut of_lines, &mut of_records]);
    assert_text(lines.stdout(), &of_lines.into_text());
    assert_text(records.stdout(), &of_records.into_text());
}

fn columns_and_order_are_chosen() {
    let machine = Machine::start();
    let [nginx, first, second] = [machine.nginx.pid(), machine.workers[0], machine.workers[1]];
    let by_port = ask(&["-t", "-o", "local_port,reason,process,unit", "--sort", "-local_port"]);
    by_port.assert_complete();
    assert_text(
        by_port.stdout(),
        &format!(
            "\
LOCAL_PORT  REASON     PROCESS       UNIT
     40003  -          client        -
     40002  -          client        -
     40001  no_holder  (no holder)   -
      8080  -          sshd          user/1000/ssh.service
      6379  -          redis-server  docker/{CONTAINER}
      6379  -          redis-server  docker/{CONTAINER}
      2222  -          sshd          user/1000/ssh.service
        80  -          nginx +2      sockowner-web.service
        80  no_holder  (no holder)   sockowner-web.service
"
        ),
    );
    // Numbers by their size, addresses too; what has none stands last.
    let ports = |words: &[&str]| {
        let answer = ask(&[words, &["--no-header", "-o", "local_port"]].concat());
        answer.assert_complete();
        answer.stdout().split_whitespace().map(|port| port.parse().unwrap()).collect::<Vec<u16>>()
    };
    assert_eq!(ports(&["-t", "-l", "--sort", "local_port"]), [80, 2222, 6379, 8080]);
    assert_eq!(ports(&["-l", "--sort", "local"]), [80, 2222, 6379, 53, 8080]);
    let by_peer = ["-t", "--state", "established,time-wait", "--sort", "remote_port,-local_port"];
    assert_eq!(ports(&by_peer), [40002, 40001, 40003, 80, 6379]);
    let sorted = ask(&["--json", "--sort", "-pid,local_port"]);
    let pids: Vec<_> = sorted.endpoints().iter().map(|row| row["owner"]["pid"].as_u64()).collect();
    let (named, unnamed) = pids.split_at(9);
    assert!(named.is_sorted_by(|one, other| one >= other) && named[8].is_some(), "{pids:?}");
    assert_eq!(unnamed, [None; 2]);

    let http = ask(&[
        "--csv",
        "--no-header",
        "-o",
        "holders,process,pid",
        "--state",
        "listen",
        "--unit",
        "sockowner-web",
    ]);
    let fd = machine.http.fd;
    assert_eq!(http.stdout(), format!("{nginx}/{fd} {first}/{fd} {second}/{fd},nginx +2,{nginx}\n"));
    // Command lines where they are asked for, and nowhere else.
    let shown = ask(&["-l", "-o", "cmdline"]);
    assert_eq!(shown.stdout().matches(" --sockowner-testkit-actor").count(), 5, "{}", shown.stdout());
    for words in [&[][..], &["--json"], &["--jsonl"], &["--csv"], &["-o", "name,path"]] {
        assert!(!ask(words).stdout().contains("--sockowner-testkit-actor"), "{words:?}");
    }
}
