//! The trial: base and candidate read the same mails, and the gate compares what they say.
//!
//! Both are run as the daemon runs them. Only the most probable labels are kept.

use std::collections::BTreeMap;
use std::path::Path;

use triaged_core::label::Head;
use triaged_core::retrain::{Answer, HeadTrial, LabelNames, Labels};
use triaged_core::score::HeadPrediction;

use crate::model::{Classifier, ModelBundle, ModelError, ModelOptions};

/// Texts that are handed to the model at once; all its threads are busy with them.
const AT_ONCE: usize = 64;

/// Mails that judge: text and true labels.
#[derive(Debug, Default)]
pub struct Judges<'a> {
    /// Held out of the person's set, with whether the base knows the mail by heart.
    pub held_out: Vec<(&'a str, &'a Labels, bool)>,
    /// The check set.
    pub check: Vec<(&'a str, &'a Labels)>,
}

/// The most probable label of each head, text by text; held-out mails first, then the check set.
pub type Answers = Vec<BTreeMap<String, String>>;

/// Why a model could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The bundle does not load or run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A text has no answer.
    #[error("the model gives no answer to a mail that judges it: {0}")]
    Text(String),
    /// The candidate does not have the labels that were asked for.
    #[error("the candidate's labels of {head} are {found}, expected {expected}")]
    Labels {
        /// The head.
        head: String,
        /// What it has.
        found: String,
        /// What it should have.
        expected: String,
    },
}

impl Judges<'_> {
    /// All texts in the order of [`Answers`].
    pub fn texts(&self) -> Vec<String> {
        let held_out = self.held_out.iter().map(|(text, ..)| (*text).to_owned());
        held_out.chain(self.check.iter().map(|(text, _)| (*text).to_owned())).collect()
    }

    /// The heads on trial, from both models' answers.
    pub fn trials(&self, names: &LabelNames, before: &Answers, after: &Answers) -> Vec<HeadTrial> {
        let all = before.iter().zip(after);
        let held_out: Vec<_> = self.held_out.iter().zip(all.clone()).collect();
        let check: Vec<_> = self.check.iter().zip(all.skip(self.held_out.len())).collect();
        let trial = |head: &Head| {
            let name = head.name.as_str();
            let place = |label: Option<&String>| {
                head.labels.iter().position(|known| Some(&known.name) == label)
            };
            let answer =
                |truth: &Labels, before: &BTreeMap<_, _>, after: &BTreeMap<_, _>, by_heart| {
                    Some(Answer {
                        truth: place(truth.get(name))?,
                        before: place(before.get(name))?,
                        after: place(after.get(name))?,
                        by_heart,
                    })
                };
            let own = head.labels.iter().enumerate();
            let own = own.filter(|(_, label)| !names.is_known(name, &label.name));
            HeadTrial {
                head: name.to_owned(),
                labels: head.labels.iter().map(|label| label.name.clone()).collect(),
                own: own.map(|(at, _)| at).collect(),
                held_out: held_out
                    .iter()
                    .filter_map(|((_, truth, known), (before, after))| {
                        answer(truth, before, after, *known)
                    })
                    .collect(),
                check: check
                    .iter()
                    .filter_map(|((_, truth), (before, after))| answer(truth, before, after, false))
                    .collect(),
            }
        };
        names.heads().iter().map(trial).collect()
    }
}

/// Lets the bundle in `folder` read the texts. Blocks for as long as that takes.
pub fn answers(
    folder: &Path,
    options: &ModelOptions,
    texts: &[String],
) -> Result<Answers, TrialError> {
    let classifier = Classifier::start(ModelBundle::load(folder)?, options)?;
    let mut all = Vec::with_capacity(texts.len());
    for texts in texts.chunks(AT_ONCE) {
        for answer in classifier.classify_blocking(texts.to_vec())? {
            let prediction = answer.map_err(|error| TrialError::Text(error.to_string()))?;
            // Not the answer: a label's own threshold can make that another one, and thresholds are
            // fitted anew with each training.
            let heads = prediction.heads.iter();
            let most_probable =
                |head: &HeadPrediction| Some((head.head.clone(), head.most_probable()?.to_owned()));
            all.push(heads.filter_map(most_probable).collect());
        }
    }
    Ok(all)
}

/// Refuses a candidate with other labels than those that were taught, in any head.
pub fn has_labels(candidate: &ModelBundle, names: &LabelNames) -> Result<(), TrialError> {
    let listed = |head: Option<&Head>| {
        let labels = head.map(|head| head.labels.as_slice()).unwrap_or_default();
        labels.iter().map(|label| label.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let heads = candidate.manifest().heads();
    for expected in names.heads() {
        let found = listed(heads.iter().find(|head| head.name == expected.name));
        let expected_labels = listed(Some(expected));
        if found != expected_labels {
            let (head, expected) = (expected.name.clone(), expected_labels);
            return Err(TrialError::Labels { head, found, expected });
        }
    }
    Ok(())
}
