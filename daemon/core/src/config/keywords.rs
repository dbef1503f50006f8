//! Which keyword stands for which label: the bundle's defaults under what the file says.
//!
//! The file is read before a model bundle is, so names of heads and labels are compared with the
//! bundle later, in [`keyword_map`]; what can be said without a bundle is said by the reader.

use std::collections::BTreeMap;

use super::problem::{Fault, Place, Problems, closest};
use super::raw::{Placed, Section, TextOrSwitch};
use crate::label::{Head, Keyword, KeywordError, KeywordMap, Label};

/// What the file says about keywords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordsConfig {
    prefix: String,
    unreadable: Keyword,
    labels: BTreeMap<(String, String), Override>,
    place: Place,
}

/// What the file says about one label.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Override {
    choice: Choice,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    /// The label writes nothing.
    Off,
    /// The label writes prefix and name, also where the bundle lets it write nothing.
    On,
    /// The label writes this.
    Named(Keyword),
}

impl KeywordsConfig {
    /// What the keywords of labels start with unless they were renamed.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The keyword of a message that can not be read.
    pub const fn unreadable(&self) -> &Keyword {
        &self.unreadable
    }
}

/// Most keywords for labels: the fifteen of the default model, and five of a person's own. Dovecot's
/// Maildir keeps 26 keywords a mailbox, other programs' ones included: with the one for messages
/// that can not be read, five are left for those.
pub const MOST_KEYWORDS: usize = 20;
/// Longest prefix, in bytes: leaves 20 of a keyword's 50 for the label.
const LONGEST_PREFIX: usize = 30;
/// Keywords that are recognised as ours, so that they can be taken off again.
const PREFIX: &str = "triaged-";

pub(super) fn read(mut section: Section<'_>, problems: &mut Problems) -> Option<KeywordsConfig> {
    let place = section.place.clone();
    let prefix = section.take::<String>("prefix", problems);
    let mut labels = section.table("labels", problems);
    section.finish(problems);
    let labels = overrides(labels.take_all(problems), problems);
    let (prefix, unreadable) = prefix
        .and_then(|prefix| prefix.check(problems, with_unreadable))
        .or_else(|| with_unreadable(PREFIX.to_owned()).ok())?;
    let config = KeywordsConfig { prefix, unreadable, labels, place };
    let named = config.labels.iter().filter_map(|((head, label), said)| match &said.choice {
        Choice::Named(keyword) => Some(Chosen {
            head,
            label,
            place: said.place.clone(),
            is_said: true,
            keyword: keyword.clone(),
        }),
        Choice::Off | Choice::On => None,
    });
    distinct(&named.collect::<Vec<_>>(), &config.unreadable, problems);
    Some(config)
}

fn with_unreadable(prefix: String) -> Result<(String, Keyword), Fault> {
    if prefix.is_empty() || prefix.len() > LONGEST_PREFIX {
        let what = format!("has {} bytes", prefix.len());
        return Err(Fault::new(what, format!("choose 1 to {LONGEST_PREFIX}, like {PREFIX:?}")));
    }
    let unreadable = parse_keyword(&format!("{prefix}unreadable"))?;
    Ok((prefix, unreadable))
}

fn parse_keyword(text: &str) -> Result<Keyword, Fault> {
    text.parse().map_err(|error: KeywordError| {
        Fault::new(error.to_string(), format!("choose a name like \"{PREFIX}urgent\""))
    })
}

fn overrides(
    said: Vec<(String, Placed<TextOrSwitch>)>,
    problems: &mut Problems,
) -> BTreeMap<(String, String), Override> {
    let mut overrides = BTreeMap::new();
    for (name, Placed { value, place }) in said {
        let Some((head, label)) = name.split_once('.') else {
            let what = format!("{name:?} names no label");
            problems.add(&place, Fault::new(what, "write head and label, like \"urgency.high\""));
            continue;
        };
        let choice = match value {
            TextOrSwitch::Switch(true) => Some(Choice::On),
            TextOrSwitch::Switch(false) => Some(Choice::Off),
            TextOrSwitch::Text(text) => Placed { value: text, place: place.clone() }
                .check(problems, |text| parse_keyword(&text).map(Choice::Named)),
        };
        let Some(choice) = choice else { continue };
        let said = Override { choice, place: place.clone() };
        if overrides.insert((head.to_owned(), label.to_owned()), said).is_some() {
            problems.add(&place, Fault::new("is said twice", "keep one of the two lines"));
        }
    }
    overrides
}

