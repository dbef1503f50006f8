//! Whether a document is one that a model can judge: in one of its languages, and of some words.

use serde::Serialize;

use super::{language, prose};
use crate::score::Abstention;

/// What can be said about a document before any model reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Prose {
    /// Words in the subject (without "Re:") and in the newest text: no numbers, links, addresses,
    /// and nothing of a signature.
    pub words: usize,
    /// The language that they are reliably in, by its code of ISO 639-1; `None` in case of doubt.
    pub language: Option<&'static str>,
}

impl Prose {
    /// Looks at a text that [`super::render`] made.
    pub fn of(document: &str) -> Self {
        let paragraphs = prose::paragraphs(document);
        Self { words: prose::count(&paragraphs), language: language::of(&paragraphs) }
    }
}

/// Why a model for these languages abstains from a text that [`super::render`] made, if it does.
/// No languages means all, and 0 words none at least.
pub fn abstention(document: &str, languages: &[String], least_words: usize) -> Option<Abstention> {
    let paragraphs = prose::paragraphs(document);
    if prose::count(&paragraphs) < least_words {
        Some(Abstention::TooLittleText)
    } else if languages.is_empty() {
        None
    } else {
        language::other_than(languages, &paragraphs).map(|_| Abstention::Language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GERMAN: &str = "From: Ada @ e.example\nSubject: Rechnung\n\n\
        Können Sie mir bitte die Rechnung vom Oktober noch einmal schicken?";
    const ENGLISH: &str = "From: Ada @ e.example\nSubject: Invoice\n\n\
        Could you send me the invoice for October once more, please?";

    #[test]
    fn what_a_model_was_not_made_for_it_abstains_from() {
        let check = |document, least_words, expected| {
            assert_eq!(abstention(document, &["en".to_owned()], least_words), expected);
        };
        check(ENGLISH, 4, None);
        check(GERMAN, 4, Some(Abstention::Language));
        check(GERMAN, 40, Some(Abstention::TooLittleText));
        check("Server down, call me", 4, None);
        check("Server down", 4, Some(Abstention::TooLittleText));
    }

    #[test]
    fn a_model_that_says_nothing_about_itself_abstains_from_nothing() {
        assert_eq!(abstention(GERMAN, &[], 0), None);
        assert_eq!(abstention("", &[], 0), None);
    }
}
