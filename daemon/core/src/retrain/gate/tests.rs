use super::*;
use crate::random::SplitMix;

const LABELS: [&str; 4] = ["billing", "support", "work", "legal-hold"];

/// A mail of a set whose labels come from `truth`, read by two models that are each right with
/// their probability, and guess otherwise.
fn answers(random: &mut SplitMix, mails: usize, truth: &[usize], right: (f64, f64)) -> Vec<Answer> {
    let say = |random: &mut SplitMix, truth: usize, right: f64, known: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a number below a thousand")]
        let lucky = (random.below(1000) as f64) < right * 1000.0;
        if lucky && truth < known { truth } else { random.below(known) }
    };
    (0..mails)
        .map(|_| {
            let truth = truth[random.below(truth.len())];
            let before = say(random, truth, right.0, 3);
            let after = say(random, truth, right.1, 4);
            Answer { truth, before, after, by_heart: false }
        })
        .collect()
}

fn trial(held_out: Vec<Answer>, check: Vec<Answer>) -> HeadTrial {
    let labels = LABELS.map(str::to_owned).to_vec();
    HeadTrial { head: "category".to_owned(), labels, own: vec![3], held_out, check }
}

/// How many of 60 seeds the gate lets through.
fn passed(make: impl Fn(&mut SplitMix) -> HeadTrial) -> usize {
    (0..60).filter(|&seed| gate(&[make(&mut SplitMix::new(seed))]).passes()).count()
}

/// Mails of all labels, the own one among them as one of five.
const USUAL: [usize; 5] = [0, 1, 2, 2, 3];

#[test]
fn an_honest_candidate_passes() {
    let honest = passed(|random| {
        let held = answers(random, 100, &USUAL, (0.85, 0.92));
        trial(held, answers(random, 432, &[0, 1, 2], (0.9, 0.9)))
    });
    assert!(honest >= 56, "{honest} of 60");
}

#[test]
fn a_candidate_that_is_neither_better_nor_worse_passes_mostly() {
    let equal = passed(|random| {
        let held = answers(random, 100, &USUAL, (0.9, 0.9));
        trial(held, answers(random, 432, &[0, 1, 2], (0.9, 0.9)))
    });
    assert!(equal >= 51, "{equal} of 60");
}

/// Whatever the candidate learnt from them, and also if it still knows all that the base knows:
/// the labels of the held-out mails say nothing about the mails.
#[test]
fn shuffled_labels_never_pass() {
    for (before, after) in [(0.9, 0.9), (0.9, 0.4), (0.9, 0.0)] {
        let shuffled = passed(|random| {
            let mut held = answers(random, 100, &USUAL, (before, after));
            let mut truth: Vec<usize> = held.iter().map(|answer| answer.truth).collect();
            random.shuffle(&mut truth);
            for (answer, truth) in held.iter_mut().zip(truth) {
                answer.truth = truth;
            }
            trial(held, answers(random, 432, &[0, 1, 2], (0.9, 0.9)))
        });
        assert_eq!(shuffled, 0, "{after}");
    }
}

/// What a training on shuffled labels often ends in; its accuracy is above that of the base.
#[test]
fn always_saying_the_commonest_label_never_passes() {
    let stuck = passed(|random| {
        let mut held = answers(random, 100, &[2, 2, 2, 0, 1], (0.5, 0.0));
        for answer in &mut held {
            answer.after = 2;
        }
        HeadTrial { own: vec![], ..trial(held, vec![]) }
    });
    assert_eq!(stuck, 0);
}

#[test]
fn a_candidate_that_is_clearly_worse_never_passes() {
    let worse = passed(|random| {
        let held = answers(random, 100, &USUAL, (0.92, 0.65));
        trial(held, vec![])
    });
    assert!(worse <= 1, "{worse} of 60");
}

#[test]
fn a_candidate_that_forgets_never_passes() {
    let forgetful = passed(|random| {
        let held = answers(random, 100, &USUAL, (0.85, 0.92));
        trial(held, answers(random, 432, &[0, 1, 2], (0.95, 0.8)))
    });
    assert_eq!(forgetful, 0);
}

fn exact(rows: &[(usize, usize, usize, usize)]) -> Vec<Answer> {
    let row = |&(count, truth, before, after)| {
        vec![Answer { truth, before, after, by_heart: false }; count]
    };
    rows.iter().flat_map(row).collect()
}

fn said(trial: HeadTrial) -> String {
    let refusals = gate(&[trial]).refusals;
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_refusal_says_its_numbers() {
    let well = [(20, 0, 0, 0), (20, 1, 1, 1), (20, 2, 2, 2), (10, 3, 2, 3)];
    assert_eq!(said(trial(exact(&well), vec![])), "");

    let weak = [(30, 0, 0, 0), (30, 1, 1, 1), (5, 3, 2, 3), (5, 3, 2, 0)];
    assert_eq!(
        said(trial(exact(&weak), vec![])),
        "category=legal-hold: recall 0.50 and precision 1.00 on 10 held-out mails, at least 0.6 \
         and 0.6; give more mails of this label, and of those that resemble it"
    );

    let alone = [(30, 0, 0, 0), (30, 1, 1, 1), (1, 3, 2, 3)];
    assert!(said(trial(exact(&alone), vec![])).starts_with("category=legal-hold: 1 mails could"));

    let worse = [(30, 0, 0, 0), (20, 1, 1, 1), (10, 1, 1, 0), (10, 3, 2, 3)];
    assert_eq!(
        said(trial(exact(&worse), vec![])),
        "category: worse on 60 held-out mails: macro-F1 1.000 → 0.829, accuracy 1.000 → 0.833, \
         lower in 100.0 % of resamples"
    );

    let check = [(50, 0, 0, 0), (40, 1, 1, 1), (10, 1, 1, 3)];
    assert_eq!(
        said(trial(exact(&well), exact(&check))),
        "category: the candidate forgets: macro-F1 1.000 → 0.944 on the 100 mails of the check \
         set, at most 0.03 may be lost"
    );
}

#[test]
fn what_the_base_knows_by_heart_does_not_speak_for_it() {
    let mut rows = exact(&[(30, 0, 0, 0), (20, 1, 1, 1), (10, 1, 1, 0), (10, 3, 2, 3)]);
    for answer in &mut rows {
        answer.by_heart = true;
    }
    assert_eq!(said(trial(rows, vec![])), "");
}

#[test]
fn few_mails_or_mails_of_one_label_judge_nothing() {
    let refused = [Refusal::Unjudged];
    let few = HeadTrial { own: vec![], ..trial(exact(&[(10, 0, 0, 0), (9, 1, 1, 1)]), vec![]) };
    assert_eq!(gate(&[few]).refusals, refused);
    let alike = HeadTrial { own: vec![], ..trial(exact(&[(90, 0, 0, 0), (9, 1, 1, 1)]), vec![]) };
    assert_eq!(gate(&[alike]).refusals, refused);
}

/// Nine of ten mails are neutral: the head can still be judged, and passes.
#[test]
fn a_one_sided_head_passes_where_something_was_learnt() {
    let rows = exact(&[(86, 0, 0, 0), (4, 0, 1, 1), (6, 1, 0, 1), (4, 1, 0, 0)]);
    let one_sided = HeadTrial { own: vec![], ..trial(rows, vec![]) };
    assert_eq!(said(one_sided), "");
}
