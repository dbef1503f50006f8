//! Which mails teach and which judge: split before anything else, so that no sender and no
//! conversation is on both sides.
//!
//! A model that has read half of a thread would be judged by its memory. What is tied together is
//! held out together or not at all; only a sender who wrote more than the held-out part may hold
//! is taken apart, by conversation. The same mails are split the same way on every machine, and a
//! set that grows keeps most of its held-out mails.

use std::collections::{BTreeMap, HashMap};

use super::{LabelledMail, SEED};
use crate::random::place;

/// One of so many mails is held out.
const ONE_OF: usize = 5;
/// A label gives at least so many to be judged by, however rare it is.
const FEWEST_HELD: usize = 2;
/// Of a label at most two of five mails, and of all mails three of ten, are held out.
const MOST_OF_A_LABEL: (usize, usize) = (2, 5);
const MOST_OF_ALL: (usize, usize) = (3, 10);
/// A group of more than one of so many mails is taken apart.
const LARGE: usize = 10;
/// Rarer labels can not be judged: holding out two would leave too few to learn from.
const FEWEST_TO_JUDGE: usize = 5;

/// What ties a mail to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ties {
    /// The sender's address; empty where nobody knows.
    pub sender: String,
    /// The subject.
    pub subject: String,
    /// Its own id and those of the mails that it answers.
    pub ids: Vec<String>,
}

/// A set of mails in two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// For each mail whether it is held out.
    pub held_out: Vec<bool>,
    /// For each mail the number of its group: equal numbers are on one side.
    pub group: Vec<usize>,
    /// Labels (head and label) of which too few mails to judge by could be held out.
    pub unjudged: Vec<(String, String)>,
}

/// Splits the mails; see the head of this file for the rule.
pub fn split(mails: &[LabelledMail]) -> Split {
    let group = groups(mails);
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (mail, &group) in group.iter().enumerate() {
        members.entry(group).or_default().push(mail);
    }
    let mut order: Vec<Vec<usize>> = members.into_values().collect();
    order.sort_by_key(|members| (key_of(mails, members), members.first().copied()));
    let mut choice = Choice::new(mails);
    for label in choice.rarest_first() {
        for members in &order {
            choice.consider(&label, members);
        }
    }
    Split { unjudged: choice.unjudged(), held_out: choice.held_out, group }
}

type LabelOf<'a> = (&'a str, &'a str);

/// What is held out so far.
struct Choice<'a> {
    mails: &'a [LabelledMail],
    held_out: Vec<bool>,
    total: usize,
    /// For each label: mails in all, mails held out.
    counts: BTreeMap<LabelOf<'a>, (usize, usize)>,
}

impl<'a> Choice<'a> {
    fn new(mails: &'a [LabelledMail]) -> Self {
        let mut counts: BTreeMap<LabelOf<'a>, (usize, usize)> = BTreeMap::new();
        for label in mails.iter().flat_map(labels) {
            counts.entry(label).or_default().0 += 1;
        }
        Self { mails, held_out: vec![false; mails.len()], total: 0, counts }
    }

    /// The labels that can be judged, the rarest first: they have the least choice.
    fn rarest_first(&self) -> Vec<LabelOf<'a>> {
        let counts = self.counts.iter().filter(|(_, (all, _))| *all >= FEWEST_TO_JUDGE);
        let mut labels: Vec<_> = counts.map(|(&label, &(all, _))| (all, label)).collect();
        labels.sort_unstable();
        labels.into_iter().map(|(_, label)| label).collect()
    }

    /// Holds a group out if the label still needs some, the group has some, and no label loses
    /// too many by it.
    fn consider(&mut self, label: &LabelOf<'a>, members: &[usize]) {
        let mails = self.mails;
        let wanted = self.counts.get(label).is_some_and(|&(all, held)| held < target(all));
        let free = |&at: &usize| self.held_out.get(at) == Some(&false);
        let picked = || members.iter().filter_map(|&at| mails.get(at));
        let has = picked().flat_map(labels).any(|of| of == *label);
        if !wanted || !has || !members.first().is_some_and(free) {
            return;
        }
        let mut gains: BTreeMap<LabelOf<'a>, usize> = BTreeMap::new();
        for of in picked().flat_map(labels) {
            *gains.entry(of).or_default() += 1;
        }
        let fits = gains.iter().all(|(of, gain)| {
            self.counts.get(of).is_none_or(|&(all, held)| held + gain <= most(all))
        });
        let (part, of) = MOST_OF_ALL;
        if !fits || (self.total + members.len()) * of > self.mails.len() * part {
            return;
        }
        for (of, gain) in gains {
            self.counts.entry(of).or_default().1 += gain;
        }
        self.total += members.len();
        for &at in members {
            if let Some(held) = self.held_out.get_mut(at) {
                *held = true;
            }
        }
    }

    fn unjudged(&self) -> Vec<(String, String)> {
        let few = self.counts.iter().filter(|(_, (_, held))| *held < FEWEST_HELD);
        few.map(|((head, label), _)| ((*head).to_owned(), (*label).to_owned())).collect()
    }
}

