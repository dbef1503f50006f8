"""Word counts learn words, and weigh no more beside the net than they have earned."""

import dataclasses

import pytest

np = pytest.importorskip("numpy", reason="needs the training's packages: make train-env")
pytest.importorskip("sklearn", reason="needs the training's packages: make train-env")
pytest.importorskip("onnx", reason="needs the training's packages: make train-env")

from training import config, wordcounts  # noqa: E402
from training.mails import Mail  # noqa: E402

VOCABULARY = 50
ASKED = dataclasses.replace(
    config.read(),
    heads={"mood": {"bad": "", "good": ""}, "topic": {"money": "", "travel": "", "garden": ""}},
    counts=config.Counts(buckets=64, strength=10.0, real_domains=1.0, trust=1.0),
)


def mails(count: int = 60) -> tuple[list[Mail], list[list[int]]]:
    """Piece 7 says that the mood is bad; 20, 21 and 22 name the topics; the rest says nothing."""
    rng = np.random.default_rng(3)
    made, ids = [], []
    for at in range(count):
        mood, topic = at % 2, at % 3
        ids.append([1, *rng.integers(30, 50, 6).tolist(), *([7] if mood == 0 else []), 20 + topic, 2])
        labels = {"mood": ["bad", "good"][mood], "topic": ["money", "travel", "garden"][topic]}
        if at % 5 == 0:
            del labels["topic"]
        made.append(Mail(str(at), "made", str(at), None, "", labels, 1.0, "written"))
    return made, ids


def test_words_that_say_a_label_are_learnt_for_every_head() -> None:
    learn, ids = mails()
    counts = wordcounts.fit(learn, ids, VOCABULARY, ASKED)
    found = wordcounts.logits(counts, [[1, 33, 7, 21, 2], [1, 44, 22, 2]])
    assert found["mood"].argmax(1).tolist() == [0, 1]
    assert found["topic"].argmax(1).tolist() == [1, 2]


def test_counts_come_back_from_their_file_as_they_were(tmp_path) -> None:
    learn, ids = mails()
    counts = wordcounts.fit(learn, ids, VOCABULARY, ASKED)
    wordcounts.write(tmp_path / "counts.npz", counts)
    again = wordcounts.read(tmp_path / "counts.npz")
    for name in ("rows", "row_scales", "idf", "bias"):
        assert np.array_equal(getattr(counts, name), getattr(again, name))
    assert (again.scales, again.labels, again.buckets) == (counts.scales, counts.labels, counts.buckets)


def test_counts_that_say_nothing_get_no_weight_and_those_that_know_get_much() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 4000)
    knows = np.eye(3)[truth] * 2 + rng.normal(0, 1, (4000, 3))
    noise = rng.normal(0, 1, (4000, 3))
    net = np.eye(3)[truth] * 2 + rng.normal(0, 1, (4000, 3))
    found = wordcounts.factors({"useful": (net, knows, truth), "useless": (net, noise, truth)})
    assert found["useful"] == pytest.approx(1.0, abs=0.1)
    assert found["useless"] < 0.05
