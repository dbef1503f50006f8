"""A retrained model's numbers start at the base's, and move as far as there are mails."""

import pytest

np = pytest.importorskip("numpy", reason="needs the training's packages: make train-env")
pytest.importorskip("scipy", reason="needs the training's packages: make train-env")

from training import config, recalibrate  # noqa: E402

OLD = {"temperature": 1.2, "threshold": 0.6, "labels": {"high": 0.3}}


def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are three times as sure as they are right, and the truth."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(count, 3)) * 2
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in chances])
    return logits * 3, truth


def moved(count: int) -> dict:
    return recalibrate.moved(OLD, *rows(count), "urgency", config.read())


def test_the_more_mails_the_nearer_the_temperature_to_theirs() -> None:
    few, more = moved(5), moved(150)
    assert 1.2 <= few["temperature"] < more["temperature"] < 3.6
    assert few["threshold"] == more["threshold"] == 0.6 and few["labels"] == OLD["labels"]


def test_two_dozen_right_answers_do_not_make_it_sure_of_everything() -> None:
    logits = np.tile([4.0, 0.0, 0.0], (25, 1))
    found = recalibrate.moved(OLD, logits, np.zeros(25, int), "urgency", config.read())
    assert 0.7 < found["temperature"] < 1.2


def test_many_mails_set_temperature_and_thresholds_alone() -> None:
    assert moved(600)["temperature"] == pytest.approx(3, rel=0.2)
    assert moved(600)["threshold"] != 0.6


def test_the_bases_numbers_are_read_with_the_labels_own() -> None:
    head = {"temperature": 1.1, "threshold": 0.5, "labels": [{"name": "high", "threshold": 0.3}, {"name": "low"}]}
    assert recalibrate.of_head(head) == {"temperature": 1.1, "threshold": 0.5, "labels": {"high": 0.3}}
