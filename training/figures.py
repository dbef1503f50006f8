"""Figures of predictions, the same as `triaged eval` prints: see README.md, figures.

It deliberately knows no model and no file: probabilities, truths and reasons come in, numbers go
out. Shares are rounded to six digits, as `triaged eval --json` rounds them.
"""

import math
from dataclasses import dataclass

import numpy as np

SEED, RESAMPLES = 1, 1000
BINS = 10
REASONS = ("unsure", "language", "too-little-text")
GAMMA = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Rows:
    """Predictions of one head for mails whose label is known.

    `chances` [N, n], `truth` [N], `answer` [N] the label that the thresholds choose, `reason` [N]
    why there is none after all: one of REASONS, "" where there is one.
    """

    labels: list[str]
    chances: np.ndarray
    truth: np.ndarray
    answer: np.ndarray
    reason: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """The most probable label of each mail, the first one on a tie."""
        return self.chances.argmax(axis=1)


def split_mix(seed: int, count: int) -> np.ndarray:
    """The first `count` numbers of SplitMix64 (Steele, Lea, Flood, 2014), as uint64."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def share(part: float, whole: float) -> float | None:
    """`part / whole`, None where there is no whole."""
    return None if whole == 0 else float(part) / float(whole)


def six(value: float | None) -> float | None:
    """To six digits, halves up as Rust rounds them; None left alone."""
    return None if value is None else math.floor(float(value) * 1e6 + 0.5) / 1e6


def confusion(truth: np.ndarray, found: np.ndarray, count: int) -> np.ndarray:
    """Counts [truth, found] of pairs of labels."""
    return np.bincount(truth * count + found, minlength=count * count).reshape(count, count)


def f_ones(matrix: np.ndarray, support: np.ndarray) -> np.ndarray:
    """F1 of each label; 0 where it is neither there nor found. `support`: mails by truth."""
    sums = matrix.sum(axis=0) + support
    return 2 * np.diag(matrix) / np.maximum(sums, 1)


def macro(matrix: np.ndarray, support: np.ndarray) -> float:
    """The unweighted mean of F1 over the labels that occur in the truth."""
    occurring = f_ones(matrix, support)[support > 0].tolist()
    return sum(occurring) / len(occurring)


def intervals(rows: Rows, resamples: int, seed: int) -> dict[str, list[float]]:
    """95 % bootstrap intervals of accuracy and macro-F1 by the most probable label."""
    count, size = len(rows.labels), len(rows.truth)
    found = rows.found
    drawn = (split_mix(seed, resamples * size) % np.uint64(size)).astype(np.int64).reshape(resamples, size)
    hits, macros = [], []
    for places in drawn:
        matrix = confusion(rows.truth[places], found[places], count)
        hits.append(float(np.trace(matrix)) / size)
        macros.append(macro(matrix, matrix.sum(axis=1)))
    low, high = resamples * 25 // 1000 - 1, resamples * 975 // 1000 - 1
    return {
        name: [six(sorted(values)[max(low, 0)]), six(sorted(values)[high])]
        for name, values in (("macro_f1_interval", macros), ("accuracy_interval", hits))
    }


def reliability(rows: Rows) -> list[dict]:
    """Of each of ten equal bins of confidence: how many mails, their mean confidence, their accuracy."""
    confidence = rows.chances.max(axis=1).astype(np.float64)
    right = rows.found == rows.truth
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    made = []
    for number in range(BINS):
        part = place == number
        mails = int(part.sum())
        made.append(
            {
                "from": number / BINS,
                "to": (number + 1) / BINS,
                "mails": mails,
                "confidence": six(share(confidence[part].sum(), mails)),
                "accuracy": six(share(right[part].sum(), mails)),
            }
        )
    return made


def calibration_error(rows: Rows) -> float:
    """Expected calibration error over the ten bins, of the most probable label."""
    confidence = rows.chances.max(axis=1).astype(np.float64)
    right = rows.found == rows.truth
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(right[place == number].sum() - confidence[place == number].sum()) for number in range(BINS)]
    return float(sum(gaps)) / len(right)


def scores(matrix: np.ndarray, support: np.ndarray, label: int) -> dict[str, float | None]:
    """Precision, recall and F1 of one label; None where a share has no whole."""
    hit, found, mails = matrix[label, label], matrix[:, label].sum(), support[label]
    return {
        "precision": six(share(hit, found)),
        "recall": six(share(hit, mails)),
        "f1": six(share(2 * hit, found + mails)),
    }


def of_head(rows: Rows, resamples: int = RESAMPLES, seed: int = SEED) -> dict:
    """All figures of one head, by the names of `triaged eval --json`."""
    count, size = len(rows.labels), len(rows.truth)
    answered = rows.reason == ""
    plain, named = (confusion(rows.truth, chosen, count) for chosen in (rows.found, rows.answer))
    shipped = confusion(rows.truth[answered], rows.answer[answered], count)
    support = plain.sum(axis=1)
    labels = [
        {
            "label": name,
            "mails": int(support[place]),
            "argmax": scores(plain, support, place),
            "answered": scores(shipped, support, place),
        }
        for place, name in enumerate(rows.labels)
    ]
    spread = intervals(rows, resamples, seed)
    return {
        "mails": size,
        "macro_f1": six(macro(plain, support)),
        "macro_f1_interval": spread["macro_f1_interval"],
        "accuracy": six(np.trace(plain) / size),
        "accuracy_interval": spread["accuracy_interval"],
        "ece": six(calibration_error(rows)),
        "named_macro_f1": six(macro(named, support)),
        "named_accuracy": six(np.trace(named) / size),
        "abstained": six((~answered).sum() / size),
        "reasons": {reason: int((rows.reason == reason).sum()) for reason in REASONS},
        "answered_accuracy": six(share(np.trace(shipped), answered.sum())),
        "answered_macro_f1": six(macro(shipped, support)),
        "labels": labels,
        "confusion": {"argmax": plain.tolist(), "answered": shipped.tolist()},
        "reliability": reliability(rows),
    }
