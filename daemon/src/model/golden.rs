//! Replays a bundle's golden mails: whether this program on this machine reads and scores them as
//! they were read and scored when the bundle was packed. `models/README.md` has the format.
//!
//! Deliberately absent: thresholds and labels. Scores are what the machine computes; what follows
//! from them is the same code everywhere.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use triaged_core::score::HeadPrediction;
use triaged_core::{document, message};

use super::backend::Backend;

/// How far a score may be from the golden one where the same kernels run.
const SAME_KERNELS: f32 = 1e-3;
/// Where other kernels run, the most probable label may change only where the two best golden
/// scores are closer than this.
const OTHER_KERNELS: f32 = 0.05;

/// The first line.
#[derive(Debug, Deserialize)]
struct Header {
    /// Which features the processor had, by Linux's names.
    processor: BTreeMap<String, bool>,
}

/// Each further line.
#[derive(Debug, Deserialize)]
struct Example {
    mail: String,
    text: String,
    /// By head and label.
    scores: BTreeMap<String, BTreeMap<String, f32>>,
}

/// Reads every example; the error has the line of the file, from 1, and what is wrong with it.
/// `exact` where the model runs on the processor itself, so that equal processors give equal scores.
pub(super) fn replay(
    backend: &mut dyn Backend,
    golden: &[u8],
    exact: bool,
) -> Result<(), (usize, String)> {
    let mut lines =
        golden.split(|&byte| byte == b'\n').zip(1..).filter(|(line, _)| !line.is_empty());
    let Some((first, _)) = lines.next() else { return Err((1, "it is empty".to_owned())) };
    let header: Header = serde_json::from_slice(first).map_err(|error| (1, error.to_string()))?;
    let exact = exact && is_this(&header.processor);
    for (line, number) in lines {
        let example = serde_json::from_slice(line).map_err(|error| (number, error.to_string()))?;
        agrees(backend, &example, exact).map_err(|problem| (number, problem))?;
    }
    Ok(())
}

fn agrees(backend: &mut dyn Backend, example: &Example, exact: bool) -> Result<(), String> {
    let mail = example.mail.as_bytes();
    if document::render(&message::parse(mail, mail.len() as u64)) != example.text {
        return Err("its mail is rendered otherwise here".to_owned());
    }
    let prediction = backend.read(&example.text).map_err(|error| error.to_string())?;
    prediction.heads.iter().try_for_each(|head| {
        let golden = example.scores.get(&head.head);
        let golden = golden.ok_or_else(|| format!("it has no scores of {}", head.head))?;
        head_agrees(head, golden, exact)
    })
}

fn head_agrees(
    head: &HeadPrediction,
    golden: &BTreeMap<String, f32>,
    exact: bool,
) -> Result<(), String> {
    let best = golden.values().copied().fold(0.0, f32::max);
    let mut top: Option<(f32, f32)> = None;
    for (label, score) in &head.scores {
        let name = format!("{}.{label}", head.head);
        let Some(&expected) = golden.get(label) else {
            return Err(format!("it has no score of {name}"));
        };
        let difference = (score - expected).abs();
        if exact && difference > SAME_KERNELS {
            return Err(format!("{name} is {score:.4}, it was {expected:.4}"));
        }
        if top.is_none_or(|(most, _)| *score > most) {
            top = Some((*score, expected));
        }
    }
    match top {
        Some((_, expected)) if best - expected > OTHER_KERNELS => {
            Err(format!("the most probable label of {} is another one", head.head))
        }
        _ => Ok(()),
    }
}

/// Whether this machine's processor has exactly these features, as far as Linux tells.
fn is_this(features: &BTreeMap<String, bool>) -> bool {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let flags: Vec<_> = flags.split_whitespace().collect();
    !features.is_empty()
        && features.iter().all(|(name, has)| flags.contains(&name.as_str()) == *has)
}

#[cfg(test)]
mod tests {
    use triaged_core::score::{Prediction, Thresholds, predict};

    use super::*;
    use crate::model::error::TextError;

    /// Says the same of every text.
    struct Fixed([f32; 2]);

    impl Backend for Fixed {
        fn read(&mut self, _: &str) -> Result<Prediction, TextError> {
            let head = predict("mood", &["bad", "good"], &self.0, &Thresholds::of_head(0.5));
            Ok(Prediction { heads: vec![head.expect("two labels")] })
        }
    }

    /// Golden lines of one mail with these scores, on a processor with `feature`.
    fn golden(feature: &str, scores: &str) -> Vec<u8> {
        let mail = "From: a@example.org\nSubject: x\n\ny\n";
        let text = document::render(&message::parse(mail.as_bytes(), mail.len() as u64));
        let example = serde_json::json!({ "mail": mail, "text": text });
        let example = example.to_string().replace('}', &format!(",\"scores\":{scores}}}"));
        format!("{{\"processor\":{{{feature}}}}}\n{example}\n").into_bytes()
    }

    /// What replaying ends with, for a model that says 0.52 bad, 0.48 good.
    fn ends(golden: &[u8], exact: bool) -> Result<(), (usize, String)> {
        replay(&mut Fixed([0.52, 0.48]), golden, exact)
    }

    /// A feature that no processor has, and so any processor may lack.
    const ANY: &str = "\"no_such_feature\":false";

    #[test]
    fn scores_of_the_same_processor_must_be_the_same() {
        assert_eq!(ends(&golden(ANY, r#"{"mood":{"bad":0.5201,"good":0.4799}}"#), true), Ok(()));
        let error = ends(&golden(ANY, r#"{"mood":{"bad":0.53,"good":0.47}}"#), true);
        assert_eq!(error, Err((2, "mood.bad is 0.5200, it was 0.5300".into())));
    }

    #[test]
    fn scores_of_another_processor_may_change_a_label_only_where_it_was_close() {
        for exact in [false, true] {
            let other = golden("\"no_such_feature\":true", r#"{"mood":{"bad":0.48,"good":0.52}}"#);
            assert_eq!(ends(&other, exact), Ok(()));
        }
        let error = ends(&golden(ANY, r#"{"mood":{"bad":0.4,"good":0.6}}"#), false);
        assert_eq!(error, Err((2, "the most probable label of mood is another one".into())));
    }

    #[test]
    fn what_is_missing_or_rendered_otherwise_is_said_with_its_line() {
        let scores = r#"{"mood":{"bad":0.52,"good":0.48}}"#;
        let error = ends(&golden(ANY, r#"{"size":{}}"#), true).expect_err("no mood");
        assert_eq!(error, (2, "it has no scores of mood".into()));
        let text = String::from_utf8(golden(ANY, scores)).expect("text").replace("y\"", "z\"");
        let error = ends(text.as_bytes(), true).expect_err("another text");
        assert_eq!(error, (2, "its mail is rendered otherwise here".into()));
        assert_eq!(ends(b"", true), Err((1, "it is empty".into())));
        assert_eq!(ends(b"{}\n", true).expect_err("no header").0, 1);
    }
}
