//! From answers to what is printed: one tally a head, and the JSON form of it all.

use serde::ser::{SerializeMap, Serializer};
use triaged_core::evaluation::{Bootstrap, Figures, Tally};
use triaged_core::label::Head;
use triaged_core::score::{HeadPrediction, Prediction};

use super::mistakes::{Mistake, Mistakes};
use super::row::Known;

/// The answers so far.
pub(super) struct Judge {
    mails: usize,
    heads: Vec<JudgedHead>,
}

struct JudgedHead {
    name: String,
    labels: Vec<String>,
    tally: Tally,
    mistakes: Mistakes,
}

/// What is printed.
#[derive(Debug, serde::Serialize)]
pub(super) struct Report<'a> {
    /// Name and version of the model.
    pub(super) model: &'a str,
    /// Mails that were judged.
    pub(super) mails: usize,
    /// Mails without any known label, which were not read.
    pub(super) unlabelled: usize,
    /// Rows that could not be used.
    pub(super) refused: usize,
    /// Of the bootstrap.
    pub(super) seed: u64,
    /// Of the bootstrap.
    pub(super) resamples: usize,
    /// In the order of the manifest.
    #[serde(serialize_with = "by_name")]
    pub(super) heads: Vec<HeadReport>,
}

#[derive(Debug, serde::Serialize)]
pub(super) struct HeadReport {
    #[serde(skip)]
    pub(super) name: String,
    /// `None` where no mail's label is known.
    #[serde(flatten)]
    pub(super) figures: Option<Figures>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) mistakes: Vec<Mistake>,
}

impl Judge {
    /// Keeps the `most` surest mistakes of each head.
    pub(super) fn new(heads: &[Head], most: usize) -> Self {
        let heads = heads.iter().map(|head| {
            let labels: Vec<_> = head.labels.iter().map(|label| label.name.clone()).collect();
            let (name, tally) = (head.name.clone(), Tally::new(labels.clone()));
            JudgedHead { name, labels, tally, mistakes: Mistakes::new(most) }
        });
        Self { mails: 0, heads: heads.collect() }
    }

    pub(super) fn mails(&self) -> usize {
        self.mails
    }

    /// Counts the answer to a mail from `file`.
    pub(super) fn add(&mut self, file: &str, known: &Known, prediction: &Prediction) {
        self.mails += 1;
        for (head, truth) in self.heads.iter_mut().zip(&known.truth) {
            if let (Some(truth), Some(answer)) = (truth, prediction.head(&head.name)) {
                head.add(file, known, answer, *truth);
            }
        }
    }

    pub(super) fn report(
        self,
        model: &str,
        bootstrap: Bootstrap,
        unlabelled: usize,
        refused: usize,
    ) -> Report<'_> {
        let heads = self.heads.into_iter().map(|head| HeadReport {
            name: head.name,
            figures: head.tally.figures(bootstrap),
            mistakes: head.mistakes.into_sorted(),
        });
        Report {
            model,
            mails: self.mails,
            unlabelled,
            refused,
            seed: bootstrap.seed,
            resamples: bootstrap.resamples,
            heads: heads.collect(),
        }
    }
}

impl JudgedHead {
    fn add(&mut self, file: &str, known: &Known, answer: &HeadPrediction, truth: usize) {
        let Some(truly) = self.labels.get(truth) else { return };
        self.tally.add(answer, truth);
        if *truly == answer.label {
            return;
        }
        self.mistakes.add(answer.confidence, || Mistake {
            file: file.to_owned(),
            id: known.id.clone(),
            truth: truly.clone(),
            found: answer.label.clone(),
            probability: answer.confidence,
            abstained: answer.abstained.map(triaged_core::score::Abstention::as_str),
            text: known.text.clone(),
        });
    }
}

/// One key a head, in their order.
fn by_name<S: Serializer>(heads: &[HeadReport], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(heads.len()))?;
    for head in heads {
        match &head.figures {
            Some(_) => map.serialize_entry(&head.name, head)?,
            None => map.serialize_entry(&head.name, &())?,
        }
    }
    map.end()
}
