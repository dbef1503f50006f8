//! The `[[rule]]`s: which messages, and what is done to them.
//!
//! Labels are compared with a model's in [`rules_fit`], because the file is read before any model is.
//! Whether a mailbox is there is seen on the server.

use std::collections::{BTreeMap, BTreeSet};

use super::alerts::Alerts;
use super::keywords::{names, no_such_label};
use super::problem::{Fault, Place, Problems};
use super::raw::{Placed, Section};
use super::values::{account_name, target as target_of};
use crate::choice::canonical;
use crate::decision::Target;
use crate::label::{Head, Keyword, KeywordError, KeywordMap};
use crate::roster::Pattern;
use crate::rule::{Rule, Then, When};

/// A rule, and where what it says of a model stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleConfig {
    /// What it does.
    pub rule: Rule,
    labels: Vec<Place>,
    keyword: Option<Place>,
}

/// More would be a programming language.
const MOST_RULES: usize = 100;

/// Reads all rules, in their order; those with a problem are reported and left out.
pub(super) fn read_all(
    sections: Vec<Section<'_>>,
    alerts: &Alerts,
    problems: &mut Problems,
) -> Vec<RuleConfig> {
    if let Some(section) = sections.get(MOST_RULES) {
        let mend = "let one rule name several labels or senders";
        problems.add(&section.place, Fault::new(format!("more than {MOST_RULES} rules"), mend));
    }
    let mut taken = BTreeSet::new();
    let read =
        sections.into_iter().filter_map(|section| read(section, &mut taken, alerts, problems));
    let read: Vec<(RuleConfig, Option<Place>)> = read.collect();
    circles(&read, problems);
    read.into_iter().map(|(rule, _)| rule).collect()
}

/// A rule, and where its mailbox to move to stands.
fn read(
    mut section: Section<'_>,
    taken: &mut BTreeSet<String>,
    alerts: &Alerts,
    problems: &mut Problems,
) -> Option<(RuleConfig, Option<Place>)> {
    let name = section.require::<String>(
        "name",
        "choose a short name: logs and metrics show it",
        problems,
    );
    let name = name.and_then(|name| {
        name.check(problems, |name| {
            let name = account_name(name)?;
            let fault = || {
                Fault::new(
                    format!("a rule before this one is called {name:?} too"),
                    "give each its own name",
                )
            };
            if taken.insert(name.to_ascii_lowercase()) { Ok(name) } else { Err(fault()) }
        })
    });
    let (when, labels) = read_when(section.table("when", problems), problems);
    let place = section.place.key("then", section.place.line);
    let then = section.table("then", problems);
    let alerts_somebody = then.has("alert");
    let (then, keyword, target) = read_then(then, alerts, problems);
    if then == Then::default() && target.is_none() && keyword.is_none() && !alerts_somebody {
        let mend =
            "write keyword = \"…\", flag = true, move = \"…\" or alert = \"…\" below [rule.then]";
        problems.add(&place, Fault::new("does nothing", mend));
    }
    let stop = section.take::<bool>("stop", problems).is_some_and(|stop| stop.value);
    let dry_run = section.take::<bool>("dry_run", problems).is_some_and(|dry_run| dry_run.value);
    section.finish(problems);
    let rule = Rule { name: name?.into(), when, then, stop, dry_run };
    Some((RuleConfig { rule, labels, keyword }, target))
}

fn read_when(mut section: Section<'_>, problems: &mut Problems) -> (When, Vec<Place>) {
    let labels = section.take_list::<String>("labels", problems);
    let mut places = Vec::new();
    let mut read = Vec::new();
    for label in labels.into_iter().flat_map(|labels| labels.value) {
        let place = label.place.clone();
        if let Some(label) = label.check(problems, |label| head_and_label(&label)) {
            read.push(label);
            places.push(place);
        }
    }
    let min_confidence = section.take::<f64>("min_confidence", problems);
    let min_confidence = min_confidence.and_then(|share| share.check(problems, confidence));
    let when = When {
        labels: read,
        min_confidence,
        mailboxes: texts(&mut section, "mailboxes", problems)
            .iter()
            .map(|text| Pattern::new(text))
            .collect(),
        from: texts(&mut section, "from", problems).iter().map(|text| Pattern::new(text)).collect(),
        subject: texts(&mut section, "subject", problems),
    };
    section.finish(problems);
    (when, places)
}

/// A share of one; the model's answers are `f32`.
#[expect(clippy::cast_possible_truncation, reason = "a few digits are enough")]
fn confidence(share: f64) -> Result<f32, Fault> {
    if (0.0..=1.0).contains(&share) {
        return Ok(share as f32);
    }
    Err(Fault::new(format!("{share} is no share of one"), "choose 0.0 to 1.0, like 0.8"))
}

