"""Word counts beside the net: a linear model on hashed word pieces and pairs, fitted after the net.

An encoder that has read thousands of mails still gains from them: they see exact words, names and
senders (EXPERIMENTS.md). What they add to the logits is weighed by a factor a head, found on
out-of-fold predictions of both, so that neither is trusted for what it knows by heart. The stored
form and its place in the ONNX graph are `graph_counts.py`'s.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.optimize import minimize

from training import graph_counts
from training.config import Config
from training.graph_counts import Counts
from training.mails import Mail, place

MOST_STEPS = 300
TOLERANCE = 1e-3
LARGEST_FACTOR = 3.0  # of the counts beside the net; more would be another model
Factors = dict[str, float]
Pairs = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]  # head to net [N, n], counts [N, n], truth [N]


def matrix(ids: list[list[int]], vocabulary: int, buckets: int) -> sparse.csr_matrix:
    """1 + ln count of each feature, [N, vocabulary + buckets]."""
    rows = [graph_counts.features(np.array(row), vocabulary, buckets) for row in ids]
    starts = np.cumsum([0, *(len(found) for found, _ in rows)])
    values = np.concatenate([1 + np.log(often) for _, often in rows])
    places = np.concatenate([found for found, _ in rows])
    return sparse.csr_matrix((values, places, starts), shape=(len(ids), vocabulary + buckets))


def inverse_frequency(counted: sparse.csr_matrix) -> np.ndarray:
    """ln((1 + N) / (1 + mails with the feature)) + 1, as it is stored."""
    mails = np.asarray((counted > 0).sum(axis=0)).ravel()
    return (np.log((1 + counted.shape[0]) / (1 + mails)) + 1).astype(np.float16)


def scaled(counted: sparse.csr_matrix, idf: np.ndarray) -> sparse.csr_matrix:
    """Rows times idf, brought to length 1."""
    weighed = counted @ sparse.diags(idf.astype(np.float64))
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    return (sparse.diags(1 / np.maximum(lengths, 1e-12)) @ weighed).tocsr()


def fit(learn: list[Mail], ids: list[list[int]], vocabulary: int, asked: Config) -> Counts:
    """Counts that have learnt from these mails, with factors of 1. `ids`: what the model reads of each."""
    from sklearn.linear_model import LogisticRegression

    buckets = asked.counts.buckets
    counted = matrix(ids, vocabulary, buckets)
    idf = inverse_frequency(counted)
    values, weights = scaled(counted, idf), np.array([mail.weight for mail in learn])
    columns, bias = [], []
    for head, names in asked.labels.items():
        truth = np.array([place(mail, head, asked.labels) for mail in learn])
        known = truth >= 0
        learner = LogisticRegression(
            C=asked.counts.strength, class_weight="balanced", max_iter=MOST_STEPS, tol=TOLERANCE
        )
        learner.fit(values[known], truth[known], sample_weight=weights[known])
        whole, constant = np.zeros((values.shape[1], len(names))), np.zeros(len(names))
        # Of two classes, scikit-learn keeps the second one's weights alone.
        at = learner.classes_[1:] if len(learner.classes_) == 2 else learner.classes_
        whole[:, at], constant[at] = learner.coef_.T, learner.intercept_
        columns.append(whole)
        bias.append(constant)
    sizes = {head: len(names) for head, names in asked.labels.items()}
    ones = dict.fromkeys(sizes, 1.0)
    return graph_counts.stored(np.concatenate(columns, axis=1), idf, np.concatenate(bias), ones, sizes, buckets)


def logits(counts: Counts, ids: list[list[int]]) -> dict[str, np.ndarray]:
    """Head to what the counts add, [N, n]."""
    rows = [graph_counts.logits(counts, np.array(row)) for row in ids]
    return {head: np.stack([row[head] for row in rows]).astype(np.float32) for head in counts.labels}


def factors(pairs: Pairs) -> Factors:
    """Head to the factor of the counts with which both together surprise least, at the best temperature."""
    found = {}
    for head, (net, counts, truth) in pairs.items():

        def surprise(asked: np.ndarray, net=net, counts=counts, truth=truth) -> float:
            both = (net + asked[1] * counts) * np.exp(asked[0])
            both = both - both.max(axis=1, keepdims=True)
            return float((np.log(np.exp(both).sum(axis=1)) - both[np.arange(len(truth)), truth]).mean())

        start = np.array([0.0, 0.5])
        best = minimize(surprise, start, method="L-BFGS-B", bounds=[(-3, 3), (0, LARGEST_FACTOR)])
        found[head] = round(float(best.x[1]), 3)
    return found


def kept_factors(work: Path) -> Factors:
    """Those that WORK/factors.json keeps; nothing where the model has no counts."""
    file = work / "factors.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def of_run(work: Path) -> Counts | None:
    """The counts of WORK's final net with what they weigh beside it, None where it has none."""
    file = work / "final" / "counts.npz"
    return dataclasses.replace(read(file), scales=kept_factors(work)) if file.is_file() else None


def write(file: Path, counts: Counts) -> None:
    """All of the counts in one .npz; it appears only when it is whole."""
    waiting = file.with_name(f"{file.stem}.part.npz")
    facts = {"scales": counts.scales, "labels": counts.labels, "buckets": counts.buckets}
    arrays = {name: getattr(counts, name) for name in ("rows", "row_scales", "idf", "bias")}
    np.savez_compressed(waiting, facts=json.dumps(facts), **arrays)
    waiting.replace(file)


def read(file: Path) -> Counts:
    """What `write` wrote."""
    with np.load(file) as arrays:
        facts = json.loads(str(arrays["facts"]))
        kept = {name: arrays[name] for name in ("rows", "row_scales", "idf", "bias")}
    return Counts(**kept, **facts)
