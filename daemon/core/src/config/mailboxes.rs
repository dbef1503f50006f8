//! Which mailboxes of an account are watched: `mailboxes` and `except_mailboxes`.
//!
//! Whether a server has them is not asked here, and only names can be compared with what another
//! account watches.

use std::collections::BTreeSet;

use super::problem::{Fault, Problems, closest};
use super::raw::{Placed, Section};
use crate::choice::{Choice, SpecialUse, Wish, canonical};

/// Longest mailbox name in bytes: above what servers take, and below what a command line holds.
const LONGEST: usize = 500;

/// What an account watches, and the names among it with their places.
pub(super) struct Mailboxes {
    pub(super) choice: Choice,
    pub(super) names: Vec<Placed<String>>,
}

impl Mailboxes {
    /// What is watched where nothing is said.
    pub(super) fn main_of(section: &Section<'_>) -> Self {
        let place = section.place.key("mailboxes", section.place.line);
        let value = "INBOX".to_owned();
        let choice = Choice::new(vec![Wish::Name(value.clone())], Vec::new());
        Self { choice, names: vec![Placed { value, place }] }
    }
}

/// Reads both; `None` where `mailboxes` is absent or no list.
pub(super) fn read(section: &mut Section<'_>, problems: &mut Problems) -> Option<Mailboxes> {
    let wanted = wishes(section, "mailboxes", problems);
    let except = wishes(section, "except_mailboxes", problems).unwrap_or_default();
    let Some(wanted) = wanted else {
        for exception in &except {
            problems.add(&exception.place, leaves_nothing_out());
        }
        return None;
    };
    let names: Vec<Placed<String>> = wanted.iter().filter_map(name).collect();
    for exception in &except {
        if let Some(fault) = useless(&exception.value, &names, wanted.len()) {
            problems.add(&exception.place, fault);
        }
    }
    let values = |wishes: Vec<Placed<Wish>>| wishes.into_iter().map(|wish| wish.value).collect();
    Some(Mailboxes { choice: Choice::new(values(wanted), values(except)), names })
}

/// The entries of a list of wishes; those with a problem are reported and left out. `None` where
/// there is no list.
fn wishes(
    section: &mut Section<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Vec<Placed<Wish>>> {
    let list = section.take_list::<String>(key, problems)?;
    if list.value.is_empty() && key == "mailboxes" {
        let mend = "write [\"INBOX\"] or leave the line out";
        problems.add(&list.place, Fault::new("names no mailbox", mend));
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for Placed { value, place } in list.value {
        let wish = Placed { value, place: place.clone() }.check(problems, |text| {
            let wish = wish(text)?;
            let text = wish.to_string();
            if !seen.insert(canonical(&text).to_owned()) {
                return Err(Fault::new(format!("{text:?} is listed twice"), "keep one of them"));
            }
            Ok(wish)
        });
        found.extend(wish.map(|value| Placed { value, place }));
    }
    Some(found)
}

fn wish(text: String) -> Result<Wish, Fault> {
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        let what = format!("{text:?} is no mailbox name");
        return Err(Fault::new(what, "write the name as the server lists it"));
    }
    if text.starts_with('\\') {
        return SpecialUse::of_word(&text).map(Wish::Use).ok_or_else(|| no_use(&text));
    }
    let pattern = text.contains(['*', '%']);
    Ok(if pattern { Wish::Pattern(text) } else { Wish::Name(text) })
}

fn no_use(text: &str) -> Fault {
    let words = SpecialUse::EACH.map(SpecialUse::as_str);
    let mend = match closest(text, words.into_iter()) {
        Some(word) => format!("did you mean {word:?}?"),
        None => format!("there are {}", words.map(|word| format!("{word:?}")).join(", ")),
    };
    Fault::new(format!("{text:?} is nothing that a mailbox can be for"), mend)
}

fn name(wish: &Placed<Wish>) -> Option<Placed<String>> {
    match &wish.value {
        Wish::Name(name) => Some(Placed { value: name.clone(), place: wish.place.clone() }),
        _ => None,
    }
}

/// What is wrong with an exception that leaves nothing out.
fn useless(exception: &Wish, names: &[Placed<String>], wanted: usize) -> Option<Fault> {
    if let Wish::Name(name) = exception
        && names.iter().any(|one| canonical(&one.value) == canonical(name))
    {
        let what = format!("{name:?} is in `mailboxes`, too");
        return Some(Fault::new(what, "take it out of one of the two"));
    }
    let only_names = names.len() == wanted;
    only_names.then(leaves_nothing_out)
}

fn leaves_nothing_out() -> Fault {
    let what = "leaves nothing out: `mailboxes` has names only";
    Fault::new(what, "it is for patterns, like mailboxes = [\"INBOX\", \"Lists/*\"]")
}