fn head_and_label(name: &str) -> Result<(String, String), Fault> {
    match name.split_once('.') {
        Some((head, label)) if !head.is_empty() && !label.is_empty() => {
            Ok((head.to_owned(), label.to_owned()))
        }
        _ => {
            let what = format!("{name:?} names no label");
            Err(Fault::new(what, "write head and label, like \"urgency.high\""))
        }
    }
}

/// The elements of a list of texts; an empty one would hold for every message, and is reported.
fn texts(section: &mut Section<'_>, key: &'static str, problems: &mut Problems) -> Vec<String> {
    let Some(list) = section.take_list::<String>(key, problems) else { return Vec::new() };
    if list.value.is_empty() {
        problems
            .add(&list.place, Fault::new("is empty", "leave the line out: then it holds for all"));
    }
    let filled = |text: Placed<String>| {
        text.check(problems, |text| match text.trim() {
            "" => Err(Fault::new("is empty", "write something that is looked for")),
            _ => Ok(text),
        })
    };
    list.value.into_iter().filter_map(filled).collect()
}

/// What is done; where its keyword stands, and where its mailbox does.
fn read_then(
    mut section: Section<'_>,
    alerts: &Alerts,
    problems: &mut Problems,
) -> (Then, Option<Place>, Option<Place>) {
    let keyword = section.take::<String>("keyword", problems);
    let keyword_place = keyword.as_ref().map(|keyword| keyword.place.clone());
    let keyword = keyword.and_then(|text| {
        text.check(problems, |text| {
            let mend = "choose a name like \"triaged-escalated\"";
            text.parse().map_err(|error: KeywordError| Fault::new(error.to_string(), mend))
        })
    });
    let flag = section.take::<bool>("flag", problems).is_some_and(|flag| flag.value);
    let target = section.take::<String>("move", problems);
    let target_place = target.as_ref().map(|target| target.place.clone());
    let create = section.take::<bool>("create", problems);
    let move_to = target.and_then(|name| name.check(problems, |name| target_of(&name)));
    let move_to = match create {
        Some(create) if target_place.is_none() => {
            let mend = "write move = \"…\" beside it";
            problems.add(&create.place, Fault::new("there is no mailbox to make", mend));
            move_to
        }
        Some(create) if create.value => move_to.map(Target::or_created),
        _ => move_to,
    };
    let alert = section.take::<String>("alert", problems);
    let alert = alert.and_then(|name| name.check(problems, |name| alerts.find(&name)));
    section.finish(problems);
    (Then { keyword, flag, move_to, alert: alert.flatten() }, keyword_place, target_place)
}

/// Reports rules that move mail round: from a mailbox that they name to one from which rules, this
/// one or others, take it back.
fn circles(rules: &[(RuleConfig, Option<Place>)], problems: &mut Problems) {
    let mut ways: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (RuleConfig { rule, .. }, place) in rules {
        let (Some(target), Some(place)) = (&rule.then.move_to, place) else { continue };
        let target = canonical(&target.mailbox).to_owned();
        for from in &rule.when.mailboxes {
            let from = from.to_string();
            if from.contains(['*', '?']) {
                continue;
            }
            if reaches(&ways, &target.to_lowercase(), &from) {
                let what =
                    format!("moves mail of {from:?} to {target:?}, from where it would come back");
                problems.add(place, Fault::new(what, "move it to a mailbox that no rule empties"));
                break;
            }
            ways.entry(from).or_default().insert(target.to_lowercase());
        }
    }
}

/// Whether mail in `from` gets to `to` in any number of steps.
fn reaches(ways: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(here) = open.pop() {
        if here == to {
            return true;
        }
        if seen.insert(here) {
            open.extend(ways.get(here).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// Whether the rules fit a model: each label is one of `heads`, or of `others`, the heads of other
/// versions that may serve one day; and no keyword of a rule stands for a label.
pub fn rules_fit(
    rules: &[RuleConfig],
    heads: &[Head],
    others: &[Head],
    keywords: &KeywordMap,
    unreadable: &Keyword,
) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let (known, elsewhere) = (names(heads), names(others));
    for RuleConfig { rule, labels, keyword } in rules {
        for ((head, label), place) in rule.when.labels.iter().zip(labels) {
            let name = format!("{head}.{label}");
            if !known.contains(&name) && !elsewhere.contains(&name) {
                problems.add(place, no_such_label(&name, &known));
            }
        }
        let (Some(keyword), Some(place)) = (&rule.then.keyword, keyword) else { continue };
        let stands_for = match keywords.label_of(keyword) {
            Some((head, label)) => Some(format!("{head}.{label}")),
            None => (keyword == unreadable).then(|| "mail that can not be read".to_owned()),
        };
        if let Some(meaning) = stands_for {
            let what = format!("{:?} stands for {meaning} already", keyword.as_str());
            problems.add(place, Fault::new(what, "choose another name"));
        }
    }
    problems.or_value(Some(()))
}
