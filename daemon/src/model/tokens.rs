//! From a rendered text to the token ids that the model reads.
//!
//! The same rule runs in the training code; `models/README.md` has its words.

use tokenizers::Tokenizer;

use super::manifest::LongText;

/// A tokenizer with the model's rule for long texts.
#[derive(Debug)]
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    most: usize,
    long_text: LongText,
}

impl Tokens {
    /// Reads a `tokenizer.json`. Truncation and padding that the file asks for are turned off:
    /// the manifest's rule is the only one, and one mail a run needs no padding.
    pub(super) fn parse(bytes: &[u8], most: usize, long_text: LongText) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, most, long_text })
    }

    /// The ids of a text, 1 to the manifest's `max_tokens` of them, as the model takes them.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<i64>, String> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|error| error.to_string())?;
        let ids = encoding.get_ids();
        if ids.is_empty() {
            return Err("the text has no tokens".to_owned());
        }
        let (head, tail) = cut(ids, self.most, self.long_text);
        Ok(head.iter().chain(tail).map(|&id| i64::from(id)).collect())
    }

    /// The longest input that can come out, with the highest id in it: whatever model survives
    /// this one fits the tokenizer.
    pub(super) fn extreme_ids(&self) -> Vec<i64> {
        let highest = self.tokenizer.get_vocab(true).into_values().max().unwrap_or_default();
        vec![i64::from(highest); self.most]
    }
}

/// The parts of `ids` that are read: all of a text of at most `most` tokens, else its first and
/// its last ones. The special tokens at both ends belong to the count.
fn cut(ids: &[u32], most: usize, rule: LongText) -> (&[u32], &[u32]) {
    if ids.len() <= most {
        return (ids, &[]);
    }
    let very_long = rule.very_long.filter(|more| ids.len() > more.tokens);
    let head = very_long.map_or(rule.head, |more| more.head);
    let tail = rule.tail;
    // `head + tail <= most`, so neither split can fail on a text longer than `most`.
    let first = ids.get(..head).unwrap_or(ids);
    let last = ids.get(ids.len() - tail..).unwrap_or_default();
    (first, last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::VeryLong;

    const RULE: LongText = LongText { head: 3, tail: 2, very_long: None };

    #[test]
    fn a_text_that_fits_is_read_whole() {
        let ids = [101, 7, 8, 9, 102];
        assert_eq!(cut(&ids, 5, RULE), (&ids[..], &[][..]));
    }

    #[test]
    fn of_a_longer_text_the_first_and_last_tokens_are_read_with_both_specials() {
        let ids = [101, 1, 2, 3, 4, 5, 102];
        assert_eq!(cut(&ids, 5, RULE), (&[101, 1, 2][..], &[5, 102][..]));
    }

    #[test]
    fn one_token_too_many_loses_exactly_one() {
        let ids = [101, 1, 2, 3, 4, 102];
        let (head, tail) = cut(&ids, 5, RULE);
        assert_eq!([head, tail].concat(), [101, 1, 2, 4, 102]);
    }

    #[test]
    fn of_a_very_long_text_less_of_the_start_is_read() {
        let rule = LongText { very_long: Some(VeryLong { tokens: 7, head: 1 }), ..RULE };
        let ids = [101, 1, 2, 3, 4, 5, 6, 102];
        assert_eq!(cut(&ids[..7], 5, rule), (&[101, 1, 2][..], &[5, 6][..]), "not yet");
        assert_eq!(cut(&ids, 5, rule), (&[101][..], &[6, 102][..]));
    }
}
