"""Word counts inside the ONNX graph: hashed word-piece pairs look up rows of logits.

Every word piece of the mail is a feature, and every pair of neighbours, hashed into buckets. What
a mail adds to a head's logits is

    scale * (bias + sum over its features f of v[f] * W[f]),   v[f] ~ (1 + ln count[f]) * idf[f],

with v brought to length 1 over the mail: TF-IDF with a linear model on it, the opponent that word
counts are elsewhere, as a part of the model. The ids are the model's own, special tokens included,
so both see the same text. Fitting the table is `wordcounts.py`'s work; here is its stored form, its
nodes, and the same sum in numpy to hold the nodes against.
"""

from dataclasses import dataclass, replace

import numpy as np
from onnx import TensorProto

from training.graph import Graph

FIRST, SECOND = 31337, 7919  # what the two ids of a pair are multiplied with; odd, so no bit of an id is lost
BUCKETS = 2**16  # more would cost n_labels + 6 bytes each
END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Counts:
    """The table as the file keeps it. F = vocabulary + buckets rows, n labels of all heads in their order."""

    rows: np.ndarray  # int8 [F, n]
    row_scales: np.ndarray  # float32 [F]
    idf: np.ndarray  # float16 [F]
    bias: np.ndarray  # float32 [n], inside the brackets
    scales: dict[str, float]  # head to its factor
    labels: dict[str, int]  # head to how many of the n columns are its own, in the columns' order
    buckets: int = BUCKETS

    def __post_init__(self) -> None:
        features, columns = self.rows.shape
        fits = self.row_scales.shape == self.idf.shape == (features,) and self.bias.shape == (columns,)
        if not fits or sum(self.labels.values()) != columns or self.scales.keys() != self.labels.keys():
            raise ValueError(
                f"word counts do not fit together: rows {self.rows.shape}, row scales {self.row_scales.shape}, "
                f"idf {self.idf.shape}, bias {self.bias.shape}, labels {self.labels}, scales of {list(self.scales)}"
            )

    @property
    def vocabulary(self) -> int:
        """How many word pieces there are; the buckets come after them."""
        return len(self.rows) - self.buckets


def stored(
    table: np.ndarray, idf: np.ndarray, bias: np.ndarray, scales: dict[str, float], labels: dict[str, int], buckets: int
) -> Counts:
    """Counts from a table of floats [F, n]: int8 with one scale a row."""
    row_scales = (np.abs(table).max(axis=1) / 127 + 1e-12).astype(np.float32)
    rows = np.round(table / row_scales[:, None]).astype(np.int8)
    return Counts(rows, row_scales, idf.astype(np.float16), bias.astype(np.float32), scales, labels, buckets)


