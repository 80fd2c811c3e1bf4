//! Names that would do something to a terminal.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use sockowner_testkit::Requirement::{Cgroup2, Interface, OtherUser};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::{Actor, netns};

use super::machine::WEB;
use super::program::{Answer, PublicCopy, answer, ask, program, public_dir};

tests! {
    Alone no_value_is_a_formula_to_a_spreadsheet;
    Alone no_name_does_anything_to_a_terminal needs Cgroup2, OtherUser;
    Alone no_cgroup_does_anything_to_a_terminal needs Cgroup2;
    Alone no_interface_does_anything_to_a_terminal needs Interface;
}

/// As bytes, and as they are shown.
const NAMES: [(&[u8], &str); 7] = [
    (b"\x1b[2J\x1b]0;title\x07", r#""\x1b[2J\x1b]0;title\x07""#),
    (b"two\nlines\r\tand more", r#""two\x0alines\x0d\x09and more""#),
    ("sh\u{202e}gpj.exe".as_bytes(), r#""sh\u{202e}gpj.exe""#),
    (b"\xff\xfe not UTF-8 \xc3", r#""\xff\xfe\x20not UTF-8\x20\xc3""#),
    ("\u{9b}2J\u{7f}\u{200b}\u{feff}".as_bytes(), r#""\u{9b}2J\x7f\u{200b}\u{feff}""#),
    (b"sshd   root", r#""sshd\x20\x20\x20root""#),
    (b"quote\"back\\slash", "quote\"back\\slash"),
];

/// Both streams hold nothing but what can be seen, and line feeds.
#[track_caller]
fn assert_harmless(answer: &Answer) {
    for bytes in answer.bytes() {
        let text = std::str::from_utf8(bytes);
        let text = text.unwrap_or_else(|error| panic!("{error}: {}", bytes.escape_ascii()));
        let is_harmful = |c: char| {
            c.is_control() && c != '\n' || ('\u{200b}'..='\u{202e}').contains(&c) || c == '\u{feff}'
        };
        assert_eq!(text.chars().find(|&c| is_harmful(c)), None, "{}", bytes.escape_ascii());
    }
}

fn no_name_does_anything_to_a_terminal() {
    let (dir, sockowner) = (public_dir(), PublicCopy::new());
    let unit = Scratch::new(WEB);
    for (at, (name, shown)) in NAMES.iter().enumerate() {
        let name = OsStr::from_bytes(name);
        let actor = Actor::builder().exe(dir.path().join(name)).cgroup(&unit).spawn();
        actor.tcp_listen("127.0.0.1:80");
        // What it calls itself: the kernel keeps 15 bytes.
        let (chosen, _) = NAMES[(at + 1) % NAMES.len()];
        let chosen = &chosen[..chosen.len().min(15)];
        actor.set_comm(OsStr::from_bytes(chosen));

        let list = ask(&[]);
        list.assert_complete();
        assert_harmless(&list);
        assert!(list.stdout().contains(&format!("  {shown}  sockowner-web.service\n")), "{}", list.stdout());
        let page = ask(&["who", ":80"]);
        page.assert_complete();
        assert_harmless(&page);
        assert!(page.stdout().contains(&format!("\n  owner       {shown}, pid ")), "{}", page.stdout());
        assert!(page.stdout().contains("\n              calls itself "), "{}", page.stdout());
        // To another user it is a candidate, known by what it calls itself.
        let theirs = sockowner.ask(&["who", ":80"]);
        assert_harmless(&theirs);
        assert!(theirs.stdout().contains("\n  candidates  "), "{}", theirs.stdout());

        assert_eq!(ask_for_executable(name).status(), 0);
        let nobody = OsString::from_iter([name, OsStr::new("\u{1b}?")]);
        let nobody = ask_for_executable(&nobody);
        assert_eq!(nobody.status(), 1);
        assert_harmless(&nobody);

        let document = ask(&["--json"]);
        document.assert_complete();
        assert_harmless(&document);
        let owner = &document.endpoints()[0]["owner"];
        assert_eq!(owner["name"], name.to_string_lossy().as_ref());
        assert_eq!(owner["comm"], String::from_utf8_lossy(chosen).as_ref());

        let lines = ask(&["--jsonl"]);
        lines.assert_complete();
        assert_harmless(&lines);
        assert_eq!(lines.json_lines()[0]["owner"], *owner);
        let records = ask(&["--csv", "--no-header", "-o", "name,path,cmdline,service"]);
        records.assert_complete();
        assert_harmless(&records);
        assert_eq!(records.stdout().lines().count(), 1, "{}", records.stdout());
        let record = &records.csv()[0];
        assert_eq!((&record[0], &record[3]), (*shown, "sockowner-web.service"));
        let columns = ask(&["-o", "name,comm,path,cmdline"]);
        columns.assert_complete();
        assert_harmless(&columns);
        assert_eq!(columns.stdout().lines().count(), 2, "{}", columns.stdout());
    }
}

fn no_value_is_a_formula_to_a_spreadsheet() {
    let dir = public_dir();
    for name in ["=cmd|x!A1", "+1+1", "-1", "@SUM(A1)"] {
        let actor = Actor::builder().exe(dir.path().join(name)).spawn();
        actor.tcp_listen("127.0.0.1:80");
        let records = ask(&["--csv", "--no-header", "-o", "name,process"]);
        records.assert_complete();
        let shown = format!("\"{name}\"");
        assert_eq!(records.csv()[0], vec![shown.as_str(), &shown]);
        assert!(ask(&["-o", "name"]).stdout().ends_with(&format!("\n{name}\n")), "people read it as it is");
    }
}

fn ask_for_executable(name: &OsStr) -> Answer {
    answer(program(&["--exe"]).arg(name))
}

fn no_cgroup_does_anything_to_a_terminal() {
    for (path, shown) in [
        ("/system.slice/\u{1b}[2J\u{202e}.service", r#""/system.slice/\x1b[2J\u{202e}.service""#),
        ("/docker/a  b\u{7}\u{9b}", r#""/docker/a\x20\x20b\x07\u{9b}""#),
    ] {
        let cgroup = Scratch::new(path);
        let actor = Actor::builder().cgroup(&cgroup).spawn();
        actor.tcp_listen("127.0.0.1:80");
        let (list, page) = (ask(&[]), ask(&["who", ":80"]));
        for answer in [&list, &page] {
            answer.assert_complete();
            assert_harmless(answer);
        }
        assert!(page.stdout().contains(&format!("\n  cgroup      {shown} (id ")), "{}", page.stdout());
        assert_eq!(ask(&["--json"]).endpoints()[0]["cgroup"]["path"], path);
    }
}

/// Who makes a user namespace names interfaces as he likes.
fn no_interface_does_anything_to_a_terminal() {
    let index = netns::add_dummy("\x1b]0;x,\u{9b}y", &["fe80::1/64"]).unwrap();
    let actor = Actor::spawn();
    let at = |port: u16| format!("[fe80::1%{index}]:{port}");
    actor.tcp_listen(at(9));
    let bound = actor.udp_bind(at(4712));
    actor.udp_connect(bound.fd, at(4799));
    let host = r#"fe80::1%"\x1b]0;x,\u{9b}y""#;
    let (table, page) = (ask(&[]), ask(&["who", ":4712"]));
    for (answer, shown) in [
        (&table, format!("[{host}]:9  ")),
        (&table, format!("[{host}]:4712  [{host}]:4799  ")),
        (&ask(&["-o", "local_address,local_port"]), format!("{host}  ")),
        (&page, format!("udp [{host}]:4712 -> [{host}]:4799 ESTABLISHED\n")),
        (&page, format!("bound to interface {}\n", &host["fe80::1%".len()..])),
    ] {
        answer.assert_complete();
        assert_harmless(answer);
        assert!(answer.stdout().contains(&shown), "{shown}: {}", answer.stdout());
    }
    let records = ask(&["--csv", "--no-header", "-t", "-o", "local,local_address"]);
    records.assert_complete();
    assert_harmless(&records);
    assert_eq!(records.csv()[0], vec![&*format!("[{host}]:9"), host]);
    assert_harmless(&ask(&["--json"]));

    let hint = ask(&["who", "udp/:4799"]);
    assert_harmless(&hint);
    let words = [at(4712), at(4799)];
    let told = format!("1 connection: sockowner who '{}' '{}'\n", words[0], words[1]);
    assert!(hint.stderr().ends_with(&told), "{}", hint.stderr());
    ask(&["who", &words[0], &words[1]]).assert_complete();
}
