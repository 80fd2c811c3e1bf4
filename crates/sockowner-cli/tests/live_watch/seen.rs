//! What is seen, and what keys do.

use std::fs::{self, File};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use sockowner_testkit::Requirement::{Interface, OtherUser};
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, netns};

use super::picture::public_dir;
use super::screen::{PROGRAM, Screen, TMUX};

tests! {
    Alone endpoints_come_change_and_go needs TMUX;
    Alone keys_sort_filter_group_and_freeze needs TMUX;
    Alone one_endpoint_is_explained_and_copied needs TMUX;
    Alone what_no_pattern_names_is_explained needs TMUX, Interface;
    Alone what_is_read_about_is_said_to_be_closed needs TMUX;
    Alone what_is_closed_is_told_as_far_as_it_was_seen needs TMUX, OtherUser;
    Alone a_resize_draws_anew needs TMUX;
    Alone colours_are_for_who_wants_them needs TMUX;
    Alone no_name_reaches_the_terminal_raw needs TMUX;
    Alone filters_of_the_list_are_obeyed needs TMUX;
    Alone namespaces_have_a_column_and_a_group needs TMUX;
    Alone what_no_column_shows_is_not_searched needs TMUX;
    Alone a_name_that_becomes_another_namespaces_is_followed needs TMUX;
}

/// What the tests are driven at.
const SIZES: [(usize, usize); 3] = [(80, 24), (120, 40), (40, 12)];

/// The line that shows this local port, without what is behind.
fn line(screen: &str, port: &str) -> Option<String> {
    let found = screen.lines().find(|line| line.contains(&format!(":{port} ")));
    found.map(|line| line.trim_end().to_owned())
}

fn has(screen: &str, port: &str, sign: &str) -> bool {
    line(screen, port).is_some_and(|line| line.starts_with(sign))
}

fn endpoints_come_change_and_go() {
    for (columns, lines) in SIZES {
        let actor = Actor::spawn();
        let listener = actor.tcp_listen("127.0.0.1:4000");
        // One on which marks stay until it is asked for the next list, and one on which they end by themselves.
        let screen = Screen::watch(columns, lines, &[], &["--interval", "1000"]);
        let quick = Screen::watch(columns, lines, &[], &["--interval", "0.2"]);
        quick.until("the listener", |screen| has(screen, "4000", " "));
        let shown = screen.until("the listener", |screen| has(screen, "4000", " "));
        assert!(line(&shown, "4000").unwrap().contains(&actor.pid().to_string()), "{shown}");
        assert_eq!(shown.lines().count(), lines, "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= columns), "{shown}");
        // New ones stand above old ones.
        let other = actor.tcp_listen("127.0.0.1:3999");
        actor.tcp_listen("127.0.0.1:4002");
        screen.press(&["F5"]);
        let shown = screen.until("new ones", |screen| has(screen, "3999", "+") && has(screen, "4002", "+"));
        let at = |port: &str| shown.find(&format!(":{port} ")).unwrap();
        assert!(at("4002") < at("4000") && at("3999") < at("4000"), "{shown}");
        quick.until("the end of marks", |screen| has(screen, "3999", " ") && has(screen, "4002", " "));
        // Another process has it too.
        let child = actor.fork();
        screen.press(&["F5"]);
        screen.until("the change", |screen| has(screen, "4000", "~"));
        actor.close(other.fd);
        quick.until("the mark's end", |screen| has(screen, "4000", " "));
        // The child still has what its parent closed.
        quick.until("the child's", |screen| {
            line(screen, "3999").is_some_and(|line| line.contains(&child.to_string()))
        });
        let late = actor.tcp_listen("127.0.0.1:4010");
        screen.press(&["F5"]);
        screen.until("the last", |screen| has(screen, "4010", "+"));
        quick.until("the last", |screen| line(screen, "4010").is_some());
        actor.close(late.fd);
        screen.press(&["F5"]);
        screen.until("its end", |screen| has(screen, "4010", "-"));
        quick.until("that it is away", |screen| line(screen, "4010").is_none());
        assert!(has(&quick.shown(), &listener.addr.port().to_string(), " "));
        for screen in [screen, quick] {
            screen.press(&["q"]);
            screen.assert_ended(0);
        }
    }
}

fn order(screen: &str, ports: &[&str]) -> Vec<String> {
    let mut found: Vec<_> =
        ports.iter().filter_map(|port| Some((screen.find(&format!(":{port} "))?, port))).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, port)| (*port).to_string()).collect()
}

