//! Reading a TOML document key by key: types, missing keys and unknown keys.
//!
//! serde stops at the first mistake; here each value is asked for by name, a wrong type is
//! reported where it stands and the reading goes on, and what nobody asked for is unknown. What
//! a value means is decided by whoever asks for it.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Fault, Place, Problems, closest};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<T> Placed<T> {
    /// What `meaning` makes of the value; what is wrong with it is reported at its place.
    pub(super) fn check<U>(
        self,
        problems: &mut Problems,
        meaning: impl FnOnce(T) -> Result<U, Fault>,
    ) -> Option<U> {
        meaning(self.value).map_err(|fault| problems.add(&self.place, fault)).ok()
    }
}

/// A type that one TOML value can have.
pub(super) trait FromToml: Sized {
    /// The type's name in a sentence.
    const NAME: &'static str;
    /// What to do when the value has another type.
    const MEND: &'static str;
    /// `None` when the value has another type.
    fn from_toml(value: &DeValue<'_>) -> Option<Self>;
}

impl FromToml for String {
    const NAME: &'static str = "a string";
    const MEND: &'static str = "put the text in double quotes";
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl FromToml for i64 {
    const NAME: &'static str = "a whole number";
    const MEND: &'static str = "write only digits, without quotes";
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let integer = value.as_integer()?;
        Self::from_str_radix(integer.as_str(), integer.radix()).ok()
    }
}

impl FromToml for f64 {
    const NAME: &'static str = "a number with a fraction";
    const MEND: &'static str = "write it with a point and without quotes, like 0.8";
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_float()?.as_str().parse().ok()
    }
}

impl FromToml for bool {
    const NAME: &'static str = "true or false";
    const MEND: &'static str = "write true or false, without quotes";
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

/// A text, or only yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextOrSwitch {
    Text(String),
    Switch(bool),
}

impl FromToml for TextOrSwitch {
    const NAME: &'static str = "a string, true or false";
    const MEND: &'static str = "put the keyword in double quotes, or write false to turn it off";
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value
            .as_bool()
            .map(Self::Switch)
            .or_else(|| value.as_str().map(|text| Self::Text(text.to_owned())))
    }
}

/// Where the lines of a text end, so that looking one up does not read the text again: a
/// configuration may have ten thousand accounts.
pub(super) struct Lines {
    ends: Vec<usize>,
}

impl Lines {
    pub(super) fn of(text: &[u8]) -> Self {
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        Self { ends: ends.collect() }
    }

    /// The line of the byte `offset`, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.ends.partition_point(|end| *end < offset) + 1
    }
}

/// A table of the document, less what was asked for already.
pub(super) struct Section<'d> {
    lines: &'d Lines,
    pub(super) place: Place,
    rest: BTreeMap<&'d str, Entry<'d>>,
    asked: Vec<&'static str>,
}

type Entry<'d> = (usize, &'d Spanned<DeValue<'d>>);

impl<'d> Section<'d> {
    /// The document itself.
    pub(super) fn top(lines: &'d Lines, table: &'d DeTable<'d>) -> Self {
        Self::new(lines, Place { line: 1, path: String::new() }, Some(table))
    }

    fn new(lines: &'d Lines, place: Place, table: Option<&'d DeTable<'d>>) -> Self {
        let entries = table.into_iter().flat_map(DeTable::iter);
        let rest = entries.map(|(key, value)| (&**key.get_ref(), (key.span().start, value)));
        Self { lines, place, rest: rest.collect(), asked: Vec::new() }
    }

