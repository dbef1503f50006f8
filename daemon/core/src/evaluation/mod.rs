//! How well a model does on mail whose labels are known: accuracy, F1, calibration, abstention.
//!
//! A [`Tally`] takes one answer after the other and keeps two bytes of each, so that a file of any
//! length can be judged while it is read. It deliberately knows no model and no mail: the gate of a
//! retraining and `triaged eval` use the same figures, and `training/` computes them again.

mod bootstrap;
mod calibration;
mod confusion;

use serde::{Serialize, Serializer};

pub use bootstrap::Bootstrap;
pub use calibration::Bin;
pub use confusion::{Confusion, LabelScores};

use crate::score::{Abstention, HeadPrediction};
use calibration::Bins;

/// The most labels of one head: a label's place fits a byte.
pub const MOST_LABELS: usize = 256;

/// The answers of one head beside the truth, as far as they are counted.
#[derive(Debug, Clone)]
pub struct Tally {
    labels: Vec<String>,
    /// Truth and most probable label of each mail: the bootstrap draws from them.
    pairs: Vec<(u8, u8)>,
    named: Confusion,
    answered: Confusion,
    bins: Bins,
    reasons: Reasons,
}

/// How often a head abstained, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reasons {
    /// The probability was too low.
    pub unsure: usize,
    /// The mail is in a language that the model does not read.
    pub language: usize,
    /// The mail has too few words.
    pub too_little_text: usize,
}

/// What a tally comes to. Scores and shares are 0 to 1, and rounded when they are serialised.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Mails whose label is known.
    pub mails: usize,
    /// Unweighted mean of the F1 of the labels that occur in the truth; abstentions ignored.
    #[serde(serialize_with = "rounded")]
    pub macro_f1: f64,
    /// Its bootstrap interval of 95 %.
    #[serde(serialize_with = "rounded_pair")]
    pub macro_f1_interval: (f64, f64),
    /// Share of mails whose most probable label is the true one.
    #[serde(serialize_with = "rounded")]
    pub accuracy: f64,
    /// Its bootstrap interval of 95 %.
    #[serde(serialize_with = "rounded_pair")]
    pub accuracy_interval: (f64, f64),
    /// Expected calibration error over ten bins of equal width (Guo et al. 2017).
    #[serde(serialize_with = "rounded")]
    pub ece: f64,
    /// The macro-F1 of the label that is named, abstained or not: where a label has a threshold of
    /// its own that need not be the most probable one.
    #[serde(serialize_with = "rounded")]
    pub named_macro_f1: f64,
    /// Share of mails for which the label that is named is the true one.
    #[serde(serialize_with = "rounded")]
    pub named_accuracy: f64,
    /// Share of mails on which the head abstained.
    #[serde(serialize_with = "rounded")]
    pub abstained: f64,
    /// Why it did.
    pub reasons: Reasons,
    /// Accuracy of what it did not abstain from; `None` where that is nothing.
    #[serde(serialize_with = "rounded_option")]
    pub answered_accuracy: Option<f64>,
    /// The macro-F1 in which an abstention counts as not found.
    #[serde(serialize_with = "rounded")]
    pub answered_macro_f1: f64,
    /// The labels, in the order of the head.
    pub labels: Vec<LabelFigures>,
    /// Who was taken for what.
    pub confusion: Confusions,
    /// The ten bins of the calibration.
    pub reliability: Vec<Bin>,
}

/// How well one label is found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelFigures {
    /// Its name.
    pub label: String,
    /// So many mails truly have it.
    pub mails: usize,
    /// By the most probable label.
    pub argmax: LabelScores,
    /// By the label that is named at the thresholds: an abstention is not found.
    pub answered: LabelScores,
}

/// Both matrices: rows are the truth, columns what was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusions {
    /// Of all mails, by the most probable label.
    pub argmax: Confusion,
    /// Of the mails on which the head did not abstain.
    pub answered: Confusion,
}

