//! What an ordinary user is told, and what is missing without `/proc`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use sockowner_testkit::Actor;
use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::privileges::ORDINARY_UID;

use super::golden::assert_text;
use super::machine::{FORGED, Program, WEB};
use super::program::{OWN_USER_NAMESPACE, PublicCopy, answer, ask, public_dir};
use super::seen::user_name;

tests! {
    Alone an_ordinary_user_is_told_what_is_public needs Cgroup2, OtherUser;
    Alone an_ordinary_user_learns_what_is_not_sure needs OtherUser;
    Alone a_user_may_write_what_is_no_text needs OtherUser;
    Alone root_of_another_user_namespace_is_told_so needs OtherUser, OWN_USER_NAMESPACE;
    Alone root_misses_nothing needs OtherUser;
    HidePid processes_that_are_not_listed_are_missed needs OtherUser;
    HidePid hidepid_hides_nothing_from_root needs OtherUser;
    NoProc without_proc_there_are_no_owners;
}

fn ordinary_user() -> Actor {
    Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn()
}

fn an_ordinary_user_is_told_what_is_public() {
    let dir = public_dir();
    let nginx = Program::start(&dir, "nginx", 0, WEB);
    let sshd = Program::start(&dir, "sshd", ORDINARY_UID, FORGED);
    nginx.actor.tcp_listen("0.0.0.0:80");
    nginx.actor.udp_bind("0.0.0.0:443");
    sshd.actor.tcp_listen("127.0.0.1:2222");
    let user = user_name(ORDINARY_UID).unwrap_or_else(|| ORDINARY_UID.to_string());
    let width = user.len().max("USER".len());
    let sockowner = PublicCopy::new();
    let all = sockowner.ask(&[]);
    assert_text(
        all.stdout(),
        &format!(
            "\
PROTO  STATE        LOCAL           REMOTE  {:width$}  PID  PROCESS          UNIT
tcp    LISTEN       0.0.0.0:80      *       {:width$}    -  (not permitted)  sockowner-web.service
tcp    LISTEN       127.0.0.1:2222  *       {user:width$}  {:>3}  sshd             user/1000/ssh.service
udp    UNCONNECTED  0.0.0.0:443     *       {:width$}    -  (not permitted)  sockowner-web.service
",
            "USER",
            "root",
            sshd.pid(),
            "root"
        ),
    );
    let missing = |rows: &str, command: &str| {
        format!(
            "sockowner: {rows} no process shown: 2 processes may not be inspected; \
             run 'sudo {command}' to see them\n"
        )
    };
    all.assert_ended(0, &missing("2 of 3 endpoints have", "sockowner"));
    let strict = sockowner.ask(&["--strict"]);
    assert_text(strict.stdout(), all.stdout());
    strict.assert_ended(3, &missing("2 of 3 endpoints have", "sockowner --strict"));
    sockowner.ask(&["-t", "-4"]).assert_ended(0, &missing("1 of 2 endpoints has", "sockowner -t -4"));
    sockowner
        .ask(&["who", ":80", "--strict"])
        .assert_ended(3, &missing("1 of 1 endpoint has", "sockowner who :80 --strict"));

    let document = sockowner.ask(&["--json", "--strict"]);
    document.assert_ended(3, &missing("2 of 3 endpoints have", "sockowner --json --strict"));
    let gap = r#"{"source":"proc","object":"/proc/*/fd","reason":"not_permitted","count":2}"#;
    assert!(document.stdout().ends_with(&format!("\"gaps\":[{gap}]}}\n")), "{}", document.stdout());
    let told: Vec<_> = document
        .endpoints()
        .iter()
        .map(|row| (row["local_port"].clone(), row["reason"].clone(), row["owner"]["pid"].clone()))
        .collect();
    let nothing = serde_json::Value::Null;
    let refused = |port: u16| (port.into(), "not_permitted".into(), nothing.clone());
    assert_eq!(told, [refused(80), (2222.into(), nothing.clone(), sshd.pid().into()), refused(443)]);
}

fn an_ordinary_user_learns_what_is_not_sure() {
    let (roots, own) = (Actor::spawn(), ordinary_user());
    roots.tcp_listen("127.0.0.1:8001");
    own.tcp_listen("127.0.0.1:8002");
    let sockowner = PublicCopy::new();
    let found = sockowner.ask(&["--json", "--user", "1000"]);
    found.assert_complete();
    assert_eq!(found.endpoints().len(), 1);
    assert_eq!(found.endpoints()[0]["owner"]["pid"], own.pid());
    // Root's processes could have the socket, too.
    let strict = "sockowner: further processes may have these endpoints too: 2 processes may not be inspected; \
                  run 'sudo sockowner --strict --user 1000' to see them\n";
    sockowner.ask(&["--strict", "--user", "1000"]).assert_ended(3, strict);
    sockowner.ask(&["--user", "1000"]).assert_ended(0, &strict.replace(" --strict", ""));

    let nothing = |sentence: &str| format!("sockowner: {sentence}\n");
    let unsure = "no endpoint is seen that is held by pid 1, but 2 processes may not be inspected";
    sockowner.ask(&["--pid", "1"]).assert_ended(1, &nothing(unsure));
    sockowner.ask(&["--pid", "1", "--strict"]).assert_ended(3, &nothing(unsure));
    let unsure = "no endpoint is seen that belongs to unit none, but 2 processes may not be inspected";
    sockowner.ask(&["--unit", "none"]).assert_ended(1, &nothing(unsure));
    // Which endpoints there are, everybody may know.
    sockowner.ask(&["who", ":9", "--strict"]).assert_ended(1, &nothing("no endpoint matches :9"));
    sockowner
        .ask(&["--unit", "none", "--no-owners"])
        .assert_ended(1, &nothing("no endpoint belongs to unit none"));
    sockowner.ask(&["--no-owners", "--strict"]).assert_complete();
}

