"""Figures of an exported model: how often it is right, how sure it is, beside word counts.

All numbers are of the int8 file, run one mail at a time as in service. Nothing here trains the
model or chooses between models.
"""

import random
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report, f1_score

from bundle import Reader
from mails import LABELS, LEFT_OUT, Mail, real_domains, truth


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def calibration_error(chances: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: |confidence - accuracy|, weighted by bin of equal width."""
    confidence, hit = chances.max(axis=1), chances.argmax(axis=1) == right
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    parts = [(place == number) for number in range(bins) if (place == number).any()]
    return float(sum(abs(confidence[part].mean() - hit[part].mean()) * part.mean() for part in parts))


def word_counts(learn: list[Mail], judge: list[Mail]) -> dict[str, float]:
    """Macro-F1 of TF-IDF over words and word pairs with logistic regression, a head each."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    known = words.fit_transform(mail.text for mail in learn)
    asked = words.transform(mail.text for mail in judge)
    scores = {}
    for head in LABELS:
        regression = LogisticRegression(C=10, class_weight="balanced", max_iter=1000)
        found = regression.fit(known, truth(learn, head)).predict(asked)
        scores[head] = f1_score(truth(judge, head), found, average="macro")
    return scores


def flips(exact: dict[str, np.ndarray], packed: dict[str, np.ndarray]) -> dict[str, float]:
    """Share of mails whose label int8 changes, a head each."""
    return {head: float((exact[head].argmax(1) != packed[head].argmax(1)).mean()) for head in LABELS}


def packed_logits(reader: Reader, texts: list[str]) -> dict[str, np.ndarray]:
    """Logits of the exported file, one mail a run as in service."""
    rows = [reader.logits(text) for text in texts]
    return {head: np.array([row[head] for row in rows]) for head in LABELS}


def line(title: str, values: dict[str, float], form: str = ".3f") -> None:
    print(f"{title:<58}" + "  ".join(f"{values[head]:{form}}" for head in LABELS if head in values), flush=True)


def left_out(reader: Reader, exact: dict[str, np.ndarray], learn: list[Mail], left: list[Mail]) -> None:
    """What the exported file does on the files left out, beside word counts that learnt from the rest.

    `exact`: the logits of the same mails before quantisation.
    """
    rng = random.Random(0)
    as_written = [mail.text for mail in left]
    real = [real_domains(text, rng) for text in as_written]
    packed = packed_logits(reader, as_written)
    right = {head: truth(left, head) for head in LABELS}

    def macro(logits: dict[str, np.ndarray]) -> dict[str, float]:
        return {head: f1_score(right[head], logits[head].argmax(1), average="macro") for head in LABELS}

    print(f"\n{len(left)} mails of {' and '.join(LEFT_OUT)}; sentiment, urgency, category")
    line("macro-F1, word counts", word_counts(learn, left))
    line("macro-F1, this model, int8, one mail a run", macro(packed))
    line("macro-F1, the same, real domains instead of .example", macro(packed_logits(reader, real)))
    line("share of labels that int8 changes", flips(exact, packed), ".4f")
    chances = {head["name"]: softmax(packed[head["name"]], head["temperature"]) for head in reader.heads}
    line("expected calibration error", {head: calibration_error(chances[head], right[head]) for head in LABELS})
    answered = {head["name"]: chances[head["name"]].max(1) >= head["threshold"] for head in reader.heads}
    line("share answered", {head: answered[head].mean() for head in LABELS})
    hits = {head: chances[head].argmax(1) == right[head] for head in LABELS}
    line("accuracy of the answered", {head: hits[head][answered[head]].mean() for head in LABELS})
    for head, labels in LABELS.items():
        print(f"\n{head}\n" + classification_report(right[head], packed[head].argmax(1), target_names=list(labels)))


def other(reader: Reader, file: Path, mails: list[Mail]) -> None:
    """Figures on a file that had no part in anything; labels may be missing there."""
    scored, hits = {}, {}
    logits = packed_logits(reader, [mail.text for mail in mails])
    for head, labels in LABELS.items():
        names = list(labels)
        rows = zip(mails, logits[head], strict=True)
        pairs = [(names.index(mail.labels[head]), row.argmax()) for mail, row in rows if head in mail.labels]
        right, found = map(list, zip(*pairs))
        scored[head] = f1_score(right, found, average="macro", labels=sorted(set(right)))
        hits[head] = float(np.mean(np.equal(right, found)))
    print(f"\n{len(mails)} mails of {file.name}")
    line("macro-F1", scored)
    line("accuracy", hits)