/// The keyword of each label of a bundle: its default under the prefix, unless the file renames
/// it or turns it off. At most [`MOST_KEYWORDS`], all different.
pub fn keyword_map(config: &KeywordsConfig, heads: &[Head]) -> Result<KeywordMap, Problems> {
    keyword_map_among(config, heads, &[])
}

/// The same where `others`, the heads of other versions of the model, may serve one day, too: what
/// the file says about a label that only they have is left aside, so that every version can be
/// gone back to without a change of the file.
pub fn keyword_map_among(
    config: &KeywordsConfig,
    heads: &[Head],
    others: &[Head],
) -> Result<KeywordMap, Problems> {
    let mut problems = Problems::default();
    known(config, heads, others, &mut problems);
    let mut chosen = Vec::new();
    for head in heads {
        for label in &head.labels {
            chosen.extend(choose(config, head, label, &mut problems));
        }
    }
    // What the file says comes last: of two that clash, its line is the one to be changed.
    chosen.sort_by_key(|chosen| chosen.is_said);
    distinct(&chosen, &config.unreadable, &mut problems);
    if chosen.len() > MOST_KEYWORDS {
        let what = format!("{} labels write a keyword, more than {MOST_KEYWORDS}", chosen.len());
        let mend = "turn some off, like \"category.personal\" = false: servers keep few keywords";
        problems.add(&config.place, Fault::new(what, mend));
    }
    let mut map = KeywordMap::default();
    for Chosen { head, label, keyword, .. } in chosen {
        map.insert(head, label, keyword);
    }
    problems.or_value(Some(map))
}

/// A label that writes a keyword, and where that is said.
struct Chosen<'a> {
    head: &'a str,
    label: &'a str,
    place: Place,
    /// Said by the file, not by the bundle.
    is_said: bool,
    keyword: Keyword,
}

fn choose<'a>(
    config: &KeywordsConfig,
    head: &'a Head,
    label: &'a Label,
    problems: &mut Problems,
) -> Option<Chosen<'a>> {
    let said = config.labels.get(&(head.name.clone(), label.name.clone()));
    let place = said.map_or_else(|| config.place.clone(), |said| said.place.clone());
    let is_said = said.is_some();
    let ending = match said.map(|said| &said.choice) {
        Some(Choice::Off) => return None,
        Some(Choice::Named(keyword)) => {
            let keyword = keyword.clone();
            return Some(Chosen { head: &head.name, label: &label.name, place, is_said, keyword });
        }
        Some(Choice::On) => label.keyword.as_ref().unwrap_or(&label.name),
        None => label.keyword.as_ref()?,
    };
    let keyword = parse_keyword(&format!("{}{ending}", config.prefix));
    let keyword = keyword.map_err(|fault| problems.add(&place, fault)).ok()?;
    Some(Chosen { head: &head.name, label: &label.name, place, is_said, keyword })
}

/// Reports what the file says about labels that no bundle has.
fn known(config: &KeywordsConfig, heads: &[Head], others: &[Head], problems: &mut Problems) {
    let names = names(heads);
    let elsewhere = self::names(others);
    for ((head, label), said) in &config.labels {
        let name = format!("{head}.{label}");
        if !names.contains(&name) && !elsewhere.contains(&name) {
            problems.add(&said.place, no_such_label(&name, &names));
        }
    }
}

/// `name` is no label of a model whose labels are `known`.
pub(super) fn no_such_label(name: &str, known: &[String]) -> Fault {
    let mend = match closest(name, known.iter().map(String::as_str)) {
        Some(like) => format!("did you mean {like:?}?"),
        None => format!("it has: {}", known.join(", ")),
    };
    Fault::new("the model has no such label", mend)
}

/// All labels, as the file names them.
pub(super) fn names(heads: &[Head]) -> Vec<String> {
    let of_head = |head: &Head| {
        let labels = head.labels.iter();
        labels.map(|label| format!("{}.{}", head.name, label.name)).collect::<Vec<_>>()
    };
    heads.iter().flat_map(of_head).collect()
}

/// Reports keywords that would stand for two things.
fn distinct(chosen: &[Chosen<'_>], unreadable: &Keyword, problems: &mut Problems) {
    let mut seen: BTreeMap<&Keyword, String> =
        BTreeMap::from([(unreadable, "mail that can not be read".to_owned())]);
    for Chosen { head, label, place, keyword, .. } in chosen {
        let name = format!("{head}.{label}");
        if let Some(first) = seen.get(keyword) {
            let what = format!("{:?} stands for {first} already", keyword.as_str());
            problems.add(place, Fault::new(what, "choose another name, or false to turn it off"));
        } else {
            seen.insert(keyword, name);
        }
    }
}
