//! Text as a person sees it: composed letters, plain spaces, no control and no invisible
//! characters.
//!
//! It deliberately keeps spelling, case and punctuation: they carry mood.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::homoglyph;

/// From this many invisible characters on, a text hides something: a few are left behind by
/// editors, whole runs come from bulk mailers and from those who dodge filters.
const MANY_HIDDEN: usize = 8;
/// Words with letters of another script that pose as Latin ones; a single one may be a slip.
const MANY_POSING: usize = 2;

/// A cleaned text and what it lost.
pub(super) struct Cleaned {
    pub(super) text: String,
    /// Invisible characters.
    hidden: usize,
    /// Whether the order of letters was turned round for the eye.
    turned: bool,
    /// Words in which letters of another script posed as Latin ones.
    posing: usize,
}

impl Cleaned {
    /// Whether the text tried to look other than it reads.
    pub(super) fn hides(&self) -> bool {
        self.turned || self.hidden >= MANY_HIDDEN || self.posing >= MANY_POSING
    }
}

/// Whether there is something to read.
pub(super) fn is_letter(c: char) -> bool {
    c.is_alphanumeric()
}

/// Cleans a text of several lines: lines end in `\n`, none in blanks, no two blank lines follow
/// each other.
pub(super) fn text(raw: &str) -> Cleaned {
    let (raw, turned) = as_drawn(raw);
    let mut hidden = 0;
    let mut flat = String::with_capacity(raw.len());
    let mut before = ' ';
    let mut rest = raw.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' if rest.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{b}' | '\u{c}' => flat.push('\n'),
            '\t' => flat.push(' '),
            _ if c.is_control() => {}
            _ if is_joiner(c) && joins_letters(before) => flat.push(c),
            _ if is_invisible(c) => hidden += usize::from(!is_ordinary(c)),
            _ if c.is_whitespace() => flat.push(' '),
            _ => flat.push(c),
        }
        before = c;
    }
    let composed: String = flat.chars().flat_map(plain).nfc().collect();
    let (unmasked, posing) = homoglyph::unmasked(composed);
    Cleaned { text: squeezed(&unmasked), hidden, turned, posing }
}

/// Turns round what stands after a right-to-left override, as a screen does: until the override
/// is popped or the line ends.
fn as_drawn(raw: &str) -> (Cow<'_, str>, bool) {
    const OVERRIDE: char = '\u{202e}';
    const POP: char = '\u{202c}';
    if !raw.contains(OVERRIDE) {
        return (Cow::Borrowed(raw), false);
    }
    let mut out = String::with_capacity(raw.len());
    for line in raw.split_inclusive('\n') {
        let mut pieces = line.split(OVERRIDE);
        out.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (turned, rest) = piece
                .split_once(POP)
                .unwrap_or_else(|| piece.split_at(piece.trim_end_matches(['\r', '\n']).len()));
            out.extend(turned.chars().rev());
            out.push_str(rest);
        }
    }
    (Cow::Owned(out), true)
}

/// Cleans a text that belongs on one line: every run of blanks becomes one space.
pub(super) fn line(raw: &str) -> String {
    text(raw).text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Trims line ends, and joins runs of blank lines to one.
fn squeezed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = 0;
    for line in text.split('\n').map(str::trim_end) {
        if line.is_empty() {
            blank += 1;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if blank > 0 { "\n\n" } else { "\n" });
        }
        blank = 0;
        out.push_str(line);
    }
    out
}

/// The plain form of letters and digits that are dressed up as symbols (mathematical, enclosed,
/// full-width, ligatures). Full NFKC would also take apart accents, fractions and trade marks.
fn plain(c: char) -> impl Iterator<Item = char> {
    let dressed = matches!(c, '\u{1d400}'..='\u{1d7ff}' | '\u{2460}'..='\u{24ff}'
        | '\u{1f110}'..='\u{1f189}' | '\u{fb00}'..='\u{fb06}' | '\u{ff01}'..='\u{ff5e}');
    let (plain, same) = if dressed { (Some(c), None) } else { (None, Some(c)) };
    plain.into_iter().nfkc().chain(same)
}

/// Zero-width joiner and non-joiner.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether a joiner after this letter changes the word: from Arabic to Sinhala.
fn joins_letters(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{dff}')
}

/// Invisible characters that honest text is full of: soft hyphen, emoji variation and joiner,
/// byte order mark.
fn is_ordinary(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{fe0e}' | '\u{fe0f}' | '\u{200d}' | '\u{feff}')
}

/// Characters without ink: joiners, direction marks, fillers, selectors, tags.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_person_sees() {
        fn check(raw: &str, expected: &str) {
            assert_eq!(text(raw).text, expected, "{raw:?}");
        }
        check("a\r\nb\rc\nd", "a\nb\nc\nd");
        check("a  \n\n\n\n b\t c \n\n", "a\n\n b  c");
        check("pay\u{200b}pal \u{202e}edoc\u{202c} x\n\u{202e}cba", "paypal code x\nabc");
        check("e\u{301}t\u{e9}", "\u{e9}t\u{e9}");
        check("\u{1d4d5}\u{1d4fb}\u{1d4ee}\u{1d4ee} \u{ff21}\u{ff22} \u{fb01}n", "Free AB fin");
        check("I\u{b4}m \u{bd} \u{2122}", "I\u{b4}m \u{bd} \u{2122}");
        check("a\u{a0}b\u{3000}c\0d", "a b cd");
        check(
            "\u{645}\u{6cc}\u{200c}\u{631}\u{648}\u{645}",
            "\u{645}\u{6cc}\u{200c}\u{631}\u{648}\u{645}",
        );
    }

    #[test]
    fn only_what_hides_is_counted() {
        assert_eq!(text("\u{2764}\u{fe0f} a\u{ad}b").hidden, 0);
        assert_eq!(text(&"x\u{200b}".repeat(20)).hidden, 20);
        assert!(text(&"x\u{200b}".repeat(20)).hides() && !text("x\u{200b}y").hides());
        assert!(text("p\u{430}ssword \u{430}ccount").hides());
    }

    #[test]
    fn a_line_has_no_breaks() {
        assert_eq!(line(" a \r\n\t b\n"), "a b");
    }
}
