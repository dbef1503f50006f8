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

    /// Why a model for these languages abstains from such a document, if it does. No languages
    /// means all, and 0 words none at least.
    pub fn abstention(self, languages: &[String], least_words: usize) -> Option<Abstention> {
        let foreign = |language| !languages.iter().any(|known| known == language);
        if self.words < least_words {
            Some(Abstention::TooLittleText)
        } else if !languages.is_empty() && self.language.is_some_and(foreign) {
            Some(Abstention::Language)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_was_not_made_for_it_abstains_from() {
        let english = ["en".to_owned()];
        let check = |words, language, expected| {
            assert_eq!(Prose { words, language }.abstention(&english, 4), expected);
        };
        check(40, Some("en"), None);
        check(40, None, None);
        check(40, Some("de"), Some(Abstention::Language));
        check(3, Some("de"), Some(Abstention::TooLittleText));
        check(4, None, None);
    }

    #[test]
    fn a_model_that_says_nothing_about_itself_abstains_from_nothing() {
        let prose = Prose { words: 0, language: Some("de") };
        assert_eq!(prose.abstention(&[], 0), None);
    }
}
