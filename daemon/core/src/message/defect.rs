//! What can be odd about a mail.

use serde::Serialize;

/// An oddity of a mail that its reader should know of. None of them stops a mail from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// The text goes on beyond what was fetched, or no text came before the cut.
    Truncated,
    /// The text was longer than anybody reads; its middle is missing.
    TooLong,
    /// There is no text to read: sender and subject are all the model sees.
    NoText,
    /// The text is encrypted.
    Encrypted,
    /// Text that nobody sees was taken out, or letters that pose as others were put right.
    HiddenText,
    /// There is no header.
    NoHeader,
    /// A header line is no field, a field is given twice, or one is longer than anybody needs.
    BadHeader,
    /// Boundaries are missing or were never closed.
    BadStructure,
    /// Parts are nested deeper, or there are more of them, than is read.
    TooManyParts,
    /// Base64 or quoted-printable text is damaged, or in neither.
    BadEncoding,
    /// The text is in another character set than it says, or in one that does not exist.
    BadCharset,
    /// A parser gave up on a part of the mail.
    Unreadable,
}

impl Defect {
    /// The name in logs, metrics, history and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::TooLong => "too_long",
            Self::NoText => "no_text",
            Self::Encrypted => "encrypted",
            Self::HiddenText => "hidden_text",
            Self::NoHeader => "no_header",
            Self::BadHeader => "bad_header",
            Self::BadStructure => "bad_structure",
            Self::TooManyParts => "too_many_parts",
            Self::BadEncoding => "bad_encoding",
            Self::BadCharset => "bad_charset",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The defects found so far, each once, in the order found.
#[derive(Debug, Default)]
pub(super) struct Defects(Vec<Defect>);

impl Defects {
    pub(super) fn add(&mut self, defect: Defect) {
        if !self.0.contains(&defect) {
            self.0.push(defect);
        }
    }

    pub(super) fn add_if(&mut self, found: bool, defect: Defect) {
        if found {
            self.add(defect);
        }
    }

    pub(super) fn into_vec(self) -> Vec<Defect> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_defect_is_kept_once() {
        let mut defects = Defects::default();
        defects.add(Defect::NoText);
        defects.add(Defect::Truncated);
        defects.add_if(true, Defect::NoText);
        defects.add_if(false, Defect::TooLong);
        assert_eq!(defects.into_vec(), [Defect::NoText, Defect::Truncated]);
    }
}