/// So many mails of a label should be held out.
fn target(all: usize) -> usize {
    all.div_ceil(ONE_OF).max(FEWEST_HELD)
}

/// So many may be.
fn most(all: usize) -> usize {
    let (part, of) = MOST_OF_A_LABEL;
    if all < FEWEST_TO_JUDGE { 1 } else { (all * part / of).max(FEWEST_HELD) }
}

fn labels(mail: &LabelledMail) -> impl Iterator<Item = LabelOf<'_>> {
    mail.labels.iter().map(|(head, label)| (head.as_str(), label.as_str()))
}

/// A number for each mail; mails of one number stay together.
fn groups(mails: &[LabelledMail]) -> Vec<usize> {
    let threads = joined(mails, |mail| {
        let ids = mail.ties.ids.iter().map(|id| format!("id {id}"));
        ids.chain(conversation(&mail.ties)).collect()
    });
    let senders = joined(mails, |mail| {
        let ids = mail.ties.ids.iter().map(|id| format!("id {id}"));
        let sender = Some(&mail.ties.sender).filter(|sender| !sender.is_empty());
        ids.chain(sender.map(|sender| format!("from {sender}"))).collect()
    });
    let large = large(mails, &senders);
    let apart = |&group: &usize| large.get(&group) == Some(&true);
    // The numbers of both are places of mails: kept apart by the second half of the range.
    let choose = |(&sender, &thread)| if apart(&sender) { mails.len() + thread } else { sender };
    senders.iter().zip(&threads).map(choose).collect()
}

/// Which groups are too large to be held out as a whole.
fn large(mails: &[LabelledMail], groups: &[usize]) -> HashMap<usize, bool> {
    let mut all: BTreeMap<LabelOf<'_>, usize> = BTreeMap::new();
    let mut of_group: HashMap<usize, (usize, BTreeMap<LabelOf<'_>, usize>)> = HashMap::new();
    for (mail, &group) in mails.iter().zip(groups) {
        let (size, counts) = of_group.entry(group).or_default();
        *size += 1;
        for label in labels(mail) {
            *counts.entry(label).or_default() += 1;
            *all.entry(label).or_default() += 1;
        }
    }
    let too_much = |(label, &count): (&LabelOf<'_>, &usize)| {
        all.get(label).is_some_and(|&all| all >= FEWEST_TO_JUDGE && count > most(all))
    };
    let is_large = |(size, counts): (usize, BTreeMap<_, _>)| {
        size * LARGE > mails.len() || counts.iter().any(too_much)
    };
    of_group.into_iter().map(|(group, found)| (group, is_large(found))).collect()
}

/// Mails of one sender under one subject, whatever it answers, forwards or counts.
fn conversation(ties: &Ties) -> Option<String> {
    let subject = bare(&ties.subject);
    let known = !ties.sender.is_empty() && !subject.is_empty();
    known.then(|| format!("about {} {subject}", ties.sender))
}

/// A subject without its prefixes, in lower case, its numbers left out.
fn bare(subject: &str) -> String {
    let mut rest = subject.trim();
    while let Some((prefix, after)) = rest.split_once(':') {
        let prefix = prefix.trim();
        let is_prefix = prefix.chars().count() <= 5 && prefix.chars().all(char::is_alphabetic);
        if !is_prefix {
            break;
        }
        rest = after.trim();
    }
    let letters = rest.to_lowercase().replace(|c: char| !c.is_alphabetic(), " ");
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Joins mails that share a key; a mail's number is the first mail of its group.
fn joined(mails: &[LabelledMail], keys: impl Fn(&LabelledMail) -> Vec<String>) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..mails.len()).collect();
    let mut first: HashMap<String, usize> = HashMap::new();
    for (at, mail) in mails.iter().enumerate() {
        for key in keys(mail) {
            let other = *first.entry(key).or_insert(at);
            let (a, b) = (root(&mut parent, at), root(&mut parent, other));
            if let Some(slot) = parent.get_mut(a.max(b)) {
                *slot = a.min(b);
            }
        }
    }
    (0..mails.len()).map(|at| root(&mut parent, at)).collect()
}

fn root(parent: &mut [usize], mut at: usize) -> usize {
    while let Some(&up) = parent.get(at).filter(|&&up| up != at) {
        // Halves the way, so that long chains of replies stay cheap.
        let over = parent.get(up).copied().unwrap_or(up);
        if let Some(slot) = parent.get_mut(at) {
            *slot = over;
        }
        at = over;
    }
    at
}

/// The place of a group in the order: by what its mails are, not by where they stand.
fn key_of(mails: &[LabelledMail], members: &[usize]) -> u64 {
    let mails = members.iter().filter_map(|&at| mails.get(at));
    let keys = mails.map(|LabelledMail { ties, .. }| {
        let id = ties.ids.first().map_or("", String::as_str);
        place(SEED, &format!("{}\n{}\n{id}", ties.sender, bare(&ties.subject)))
    });
    keys.min().unwrap_or_default()
}

#[cfg(test)]
mod tests;