fn keys_sort_filter_group_and_freeze() {
    let (one, two) = (Actor::spawn(), Actor::spawn());
    one.tcp_listen("127.0.0.1:4003");
    two.tcp_listen("127.0.0.1:4001");
    one.udp_bind("127.0.0.1:4002");
    let ports = ["4001", "4002", "4003"];
    for (columns, lines) in SIZES {
        let screen = Screen::watch(columns, lines, &[], &["--interval", "0.2"]);
        screen.until("the list", |screen| order(screen, &ports) == ["4001", "4003", "4002"]);
        screen.press(&["o"]);
        screen.until("by port", |screen| order(screen, &ports) == ["4001", "4002", "4003"]);
        screen.press(&["r"]);
        screen.until("reversed", |screen| order(screen, &ports) == ["4003", "4002", "4001"]);
        screen.press(&["/", "u", "d", "p"]);
        screen.until("filtered as typed", |screen| {
            order(screen, &ports) == ["4002"] && screen.contains("filter: udp_")
        });
        screen.press(&["BSpace", "BSpace", "BSpace", "n", "o", "n", "e"]);
        screen.until("nothing", |screen| screen.contains("nothing passes the filter"));
        screen.press(&["Escape"]);
        screen.until("all again", |screen| order(screen, &ports).len() == 3);
        screen.press(&["g"]);
        screen.until("by process", |screen| {
            let heads = [(&one, 2), (&two, 1)];
            heads.iter().all(|(actor, count)| screen.contains(&format!(", pid {} ({count})", actor.pid())))
        });
        screen.press(&["g"]);
        screen.until("by unit", |screen| screen.contains("(no unit) (3)") || screen.contains(".service ("));
        screen.press(&["g", "g", "?"]);
        screen.until("help", |screen| screen.contains("keys and marks") && screen.contains("PgUp PgDn"));
        screen.press(&["?"]);
        screen.until("the list again", |screen| order(screen, &ports).len() == 3);
        screen.press(&["/", "u", "C-u", "4", "0", "0", "3"]);
        screen.until("what is typed anew", |screen| {
            order(screen, &ports) == ["4003"] && screen.contains("filter: 4003_")
        });
        screen.press(&["Escape"]);
        screen.until("all of them", |screen| order(screen, &ports).len() == 3);
        screen.press(&["Space"]);
        screen.until("frozen", |screen| screen.contains("FROZEN") && order(screen, &ports).len() == 3);
        // On which a mark stays until it is asked for the next list.
        let marked = Screen::watch(columns, lines, &[], &["--interval", "1000"]);
        marked.until("the list", |screen| order(screen, &ports).len() == 3);
        marked.press(&["Space"]);
        marked.until("frozen", |screen| screen.contains("FROZEN"));
        let late = one.tcp_listen("127.0.0.1:4009");
        screen.press(&["/", "4", "0", "0", "9"]);
        screen.until("that it is not seen", |screen| screen.contains("nothing passes the filter"));
        screen.press(&["Escape"]);
        screen.until("the list again", |screen| order(screen, &ports).len() == 3);
        screen.press(&["Space"]);
        screen.until("what came meanwhile", |screen| line(screen, "4009").is_some());
        marked.press(&["F5"]);
        marked.until("that it is frozen", |screen| screen.contains("frozen: space goes on"));
        assert_eq!(line(&marked.shown(), "4009"), None);
        marked.press(&["Space", "F5"]);
        marked.until("what came meanwhile", |screen| has(screen, "4009", "+"));
        one.close(late.fd);
    }
}

fn one_endpoint_is_explained_and_copied() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:4000");
    for (columns, lines) in SIZES {
        let screen = Screen::watch(columns, lines, &[], &["--interval", "0.2"]);
        screen.until("the list", |screen| has(screen, "4000", " "));
        screen.press(&["Enter"]);
        let shown = screen.until("the details", |screen| screen.contains("all that is known of it"));
        assert!(shown.contains("tcp 127.0.0.1:4000 LISTEN"), "{shown}");
        assert!(shown.contains(&format!("pid {}", actor.pid())), "{shown}");
        screen.press(&["End"]);
        screen.until("the last line", |screen| {
            screen.split_whitespace().collect::<Vec<_>>().join(" ").contains("nothing records that here")
        });
        screen.press(&["Escape"]);
        screen.until("the list again", |screen| has(screen, "4000", " "));
        screen.asked(&["set-option", "-s", "set-clipboard", "on"]);
        screen.press(&["y"]);
        screen.until("the JSON", |screen| screen.contains("\"protocol\": \"tcp\","));
        let copied: serde_json::Value = serde_json::from_str(&screen.asked(&["show-buffer"])).unwrap();
        assert_eq!(copied["cookie"], listener.cookie);
        assert_eq!(copied["owner"]["pid"], actor.pid());
        screen.press(&["q"]);
        screen.assert_ended(0);
    }
}

