//! The figures that the gate compares: macro-F1, accuracy, agreement beyond chance.

use super::SEED;
use super::gate::Answer;
use crate::evaluation::{Confusion, share};
use crate::random::SplitMix;

/// Resamples of the mails for the question whether a difference is more than luck.
const RESAMPLES: usize = 1_000;
/// Shuffles of the truth for the question whether there is any agreement at all.
const SHUFFLES: usize = 1_000;

/// Two models on the same mails of one head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// How many mails.
    pub mails: usize,
    /// Macro-F1 over the labels that occur in the truth, by the most probable label: before, after.
    pub macro_f1: (f64, f64),
    /// Share of mails whose most probable label is right: before, after.
    pub accuracy: (f64, f64),
}

/// Compares both models on these mails.
pub(super) fn compared(answers: &[&Answer]) -> Compared {
    Compared {
        mails: answers.len(),
        macro_f1: (macro_f1(answers, before), macro_f1(answers, after)),
        accuracy: (accuracy(answers, before), accuracy(answers, after)),
    }
}

/// The share of 1,000 resamples of the mails in which the macro-F1 after is below that before (a
/// paired bootstrap).
pub(super) fn lower(answers: &[&Answer]) -> f64 {
    let mut random = SplitMix::new(SEED);
    let mut lower = 0;
    for _ in 0..RESAMPLES {
        let draw = (0..answers.len()).filter_map(|_| answers.get(random.below(answers.len())));
        let drawn: Vec<&Answer> = draw.copied().collect();
        lower += usize::from(macro_f1(&drawn, after) < macro_f1(&drawn, before) - f64::EPSILON);
    }
    share(lower, RESAMPLES)
}

fn before(answer: &Answer) -> usize {
    answer.before
}

fn after(answer: &Answer) -> usize {
    answer.after
}

fn accuracy(answers: &[&Answer], found: impl Fn(&Answer) -> usize) -> f64 {
    let right = answers.iter().filter(|answer| found(answer) == answer.truth).count();
    share(right, answers.len())
}

/// As `triaged eval` has it: the unweighted mean of F1 over the labels that occur in the truth.
fn macro_f1(answers: &[&Answer], found: impl Fn(&Answer) -> usize) -> f64 {
    let number = |label: usize| u8::try_from(label).unwrap_or(u8::MAX);
    let pairs = answers.iter().map(|answer| (number(answer.truth), number(found(answer))));
    let labels = answers.iter().map(|answer| answer.truth.max(found(answer)) + 1).max();
    let matrix = Confusion::of(labels.unwrap_or(0), pairs);
    matrix.macro_f1(&matrix.support())
}

/// Cohen's kappa of the candidate with the truth (Cohen 1960): 0 where they agree as often as
/// chance, with the same numbers of each label, would have it; 1 where they always agree.
pub(super) fn kappa(answers: &[&Answer]) -> f64 {
    let labels = answers.iter().map(|answer| answer.truth.max(answer.after) + 1).max();
    let mut margins = vec![(0_usize, 0_usize); labels.unwrap_or(0)];
    for answer in answers {
        if let Some(margin) = margins.get_mut(answer.truth) {
            margin.0 += 1;
        }
        if let Some(margin) = margins.get_mut(answer.after) {
            margin.1 += 1;
        }
    }
    let mails = answers.len();
    let chance: f64 =
        margins.iter().map(|&(truth, found)| share(truth, mails) * share(found, mails)).sum();
    let agreed = accuracy(answers, after);
    if chance >= 1.0 { 0.0 } else { (agreed - chance) / (1.0 - chance) }
}

/// How often shuffled labels agree with the candidate as well as the true ones: the share of
/// 1,000 shuffles (a permutation test).
pub(super) fn luck(answers: &[&Answer]) -> f64 {
    let agreed = answers.iter().filter(|answer| answer.after == answer.truth).count();
    let mut truth: Vec<usize> = answers.iter().map(|answer| answer.truth).collect();
    let mut random = SplitMix::new(SEED);
    let mut as_well = 0;
    for _ in 0..SHUFFLES {
        random.shuffle(&mut truth);
        let pairs = answers.iter().zip(&truth);
        let by_chance = pairs.filter(|(answer, truth)| answer.after == **truth).count();
        as_well += usize::from(by_chance >= agreed);
    }
    share(as_well, SHUFFLES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(rows: &[(usize, usize, usize)]) -> Vec<Answer> {
        let answer = |&(truth, before, after)| Answer { truth, before, after, by_heart: false };
        rows.iter().map(answer).collect()
    }

    #[test]
    fn the_figures_are_those_of_a_worked_example() {
        // Truth 0 0 0 1 1; before 0 0 1 1 1; after 0 0 0 0 2.
        let rows = answers(&[(0, 0, 0), (0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 2)]);
        let rows: Vec<&Answer> = rows.iter().collect();
        let found = compared(&rows);
        assert_eq!(found.accuracy, (0.8, 0.6));
        // Before: 4/5 and 4/5. After: 6/7 and 0; label 2 is in no truth.
        assert!((found.macro_f1.0 - 0.8).abs() < 1e-12, "{found:?}");
        assert!((found.macro_f1.1 - 3.0 / 7.0).abs() < 1e-12, "{found:?}");
        // Agreement 3/5, by chance 3/5 * 4/5.
        assert!((kappa(&rows) - (0.6 - 0.48) / 0.52).abs() < 1e-12);
    }

    #[test]
    fn agreement_by_chance_is_told_from_agreement() {
        let same: Vec<Answer> = (0..60).flat_map(|at| answers(&[(at % 3, 0, at % 3)])).collect();
        let same: Vec<&Answer> = same.iter().collect();
        assert!((kappa(&same) - 1.0).abs() < 1e-12);
        assert!(luck(&same) < 0.001);
        let chance: Vec<Answer> =
            (0..60).flat_map(|at| answers(&[(at % 3, 0, at / 3 % 3)])).collect();
        let chance: Vec<&Answer> = chance.iter().collect();
        assert!(kappa(&chance).abs() < 0.1 && luck(&chance) > 0.1);
    }

    #[test]
    fn nothing_gives_zeros() {
        assert_eq!(compared(&[]).macro_f1, (0.0, 0.0));
        assert!(kappa(&[]).abs() < 1e-12);
    }
}
