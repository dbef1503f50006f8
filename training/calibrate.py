"""Temperatures and thresholds, from predictions of mails that the predicting model never saw.

    python -m training.calibrate --work WORK

Reads WORK/fold-*/logits.npz (predict.py), writes WORK/calibration.json. Only out-of-fold
predictions come in, and only of mails whose labels somebody read or wrote; the mails that report
the figures choose nothing here.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from training import config, wordcounts
from training.config import Calibrate, Config, Own

TRUSTED = ("written", "read", "user")  # labels that a rule or a corpus gave are too noisy to set a number by
REAL = ("read", "user")  # of mails that somebody sent: what the model is for
LEAST_REAL = 500  # of them for a temperature of their own
GRID = np.round(np.arange(0.01, 1.0, 0.01), 2)
COLDEST, HOTTEST = 0.1, 10.0
Pairs = dict[str, tuple[np.ndarray, np.ndarray]]  # head to logits [N, n] and truth [N]
Masks = dict[str, np.ndarray]  # head to bool [N], in the order of its pairs


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Rows of logits [N, n] to probabilities, in float32 as the daemon computes them."""
    logits = logits.astype(np.float32)
    powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / np.float32(temperature))
    return powers / powers.sum(axis=1, keepdims=True)


def temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The temperature with the least negative log likelihood (Guo et al., 2017)."""
    exact = logits.astype(np.float64)

    def surprise(log_temperature: float) -> float:
        scaled = exact / np.exp(log_temperature)
        top = scaled.max(axis=1)
        whole = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((whole - scaled[np.arange(len(truth)), truth]).mean())

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    found = minimize_scalar(surprise, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    return round(float(np.exp(found.x)), 4)


def threshold(chances: np.ndarray, truth: np.ndarray, asked: Calibrate) -> float:
    """The lowest confidence, of those allowed, from which `asked.precision` of the answers are right.

    Where none is, the one from which the most are.
    """
    confidence, right = chances.max(axis=1), chances.argmax(axis=1) == truth
    allowed = GRID[asked.lowest_threshold <= GRID]
    shares = [right[confidence >= least].mean() if (confidence >= least).any() else 0.0 for least in allowed]
    reached = [place for place, share in enumerate(shares) if share >= asked.precision]
    return float(allowed[reached[0] if reached else int(np.argmax(shares))])


def own_threshold(chances: np.ndarray, truth: np.ndarray, label: int, wanted: Own) -> float | None:
    """The threshold of one label: it is the answer wherever its probability reaches it.

    The highest that finds `wanted.recall` of the label's mails, if the precision is as wanted
    there; else the one of the wanted precision that finds the most; None where there is none.
    """
    score, is_label = chances[:, label], truth == label
    if not is_label.any():
        return None
    best: tuple[float, float] | None = None
    for least in GRID[::-1]:
        claimed = score >= least
        if not claimed.any() or is_label[claimed].mean() < wanted.precision:
            continue
        recall = float(claimed[is_label].mean())
        if best is None or recall > best[1]:
            best = (float(least), recall)
        if recall >= wanted.recall:
            break
    return best[0] if best else None


def fit(pairs: Pairs, asked: Config, real: Masks | None = None) -> dict[str, dict]:
    """Head to `temperature`, `threshold` and, where the configuration asks for them, `labels`: own thresholds.

    `real`: which of the mails somebody sent. Where they are enough, they alone set the temperature: real
    mail is harder than written mail, and a model that is calibrated on both is too sure of it.
    ValueError names a head without a single mail.
    """
    found = {}
    for head, (logits, truth) in pairs.items():
        if not len(truth):
            raise ValueError(f"no out-of-fold mail has a label for {head}: nothing to calibrate it by")
        sent = real[head] if real else np.zeros(len(truth), bool)
        sent = sent if sent.sum() >= LEAST_REAL else np.ones(len(truth), bool)
        heat = temperature(logits[sent], truth[sent])
        chances = softmax(logits, heat)
        found[head] = {"temperature": heat, "threshold": threshold(chances, truth, asked.calibrate)}
        names = list(asked.heads[head])
        wanted = asked.calibrate.own.get(head, {})
        owns = {label: own_threshold(chances, truth, names.index(label), own) for label, own in wanted.items()}
        if kept := {label: value for label, value in owns.items() if value is not None}:
            found[head]["labels"] = kept
    return found


def out_of_fold(work: Path, asked: Config) -> tuple[wordcounts.Pairs, Masks]:
    """The predictions of all folds, net and word counts, of the mails whose labels can be trusted; which are real."""
    from training.predict import read_logits

    files = [work / f"fold-{fold}" / "logits.npz" for fold in asked.folds]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise SystemExit(f"{', '.join(missing)} is missing: train and predict the folds first")
    parts = [read_logits(file) for file in files]
    pairs, real = {}, {}
    for head in asked.heads:
        chosen = [np.isin(part["source"], TRUSTED) & (part[f"truth/{head}"] >= 0) for part in parts]

        def kept(name: str, chosen: list[np.ndarray] = chosen) -> np.ndarray:
            return np.concatenate([part[name][keep] for part, keep in zip(parts, chosen, strict=True)])

        pairs[head] = tuple(kept(f"{kind}/{head}") for kind in ("logits", "counts", "truth"))
        real[head] = np.isin(kept("source"), REAL)
    return pairs, real


def together(pairs: wordcounts.Pairs, factors: dict[str, float]) -> Pairs:
    """Net and word counts as the one model that is served."""
    return {head: (net + factors.get(head, 0.0) * counts, truth) for head, (net, counts, truth) in pairs.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the steps before this one")
    parser.add_argument("--config", type=Path, default=config.DEFAULT)
    given = parser.parse_args()
    asked = config.read(given.config)
    pairs, real = out_of_fold(given.work, asked)
    found = fit(together(pairs, wordcounts.kept_factors(given.work)), asked, real)
    (given.work / "calibration.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for head, numbers in found.items():
        print(f"{head}: {numbers}")


if __name__ == "__main__":
    main()
