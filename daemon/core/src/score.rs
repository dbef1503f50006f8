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
    /// Name of the most probable label, abstained or not.
    pub label: String,
    /// Its calibrated probability, 0 to 1.
    pub confidence: f32,
    /// Why the head abstains, if it does: then nothing is written.
    pub abstained: Option<Abstention>,
    /// Label names with their calibrated probabilities, in the order of the manifest; they sum to 1.
    pub scores: Vec<(String, f32)>,
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

/// The prediction of one head: the most probable label, the first one on a tie.
/// `None` where `probabilities` and `labels` have different lengths or are empty.
pub fn predict(
    head: &str,
    labels: &[&str],
    probabilities: &[f32],
    threshold: f32,
) -> Option<HeadPrediction> {
    if labels.len() != probabilities.len() {
        return None;
    }
    let (label, confidence) =
        labels.iter().zip(probabilities).fold(None, |best: Option<(&str, f32)>, (label, &p)| {
            match best {
                Some((_, most)) if most >= p => best,
                _ => Some((label, p)),
            }
        })?;
    Some(HeadPrediction {
        head: head.to_owned(),
        label: label.to_owned(),
        confidence,
        abstained: (confidence < threshold).then_some(Abstention::Unsure),
        scores: labels
            .iter()
            .map(|&label| label.to_owned())
            .zip(probabilities.iter().copied())
            .collect(),
    })
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
        let answer = predict("urgency", &["high", "low"], &[0.4, 0.6], 0.7).expect("same length");
        assert_eq!((answer.label.as_str(), answer.abstained), ("low", Some(Abstention::Unsure)));
        assert!(predict("urgency", &["high"], &[0.4, 0.6], 0.7).is_none());
    }

    #[test]
    fn a_mail_that_can_not_be_judged_keeps_its_scores() {
        let answer = predict("urgency", &["high", "low"], &[0.9, 0.1], 0.7).expect("same length");
        let prediction = Prediction { heads: vec![answer] }.abstaining(Abstention::Language);
        let answer = prediction.head("urgency").expect("it is there");
        assert_eq!((answer.label.as_str(), answer.abstained), ("high", Some(Abstention::Language)));
    }

    #[test]
    fn every_reason_is_found_by_its_name() {
        for reason in Abstention::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        assert_eq!("".parse::<Abstention>(), Err(()));
    }
}
