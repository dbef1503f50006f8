"""Temperature and thresholds of a retrained model: the base's, moved as far as a person's mails reach.

The base's own training mails can not help: it knows them by heart, and is too sure of them. So
what moves the numbers are mails of the person that trained nothing, and there are few of them. It
deliberately uses none of the mails that the parent judges by.
"""

import numpy as np

from training import calibrate, predict
from training.config import Config
from training.mails import Mail, place

FEWEST_FOR_TEMPERATURE = 20  # labelled mails of a head; fewer say more about themselves than about the model
FEWEST_FOR_THRESHOLD = 200  # a share of right answers that is asked for can not be read off fewer
PRIOR = 30  # mails that the base's temperature counts for beside the person's own
UNCALIBRATED = {"temperature": 1.0, "threshold": 0.5}  # where a head is new and its mails are few


def numbers(net, mails: list[Mail], ids: list[list[int]], manifest: dict, asked: Config) -> dict[str, dict]:
    """Head to what calibrate.fit gives, for the base's heads and for new ones.

    `mails` trained nothing; `ids` is what the model reads of them. `manifest`: the base's.
    """
    rows = predict.logits(net, ids) if ids else {}
    before = {head["name"]: of_head(head) for head in manifest["heads"]}
    found = {}
    for head in asked.heads:
        truth = np.array([place(mail, head, asked.labels) for mail in mails], int)
        known = truth >= 0
        old = before.get(head, UNCALIBRATED)
        found[head] = moved(old, rows[head][known], truth[known], head, asked) if known.any() else old
    return found


def of_head(head: dict) -> dict:
    """Temperature and thresholds of one of a manifest's heads, as calibrate.fit gives them."""
    own = {label["name"]: label["threshold"] for label in head["labels"] if label.get("threshold") is not None}
    return {key: head[key] for key in UNCALIBRATED} | ({"labels": own} if own else {})


def moved(old: dict, logits: np.ndarray, truth: np.ndarray, head: str, asked: Config) -> dict:
    """The numbers `old` of a head after a look at N mails: `logits` [N, n], `truth` [N]."""
    count = len(truth)
    if count < FEWEST_FOR_TEMPERATURE:
        return old
    new = calibrate.fit({head: (logits, truth)}, asked)[head]
    if count >= FEWEST_FOR_THRESHOLD:
        return new
    # The mean of their logarithms, as a temperature is a factor.
    share = count / (count + PRIOR)
    return old | {"temperature": round(new["temperature"] ** share * old["temperature"] ** (1 - share), 4)}
