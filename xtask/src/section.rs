//! Sections of BENCHMARKS.md that have an author of their own. A title is a whole line: `## Title`, and its end.

/// What comes last in the file.
const LAST: &str = "## How it is measured\n";

/// The section with this title.
pub(crate) fn take<'a>(file: &'a str, title: &str) -> Option<&'a str> {
    let (start, end) = place(file, title)?;
    Some(&file[start..end])
}

/// The file with `section` in place of the one that it has, or before the last one.
pub(crate) fn put(file: &str, title: &str, section: &str) -> String {
    let last = || file.find(LAST).unwrap_or(file.len());
    let (start, end) = place(file, title).unwrap_or_else(|| (last(), last()));
    let after = file[end..].trim_start();
    format!("{}\n\n{}\n\n{after}", file[..start].trim_end(), section.trim()).trim_end().to_owned() + "\n"
}

fn place(file: &str, title: &str) -> Option<(usize, usize)> {
    let start = file.find(title)?;
    let rest = &file[start + title.len()..];
    Some((start, rest.find("\n## ").map_or(file.len(), |end| start + title.len() + end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLE: &str = "## Wine\n";

    #[test]
    fn a_section_takes_the_place_of_the_former_one() {
        let new = format!("{TITLE}\nnew\n");
        let wanted = format!("# B\n\n{TITLE}\nnew\n\n{LAST}\nend\n");
        assert_eq!(put(&format!("# B\n\n{TITLE}\nold\n\nmore\n\n{LAST}\nend\n"), TITLE, &new), wanted);
        assert_eq!(put(&format!("# B\n\n{LAST}\nend\n"), TITLE, &new), wanted);
        assert_eq!(put(&wanted, TITLE, &new), wanted);
        assert_eq!(put("# B\n", TITLE, &new), format!("# B\n\n{TITLE}\nnew\n"));
    }

    #[test]
    fn a_section_that_is_there_can_be_taken_and_put_elsewhere() {
        let file = format!("# B\n\n{TITLE}\nkept\n\n{LAST}\nend\n");
        let kept = take(&file, TITLE).expect("it is there");
        assert_eq!(kept, format!("{TITLE}\nkept\n\n"));
        assert_eq!(put(&format!("# B\n\n{LAST}\nend\n"), TITLE, kept), file);
        assert_eq!(take("# B\n", TITLE), None);
    }
}
