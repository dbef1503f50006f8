"""From probabilities to answers: thresholds, and the mails on which every head abstains.

The rules are the daemon's (models/README.md, which label is the answer); tests hold both to the
same cases. It deliberately runs no model.
"""

import numpy as np

from training.figures import Rows

ANSWERED, UNSURE, LANGUAGE, TOO_LITTLE = "", "unsure", "language", "too-little-text"


def answer(chances: np.ndarray, threshold: float, own: list[float | None]) -> tuple[int, bool]:
    """The answer to one mail, as the label's place, and whether its probability is high enough.

    A label that reaches a threshold of its own is the answer; of several the one with the largest
    ratio of both, the first one on a tie. Else it is the most probable label, which needs its own
    threshold or, where it has none, the head's. `chances`: float32 [n].
    """
    limits = [None if value is None else np.float32(value) for value in own]
    ratios = [
        (chances[place] / limit, -place) for place, limit in enumerate(limits) if limit and chances[place] >= limit
    ]
    if ratios:
        return -max(ratios)[1], True
    place = int(chances.argmax())
    limit = np.float32(threshold) if limits[place] is None else limits[place]
    return place, bool(chances[place] >= limit)


def reason(mail: dict, manifest: dict) -> str:
    """Why no head answers this mail, by what `triaged render` says of it; "" where they may."""
    if mail.get("words", 0) < (manifest.get("least_words") or 0):
        return TOO_LITTLE
    languages = manifest.get("languages") or []
    if languages and mail.get("language") and mail["language"] not in languages:
        return LANGUAGE
    return ANSWERED


def rows_of(head: dict, chances: np.ndarray, truth: np.ndarray, reasons: list[str]) -> Rows:
    """Rows for the figures of one of a manifest's heads.

    `chances` [N, n] calibrated, `truth` [N], `reasons` of the mails themselves, "" for none.
    """
    own = [label.get("threshold") for label in head["labels"]]
    answers = [answer(row, head["threshold"], own) for row in chances]
    found = [why or (ANSWERED if sure else UNSURE) for why, (_, sure) in zip(reasons, answers, strict=True)]
    names = [label["name"] for label in head["labels"]]
    places = np.array([place for place, _ in answers], dtype=int)
    return Rows(names, chances, truth, places, np.array(found, dtype=object))