/// A peer of port 0, and a zone with what parts two sides in its name.
fn what_no_pattern_names_is_explained() {
    let index = netns::add_dummy("a,b->c", &["fe80::1/64"]).unwrap();
    let (peer, zone) = (Actor::spawn(), Actor::spawn());
    let bound = peer.udp_bind("127.0.0.1:4000");
    peer.udp_connect(bound.fd, "127.0.0.1:0");
    zone.tcp_listen(format!("[fe80::1%{index}]:4000"));
    for (actor, protocol, called) in [
        (&peer, "-u", "udp 127.0.0.1:4000 -> 127.0.0.1:0 ESTABLISHED"),
        (&zone, "-t", "tcp [fe80::1%a,b->c]:4000 LISTEN"),
    ] {
        let screen = Screen::watch(120, 40, &[], &[protocol, "--interval", "0.2"]);
        screen.until("the list", |screen| has(screen, "4000", " "));
        screen.press(&["Enter"]);
        let shown = screen.until("the details", |screen| screen.contains("all that is known of it"));
        assert!(shown.contains(called), "{shown}");
        assert!(shown.contains(&format!("pid {}", actor.pid())), "{shown}");
        screen.press(&["q"]);
        screen.assert_ended(0);
    }
}

fn what_is_read_about_is_said_to_be_closed() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:4000");
    let screen = Screen::watch(80, 24, &[], &["--interval", "0.2"]);
    screen.until("the list", |screen| has(screen, "4000", " "));
    screen.press(&["Enter"]);
    screen.until("the details", |screen| screen.contains("all that is known of it"));
    // The first line of the list is another one now.
    let other = actor.tcp_listen("127.0.0.1:4001");
    actor.close(listener.fd);
    let shown = screen.until("its end", |screen| screen.contains("closed: this is what was last seen of it"));
    assert!(shown.contains("tcp 127.0.0.1:4000 LISTEN"), "{shown}");
    assert!(shown.contains(&format!("pid {}", actor.pid())), "{shown}");
    screen.asked(&["set-option", "-s", "set-clipboard", "on"]);
    screen.press(&["y"]);
    screen.until("the JSON", |screen| screen.contains("\"protocol\": \"tcp\","));
    let copied: serde_json::Value = serde_json::from_str(&screen.asked(&["show-buffer"])).unwrap();
    assert_ne!(copied["cookie"], other.cookie);
    assert_eq!(copied["cookie"], listener.cookie);
    screen.press(&["q"]);
    screen.assert_ended(0);
}

/// Root's process may have it too.
fn what_is_closed_is_told_as_far_as_it_was_seen() {
    let dir = public_dir();
    let program = dir.path().join("sockowner");
    fs::copy(PROGRAM, &program).unwrap();
    let id = ORDINARY_UID.to_string();
    let actor = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let listener = actor.tcp_listen("127.0.0.1:4000");
    let _hidden = Actor::spawn();
    let words = ["--interval", "0.2"];
    let program = program.to_str().unwrap();
    let other = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", program, "watch"];
    let script = "echo before; exec \"$@\"";
    let screen = Screen::run(80, 24, script, &[&["env", "TZ=UTC"], &other[..], &words].concat());
    screen.until("the list", |screen| has(screen, "4000", " "));
    let is_told = |screen: &str| {
        let told = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        told.contains("the only process that has it, as far as may be seen")
            && told.contains("may not be inspected")
    };
    screen.press(&["Enter"]);
    screen.until("the details", |screen| screen.contains("all that is known of it") && is_told(screen));
    actor.close(listener.fd);
    screen.until("its end", |screen| screen.contains("closed: this is what") && is_told(screen));
}

