//! The most confident mistakes of a head: where to look first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde::Serialize;

/// A mail whose named label is not the true one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Mistake {
    /// Where it is.
    pub(super) file: String,
    /// The identifier of its line.
    pub(super) id: Option<String>,
    /// The true label.
    pub(super) truth: String,
    /// The label that was named.
    pub(super) found: String,
    /// The probability of that.
    pub(super) probability: f32,
    /// Why the head abstained, if it did.
    pub(super) abstained: Option<&'static str>,
    /// The rendered text, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
}

/// As many mistakes as are asked for, however many there are.
#[derive(Debug)]
pub(super) struct Mistakes {
    most: usize,
    seen: usize,
    /// The least of those that are kept is on top.
    kept: BinaryHeap<Ranked>,
}

#[derive(Debug)]
struct Ranked {
    /// How many mistakes were before it: of two that are equally sure the earlier one counts more.
    place: usize,
    mistake: Mistake,
}

impl Mistakes {
    pub(super) fn new(most: usize) -> Self {
        Self { most, seen: 0, kept: BinaryHeap::new() }
    }

    /// Takes one that `mistake` makes, if it will be kept.
    pub(super) fn add(&mut self, probability: f32, mistake: impl FnOnce() -> Mistake) {
        let place = self.seen;
        self.seen += 1;
        let full = self.kept.len() >= self.most;
        let better = self.kept.peek().is_some_and(|least| probability > least.mistake.probability);
        if self.most == 0 || (full && !better) {
            return;
        }
        if full {
            self.kept.pop();
        }
        self.kept.push(Ranked { place, mistake: mistake() });
    }

    /// The kept ones, the surest first.
    pub(super) fn into_sorted(self) -> Vec<Mistake> {
        self.kept.into_sorted_vec().into_iter().map(|ranked| ranked.mistake).collect()
    }
}

/// The less sure, and of equals the later, is the greater: it is the first to go.
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let surer = other.mistake.probability.total_cmp(&self.mistake.probability);
        surer.then(self.place.cmp(&other.place))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of the kept mistakes, which are named by their place in the input.
    fn kept(most: usize, probabilities: &[f32]) -> Vec<String> {
        let mut mistakes = Mistakes::new(most);
        for (place, &probability) in probabilities.iter().enumerate() {
            mistakes.add(probability, || Mistake {
                file: place.to_string(),
                id: None,
                truth: "a".into(),
                found: "b".into(),
                probability,
                abstained: None,
                text: None,
            });
        }
        mistakes.into_sorted().into_iter().map(|mistake| mistake.file).collect()
    }

    #[test]
    fn the_surest_are_kept_and_of_equals_the_first() {
        assert_eq!(kept(3, &[0.5, 0.9, 0.7, 0.9, 0.8]), ["1", "3", "4"]);
        assert_eq!(kept(2, &[0.5, 0.5, 0.5]), ["0", "1"]);
        assert_eq!(kept(9, &[0.5, 0.6]), ["1", "0"]);
        assert!(kept(0, &[0.9]).is_empty());
    }
}
