//! Bootstrap intervals: how far a figure would move had other mails of the same kind been drawn
//! (Efron 1979, percentile method).
//!
//! The generator is written out in `random`, and again in `training/`, so that both draw the same
//! mails.

use super::confusion::Confusion;
use super::share;
use crate::random::SplitMix;

/// How intervals are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// Where the generator starts.
    pub seed: u64,
    /// How often as many mails as there are are drawn from them; at least 40.
    pub resamples: usize,
}

/// From the 2.5th to the 97.5th percentile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Intervals {
    pub(super) macro_f1: (f64, f64),
    pub(super) accuracy: (f64, f64),
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { seed: 1, resamples: 1000 }
    }
}

impl Bootstrap {
    /// The intervals of pairs of truth and found; `None` of no pairs, or of too few resamples.
    pub(super) fn intervals(self, labels: usize, pairs: &[(u8, u8)]) -> Option<Intervals> {
        if pairs.is_empty() {
            return None;
        }
        let mut random = SplitMix::new(self.seed);
        let mut matrix = Confusion::new(labels);
        let mut accuracies = Vec::with_capacity(self.resamples);
        let mut macro_f1s = Vec::with_capacity(self.resamples);
        for _ in 0..self.resamples {
            matrix.clear();
            for _ in 0..pairs.len() {
                matrix.add(*pairs.get(random.below(pairs.len()))?);
            }
            accuracies.push(share(matrix.right(), pairs.len()));
            macro_f1s.push(matrix.macro_f1(&matrix.support()));
        }
        Some(Intervals { macro_f1: middle(macro_f1s)?, accuracy: middle(accuracies)? })
    }
}

/// Of 1,000 values in order the 25th and the 975th.
fn middle(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let at = |thousandth: usize| {
        let place = (values.len() * thousandth / 1000).checked_sub(1)?;
        values.get(place).copied()
    };
    Some((at(25)?, at(975)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_interval() {
        assert_eq!(Bootstrap::default().intervals(3, &[]), None);
    }

    #[test]
    fn what_is_always_right_has_an_interval_without_width() {
        let intervals = Bootstrap::default().intervals(2, &[(0, 0); 5]).expect("some");
        assert_eq!(intervals, Intervals { macro_f1: (1.0, 1.0), accuracy: (1.0, 1.0) });
    }
}
