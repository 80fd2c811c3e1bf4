//! GUIDE.md: what it says to type is typed, and has to show what the guide shows.

use crate::wait::{PATIENCE, poll};

/// A section of the guide, whose commands are run in order.
#[derive(Debug)]
pub struct Section {
    title: String,
    /// The blocks that were not run yet; the next one is the last.
    blocks: Vec<Vec<Command>>,
}

/// A command, and the lines it shows.
#[derive(Debug, PartialEq, Eq)]
struct Command {
    typed: String,
    /// Empty where the guide shows none. `...` stands for any lines.
    shown: Vec<String>,
}

/// The titles of sections that have commands.
pub fn titles(guide: &str) -> Vec<&str> {
    sections(guide).filter(|(_, text)| text.contains(BLOCK)).map(|(title, _)| title).collect()
}

const BLOCK: &str = "```console\n";

fn sections(guide: &str) -> impl Iterator<Item = (&str, &str)> {
    guide.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'))
}

impl Section {
    /// # Panics
    ///
    /// Where the guide has no such section.
    #[track_caller]
    pub fn of(guide: &str, title: &str) -> Self {
        let found = sections(guide).find(|(found, _)| *found == title);
        let (_, text) = found.unwrap_or_else(|| panic!("the guide has no section {title:?}"));
        let blocks =
            text.split(BLOCK).skip(1).map(|rest| block(rest.split("```").next().unwrap_or_default()));
        Self { title: title.to_owned(), blocks: blocks.collect::<Vec<_>>().into_iter().rev().collect() }
    }

    /// Runs the next block. `run` is given a command, as for a shell, and yields what it shows; None: it failed. It is
    /// asked again until it shows what the guide shows.
    ///
    /// # Panics
    ///
    /// Where there is no other block, or something else is shown for long.
    #[track_caller]
    pub fn step(&mut self, run: impl Fn(&str) -> Option<String>) {
        let title = &self.title;
        let block = self.blocks.pop().unwrap_or_else(|| panic!("no other block in {title:?}"));
        for command in block {
            let mut last = None;
            let what = || {
                last = run(&command.typed.replace("sudo ", ""));
                last.as_ref().is_some_and(|shown| is_shown(&command.shown, shown)).then_some(())
            };
            if poll(PATIENCE, what).is_none() {
                let Command { typed, shown } = command;
                let last = last.unwrap_or_else(|| "(it failed)".into());
                panic!("{title:?}: {typed}\nshows\n{last}\nand not\n{}", shown.join("\n"));
            }
        }
    }

    /// # Panics
    ///
    /// Where a block was not run.
    #[track_caller]
    pub fn end(self) {
        assert_eq!(self.blocks, Vec::<Vec<Command>>::new(), "{:?} has blocks that were not run", self.title);
    }
}

fn block(text: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("$ ") {
            commands.push(Command { typed: typed.to_owned(), shown: Vec::new() });
        } else if let Some(command) = commands.last_mut() {
            command.shown.push(line.to_owned());
        }
    }
    commands
}

fn is_shown(expected: &[String], shown: &str) -> bool {
    let expected: Vec<String> = expected.iter().map(|line| plain(line)).collect();
    let shown: Vec<String> = shown.lines().map(plain).collect();
    expected.is_empty() || is_match(&expected, &shown)
}

fn is_match(expected: &[String], shown: &[String]) -> bool {
    match expected.split_first() {
        None => shown.is_empty(),
        Some((first, rest)) if first == "..." => (0..=shown.len()).any(|skip| is_match(rest, &shown[skip..])),
        Some((first, rest)) => {
            shown.split_first().is_some_and(|(line, more)| line == first && is_match(rest, more))
        }
    }
}

/// What does not differ from machine to machine: every number is 0, every blank the only one.
fn plain(line: &str) -> String {
    let mut text = String::new();
    for word in line.split_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        let mut rest = word;
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            text.push_str(&rest[..at]);
            text.push('0');
            rest = &rest[at..];
            rest = match rest.strip_prefix("0x") {
                Some(hex) => hex.trim_start_matches(|c: char| c.is_ascii_hexdigit()),
                None => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
            };
        }
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = "# Guide\n\n## One\n\ntext\n\n```console\n$ a b\npid 12 at +0x1af\n...\nend\n$ c\n```\n\n## Two\n\n```c\nint a;\n```\n";

    #[test]
    fn sections_with_commands_are_found() {
        assert_eq!(titles(GUIDE), ["One"]);
        assert_eq!(Section::of(GUIDE, "Two").blocks.len(), 0);
    }

    #[test]
    fn a_block_is_run_until_it_shows_what_the_guide_shows() {
        let mut section = Section::of(GUIDE, "One");
        let asked = std::cell::Cell::new(0);
        section.step(|command| match command {
            "a b" => {
                asked.set(asked.get() + 1);
                (asked.get() > 1).then(|| "pid 7  at +0x2\nmore\nend\n".into())
            }
            other => (other == "c").then(|| "anything\n".into()),
        });
        section.end();
        assert_eq!(asked.get(), 2);
    }

    #[test]
    #[should_panic(expected = "blocks that were not run")]
    fn no_block_is_passed_over() {
        Section::of(GUIDE, "One").end();
    }

    #[test]
    fn other_words_and_more_lines_are_something_else() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(is_shown(&lines("a 1\n..."), "a 22\nb\n"));
        assert!(is_shown(&lines("a 1\n..."), "a 22\n"));
        assert!(!is_shown(&lines("a 1"), "a 22\nb\n"));
        assert!(!is_shown(&lines("a 1\nb"), "a 22\n"));
        assert!(!is_shown(&lines("a 1"), "c 1\n"));
    }
}
