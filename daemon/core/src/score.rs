//! From the model's logits to calibrated probabilities, and from those to a prediction.

use std::str::FromStr;

/// What the model says about one message: one answer a head, in the order of the manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The answers.
    pub heads: Vec<HeadPrediction>,
}

impl Prediction {
    /// The prediction of which every head abstains for this reason; what the model says stays
    /// visible.
    #[must_use]
    pub fn abstaining(mut self, reason: Abstention) -> Self {
        for head in &mut self.heads {
            head.abstained = Some(reason);
        }
        self
    }

    /// Why every head abstains, where that lies in the mail and not in the scores.
    pub fn left_alone(&self) -> Option<Abstention> {
        let reason = self.heads.first()?.abstained?;
        let all = self.heads.iter().all(|head| head.abstained == Some(reason));
        (all && reason != Abstention::Unsure).then_some(reason)
    }

    /// The answer of the head of that name.
    pub fn head(&self, name: &str) -> Option<&HeadPrediction> {
        self.heads.iter().find(|head| head.head == name)
    }
}

/// The answer of one head.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadPrediction {
    /// Name of the head.
    pub head: String,
    /// Name of the answer, abstained or not: see [`predict`]. Not always the most probable label.
    pub label: String,
    /// Its calibrated probability, 0 to 1.
    pub confidence: f32,
    /// Why the head abstains, if it does: then nothing is written.
    pub abstained: Option<Abstention>,
    /// Label names with their calibrated probabilities, in the order of the manifest; they sum to 1.
    pub scores: Vec<(String, f32)>,
}

impl HeadPrediction {
    /// The most probable label, the first one on a tie; abstained or not, the answer or not.
    pub fn most_probable(&self) -> Option<&str> {
        let place = first_largest(self.scores.iter().map(|(_, score)| *score).enumerate())?;
        self.scores.get(place).map(|(label, _)| label.as_str())
    }
}

/// Why a head abstains: the answer is shown and not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abstention {
    /// The probability is under the threshold.
    Unsure,
    /// The mail is reliably in a language that the model was not made for.
    Language,
    /// The mail has too few words to be judged.
    TooLittleText,
}

impl Abstention {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Unsure, Self::Language, Self::TooLittleText];

    /// The name in JSON, in the database, in `history` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsure => "unsure",
            Self::Language => "language",
            Self::TooLittleText => "too-little-text",
        }
    }
}

impl FromStr for Abstention {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(())
    }
}

/// Probabilities of `logits` under `temperature` (Guo et al. 2017, "On Calibration of Modern
/// Neural Networks"): softmax(logits / temperature), computed without overflow.
///
/// Logits that are not finite give `None`: a model that says so is broken, and no label may
/// come out of it.
pub fn probabilities(logits: &[f32], temperature: f32) -> Option<Vec<f32>> {
    if logits.is_empty() || logits.iter().any(|logit| !logit.is_finite()) {
        return None;
    }
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> =
        logits.iter().map(|logit| ((logit - top) / temperature).exp()).collect();
    let sum: f32 = weights.iter().sum();
    Some(weights.iter().map(|weight| weight / sum).collect())
}

/// From which probability on the labels of one head are written.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// That of every label without one of its own, 0 to 1.
    pub head: f32,
    /// The labels' own ones, above 0 to 1, in the order of the manifest; those that are missing at
    /// the end count as `None`.
    pub labels: Vec<Option<f32>>,
}

impl Thresholds {
    /// One threshold for all labels.
    pub fn of_head(threshold: f32) -> Self {
        Self { head: threshold, labels: Vec::new() }
    }

    /// The own threshold of the label at `place`, if it has one.
    fn own(&self, place: usize) -> Option<f32> {
        self.labels.get(place).copied().flatten()
    }
}

/// The prediction of one head, by two rules:
///
/// 1. A label with a threshold `t` of its own whose probability `p` reaches it (`p >= t`) is the
///    answer, although another label may be more probable: so what must not be missed can be found
///    below one half. Of several such labels it is that with the largest `p / t`, the first one on
///    a tie.
/// 2. Else the most probable label is the answer, the first one on a tie. It is abstained where
///    its probability is under its own threshold or, where it has none, under the head's.
///
/// The confidence is the probability of the answer. `None` where `probabilities` and `labels` have
/// different lengths or are empty.
pub fn predict(
    head: &str,
    labels: &[&str],
    probabilities: &[f32],
    thresholds: &Thresholds,
) -> Option<HeadPrediction> {
    if labels.len() != probabilities.len() {
        return None;
    }
    let reached = probabilities.iter().enumerate().filter_map(|(place, &p)| {
        let own = thresholds.own(place).filter(|&own| p >= own)?;
        Some((place, p / own))
    });
    let place = first_largest(reached)
        .or_else(|| first_largest(probabilities.iter().copied().enumerate()))?;
    let confidence = *probabilities.get(place)?;
    Some(HeadPrediction {
        head: head.to_owned(),
        label: (*labels.get(place)?).to_owned(),
        confidence,
        abstained: (confidence < thresholds.own(place).unwrap_or(thresholds.head))
            .then_some(Abstention::Unsure),
        scores: labels
            .iter()
            .map(|&label| label.to_owned())
            .zip(probabilities.iter().copied())
            .collect(),
    })
}

