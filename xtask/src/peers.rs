//! The guide's table of what others take, from BENCHMARKS.md.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

/// Rows, as BENCHMARKS.md calls them.
const ROWS: [&str; 15] = [
    "`ss -tnap`",
    "`lsof -nPiTCP`",
    "`netstat -tnap`",
    "`sockowner -tan`",
    "`sockowner -tan --source proc`",
    "`sockowner -tan --source bpf`",
    "`ss -tlnp`, listeners alone",
    "`sockowner -tln`, listeners alone",
    "`sockowner -tln --source proc`, listeners alone",
    "`ss -tnap src ENDPOINT`",
    "`sockowner who ENDPOINT`",
    "`sockowner who ENDPOINT --source proc`",
    "`sockowner who ENDPOINT --source bpf`",
    "`ss -tna`",
    "`sockowner -tan --no-owners`",
];
/// Sections, and what the guide calls them.
const SIZES: [(&str, &str); 3] = [
    ("## 500 processes x 99 sockets\n", "49,500 sockets, 500 processes"),
    ("## 2,000 processes x 5 sockets\n", "10,000 sockets, 2,000 processes"),
    ("## 1,000,000 descriptors, 100 sockets\n", "100 sockets among 1,000,000 descriptors"),
];
const BEGIN: &str = "<!-- by `cargo xtask bench`, from BENCHMARKS.md -->\n";
const END: &str = "<!-- end -->\n";

/// Puts the table into GUIDE.md.
pub(crate) fn write(root: &Path) -> Result<()> {
    let path = root.join("GUIDE.md");
    let guide = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let benchmarks = std::fs::read_to_string(root.join("BENCHMARKS.md")).context("read BENCHMARKS.md")?;
    let guide = put(&guide, &table(&benchmarks)).context("GUIDE.md has no place for the table")?;
    std::fs::write(&path, guide).with_context(|| format!("write {}", path.display()))
}

/// Median milliseconds of each command at each size, and at the first its peak memory.
fn table(benchmarks: &str) -> String {
    let mut text = String::from("| |");
    for (_, size) in SIZES {
        let _ = write!(text, " {size}: ms |");
    }
    text += " peak MB of the first |\n|---|--:|--:|--:|--:|\n";
    for row in ROWS {
        let figures = SIZES.map(|(section, _)| cells(benchmarks, section, row));
        let cell = |size: usize, cell: usize| figures[size].as_ref().map_or("-", |cells| cells[cell]);
        let [ms, mb] = [3, 5];
        let _ = writeln!(
            text,
            "| {row} | {} | {} | {} | {} |",
            cell(0, ms),
            cell(1, ms),
            cell(2, ms),
            cell(0, mb)
        );
    }
    text
}

/// What is told of a contender behind its name: rows, owners, min ms, median ms, ratio, peak MB.
fn cells<'a>(benchmarks: &'a str, section: &str, row: &str) -> Option<Vec<&'a str>> {
    let (_, section) = benchmarks.split_once(section)?;
    let section = section.split("\n## ").next()?;
    section.lines().find_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match &cells[..] {
            ["", name, figures @ .., ""] if *name == row && figures.len() == 6 => Some(figures.to_vec()),
            _ => None,
        }
    })
}

fn put(guide: &str, table: &str) -> Option<String> {
    let (before, rest) = guide.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BENCHMARKS: &str = "\
## 500 processes x 99 sockets

| contender | rows | owners | min ms | median ms | ratio | peak MB |
|---|--:|--:|--:|--:|---|--:|
| `ss -tna` | 9 | - | 180 | 182 | - | 6.6 |

## 1,000,000 descriptors, 100 sockets

| `ss -tna` | 100 | - | 4.15 | 4.83 | - | 3.3 |
";

    #[test]
    fn figures_are_those_of_their_section() {
        let table = table(BENCHMARKS);
        assert!(table.contains("\n| `ss -tna` | 182 | - | 4.83 | 6.6 |\n"), "{table}");
        assert!(table.contains("\n| `ss -tnap` | - | - | - | - |\n"), "{table}");
        let guide = format!("a\n{BEGIN}old\n{END}b\n");
        assert_eq!(put(&guide, "| t |\n"), Some(format!("a\n{BEGIN}\n| t |\n\n{END}b\n")));
        assert_eq!(put("a\n", "| t |\n"), None);
    }

    #[test]
    fn the_guide_has_the_figures_of_the_benchmarks() {
        let guide = include_str!("../../GUIDE.md");
        let wanted = table(include_str!("../../BENCHMARKS.md"));
        assert!(!wanted.contains("| - |"), "BENCHMARKS.md lacks a contender:\n{wanted}");
        assert_eq!(put(guide, &wanted).as_deref(), Some(guide), "`cargo xtask bench` puts them there");
    }
}
