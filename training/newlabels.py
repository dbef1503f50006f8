"""Where a label begins that the base does not have: as the mean of the labels that the base gives its mails.

From nothing it would have to overtake labels that have had thousands of mails. As a mean of these, its
first scores are near theirs on its own mails, and what the training has to learn is the difference. It
deliberately trains nothing, and leaves the labels of new heads at their random beginning.
"""

import numpy as np
import torch

from training import calibrate, graph_counts, predict
from training.config import Config
from training.mails import Mail

MOST_MAILS = 50  # of a label; the mean of more is the same


def begin(net, known: dict[str, list[str]], mails: list[Mail], ids: list[list[int]], asked: Config) -> None:
    """Sets the rows of new labels in the net's heads and word counts.

    `known`: head to the base's labels, which come first. `ids`: what the model reads of each mail.
    """
    for head, old in known.items():
        for place, name in list(enumerate(asked.labels[head]))[len(old) :]:
            chosen = [row for mail, row in zip(mails, ids, strict=True) if mail.labels.get(head) == name][:MOST_MAILS]
            if not chosen:
                continue
            logits = predict.logits(net, chosen)[head][:, : len(old)]
            shares = calibrate.softmax(logits, 1.0).mean(axis=0)
            mix_rows(net.heads[head], place, shares)
            if net.counts is not None and head in net.counts.labels:
                net.counts = graph_counts.mixed(net.counts, head, place, shares)


@torch.no_grad()
def mix_rows(layer: torch.nn.Linear, place: int, shares: np.ndarray) -> None:
    """Makes the row at `place` the mean of the first rows, weighed by `shares` [n], which sum to 1."""
    weights = torch.from_numpy(shares).to(layer.weight)
    layer.weight[place] = weights @ layer.weight[: len(shares)]
    layer.bias[place] = weights @ layer.bias[: len(shares)]