fn a_resize_draws_anew() {
    let actor = Actor::spawn();
    actor.tcp_listen("127.0.0.1:4000");
    // So seldom that it is not a refresh that draws.
    let screen = Screen::watch(80, 24, &[], &["--interval", "1000"]);
    screen.until("the list", |screen| has(screen, "4000", " ") && screen.contains("REMOTE"));
    for (columns, lines) in [(120, 40), (40, 12), (80, 24), (20, 5), (120, 40)] {
        screen.resize(columns, lines);
        let shown = screen.until("the new size", |screen| {
            let foot = screen.lines().nth(lines - 1).unwrap_or_default();
            foot.starts_with(" q quit")
                && screen.starts_with("sockowner  1 endp")
                && screen.contains("UNIT") == (columns >= 110)
                && screen.contains("REMOTE") == (columns >= 60)
        });
        assert_eq!(shown.lines().count(), lines, "{shown}");
        assert!(columns < 40 || has(&shown, "4000", " "), "{shown}");
    }
}

fn colours_are_for_who_wants_them() {
    for (variables, coloured) in [(&[][..], true), (&["NO_COLOR=1"], false), (&["NO_COLOR="], true)] {
        let actor = Actor::spawn();
        let screen = Screen::watch(80, 24, variables, &["--interval", "1000"]);
        screen.until("the list", |screen| screen.contains("nothing to show"));
        actor.tcp_listen("127.0.0.1:4000");
        actor.tcp_listen("127.0.0.1:4001");
        screen.press(&["F5"]);
        screen.until("new ones", |screen| has(screen, "4000", "+") && has(screen, "4001", "+"));
        let green = screen.styled().contains("\u{1b}[38;5;2m");
        assert_eq!(green, coloured, "{:?}", screen.styled());
    }
}

