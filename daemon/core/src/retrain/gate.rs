//! The gate: what a candidate must show before it becomes a version.
//!
//! The rule, head by head, on the held-out mails of the person's set and on the check set, mails
//! written for this that nobody trains on. Both models answer with their most probable label.
//! 1. **Learnt**: with at least 20 held-out mails, 10 of them not of the commonest label, the
//!    candidate agrees with the labels beyond chance: Cohen's kappa at least 0.25, and at most 1 %
//!    of 1,000 shuffles of the labels agree as well. Labels that mean nothing fail here.
//! 2. **Not worse**: on the held-out mails that the base was not trained on and whose label it
//!    knows, at least 20, macro-F1 and accuracy do not both fall in such a way that macro-F1 loses
//!    more than 0.05, or is lower in 97.5 % of 1,000 resamples of the mails.
//! 3. **Own labels**: of each, with at least 2 held-out mails, recall and precision are at least
//!    0.6 there.
//! 4. **Not forgotten**: on the check set, at least 50 mails, macro-F1 falls by at most 0.03.
//!
//! A candidate of which no head could be judged by 1 is refused, too. What is equal is accepted:
//! with a hundred mails, a better model often can not be told from an equal one.

use super::measure::{Compared, compared, kappa, lower, luck};
use crate::evaluation::share;

/// Fewer held-out mails say nothing about a head.
const FEWEST_HELD: usize = 20;
/// Fewer mails of other labels than the commonest say nothing about what was learnt.
const FEWEST_OTHERS: usize = 10;
/// "Fair agreement" begins at 0.2 (Landis and Koch 1977). Of 100 mails with three equally common
/// labels, shuffled ones reach 0.25 once in five thousand times, in one head.
const LEAST_KAPPA: f64 = 0.25;
const MOST_LUCK: f64 = 0.01;
/// What 100 mails may lose in macro-F1 before it counts whatever the resamples say.
const MOST_LOST: f64 = 0.05;
const SURELY: f64 = 0.975;
/// An own label that is right less often than this is noise in a mailbox.
const LEAST_RECALL: f64 = 0.6;
const LEAST_PRECISION: f64 = 0.6;
const FEWEST_OF_OWN: usize = 2;
/// Three times the noise of 400 mails between two trainings of equal worth.
const MOST_FORGOTTEN: f64 = 0.03;
const FEWEST_CHECKED: usize = 50;

/// What both models said of one mail, and what is true; numbers are places in the candidate's
/// list of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The person's label.
    pub truth: usize,
    /// What the base said.
    pub before: usize,
    /// What the candidate says.
    pub after: usize,
    /// Whether the base was trained on this mail: then `before` is memory.
    pub by_heart: bool,
}

/// One head of the candidate on trial.
#[derive(Debug, Clone)]
pub struct HeadTrial {
    /// Its name.
    pub head: String,
    /// The candidate's labels.
    pub labels: Vec<String>,
    /// Those of them that the base does not have.
    pub own: Vec<usize>,
    /// The held-out mails with a label of this head.
    pub held_out: Vec<Answer>,
    /// The mails of the check set.
    pub check: Vec<Answer>,
}

/// What was found about one head.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadVerdict {
    /// Its name.
    pub head: String,
    /// All held-out mails.
    pub held_out: Compared,
    /// Those that judge whether it became worse (rule 2); `None`: too few.
    pub fresh: Option<Fresh>,
    /// The check set; `None`: too few.
    pub check: Option<Compared>,
    /// Cohen's kappa of the candidate on the held-out mails; `None`: too few, or all alike.
    pub kappa: Option<f64>,
    /// The labels of the person's own.
    pub own: Vec<OwnLabel>,
}

/// The mails that judge whether the candidate became worse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fresh {
    /// The figures.
    pub found: Compared,
    /// Share of 1,000 resamples of the mails in which the macro-F1 after is below that before.
    pub lower: f64,
}

/// How well a label of the person's own is found among the held-out mails.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnLabel {
    /// Its name.
    pub label: String,
    /// Held-out mails that carry it.
    pub mails: usize,
    /// Share of them that the candidate finds.
    pub recall: f64,
    /// Share of what the candidate takes for it that is; 0 where it takes nothing.
    pub precision: f64,
}

/// Why a candidate is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// No head could be judged.
    #[error(
        "no head has {FEWEST_HELD} held-out mails with {FEWEST_OTHERS} of another label than the \
         commonest, so nothing can be judged; give more mails, or more of the rare labels"
    )]
    Unjudged,
    /// Rule 1.
    #[error(
        "{head}: the candidate agrees with the labels hardly more than chance (kappa {kappa:.2} of \
         {mails} held-out mails, at least {LEAST_KAPPA}; {luck:.1} % of shuffled labels agree as \
         well); are the labels right?"
    )]
    NotLearnt {
        /// The head.
        head: String,
        /// Held-out mails.
        mails: usize,
        /// Cohen's kappa.
        kappa: f64,
        /// Share of shuffles, in per cent.
        luck: f64,
    },
    /// Rule 2.
    #[error(
        "{head}: worse on {} held-out mails: macro-F1 {:.3} → {:.3}, accuracy {:.3} → {:.3}, lower \
         in {:.1} % of resamples",
        fresh.found.mails, fresh.found.macro_f1.0, fresh.found.macro_f1.1, fresh.found.accuracy.0,
        fresh.found.accuracy.1, fresh.lower * 100.0
    )]
    Worse {
        /// The head.
        head: String,
        /// The figures.
        fresh: Fresh,
    },
    /// Rule 3: nothing to judge by.
    #[error(
        "{head}={label}: {mails} mails could be held out, it takes {FEWEST_OF_OWN}; all of them \
         seem to come from one sender or thread: add mails of others"
    )]
    OwnUnjudged {
        /// The head.
        head: String,
        /// The label.
        label: String,
        /// Held-out mails that carry it.
        mails: usize,
    },
    /// Rule 3.
    #[error(
        "{head}={}: recall {:.2} and precision {:.2} on {} held-out mails, at least {LEAST_RECALL} \
         and {LEAST_PRECISION}; give more mails of this label, and of those that resemble it",
        found.label, found.recall, found.precision, found.mails
    )]
    OwnWeak {
        /// The head.
        head: String,
        /// The figures.
        found: OwnLabel,
    },
    /// Rule 4.
    #[error(
        "{head}: the candidate forgets: macro-F1 {:.3} → {:.3} on the {} mails of the check set, \
         at most {MOST_FORGOTTEN} may be lost",
        found.macro_f1.0, found.macro_f1.1, found.mails
    )]
    Forgets {
        /// The head.
        head: String,
        /// The figures.
        found: Compared,
    },
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Head by head.
    pub heads: Vec<HeadVerdict>,
    /// Everything that speaks against the candidate; empty: it passes.
    pub refusals: Vec<Refusal>,
}

