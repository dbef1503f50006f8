//! Which values of a manifest make sense. Pure: the files that it names are not looked at.

use std::collections::BTreeSet;

use super::ManifestProblems;
use super::raw::{Raw, RawHead, RawLongText};
use crate::model::bundle::{GOLDEN, MODEL, TOKENIZER};

/// Bounds far above any model that fits this program, so that a damaged manifest can not make it
/// allocate without limit.
const MOST_HEADS: usize = 16;
const MOST_LABELS: usize = 64;
const MOST_TOKENS: usize = 8192;
const LARGEST_EMBEDDING: usize = 65_536;
/// A model that wants more words than this before it answers would hardly ever answer.
const MOST_WORDS: usize = 1000;

/// Keys that stand beside the heads where a prediction is printed as JSON.
const RESERVED: [&str; 3] = ["file", "model", "defects"];

/// Everything that is wrong with `raw`; empty when nothing is.
pub(super) fn problems(raw: &Raw) -> ManifestProblems {
    let mut problems = ManifestProblems::default();
    for (place, text) in [("name", &raw.name), ("version", &raw.version)] {
        if !is_name(text) || text.starts_with('.') {
            let what = "must have 1 to 64 letters, digits, '.', '_' and '-', no '.' at its start";
            problems.add(place, what);
        }
    }
    lengths(raw, &mut problems);
    limits(raw, &mut problems);
    files(raw, &mut problems);
    if raw.heads.is_empty() || raw.heads.len() > MOST_HEADS {
        problems.add("heads", format!("must be 1 to {MOST_HEADS}, there are {}", raw.heads.len()));
    }
    unique("heads", "name", raw.heads.iter().map(|head| &head.name), &mut problems);
    let outputs = raw.heads.iter().map(|head| &head.output);
    unique("heads", "output", outputs.chain([&raw.outputs.embedding]), &mut problems);
    let labels = raw.heads.iter().flat_map(|head| &head.labels);
    let keywords = labels.filter_map(|label| label.keyword.as_ref());
    unique("heads", "keyword", keywords, &mut problems);
    for (at, head) in raw.heads.iter().enumerate() {
        self::head(&format!("heads[{at}]"), head, &mut problems);
    }
    problems
}

fn lengths(raw: &Raw, problems: &mut ManifestProblems) {
    if !(1..=LARGEST_EMBEDDING).contains(&raw.embedding_size) {
        problems.add("embedding_size", format!("must be 1 to {LARGEST_EMBEDDING}"));
    }
    if !(3..=MOST_TOKENS).contains(&raw.max_tokens) {
        problems.add("max_tokens", format!("must be 3 to {MOST_TOKENS}"));
    }
    let RawLongText::HeadTail { head, tail, very_long } = raw.long_text;
    if head == 0 || tail == 0 || head.checked_add(tail) != Some(raw.max_tokens) {
        problems.add("long_text", "head and tail must be at least 1 and sum to max_tokens");
    }
    if very_long.is_some_and(|more| !(1..=head).contains(&more.head) || more.tokens < raw.max_tokens) {
        let text = "head must be 1 to that of long_text, and tokens at least max_tokens";
        problems.add("long_text.very_long", text);
    }
}

/// What the model does not claim to read, and where it comes from.
fn limits(raw: &Raw, problems: &mut ManifestProblems) {
    let languages = raw.languages.iter().flatten();
    for language in languages.clone() {
        if language.len() != 2 || !language.bytes().all(|byte| byte.is_ascii_lowercase()) {
            let what = format!("{language:?} is no language; write two small letters like \"en\"");
            problems.add("languages", what);
        }
    }
    unique("languages", "language", languages, problems);
    if raw.least_words.is_some_and(|words| words > MOST_WORDS) {
        problems.add("least_words", format!("must be 0 to {MOST_WORDS}"));
    }
    if raw.parent.as_ref().is_some_and(|parent| !is_version_name(parent)) {
        problems.add("parent", "must be the name and version of a bundle, like \"default-1\"");
    }
}

fn files(raw: &Raw, problems: &mut ManifestProblems) {
    for required in [MODEL, TOKENIZER, GOLDEN] {
        if !raw.files.contains_key(required) {
            problems.add("files", format!("{required} is missing"));
        }
    }
    for (name, hash) in &raw.files {
        if !is_name(name) || name.starts_with('.') {
            problems.add("files", format!("{name:?} is not the name of a file of the bundle"));
        }
        if hash.len() != 64 || !hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            problems.add(format!("files.{name}"), "must be a SHA-256 in lower-case hexadecimal");
        }
    }
}

fn head(place: &str, head: &RawHead, problems: &mut ManifestProblems) {
    if !is_name(&head.name) {
        problems.add(format!("{place}.name"), "must have 1 to 64 letters, digits, '.', '_', '-'");
    }
    if RESERVED.contains(&head.name.as_str()) {
        problems.add(format!("{place}.name"), format!("must not be one of {RESERVED:?}"));
    }
    if !(head.temperature.is_finite() && head.temperature > 0.0) {
        problems.add(format!("{place}.temperature"), "must be above 0");
    }
    if !(0.0..=1.0).contains(&head.threshold) {
        problems.add(format!("{place}.threshold"), "must be 0 to 1");
    }
    if !(2..=MOST_LABELS).contains(&head.labels.len()) {
        problems.add(format!("{place}.labels"), format!("must be 2 to {MOST_LABELS}"));
    }
    let place_of_labels = format!("{place}.labels");
    unique(&place_of_labels, "name", head.labels.iter().map(|label| &label.name), problems);
    for (at, label) in head.labels.iter().enumerate() {
        if !is_name(&label.name) || label.keyword.as_ref().is_some_and(|word| !is_name(word)) {
            problems.add(
                format!("{place}.labels[{at}]"),
                "name and keyword must have 1 to 64 letters, digits, '.', '_' and '-'",
            );
        }
        if label.threshold.is_some_and(|own| !(own > 0.0 && own <= 1.0)) {
            problems.add(format!("{place}.labels[{at}].threshold"), "must be above 0, at most 1");
        }
    }
}

/// Reports each value that occurs twice, compared without case as servers compare keywords.
fn unique<'a>(
    place: &str,
    what: &str,
    values: impl Iterator<Item = &'a String>,
    problems: &mut ManifestProblems,
) {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value.to_ascii_lowercase()) {
            problems.add(place, format!("{what} {value:?} occurs twice"));
        }
    }
}

/// Whether `text` can be the name and version of a bundle, joined as `NAME-VERSION`: then it is
/// also the plain name of a folder that does not begin with a dot.
pub(in crate::model) fn is_version_name(text: &str) -> bool {
    let split = |(at, _)| text.get(..at).zip(text.get(at + 1..));
    let mut pairs = text.match_indices('-').filter_map(split);
    !text.starts_with('.') && pairs.any(|(name, version)| is_name(name) && is_name(version))
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
