//! What is wrong with a configuration: where, what, and how to mend it.
//!
//! Problems are collected, never thrown: whoever reads a file goes on after each one, so that an
//! administrator sees all of them at once. A problem never quotes a secret; none is in the file.

use std::fmt;

/// Where a value stands: its path, such as `account[0].tls`, and its line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line of the file, from 1.
    pub line: usize,
    /// Keys from the top, joined by dots; elements of lists are counted from 0. Empty at the top.
    pub path: String,
}

impl Place {
    /// The place of a key inside this one; a key that TOML would quote is quoted here too.
    pub(super) fn key(&self, key: &str, line: usize) -> Self {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let key = if !key.is_empty() && key.chars().all(bare) {
            key.to_owned()
        } else {
            format!("{key:?}")
        };
        let path = if self.path.is_empty() { key } else { format!("{}.{key}", self.path) };
        Self { line, path }
    }

    /// The place of an element of the list that stands here.
    pub(super) fn element(&self, index: usize, line: usize) -> Self {
        Self { line, path: format!("{}[{index}]", self.path) }
    }
}

/// What is wrong with one value, before it is known where the value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    what: String,
    mend: String,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }
}

/// One thing that must be changed in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

/// Everything that is wrong with a configuration, in the order of its lines; prints one line
/// each, `triaged.toml:12: account[1].tls: what is wrong (what to do)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    file: Option<String>,
    found: Vec<Problem>,
}

impl Problems {
    /// The same problems, printed with the name of the file that has them.
    #[must_use]
    pub fn in_file(mut self, file: impl fmt::Display) -> Self {
        self.file = Some(file.to_string());
        self
    }

    /// The problems in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn add(&mut self, place: &Place, Fault { what, mend }: Fault) {
        self.found.push(Problem { place: place.clone(), what, mend });
    }

    /// `value` if nothing is wrong, else the problems in the order of their lines.
    pub(super) fn or_value<T>(mut self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => {
                self.found.sort();
                Err(self)
            }
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { place, what, mend }) in self.found.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            match &self.file {
                Some(file) => write!(f, "{file}:{}: ", place.line)?,
                None => write!(f, "line {}: ", place.line)?,
            }
            if !place.path.is_empty() {
                write!(f, "{}: ", place.path)?;
            }
            write!(f, "{what} ({mend})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Looks `text` up in a closed list of words.
pub(super) fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Fault> {
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words = choices.iter().map(|(word, _)| *word);
    let listed = words.clone().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let mend = match closest(text, words) {
        Some(word) => format!("did you mean {word:?}?"),
        None => "write one of these".to_owned(),
    };
    Err(Fault::new(format!("{text:?} is none of {listed}"), mend))
}

/// How alike two words must be (Jaro-Winkler, 0 to 1) for one to be offered instead of the other:
/// catches a wrong, missing or swapped letter in a short word, and not just any word.
const ALIKE: f64 = 0.8;

/// The word most like `text`, if one is like it at all.
pub(super) fn closest<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_ascii_lowercase();
    words
        .map(|word| (strsim::jaro_winkler(&text, word), word))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}
