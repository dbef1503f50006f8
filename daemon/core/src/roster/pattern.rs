//! Names with `*` for anything and `?` for one character, as people write them.
//!
//! Upper and lower case are the same. There are no brackets and no escapes: names of users have
//! neither.

use std::fmt;

/// A name, or a pattern of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<char>);

impl Pattern {
    /// The pattern that `text` writes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_lowercase().chars().collect())
    }

    /// Whether `name` is meant. Takes at most the product of both lengths.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        let name: Vec<char> = name.to_lowercase().chars().collect();
        let (mut at, mut read) = (0, 0);
        // Behind the last star, and where in the name it was taken to end.
        let mut star = None;
        loop {
            match (self.0.get(at), name.get(read)) {
                (None, None) => return true,
                (Some('*'), _) => {
                    at += 1;
                    star = Some((at, read));
                }
                (Some(wanted), Some(found)) if wanted == found || *wanted == '?' => {
                    (at, read) = (at + 1, read + 1);
                }
                // The star takes one more, if there is one.
                _ => match star {
                    Some((behind, end)) if end < name.len() => {
                        (at, read) = (behind, end + 1);
                        star = Some((behind, end + 1));
                    }
                    _ => return false,
                },
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|c| write!(f, "{c}"))
    }
}
