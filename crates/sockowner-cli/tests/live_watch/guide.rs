//! What GUIDE.md shows of `sockowner watch`, on a terminal as large as the guide's.

use std::process::{Command, Stdio};

use sockowner_testkit::Actor;
use sockowner_testkit::Requirement::Cgroup2;
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::guide::Section;

use super::screen::{PROGRAM, Screen, TMUX};

tests! {
    Alone the_guide_tells_how_to_watch needs TMUX, Cgroup2;
}

const GUIDE: &str = include_str!("../../../../GUIDE.md");
const UNIT: &str = "sockowner-web.service";

fn the_guide_tells_how_to_watch() {
    let dir = tempfile::tempdir().unwrap();
    let cgroup = Scratch::new(&format!("/system.slice/{UNIT}"));
    let web = Actor::builder().exe(dir.path().join("web")).cgroup(&cgroup).spawn();
    web.tcp_listen("0.0.0.0:8080");
    let mut section = Section::of(GUIDE, "See it come and go");
    let words = |command: &str| -> Vec<String> {
        let words = command.strip_prefix("sockowner watch ").expect("it is watched");
        words.split_whitespace().map(str::to_owned).collect()
    };
    section.step(|command| {
        let words = words(command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let screen = Screen::watch(80, 24, &[], &words);
        let shown = screen.until("the list", |screen| screen.contains(":8080 "));
        screen.press(&["q"]);
        screen.assert_ended(0);
        Some(shown)
    });
    section.step(|command| {
        let mut program = Command::new(PROGRAM);
        let output = program.arg("watch").args(words(command)).stdin(Stdio::null()).output().unwrap();
        Some(String::from_utf8(output.stdout).unwrap().replace(UNIT, "shop.service"))
    });
    section.end();
}
