//! What a person wrote in a document: words, without names of files, links, addresses and numbers.
//!
//! It reads the rendered text, not the mail, so that whoever has only that text (the training, the
//! model's thread) comes to the same words. It deliberately changes nothing that the model reads.

use super::{marks, signature};

/// More of a document says nothing new about its language, in bytes.
const LONGEST_PROSE: usize = 16 * 1024;
/// A line of no more words that ends in a comma opens a letter or closes it.
const MOST_CLOSING_WORDS: usize = 3;
/// Below it stand a name, a post, a firm and where it is. More than that is text: then the line was
/// a greeting that something stands above, or a word of thanks.
const MOST_SIGNED_WORDS: usize = 12;

/// The subject, where there is one, and the paragraphs of the newest text; each the words of it
/// with spaces between them.
pub(super) fn paragraphs(document: &str) -> Vec<String> {
    let (subject, newest) = parts(document);
    let newest = signature::without(newest);
    let newest = newest.get(..newest.floor_char_boundary(LONGEST_PROSE)).unwrap_or_default();
    let lines: Vec<&str> = newest.lines().collect();
    let own = lines.get(..closing(&lines)).unwrap_or_default();
    let blank = |line: &&str| line.trim().is_empty();
    [marks::without_prefixes(subject)]
        .into_iter()
        .map(words)
        .chain(own.split(blank).map(|lines| words(&lines.join(" "))))
        .filter(|paragraph| !paragraph.is_empty())
        .collect()
}

/// Words in it; a letter of a script that puts no spaces between words counts as one.
pub(super) fn count(paragraphs: &[String]) -> usize {
    let words = paragraphs.iter().flat_map(|paragraph| paragraph.split(' '));
    words.map(|word| word.chars().filter(|&letter| is_unspaced(letter)).count().max(1)).sum()
}

/// The subject and what stands below the head of a rendered document.
fn parts(document: &str) -> (&str, &str) {
    let line = |text: &'_ str, field: &str| {
        let rest = text.strip_prefix(field)?;
        Some(rest.find('\n').map_or((rest.len(), rest.len()), |end| (end, end + 1)))
    };
    let mut rest = document;
    let mut subject = "";
    for field in ["From: ", "Subject: "] {
        if let Some((end, next)) = line(rest, field) {
            let value = rest.get(field.len()..).unwrap_or_default();
            if field == "Subject: " {
                subject = value.get(..end).unwrap_or_default();
            }
            rest = value.get(next..).unwrap_or_default();
        }
    }
    (subject, rest)
}

/// The words of a text that are words: with a letter, and neither a number, a link nor an address.
fn words(text: &str) -> String {
    let is_word = |token: &&str| {
        token.contains(char::is_alphabetic)
            && !token.contains(|c: char| c.is_numeric() || c == '@')
            && !token.contains("://")
            && !token.contains("www.")
    };
    text.split_whitespace().filter(is_word).collect::<Vec<_>>().join(" ")
}

/// Where the closing formula stands ("Best regards,") below which only a name follows; the number
/// of lines where there is none. The first line is a greeting.
fn closing(lines: &[&str]) -> usize {
    let begins = lines.iter().position(|line| !line.trim().is_empty()).unwrap_or(0);
    let closes = |line: &&str| {
        let line = line.trim();
        line.ends_with([',', '，']) && line.split_whitespace().count() <= MOST_CLOSING_WORDS
    };
    let signs = |at: &usize| {
        let below = lines.get(at + 1..).unwrap_or_default();
        below.iter().map(|line| words(line).split_whitespace().count()).sum::<usize>()
            <= MOST_SIGNED_WORDS
    };
    let last = lines.iter().rposition(closes);
    last.filter(|&at| at > begins).filter(signs).unwrap_or(lines.len())
}

/// Ideographs, kana and the scripts of south-east Asia.
fn is_unspaced(letter: char) -> bool {
    matches!(
        u32::from(letter),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF
            | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(document: &str, expected: &[&str]) {
        assert_eq!(paragraphs(document), expected, "{document}");
    }

    #[test]
    fn the_head_is_no_prose_but_for_the_subject() {
        check(
            "From: Ada King @ e.example\nSubject: Re: AW: The mill\n\nOne\ntwo.\n\nThree",
            &["The mill", "One two.", "Three"],
        );
        check("From: Ada @ e.example\n\nYes.", &["Yes."]);
        check("Subject: Re:", &[]);
        check("From: Ada", &[]);
        check("Yes.", &["Yes."]);
        check("", &[]);
    }

    #[test]
    fn numbers_links_and_addresses_are_no_words() {
        check(
            "Call 555 0187, see https://e.example/a?b=c or ada@e.example – 10am!",
            &["Call see or"],
        );
        check("👍 :-) ... +1", &[]);
    }

    #[test]
    fn a_name_below_a_closing_formula_is_no_text() {
        check("Dear Jo,\n\n\nBest regards,\n\nHilary Stone\nOffice Manager", &["Dear Jo,"]);
        check("Server down,\ncall me", &["Server down, call me"]);
        check("Ring me.\n\n-- \nAda King\nEngine Works", &["Ring me."]);
    }

    #[test]
    fn a_greeting_below_something_else_closes_nothing() {
        let text = "the export has stopped at half of the rows again and nobody here knows why.";
        let greeted = format!("[EXTERNAL]\n\nHi John,\n\n{text}\nBob");
        check(&greeted, &["[EXTERNAL]", "Hi John,", &format!("{text} Bob")]);
    }

    #[test]
    fn each_letter_of_a_script_without_spaces_is_counted() {
        assert_eq!(count(&paragraphs("好的，谢谢")), 4);
        assert_eq!(count(&paragraphs("Server down, call me")), 4);
        assert_eq!(count(&paragraphs("")), 0);
    }
}