/// The place of the largest number, the first one on a tie.
fn first_largest(numbers: impl Iterator<Item = (usize, f32)>) -> Option<usize> {
    let largest = numbers.reduce(|best, next| if next.1 > best.1 { next } else { best });
    largest.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_survive_large_logits() {
        let p = probabilities(&[1000.0, 999.0, -1000.0], 2.0).expect("finite");
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((p[0] / p[1] - 0.5f32.exp()).abs() < 1e-3);
        assert_eq!(probabilities(&[0.0, f32::NAN], 1.0), None);
        assert_eq!(probabilities(&[], 1.0), None);
    }

    #[test]
    fn the_most_probable_label_is_named_even_when_abstained() {
        let thresholds = Thresholds::of_head(0.7);
        assert_eq!(answer(&[0.4, 0.6, 0.0], &thresholds), ("normal".into(), 0.6, true));
        assert!(predict("urgency", &["high"], &[0.4, 0.6], &thresholds).is_none());
        assert!(predict("urgency", &[], &[], &thresholds).is_none());
    }

    /// Label, confidence and abstention of a head with three labels.
    fn answer(probabilities: &[f32], thresholds: &Thresholds) -> (String, f32, bool) {
        let labels = ["high", "normal", "low"];
        let answer = predict("urgency", &labels, probabilities, thresholds).expect("same length");
        (answer.label, answer.confidence, answer.abstained.is_some())
    }

    #[test]
    fn a_label_that_reaches_its_own_threshold_wins_over_a_more_probable_one() {
        let thresholds = Thresholds { head: 0.7, labels: vec![Some(0.3)] };
        assert_eq!(answer(&[0.3, 0.6, 0.1], &thresholds), ("high".into(), 0.3, false));
        let labels = ["high", "normal", "low"];
        let named = predict("urgency", &labels, &[0.3, 0.6, 0.1], &thresholds).expect("some");
        assert_eq!((named.label.as_str(), named.most_probable()), ("high", Some("normal")));
        assert_eq!(answer(&[0.29, 0.71, 0.0], &thresholds), ("normal".into(), 0.71, false));
        assert_eq!(answer(&[0.29, 0.6, 0.11], &thresholds), ("normal".into(), 0.6, true));
    }

    #[test]
    fn of_two_that_reach_their_own_thresholds_the_further_above_it_wins() {
        let thresholds = Thresholds { head: 0.0, labels: vec![Some(0.25), None, Some(0.5)] };
        assert_eq!(answer(&[0.375, 0.0, 0.625], &thresholds).0, "high", "1.5 against 1.25");
        assert_eq!(answer(&[0.25, 0.25, 0.5], &thresholds).0, "high", "the first one on a tie");
        assert_eq!(answer(&[0.3125, 0.0, 0.6875], &thresholds).0, "low", "1.25 against 1.375");
    }

    #[test]
    fn an_own_threshold_above_the_heads_is_the_one_that_counts() {
        let thresholds = Thresholds { head: 0.5, labels: vec![None, Some(0.9)] };
        assert_eq!(answer(&[0.2, 0.8, 0.0], &thresholds), ("normal".into(), 0.8, true));
        assert_eq!(answer(&[0.6, 0.4, 0.0], &thresholds), ("high".into(), 0.6, false));
    }

    #[test]
    fn a_mail_that_can_not_be_judged_keeps_its_scores() {
        let thresholds = Thresholds::of_head(0.7);
        let answer = predict("urgency", &["high", "low"], &[0.9, 0.1], &thresholds).expect("some");
        let prediction = Prediction { heads: vec![answer] }.abstaining(Abstention::Language);
        assert_eq!(prediction.left_alone(), Some(Abstention::Language));
        let answer = prediction.head("urgency").expect("it is there");
        assert_eq!((answer.label.as_str(), answer.abstained), ("high", Some(Abstention::Language)));
        assert_eq!(prediction.abstaining(Abstention::Unsure).left_alone(), None);
    }

    #[test]
    fn every_reason_is_found_by_its_name() {
        for reason in Abstention::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        assert_eq!("".parse::<Abstention>(), Err(()));
    }
}