def features(ids: np.ndarray, vocabulary: int, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct features of a mail's ids [L], ascending, and how often each occurs."""
    ids = ids.astype(np.int64)
    pairs = vocabulary + (ids[:-1] * FIRST + ids[1:] * SECOND) % buckets
    return np.unique(np.concatenate([ids, pairs]), return_counts=True)


def logits(counts: Counts, ids: np.ndarray) -> dict[str, np.ndarray]:
    """What the ids [L] of one mail add to each head's logits: what the nodes of `add` must give."""
    found, often = features(ids, counts.vocabulary, counts.buckets)
    values = (1 + np.log(often)) * counts.idf[found].astype(np.float64)
    values /= np.linalg.norm(values) or 1
    total = (values * counts.row_scales[found]) @ counts.rows[found].astype(np.float64) + counts.bias
    parts = np.split(total, np.cumsum(list(counts.labels.values()))[:-1])
    return {head: counts.scales[head] * part for head, part in zip(counts.labels, parts, strict=True)}


def batch(counts: Counts, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Head to `logits` of each mail of a padded batch, [B, n]; `ids`, `mask` [B, L], the mask 0 where padded."""
    rows = [logits(counts, row[kept.astype(bool)]) for row, kept in zip(ids, mask, strict=True)]
    return {head: np.stack([row[head] for row in rows]).astype(np.float32) for head in counts.labels}


def widened(counts: Counts, labels: dict[str, int]) -> Counts:
    """The counts for heads that have got more labels: nothing is added to a new one's logit.

    `labels`: head to how many labels it has now, the old ones first; heads without counts are left out.
    """
    places = np.cumsum(list(counts.labels.values()))
    more = [max(0, labels[head] - count) for head, count in counts.labels.items()]
    at = np.repeat(places, more)
    return replace(
        counts,
        rows=np.insert(counts.rows, at, 0, axis=1),
        bias=np.insert(counts.bias, at, 0),
        labels={head: labels[head] for head in counts.labels},
    )


def mixed(counts: Counts, head: str, place: int, shares: np.ndarray) -> Counts:
    """The counts with the column of a head's label at `place` as the mean of the head's first columns.

    `shares` [n] sum to 1 and weigh the first n labels.
    """
    heads = list(counts.labels)
    start = sum(counts.labels[before] for before in heads[: heads.index(head)])
    first = slice(start, start + len(shares))
    rows, bias = counts.rows.copy(), counts.bias.copy()
    rows[:, start + place] = np.round(rows[:, first] @ shares).astype(np.int8)
    bias[start + place] = bias[first] @ shares
    return replace(counts, rows=rows, bias=bias)


def add(graph: Graph, counts: Counts | None) -> dict[str, str]:
    """The nodes of `logits`: head to the name of what is added to its logits, [1, n]; nothing without counts."""
    if counts is None:
        return {}
    found, often = distinct(graph, counts)
    graph.keep("counts_one", np.float32(1))
    graph.node("Cast", [often], "counts_often", to=TensorProto.FLOAT)
    graph.node("Add", [graph.node("Log", ["counts_often"], "counts_log"), "counts_one"], "counts_tf")
    gathered = graph.node("Gather", [graph.keep("counts_idf", counts.idf), found], "counts_idf16")
    graph.node("Cast", [gathered], "counts_idf32", to=TensorProto.FLOAT)
    graph.node("Mul", ["counts_tf", "counts_idf32"], "counts_raw")
    graph.node("LpNormalization", ["counts_raw"], "counts_values", axis=-1, p=2)
    graph.node("Gather", [graph.keep("counts_row_scales", counts.row_scales), found], "counts_found_scales")
    graph.node("Mul", ["counts_values", "counts_found_scales"], "counts_scaled")
    graph.node("Unsqueeze", ["counts_scaled", graph.keep("counts_axis", np.array([0], np.int64))], "counts_line")
    graph.node("Gather", [graph.keep("counts_rows", counts.rows), found], "counts_int8")
    graph.node("Cast", ["counts_int8"], "counts_floats", to=TensorProto.FLOAT)
    graph.node("Gemm", ["counts_line", "counts_floats", graph.keep("counts_bias", counts.bias[None])], "counts_sum")
    factors = np.repeat([np.float32(counts.scales[head]) for head in counts.labels], list(counts.labels.values()))
    graph.node("Mul", ["counts_sum", graph.keep("counts_factors", factors.astype(np.float32))], "counts_logits")
    sizes = graph.keep("counts_sizes", np.array(list(counts.labels.values()), np.int64))
    names = {head: f"{head}_counted" for head in counts.labels}
    graph.nodes_outputs("Split", ["counts_logits", sizes], list(names.values()), axis=1)
    return names


def distinct(graph: Graph, counts: Counts) -> tuple[str, str]:
    """The nodes of `features`: the names of the distinct features and of how often each occurs."""
    numbers = {
        "flat": [-1],
        "start": [0],
        "second": [1],
        "last": [-1],
        "end": [END],
        "times_first": FIRST,
        "times_second": SECOND,
        "buckets": counts.buckets,
        "vocabulary": counts.vocabulary,
    }
    place = {name: graph.keep(f"counts_{name}", np.array(value, np.int64)) for name, value in numbers.items()}
    ids = graph.node("Reshape", ["input_ids", place["flat"]], "counts_ids")
    left = graph.node("Slice", [ids, place["start"], place["last"]], "counts_left")
    right = graph.node("Slice", [ids, place["second"], place["end"]], "counts_right")
    graph.node("Mul", [left, place["times_first"]], "counts_left_times")
    graph.node("Mul", [right, place["times_second"]], "counts_right_times")
    graph.node("Add", ["counts_left_times", "counts_right_times"], "counts_mixed")
    graph.node("Mod", ["counts_mixed", place["buckets"]], "counts_bucket")
    graph.node("Add", ["counts_bucket", place["vocabulary"]], "counts_pairs")
    graph.node("Concat", [ids, "counts_pairs"], "counts_features", axis=0)
    found, _, _, often = graph.nodes_outputs(
        "Unique", ["counts_features"], ["counts_found", "", "", "counts_times"], sorted=1
    )
    return found, often
