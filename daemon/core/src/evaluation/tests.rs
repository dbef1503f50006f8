//! The figures, against a small example that was worked out by a program of its own.

use super::*;

/// An answer that names its most probable label.
fn answer(labels: &[&str], scores: &[f32], abstained: Option<Abstention>) -> HeadPrediction {
    let scores: Vec<_> =
        labels.iter().map(|&label| label.to_owned()).zip(scores.iter().copied()).collect();
    let best = scores.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1)).expect("some").clone();
    HeadPrediction { head: "head".into(), label: best.0, confidence: best.1, abstained, scores }
}

const URGENCY: [&str; 3] = ["high", "normal", "low"];

fn empty(labels: &[&str]) -> Tally {
    Tally::new(labels.iter().map(|&label| label.to_owned()).collect())
}

fn tally() -> Tally {
    let mut tally = empty(&URGENCY);
    let (high, normal, low) = (0, 1, 2);
    for (probabilities, truth, abstained) in [
        ([0.75, 0.25, 0.0], high, None),
        ([0.5, 0.375, 0.125], high, Some(Abstention::Unsure)),
        ([0.125, 0.75, 0.125], normal, None),
        ([0.625, 0.25, 0.125], normal, None),
        ([0.0625, 0.9375, 0.0], normal, None),
        ([0.25, 0.25, 0.5], low, Some(Abstention::Language)),
        ([0.375, 0.375, 0.25], normal, Some(Abstention::Unsure)),
        ([0.03125, 0.9375, 0.03125], high, None),
    ] {
        assert!(tally.add(&answer(&URGENCY, &probabilities, abstained), truth));
    }
    tally
}

fn figures() -> Figures {
    tally().figures(Bootstrap::default()).expect("eight mails")
}

fn same(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

#[test]
fn the_worked_example_comes_out() {
    let figures = figures();
    assert_eq!(figures.mails, 8);
    same(figures.macro_f1, 0.714_286);
    same(figures.macro_f1_interval.0, 0.272_727);
    same(figures.macro_f1_interval.1, 0.954_545);
    same(figures.accuracy, 0.625);
    assert_eq!(figures.accuracy_interval, (0.25, 0.875));
    same(figures.ece, 0.421_875);
    same(figures.abstained, 0.375);
    assert_eq!(figures.reasons, Reasons { unsure: 2, language: 1, too_little_text: 0 });
    same(figures.answered_accuracy.expect("some are answered"), 0.6);
    same(figures.answered_macro_f1, 0.323_81);
    same(figures.named_macro_f1, figures.macro_f1);
    same(figures.named_accuracy, 0.625);
}

#[test]
fn an_abstention_lowers_recall_and_not_precision() {
    let labels = figures().labels;
    let high = &labels[0];
    same(high.argmax.recall.expect("there are some"), 2.0 / 3.0);
    same(high.answered.recall.expect("there are some"), 1.0 / 3.0);
    same(high.answered.precision.expect("found"), 0.5);
    assert_eq!(labels[2].answered.precision, None, "no answer says low");
    assert_eq!(labels[2].answered.f1, Some(0.0));
}

#[test]
fn rows_are_the_truth() {
    let confusion = figures().confusion;
    let rows = |matrix: &Confusion| matrix.rows().map(<[usize]>::to_vec).collect::<Vec<_>>();
    assert_eq!(rows(&confusion.argmax), [[2, 1, 0], [2, 2, 0], [0, 0, 1]]);
    assert_eq!(rows(&confusion.answered), [[1, 1, 0], [1, 2, 0], [0, 0, 0]]);
}

#[test]
fn a_label_that_does_not_occur_does_not_weigh_in_the_mean() {
    let mut tally = empty(&URGENCY);
    tally.add(&answer(&URGENCY, &[0.9, 0.1, 0.0], None), 0);
    tally.add(&answer(&URGENCY, &[0.1, 0.9, 0.0], None), 1);
    let figures = tally.figures(Bootstrap::default()).expect("two mails");
    same(figures.macro_f1, 1.0);
    let LabelScores { precision, recall, f1 } = figures.labels[2].argmax;
    assert_eq!((precision, recall, f1), (None, None, None));
}

#[test]
fn a_label_that_the_model_does_not_have_is_never_found() {
    let mut tally = empty(&["a", "b", "own"]);
    assert!(tally.add(&answer(&["a", "b"], &[0.4, 0.6], None), 2));
    let figures = tally.figures(Bootstrap::default()).expect("one mail");
    assert_eq!(figures.labels[2].argmax.recall, Some(0.0));
}

#[test]
fn the_named_label_need_not_be_the_most_probable_one() {
    let mut tally = empty(&URGENCY);
    let mut named = answer(&URGENCY, &[0.3, 0.6, 0.1], None);
    named.label = "high".to_owned();
    tally.add(&named, 0);
    let figures = tally.figures(Bootstrap::default()).expect("one mail");
    assert_eq!((figures.accuracy, figures.named_accuracy), (0.0, 1.0));
    assert_eq!(figures.labels[0].answered.recall, Some(1.0));
    let middle = figures.reliability[6];
    assert_eq!((middle.mails, middle.accuracy), (1, Some(0.0)), "calibration is of the scores");
}

#[test]
fn what_can_not_be_counted_is_not() {
    let mut tally = empty(&["a", "b"]);
    assert!(!tally.add(&answer(&["a", "b"], &[0.5, 0.5], None), 2));
    assert!(!tally.add(&answer(&["a", "b", "c"], &[0.1, 0.1, 0.8], None), 0));
    let silent = HeadPrediction { scores: vec![], ..answer(&["a", "b"], &[0.5, 0.5], None) };
    assert!(!tally.add(&silent, 0));
    assert_eq!(tally.mails(), 0);
    assert!(tally.figures(Bootstrap::default()).is_none());
}

#[test]
fn a_certain_answer_is_in_the_last_bin() {
    let mut tally = empty(&["a", "b"]);
    tally.add(&answer(&["a", "b"], &[1.0, 0.0], None), 1);
    let figures = tally.figures(Bootstrap::default()).expect("one mail");
    let last = figures.reliability[9];
    assert_eq!((last.mails, last.confidence, last.accuracy), (1, Some(1.0), Some(0.0)));
    same(figures.ece, 1.0);
}
