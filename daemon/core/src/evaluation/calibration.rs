//! Whether a probability is kept as a promise: of the answers of about 0.8, eight of ten are right.

use serde::Serialize;

use super::{rounded, rounded_option, share};

/// Bins of equal width; the usual number.
const BINS: usize = 10;
/// The same, for arithmetic.
const BINS_F64: f64 = 10.0;

/// One bar of the reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Probabilities from here on...
    #[serde(serialize_with = "rounded")]
    pub from: f64,
    /// ...and below this; the last bin holds 1, too.
    #[serde(serialize_with = "rounded")]
    pub to: f64,
    /// Mails whose most probable label is as probable as that.
    pub mails: usize,
    /// Their mean probability; `None` in an empty bin.
    #[serde(serialize_with = "rounded_option")]
    pub confidence: Option<f64>,
    /// The share of them that is right; `None` in an empty bin.
    #[serde(serialize_with = "rounded_option")]
    pub accuracy: Option<f64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Bins([Count; BINS]);

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    mails: usize,
    right: usize,
    /// Sum of the probabilities.
    confidence: f64,
}

impl Bins {
    pub(super) fn add(&mut self, confidence: f32, right: bool) {
        let confidence = f64::from(confidence);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a probability times ten; the conversion saturates"
        )]
        let place = ((confidence * BINS_F64) as usize).min(BINS - 1);
        if let Some(bin) = self.0.get_mut(place) {
            bin.mails += 1;
            bin.right += usize::from(right);
            bin.confidence += confidence;
        }
    }

    /// The mean distance between probability and share of right answers, weighted by mails.
    pub(super) fn ece(&self) -> f64 {
        let total = self.0.iter().map(|bin| bin.mails).sum();
        let distance = |bin: &Count| (share(bin.right, bin.mails) - bin.mean()).abs();
        self.0.iter().map(|bin| share(bin.mails, total) * distance(bin)).sum()
    }

    pub(super) fn report(&self) -> Vec<Bin> {
        let edges = (0_u8..).map(|edge| f64::from(edge) / BINS_F64);
        self.0
            .iter()
            .zip(edges.clone().zip(edges.skip(1)))
            .map(|(bin, (from, to))| Bin {
                from,
                to,
                mails: bin.mails,
                confidence: (bin.mails > 0).then(|| bin.mean()),
                accuracy: (bin.mails > 0).then(|| share(bin.right, bin.mails)),
            })
            .collect()
    }
}

impl Count {
    /// 0 of nothing.
    #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 mails")]
    fn mean(&self) -> f64 {
        if self.mails == 0 { 0.0 } else { self.confidence / self.mails as f64 }
    }
}
