"""Temperature and thresholds of a retrained model: the base's, moved as far as a person's mails reach.

The base's own training mails can not help: it knows them by heart, and is too sure of them. So
what moves the numbers are mails of the person that trained nothing, and there are few of them. It
deliberately uses none of the mails that the parent judges by.
"""

import numpy as np
from scipy.optimize import minimize_scalar

from training import calibrate, predict
from training.config import Config
from training.mails import Mail, place

FEWEST_FOR_THRESHOLD = 200  # a share of right answers that is asked for can not be read off fewer
SPREAD = 0.25  # of the logarithm of temperatures round the base's, before a mail is seen: within a quarter
COLDEST, HOTTEST = 0.1, 10.0
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
    if len(truth) >= FEWEST_FOR_THRESHOLD:
        return calibrate.fit({head: (logits, truth)}, asked)[head]
    return old | {"temperature": temperature(logits, truth, old["temperature"])}


def temperature(logits: np.ndarray, truth: np.ndarray, base: float) -> float:
    """The likeliest temperature by these mails and by where the base's is.

    By the mails alone, two dozen that are all right would make the model sure of everything.
    """
    exact = logits.astype(np.float64)

    def surprise(log_temperature: float) -> float:
        scaled = exact / np.exp(log_temperature)
        top = scaled.max(axis=1)
        whole = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        mails = (whole - scaled[np.arange(len(truth)), truth]).sum()
        return float(mails + (log_temperature - np.log(base)) ** 2 / (2 * SPREAD**2))

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    return round(float(np.exp(minimize_scalar(surprise, bounds=bounds, method="bounded").x)), 4)