impl Verdict {
    /// Whether the candidate may become a version.
    pub fn passes(&self) -> bool {
        self.refusals.is_empty()
    }
}

/// Judges a candidate; see the head of this file for the rule.
pub fn gate(trials: &[HeadTrial]) -> Verdict {
    let mut refusals = Vec::new();
    let heads: Vec<HeadVerdict> = trials.iter().map(|trial| judge(trial, &mut refusals)).collect();
    if heads.iter().all(|head| head.kappa.is_none()) {
        refusals.insert(0, Refusal::Unjudged);
    }
    Verdict { heads, refusals }
}

fn judge(trial: &HeadTrial, refusals: &mut Vec<Refusal>) -> HeadVerdict {
    let held_out: Vec<&Answer> = trial.held_out.iter().collect();
    HeadVerdict {
        head: trial.head.clone(),
        kappa: learnt(trial, &held_out, refusals),
        fresh: not_worse(trial, &held_out, refusals),
        own: own(trial, &held_out, refusals),
        check: not_forgotten(trial, refusals),
        held_out: compared(&held_out),
    }
}

fn learnt(trial: &HeadTrial, answers: &[&Answer], refusals: &mut Vec<Refusal>) -> Option<f64> {
    let of = |label| answers.iter().filter(|answer| answer.truth == label).count();
    let commonest = (0..trial.labels.len()).map(of).max().unwrap_or(0);
    if answers.len() < FEWEST_HELD || answers.len() - commonest < FEWEST_OTHERS {
        return None;
    }
    let (kappa, luck) = (kappa(answers), luck(answers));
    if kappa < LEAST_KAPPA || luck > MOST_LUCK {
        let (head, mails) = (trial.head.clone(), answers.len());
        refusals.push(Refusal::NotLearnt { head, mails, kappa, luck: luck * 100.0 });
    }
    Some(kappa)
}

fn not_worse(trial: &HeadTrial, answers: &[&Answer], refusals: &mut Vec<Refusal>) -> Option<Fresh> {
    let counts = |answer: &&Answer| !answer.by_heart && !trial.own.contains(&answer.truth);
    let fresh: Vec<&Answer> = answers.iter().copied().filter(counts).collect();
    if fresh.len() < FEWEST_HELD {
        return None;
    }
    let (found, lower) = (compared(&fresh), lower(&fresh));
    let lost = found.macro_f1.0 - found.macro_f1.1;
    let less_right = found.accuracy.1 < found.accuracy.0;
    if less_right && lost > 0.0 && (lost > MOST_LOST || lower >= SURELY) {
        let (head, fresh) = (trial.head.clone(), Fresh { found, lower });
        refusals.push(Refusal::Worse { head, fresh });
    }
    Some(Fresh { found, lower })
}

fn own(trial: &HeadTrial, answers: &[&Answer], refusals: &mut Vec<Refusal>) -> Vec<OwnLabel> {
    let mut all = Vec::new();
    for &own in &trial.own {
        let Some(label) = trial.labels.get(own) else { continue };
        let mails = answers.iter().filter(|answer| answer.truth == own).count();
        let taken = answers.iter().filter(|answer| answer.after == own).count();
        let right =
            answers.iter().filter(|answer| answer.truth == own && answer.after == own).count();
        let found = OwnLabel {
            label: label.clone(),
            mails,
            recall: share(right, mails),
            precision: share(right, taken),
        };
        let head = trial.head.clone();
        if mails < FEWEST_OF_OWN {
            refusals.push(Refusal::OwnUnjudged { head, label: label.clone(), mails });
        } else if found.recall < LEAST_RECALL || found.precision < LEAST_PRECISION {
            refusals.push(Refusal::OwnWeak { head, found: found.clone() });
        }
        all.push(found);
    }
    all
}

fn not_forgotten(trial: &HeadTrial, refusals: &mut Vec<Refusal>) -> Option<Compared> {
    if trial.check.len() < FEWEST_CHECKED {
        return None;
    }
    let found = compared(&trial.check.iter().collect::<Vec<_>>());
    if found.macro_f1.0 - found.macro_f1.1 > MOST_FORGOTTEN {
        refusals.push(Refusal::Forgets { head: trial.head.clone(), found });
    }
    Some(found)
}

#[cfg(test)]
mod tests;