fn no_name_reaches_the_terminal_raw() {
    let dir = tempfile::tempdir().unwrap();
    let actor = Actor::builder().exe(dir.path().join("evil\u{1b}[2J\u{7}\u{9b}x")).spawn();
    actor.tcp_listen("127.0.0.1:4000");
    let screen = Screen::watch(120, 40, &[], &["--interval", "0.2"]);
    screen.until("the name", |screen| {
        line(screen, "4000").is_some_and(|line| line.contains(r#""evil\x1b[2J"#))
    });
    screen.asked(&["set-option", "-s", "set-clipboard", "on"]);
    for key in ["y", "Enter"] {
        screen.press(&[key]);
        let shown = screen
            .until("all of it", |screen| !screen.contains(" by newest\n\n") && screen.contains("Esc back"));
        assert!(shown.starts_with("sockowner  1 endpoint "), "{shown}");
        if key == "y" {
            let copied = screen.asked(&["show-buffer"]);
            assert!(!copied.chars().any(|c| c != '\n' && c.is_control()), "{copied:?}");
            let copied: serde_json::Value = serde_json::from_str(&copied).unwrap();
            assert_eq!(copied["owner"]["name"], "evil\u{1b}[2J\u{7}\u{9b}x");
        }
        assert!(shown.contains(r"evil\x1b[2J") || shown.contains(r"evil\u001b[2J"), "{shown}");
        screen.press(&["Escape"]);
        screen.until("the list", |screen| line(screen, "4000").is_some_and(|line| line.contains("LISTEN")));
    }
}

fn filters_of_the_list_are_obeyed() {
    let (one, two) = (Actor::spawn(), Actor::spawn());
    one.tcp_listen("127.0.0.1:4000");
    two.tcp_listen("127.0.0.1:4001");
    two.udp_bind("127.0.0.1:4002");
    let pid = two.pid().to_string();
    let screen = Screen::watch(80, 24, &[], &["-t", "--pid", &pid, "--interval", "0.2"]);
    let shown = screen.until("the list", |screen| has(screen, "4001", " "));
    assert!(line(&shown, "4000").is_none() && line(&shown, "4002").is_none(), "{shown}");
    assert!(shown.starts_with("sockowner  1 endpoint "), "{shown}");
}

fn private_names() {
    mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
    fs::create_dir("/run/netns").unwrap();
}

/// Makes a network namespace of this name, with a listener in it.
fn named(name: &str, listener: &str) -> Actor {
    let file = format!("/run/netns/{name}");
    netns::inside(|| {
        File::create(&file).unwrap();
        mount_bind("/proc/thread-self/ns/net", file.as_str()).unwrap();
        let actor = Actor::spawn();
        actor.tcp_listen(listener);
        actor
    })
}

fn a_name_that_becomes_another_namespaces_is_followed() {
    private_names();
    let _blue = named("blue", "127.0.0.1:4711");
    // Marks stay until it is asked for the next list.
    let screen = Screen::watch(120, 24, &[], &["--netns", "blue", "-tl", "--interval", "1000"]);
    screen.until("the first", |screen| has(screen, "4711", " "));
    let details = Screen::watch(120, 24, &[], &["--netns", "blue", "-tl", "--interval", "0.2"]);
    details.until("the first", |screen| has(screen, "4711", " "));
    details.press(&["Enter"]);
    details.until("the details", |screen| screen.contains("all that is known of it"));
    unmount("/run/netns/blue", UnmountFlags::DETACH).unwrap();
    fs::remove_file("/run/netns/blue").unwrap();
    screen.press(&["F5"]);
    screen.until("that it has no name", |screen| {
        screen.contains("'blue' does not stand for this network namespace any more")
            && has(screen, "4711", " ")
    });
    let _other = named("blue", "127.0.0.1:4712");
    screen.press(&["F5"]);
    screen.until("the other", |screen| {
        screen.contains("'blue' is another network namespace than before")
            && has(screen, "4711", "?")
            && has(screen, "4712", "+")
    });
    // It is open still, in the other namespace.
    let shown = details.until("that it is elsewhere", |screen| {
        screen.contains("this is what was last seen of it: 'blue' is another network namespace than before")
    });
    assert!(shown.contains("tcp 127.0.0.1:4711 LISTEN"), "{shown}");
    screen.press(&["q"]);
    screen.assert_ended(0);
}

fn what_no_column_shows_is_not_searched() {
    private_names();
    let _blue = named("blue", "127.0.0.1:4711");
    let screen = Screen::watch(120, 24, &[], &["--netns", "blue", "-tl", "--interval", "0.2"]);
    screen.until("the list", |screen| has(screen, "4711", " "));
    screen.press(&["/", "b", "l", "u", "e"]);
    screen.until("nothing", |screen| screen.contains("nothing passes the filter"));
    screen.press(&["C-u", "4", "7", "1", "1"]);
    screen.until("it", |screen| has(screen, "4711", " ") && screen.contains("filter: 4711_"));
}

fn namespaces_have_a_column_and_a_group() {
    private_names();
    let home = Actor::spawn();
    home.tcp_listen("127.0.0.1:4711");
    let blue = named("blue", "127.0.0.1:4711");
    let of = |screen: &str, actor: &Actor| {
        let pid = format!(" {} ", actor.pid());
        screen.lines().find(|line| line.contains(&pid)).map(str::to_owned)
    };
    let screen = Screen::watch(80, 24, &[], &["--all-netns", "-tl", "--interval", "0.2"]);
    let shown = screen.until("both", |screen| of(screen, &home).is_some() && of(screen, &blue).is_some());
    assert!(shown.lines().nth(1).unwrap().starts_with("  NETNS    PROT"), "{shown}");
    assert!(of(&shown, &blue).unwrap().contains(" blue     tcp  LISTEN"), "{shown}");
    assert!(of(&shown, &home).unwrap().contains(" pid:1    tcp  LISTEN"), "{shown}");
    // Equal rows are told apart on a narrow screen too.
    screen.resize(40, 12);
    screen.until("both", |screen| {
        let of = |name| screen.lines().any(|line| line.contains(name) && line.contains(" 127.0.0.1:4711 "));
        of(" blue ") && of(" pid:1 ")
    });
    screen.resize(80, 24);
    screen.press(&["g", "g", "g", "g"]);
    screen.until("groups", |screen| {
        screen.contains("per network namespace")
            && screen.lines().any(|line| line.starts_with("blue (1)"))
            && screen.lines().any(|line| line.starts_with("pid:1 (1)"))
    });
    // The namespace is a word as any other.
    screen.press(&["g", "/", "b", "l", "u", "e"]);
    screen.until("blue alone", |screen| of(screen, &blue).is_some() && of(screen, &home).is_none());
    screen.press(&["Enter", "Enter"]);
    let shown = screen.until("the details", |screen| screen.contains("all that is known of it"));
    let told = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("network namespace blue ("), "{shown}");
    assert!(told.contains(&format!("pid {}", blue.pid())), "{shown}");
    screen.press(&["q"]);
    screen.assert_ended(0);
}
