//! Bootstrap intervals: how far a figure would move had other mails of the same kind been drawn
//! (Efron 1979, percentile method).
//!
//! The generator is written out here, and again in `training/`, so that both draw the same mails.

use super::confusion::Confusion;
use super::share;

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
        let mut random = SplitMix64(self.seed);
        let mut matrix = Confusion::new(labels);
        let mut accuracies = Vec::with_capacity(self.resamples);
        let mut macro_f1s = Vec::with_capacity(self.resamples);
        for _ in 0..self.resamples {
            matrix.clear();
            for _ in 0..pairs.len() {
                matrix.add(*pairs.get(random.below(pairs.len())?)?);
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

/// Steele, Lea, Flood 2014, "Fast Splittable Pseudorandom Number Generators".
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, by remainder: the bias is 2^-40 for a million mails.
    pub(crate) fn below(&mut self, bound: usize) -> Option<usize> {
        let bound = u64::try_from(bound).ok()?;
        usize::try_from(self.next().checked_rem(bound)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut random = SplitMix64(1_234_567);
        let three = [random.next(), random.next(), random.next()];
        assert_eq!(
            three,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

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
