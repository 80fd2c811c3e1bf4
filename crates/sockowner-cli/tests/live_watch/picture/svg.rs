//! A terminal's screen with its colours, as tmux tells it, drawn as SVG whose text stays text.

use std::fmt::Write as _;

/// Size of a cell. Whatever font is there, each run of text is fitted to its cells.
const CELL: (f32, f32) = (8.4, 18.0);
const BORDER: f32 = 12.0;
const GROUND: &str = "#0d1117";
const PLAIN: &str = "#e6edf3";
/// Of the eight colours that terminals name.
const COLOURS: [&str; 8] =
    ["#484f58", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#e6edf3"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Style {
    bold: bool,
    underlined: bool,
    reversed: bool,
    colour: Option<usize>,
}

impl Style {
    /// Changes by the numbers of a sequence "select graphic rendition".
    fn change(&mut self, numbers: &str) {
        let mut numbers = numbers.split(';').map(|number| number.parse().unwrap_or(0));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                4 => self.underlined = true,
                7 => self.reversed = true,
                22 => self.bold = false,
                24 => self.underlined = false,
                27 => self.reversed = false,
                30..=37 => self.colour = Some(number - 30),
                // Colour by number: `38;5;N`.
                38 => self.colour = numbers.by_ref().nth(1).filter(|&colour| colour < COLOURS.len()),
                39 => self.colour = None,
                _ => {}
            }
        }
    }
}

/// Runs of one style, for each line; lines that are empty at the end are left out.
fn runs(screen: &str) -> Vec<Vec<(Style, String)>> {
    let mut style = Style::default();
    let mut lines = Vec::new();
    for line in screen.trim_end_matches('\n').split('\n') {
        let mut runs: Vec<(Style, String)> = Vec::new();
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            if let Some(sequence) = rest.strip_prefix("\u{1b}[") {
                let end = sequence.find(|c: char| c.is_ascii_alphabetic()).expect("a whole sequence");
                assert_eq!(&sequence[end..=end], "m", "only colours are in it: {line:?}");
                style.change(&sequence[..end]);
                rest = &sequence[end + 1..];
                continue;
            }
            match runs.last_mut() {
                Some((last, text)) if *last == style => text.push(c),
                _ => runs.push((style, c.to_string())),
            }
            rest = &rest[c.len_utf8()..];
        }
        lines.push(runs);
    }
    lines
}

/// The picture of a screen so wide.
pub(super) fn drawn(screen: &str, columns: usize) -> String {
    let lines = runs(screen);
    let (wide, high) = (CELL.0 * number(columns) + 2.0 * BORDER, CELL.1 * number(lines.len()) + 2.0 * BORDER);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" \
         viewBox=\"0 0 {wide:.0} {high:.0}\" font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', \
         monospace\" font-size=\"14\">\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{GROUND}\"/>\n"
    );
    for (at, runs) in lines.iter().enumerate() {
        let top = BORDER + CELL.1 * number(at);
        let mut left = BORDER;
        let mut texts = String::new();
        for (style, text) in runs {
            let taken = CELL.0 * number(text.chars().count());
            push(&mut svg, &mut texts, *style, text, (left, top, taken));
            left += taken;
        }
        let _ = writeln!(svg, "<text xml:space=\"preserve\">{texts}</text>");
    }
    svg.push_str("</svg>\n");
    svg
}

fn push(svg: &mut String, texts: &mut String, style: Style, text: &str, (left, top, taken): (f32, f32, f32)) {
    let colour = style.colour.map_or(PLAIN, |colour| COLOURS[colour]);
    let fill = if style.reversed { GROUND } else { colour };
    if style.reversed {
        let high = CELL.1;
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{taken:.1}\" height=\"{high}\" fill=\"{colour}\"/>"
        );
    }
    let base = top + 13.5;
    let _ = write!(
        texts,
        "<tspan x=\"{left:.1}\" y=\"{base:.1}\" textLength=\"{taken:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
         fill=\"{fill}\"{}{}>{}</tspan>",
        if style.bold { " font-weight=\"bold\"" } else { "" },
        if style.underlined { " text-decoration=\"underline\"" } else { "" },
        escaped(text)
    );
}

/// The text of a picture, a line for each of the screen's.
pub(super) fn text(svg: &str) -> String {
    let mut text = String::new();
    for line in svg.lines().filter(|line| line.starts_with("<text")) {
        let mut rest = line;
        while let Some((before, tag)) = rest.split_once('<') {
            text.push_str(&unescaped(before));
            rest = tag.split_once('>').map_or("", |(_, rest)| rest);
        }
        text.push('\n');
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn number(count: usize) -> f32 {
    f32::from(u16::try_from(count).expect("a screen is small"))
}