    /// The value of `key`; `None` when it is absent, and when it has a wrong type, which is
    /// reported.
    pub(super) fn take<T: FromToml>(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<Placed<T>> {
        let (place, value) = self.entry(key)?;
        typed(place, value.get_ref(), problems)
    }

    /// The value of `key`; also its absence is reported, with what to do about it.
    pub(super) fn require<T: FromToml>(
        &mut self,
        key: &'static str,
        mend: &str,
        problems: &mut Problems,
    ) -> Option<Placed<T>> {
        if !self.has(key) {
            let place = self.place.key(key, self.place.line);
            problems.add(&place, Fault::new("is missing", mend));
        }
        self.take(key, problems)
    }

    /// The elements of the list `key`; `None` when it is absent or no list. Elements of a wrong
    /// type are reported and left out.
    pub(super) fn take_list<T: FromToml>(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<Placed<Vec<Placed<T>>>> {
        let (place, value) = self.entry(key)?;
        let Some(list) = value.get_ref().as_array() else {
            let what = wrong_type("a list", value.get_ref());
            problems.add(&place, Fault::new(what, "put it in brackets: [ … ]"));
            return None;
        };
        let mut elements = Vec::new();
        for (index, element) in list.iter().enumerate() {
            let place = place.element(index, self.lines.line(element.span().start));
            elements.extend(typed(place, element.get_ref(), problems));
        }
        Some(Placed { value: elements, place })
    }

    /// The table `key`; an empty one when it is absent or, which is reported, no table.
    pub(super) fn table(&mut self, key: &'static str, problems: &mut Problems) -> Section<'d> {
        let Some((place, value)) = self.entry(key) else {
            return Self::new(self.lines, self.place.key(key, self.place.line), None);
        };
        let table = value.get_ref().as_table();
        if table.is_none() {
            let what = wrong_type("a table", value.get_ref());
            problems.add(&place, Fault::new(what, format!("write [{}]", place.path)));
        }
        Self::new(self.lines, place, table)
    }

    /// The tables of `[[key]]`; none when it is absent or, which is reported, no list of tables.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Vec<Section<'d>> {
        let Some((place, value)) = self.entry(key) else { return Vec::new() };
        let mend = format!("write [[{key}]], with two brackets, above each one");
        let Some(list) = value.get_ref().as_array() else {
            let what = wrong_type("a list of tables", value.get_ref());
            problems.add(&place, Fault::new(what, mend));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, element) in list.iter().enumerate() {
            let place = place.element(index, self.lines.line(element.span().start));
            let table = element.get_ref().as_table();
            if table.is_none() {
                let what = wrong_type("a table", element.get_ref());
                problems.add(&place, Fault::new(what, mend.clone()));
            }
            sections.extend(table.map(|table| Self::new(self.lines, place, Some(table))));
        }
        sections
    }

    /// Everything that is left, for tables whose keys are not known beforehand: each key, where
    /// it stands, and its value. Tables inside are opened, their keys joined by a dot, because
    /// `a.b = 1` and `"a.b" = 1` mean the same to people.
    pub(super) fn take_all<T: FromToml>(
        &mut self,
        problems: &mut Problems,
    ) -> Vec<(String, Placed<T>)> {
        let mut all = Vec::new();
        for (key, (at, value)) in std::mem::take(&mut self.rest) {
            let place = self.place.key(key, self.lines.line(at));
            if let Some(table) = value.get_ref().as_table() {
                let mut inner = Self::new(self.lines, place, Some(table));
                let inner = inner.take_all(problems).into_iter();
                all.extend(inner.map(|(rest, value)| (format!("{key}.{rest}"), value)));
            } else if let Some(value) = typed(place, value.get_ref(), problems) {
                all.push((key.to_owned(), value));
            }
        }
        all
    }

    /// Whether `key` is there and was not asked for yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.rest.contains_key(key)
    }

    /// Reports `key` when it is there, for a key that people expect and that must not be; says
    /// whether it was there.
    pub(super) fn refuse(&mut self, key: &str, fault: Fault, problems: &mut Problems) -> bool {
        let Some((at, _)) = self.rest.remove(key) else { return false };
        problems.add(&self.place.key(key, self.lines.line(at)), fault);
        true
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, problems: &mut Problems) {
        for (key, (at, _)) in self.rest {
            let mend = match closest(key, self.asked.iter().copied()) {
                Some(known) => format!("did you mean {known:?}?"),
                None => format!("known here: {}", self.asked.join(", ")),
            };
            let place = self.place.key(key, self.lines.line(at));
            problems.add(&place, Fault::new("unknown key", mend));
        }
    }

    fn entry(&mut self, key: &'static str) -> Option<(Place, &'d Spanned<DeValue<'d>>)> {
        self.asked.push(key);
        let (at, value) = self.rest.remove(key)?;
        Some((self.place.key(key, self.lines.line(at)), value))
    }
}

fn typed<T: FromToml>(
    place: Place,
    value: &DeValue<'_>,
    problems: &mut Problems,
) -> Option<Placed<T>> {
    let Some(read) = T::from_toml(value) else {
        problems.add(&place, Fault::new(wrong_type(T::NAME, value), T::MEND));
        return None;
    };
    Some(Placed { value: read, place })
}

fn wrong_type(expected: &str, found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    if expected == found {
        return "is a number out of range".to_owned();
    }
    format!("expected {expected}, found {found}")
}
