//! Letters that pose as others: a Cyrillic "а" in a Latin word.
//!
//! It deliberately looks only at words that mix scripts: text in Cyrillic or Greek, and words of
//! formulas with one foreign letter alone, stay as they are.

/// Cyrillic and Greek letters, and the Latin ones that they are drawn like.
const LOOKALIKES: [(char, char); 44] = [
    ('а', 'a'),
    ('е', 'e'),
    ('о', 'o'),
    ('р', 'p'),
    ('с', 'c'),
    ('у', 'y'),
    ('х', 'x'),
    ('і', 'i'),
    ('ј', 'j'),
    ('ѕ', 's'),
    ('ԁ', 'd'),
    ('һ', 'h'),
    ('ԛ', 'q'),
    ('ԝ', 'w'),
    ('ѵ', 'v'),
    ('ӏ', 'l'),
    ('А', 'A'),
    ('В', 'B'),
    ('Е', 'E'),
    ('К', 'K'),
    ('М', 'M'),
    ('Н', 'H'),
    ('О', 'O'),
    ('Р', 'P'),
    ('С', 'C'),
    ('Т', 'T'),
    ('У', 'Y'),
    ('Х', 'X'),
    ('І', 'I'),
    ('Ј', 'J'),
    ('Ѕ', 'S'),
    ('ο', 'o'),
    ('α', 'a'),
    ('ν', 'v'),
    ('ι', 'i'),
    ('Α', 'A'),
    ('Β', 'B'),
    ('Ε', 'E'),
    ('Η', 'H'),
    ('Ι', 'I'),
    ('Κ', 'K'),
    ('Μ', 'M'),
    ('Ο', 'O'),
    ('Τ', 'T'),
];

/// Puts posing letters right; returns the text and how many words held any.
pub(super) fn unmasked(text: String) -> (String, usize) {
    if !text.contains(is_foreign) {
        return (text, 0);
    }
    let mut out = String::with_capacity(text.len());
    let mut words = 0;
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let latin = word.chars().filter(char::is_ascii_alphabetic).count();
        let foreign = word.chars().filter(|c| is_foreign(*c)).count();
        let all_pose = word.chars().filter(|c| is_foreign(*c)).all(|c| lookalike(c).is_some());
        if latin >= 1 && foreign >= 1 && latin + foreign >= 3 && all_pose {
            words += 1;
            out.extend(word.chars().map(|c| lookalike(c).unwrap_or(c)));
        } else {
            out.push_str(word);
        }
    }
    (out, words)
}

/// Greek and Cyrillic.
fn is_foreign(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{52f}')
}

fn lookalike(c: char) -> Option<char> {
    LOOKALIKES.iter().find(|(posing, _)| *posing == c).map(|(_, latin)| *latin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_mixed_scripts_are_put_right() {
        fn check(text: &str, expected: &str, words: usize) {
            assert_eq!(unmasked(text.to_owned()), (expected.to_owned(), words), "{text}");
        }
        check("your p\u{430}ssw\u{43e}rd, now", "your password, now", 1);
        check("\u{420}\u{430}y\u{420}al", "PayPal", 1);
        check("Привет, Bob", "Привет, Bob", 0);
        check("5 µm and αx and Δt", "5 µm and αx and Δt", 0);
        check("plain", "plain", 0);
    }
}