fn a_user_may_write_what_is_no_text() {
    let dir = public_dir();
    let name = OsStr::from_bytes(b"no\xff text");
    let exe = dir.path().join(name);
    let (_roots, own) =
        (Actor::spawn(), Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).exe(exe).spawn());
    own.tcp_listen("127.0.0.1:8002");
    let sockowner = PublicCopy::new();
    let answer = answer(sockowner.program(&["--exe"]).arg(name));
    assert_eq!(answer.stdout().lines().count(), 2, "{}", answer.stdout());
    let said = "sockowner: further processes may have these endpoints too: 2 processes may not be inspected; \
                run 'sudo sockowner' to see them\n";
    answer.assert_ended(0, said);
}

fn root_of_another_user_namespace_is_told_so() {
    let roots = Actor::spawn();
    roots.tcp_listen("127.0.0.1:8001");
    let said = "sockowner: 1 of 1 endpoint has no process shown: 2 processes may not be inspected; \
                root of this user namespace is not the system's root: ask outside of it\n";
    PublicCopy::new().ask_in_user_namespace(&["-tl"]).assert_ended(0, said);
}

fn root_misses_nothing() {
    let (roots, others) = (Actor::spawn(), ordinary_user());
    roots.tcp_listen("127.0.0.1:8001");
    others.tcp_listen("127.0.0.1:8002");
    for words in [&["--strict"][..], &["--strict", "--json"], &["--strict", "who", ":8002"]] {
        ask(words).assert_complete();
    }
    let rows = ask(&["--json"]).endpoints();
    let owners: Vec<_> = rows.iter().map(|row| row["owner"]["pid"].clone()).collect();
    assert_eq!(owners, [roots.pid(), others.pid()]);
}

fn processes_that_are_not_listed_are_missed() {
    let (roots, others) = (Actor::spawn(), ordinary_user());
    roots.tcp_listen("127.0.0.1:8001");
    others.tcp_listen("127.0.0.1:8002");
    let sockowner = PublicCopy::new();
    let missing = |rows: &str, command: &str| {
        format!(
            "sockowner: {rows} no process shown: other users' processes are not listed (hidepid); \
             run 'sudo {command}' to see them\n"
        )
    };
    let all = sockowner.ask(&[]);
    all.assert_ended(0, &missing("1 of 2 endpoints has", "sockowner"));
    let rows: Vec<_> = all.stdout().lines().skip(1).collect();
    assert!(rows[0].contains("127.0.0.1:8001") && rows[0].contains(" -  (not permitted) "), "{rows:?}");
    assert!(rows[1].contains("127.0.0.1:8002") && rows[1].contains(&format!(" {}  live_cli-", others.pid())));
    let document = sockowner.ask(&["--json", "--strict"]);
    document.assert_ended(3, &missing("1 of 2 endpoints has", "sockowner --json --strict"));
    let gap = r#"[{"source":"proc","object":"/proc (hidepid)","reason":"not_permitted","count":1}]"#;
    assert!(document.stdout().ends_with(&format!("\"gaps\":{gap}}}\n")), "{}", document.stdout());

    let page = sockowner.ask(&["who", ":8002"]);
    page.assert_complete();
    let seen = "the only process that has it, as far as may be seen: \
                other users' processes are not listed (hidepid)\n";
    assert!(page.stdout().contains(seen), "{}", page.stdout());
    let page = sockowner.ask(&["who", ":8001"]);
    page.assert_ended(0, &missing("1 of 1 endpoint has", "sockowner who :8001"));
    assert!(page.stdout().contains("\n  owner       (not permitted) "), "{}", page.stdout());
    // That there is no such process cannot be told.
    let unsure = "sockowner: no endpoint is seen that is held by pid 1, \
                  but other users' processes are not listed (hidepid)\n";
    sockowner.ask(&["--pid", "1"]).assert_ended(1, unsure);
}

fn hidepid_hides_nothing_from_root() {
    root_misses_nothing();
}

fn without_proc_there_are_no_owners() {
    let actor = Actor::spawn();
    actor.tcp_listen("127.0.0.1:8001");
    let failed =
        "sockowner: look for the processes that hold sockets: no proc file system is mounted at /proc\n";
    for words in [&[][..], &["-tl"], &["--json"], &["--pid", "7"], &["who", ":8001"], &["--strict"]] {
        let answer = ask(words);
        answer.assert_ended(2, failed);
        assert_eq!(answer.stdout(), "", "{words:?}");
    }
    // Where cgroups are mounted stands in /proc, too. A kernel that tells no cgroups misses nothing.
    let gap = "sockowner: /proc/self/mountinfo is not there, so units and containers may be missing\n";
    let all = ask(&["--no-owners", "--strict"]);
    assert!(
        matches!((all.status(), all.stderr()), (0, said) if said.is_empty() || said == gap),
        "{}",
        all.stderr()
    );
    assert_text(
        all.stdout(),
        "\
PROTO  STATE   LOCAL           REMOTE  USER  PID  PROCESS  UNIT
tcp    LISTEN  127.0.0.1:8001  *       root    -  -        -
",
    );
    ask(&["who", ":7"]).assert_ended(1, "sockowner: no endpoint matches :7\n");
}