impl Tally {
    /// An empty tally of a head with these labels; of more than [`MOST_LABELS`] the rest is never
    /// found.
    pub fn new(labels: Vec<String>) -> Self {
        let empty = Confusion::new(labels.len());
        Self {
            labels,
            pairs: Vec::new(),
            named: empty.clone(),
            answered: empty,
            bins: Bins::default(),
            reasons: Reasons::default(),
        }
    }

    /// The place of a label, which is its truth for [`Tally::add`].
    pub fn place(&self, label: &str) -> Option<usize> {
        self.labels.iter().position(|known| known == label)
    }

    /// Counts one answer beside the place of the true label. The answer's scores are in the order of
    /// the labels; labels beyond them, which the model does not know, are never found. `false`, and
    /// nothing counted, where the answer has no score or either label is none of the tally's.
    pub fn add(&mut self, answer: &HeadPrediction, truth: usize) -> bool {
        let scores = answer.scores.iter().map(|(_, score)| *score).enumerate();
        let most = scores.reduce(|best, next| if next.1 > best.1 { next } else { best });
        let (Some((found, confidence)), Some(named)) = (most, self.place(&answer.label)) else {
            return false;
        };
        let places = [truth, found, named].map(u8::try_from);
        let [Ok(truth), Ok(found), Ok(named)] = places else { return false };
        if usize::from(truth.max(found)) >= self.labels.len() {
            return false;
        }
        self.pairs.push((truth, found));
        self.bins.add(confidence, found == truth);
        self.named.add((truth, named));
        match answer.abstained {
            None => self.answered.add((truth, named)),
            Some(reason) => self.reasons.add(reason),
        }
        true
    }

    /// Mails that were counted.
    pub fn mails(&self) -> usize {
        self.pairs.len()
    }

    /// What it comes to; `None` of no mail at all.
    pub fn figures(&self, bootstrap: Bootstrap) -> Option<Figures> {
        let argmax = Confusion::of(self.labels.len(), self.pairs.iter().copied());
        let support = argmax.support();
        let answered = self.answered.total();
        let intervals = bootstrap.intervals(self.labels.len(), &self.pairs)?;
        Some(Figures {
            mails: self.pairs.len(),
            macro_f1: argmax.macro_f1(&support),
            macro_f1_interval: intervals.macro_f1,
            accuracy: share(argmax.right(), argmax.total()),
            accuracy_interval: intervals.accuracy,
            ece: self.bins.ece(),
            named_macro_f1: self.named.macro_f1(&support),
            named_accuracy: share(self.named.right(), self.named.total()),
            abstained: share(self.pairs.len() - answered, self.pairs.len()),
            reasons: self.reasons,
            answered_accuracy: (answered > 0).then(|| share(self.answered.right(), answered)),
            answered_macro_f1: self.answered.macro_f1(&support),
            labels: self.label_figures(&argmax, &support),
            confusion: Confusions { argmax, answered: self.answered.clone() },
            reliability: self.bins.report(),
        })
    }

    fn label_figures(&self, argmax: &Confusion, support: &[usize]) -> Vec<LabelFigures> {
        let answered = self.answered.scores(support);
        let scores = argmax.scores(support).into_iter().zip(answered);
        self.labels
            .iter()
            .zip(support)
            .zip(scores)
            .map(|((label, &mails), (argmax, answered))| LabelFigures {
                label: label.clone(),
                mails,
                argmax,
                answered,
            })
            .collect()
    }
}

impl Reasons {
    fn add(&mut self, reason: Abstention) {
        match reason {
            Abstention::Unsure => self.unsure += 1,
            Abstention::Language => self.language += 1,
            Abstention::TooLittleText => self.too_little_text += 1,
        }
    }
}

/// `part` of `whole`; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 mails")]
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Six digits tell mails apart in a set of a million, and say no more than is known.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn rounded<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(round(*value))
}

fn rounded_pair<S: Serializer>(pair: &(f64, f64), serializer: S) -> Result<S::Ok, S::Error> {
    (round(pair.0), round(pair.1)).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
fn rounded_option<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(round).serialize(serializer)
}

#[cfg(test)]
mod tests;
