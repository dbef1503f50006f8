//! Counts of who was taken for what, and the precision, recall and F1 that follow from them.

use serde::{Serialize, Serializer};

use super::{rounded_option, share};

/// So many mails of each true label (a row) were taken for each label (a column).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    labels: usize,
    /// Row by row.
    counts: Vec<usize>,
}

/// Precision, recall and F1 of one label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LabelScores {
    /// Of what was taken for it, the share that is; `None` where nothing was.
    #[serde(serialize_with = "rounded_option")]
    pub precision: Option<f64>,
    /// Of what is it, the share that was found; `None` where nothing is.
    #[serde(serialize_with = "rounded_option")]
    pub recall: Option<f64>,
    /// The harmonic mean of both; `None` where nothing is it and nothing was taken for it.
    #[serde(serialize_with = "rounded_option")]
    pub f1: Option<f64>,
}

impl Confusion {
    pub(super) fn new(labels: usize) -> Self {
        Self { labels, counts: vec![0; labels * labels] }
    }

    /// The matrix of pairs of truth and found; both are less than `labels`.
    pub(crate) fn of(labels: usize, pairs: impl IntoIterator<Item = (u8, u8)>) -> Self {
        let mut matrix = Self::new(labels);
        for pair in pairs {
            matrix.add(pair);
        }
        matrix
    }

    pub(super) fn add(&mut self, (truth, found): (u8, u8)) {
        let place = usize::from(truth) * self.labels + usize::from(found);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
    }

    /// Forgets all counts and keeps the room.
    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
    }

    /// The rows: the truth, in the order of the labels.
    pub fn rows(&self) -> impl Iterator<Item = &[usize]> {
        self.counts.chunks(self.labels.max(1))
    }

    /// Mails in all.
    pub(super) fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Mails that were taken for what they are.
    pub(crate) fn right(&self) -> usize {
        self.counts.iter().step_by(self.labels + 1).sum()
    }

    /// Mails of each true label.
    pub(crate) fn support(&self) -> Vec<usize> {
        self.rows().map(|row| row.iter().sum()).collect()
    }

    /// The scores of each label, of which there truly are so many, counted or not.
    pub(super) fn scores(&self, support: &[usize]) -> Vec<LabelScores> {
        let found: Vec<usize> = (0..self.labels).map(|label| self.found(label)).collect();
        support
            .iter()
            .zip(found)
            .zip(self.counts.iter().step_by(self.labels + 1))
            .map(|((&mails, found), &right)| LabelScores {
                precision: (found > 0).then(|| share(right, found)),
                recall: (mails > 0).then(|| share(right, mails)),
                f1: (found + mails > 0).then(|| share(2 * right, found + mails)),
            })
            .collect()
    }

    /// Mean F1 of the labels that occur in the truth.
    pub(crate) fn macro_f1(&self, support: &[usize]) -> f64 {
        let labels = self.counts.iter().step_by(self.labels + 1).zip(support).enumerate();
        let (mut sum, mut occurring) = (0.0, 0_u32);
        for (label, (&right, &mails)) in labels {
            if mails > 0 {
                sum += share(2 * right, self.found(label) + mails);
                occurring += 1;
            }
        }
        if occurring == 0 { 0.0 } else { sum / f64::from(occurring) }
    }

    /// Mails that were taken for a label.
    fn found(&self, label: usize) -> usize {
        self.counts.iter().skip(label).step_by(self.labels.max(1)).sum()
    }
}

/// As an array of rows.
impl Serialize for Confusion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows())
    }
}
