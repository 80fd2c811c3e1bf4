//! Which library made a call, for people.

use std::io::{self, Write};

use sockowner::{Component, ComponentEvidence, ComponentFrame};

use crate::block::Block;
use crate::naming;
use crate::text::{shown_os, shown_word};

/// What it is called and how it is known; with `is_told`, its file was told of before.
pub(super) fn write(
    block: &mut Block<'_, impl Write>,
    component: &Component,
    is_told: bool,
) -> io::Result<()> {
    block.datum("", &name(component))?;
    block.sentence("", &grade(component))?;
    if !is_told {
        block.datum("", &file(component))?;
    }
    if component.chain.len() > 1 {
        block.datum("", &format!("stack: {}", chain(&component.chain)))?;
    }
    Ok(())
}

/// The file is the same.
pub(super) fn is_same_file(one: &Component, other: &Component) -> bool {
    (&one.path, &one.build_id) == (&other.path, &other.build_id)
}

/// `by libcurl.so.4 +0x1f2e0 (cfi)`.
fn name(component: &Component) -> String {
    let offset = component.offset.map(|offset| format!(" +{offset:#x}")).unwrap_or_default();
    format!("by {}{offset} ({})", shown_word(&component.name), component.evidence)
}

/// What the grade means.
fn grade(component: &Component) -> String {
    let words = match component.evidence {
        ComponentEvidence::Cfi => "proved by its stack, call by call",
        ComponentEvidence::CallTarget => "called last on its stack; that function left no frame of its own",
        ComponentEvidence::CfiIndirect => {
            "on its stack, but reached by a pointer: another may have made the call for it"
        }
        ComponentEvidence::ReturnAddress => "where the call returns to; the rest of its stack is not known",
        ComponentEvidence::ExecutableOnly => "its stack names no library, so this is its executable",
        other => other.as_str(),
    };
    if component.generated {
        format!("{words}; the call came from code made at run time, and this is the nearest file")
    } else {
        words.to_owned()
    }
}

fn file(component: &Component) -> String {
    let path = component.path.as_ref().map(|path| shown_os(path.as_os_str()));
    let path = path.as_deref().unwrap_or("path not known");
    match &component.build_id {
        Some(build_id) => format!("{path}, build-id {}", naming::build_id(build_id)),
        None => format!("{path}, no build-id"),
    }
}

/// The system call's side first. A name with a space is in quotes, so each is seen where it ends.
fn chain(frames: &[ComponentFrame]) -> String {
    let frame = |ComponentFrame { name, offset, .. }: &ComponentFrame| {
        if name.is_empty() {
            format!("(no file) {offset:#x}")
        } else {
            format!("{} +{offset:#x}", shown_word(name))
        }
    };
    frames.iter().map(frame).collect::<Vec<_>>().join(" < ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(component: &Component, is_told: bool) -> String {
        let mut out = Vec::new();
        write(&mut Block::new(&mut out, None), component, is_told).unwrap();
        String::from_utf8(anstream::adapter::strip_bytes(&out).into_vec()).unwrap()
    }

    fn libcurl() -> Component {
        let mut component = Component::new("libcurl.so.4", ComponentEvidence::Cfi);
        component.path = Some("/usr/lib/libcurl.so.4".into());
        component.build_id = Some(vec![0x0a, 0xbc]);
        component.offset = Some(0x1_f2e0);
        component.chain = vec![
            ComponentFrame::new("libc.so.6", 0x11_b4a7),
            ComponentFrame::new("libcurl.so.4", 0x1_f2e0),
            ComponentFrame::new("curl", 0xb00),
        ];
        component
    }

    #[test]
    fn a_component_is_told_with_its_file_and_its_stack() {
        let whole = "              by libcurl.so.4 +0x1f2e0 (cfi)
              proved by its stack, call by call
              /usr/lib/libcurl.so.4, build-id 0abc
              stack: libc.so.6 +0x11b4a7 < libcurl.so.4 +0x1f2e0 < curl +0xb00
";
        assert_eq!(told(&libcurl(), false), whole);
        let file = "              /usr/lib/libcurl.so.4, build-id 0abc\n";
        assert_eq!(told(&libcurl(), true), whole.replace(file, ""));
    }

    #[test]
    fn what_is_not_known_of_it_is_said() {
        let mut bare = Component::new("server", ComponentEvidence::ExecutableOnly);
        let expected = "              by server (executable_only)
              its stack names no library, so this is its executable
              path not known, no build-id
";
        assert_eq!(told(&bare, false), expected);
        bare.generated = true;
        let said = "executable; the call came from code made at run time, and this is the nearest file\n";
        assert!(told(&bare, false).contains(said));
    }

    #[test]
    fn every_grade_has_words_of_its_own() {
        let grades = [
            ComponentEvidence::Cfi,
            ComponentEvidence::CallTarget,
            ComponentEvidence::CfiIndirect,
            ComponentEvidence::ReturnAddress,
            ComponentEvidence::ExecutableOnly,
        ];
        let words = grades.map(|evidence| grade(&Component::new("x", evidence)));
        assert!(words.iter().zip(grades).all(|(words, grade)| words.len() > grade.as_str().len()));
        assert_eq!(words.iter().collect::<std::collections::BTreeSet<_>>().len(), grades.len());
    }

    #[test]
    fn names_cannot_pass_for_frames_nor_move_the_cursor() {
        let mut hostile = Component::new("a +0x1 < b", ComponentEvidence::CfiIndirect);
        hostile.path = Some("/tmp/\x1b[2Jx".into());
        hostile.chain = vec![ComponentFrame::new("x\n < y", 1), ComponentFrame::new("", 0x7f00)];
        let told = told(&hostile, false);
        for said in [
            "by \"a +0x1 < b\" (cfi_indirect)\n",
            "\n              \"/tmp/\\x1b[2Jx\", no build-id\n",
            "stack: \"x\\x0a < y\" +0x1 < (no file) 0x7f00\n",
        ] {
            assert!(told.contains(said), "{said:?} is not in {told}");
        }
    }

    #[test]
    fn files_are_the_same_by_path_and_build_id() {
        let mut later = libcurl();
        later.offset = None;
        assert!(is_same_file(&libcurl(), &later));
        later.build_id = None;
        assert!(!is_same_file(&libcurl(), &later));
    }
}
