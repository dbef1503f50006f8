"""Calibration finds the numbers that made-up predictions were made with."""

import dataclasses

import pytest

np = pytest.importorskip("numpy", reason="NOT RUN: calibration needs the training environment (`make train-env`)")
pytest.importorskip("scipy", reason="NOT RUN: calibration needs the training environment (`make train-env`)")

from training import calibrate, config  # noqa: E402
from training.config import Own  # noqa: E402

ASKED = config.read()


def drawn(temperature: float, count: int = 20_000):
    """Logits [count, 3] and truths drawn from their softmax at that temperature."""
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 3, (count, 3))
    chances = calibrate.softmax(logits, temperature)
    truth = (chances.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return logits, np.minimum(truth, 2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_drew_the_labels_is_found(temperature: float) -> None:
    assert calibrate.temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_the_threshold_is_the_lowest_of_the_asked_precision() -> None:
    logits, truth = drawn(2.5)
    chances = calibrate.softmax(logits, 2.5)
    least = calibrate.threshold(chances, truth, ASKED.calibrate)
    right, confidence = chances.argmax(1) == truth, chances.max(1)
    assert right[confidence >= least].mean() >= ASKED.calibrate.precision
    assert right[confidence >= least - 0.01].mean() < ASKED.calibrate.precision


def test_a_head_that_is_never_right_enough_gets_the_best_there_is() -> None:
    chances = np.array([[0.6, 0.4], [0.9, 0.1], [0.95, 0.05], [0.5, 0.5]])
    hard = dataclasses.replace(ASKED.calibrate, precision=0.99)
    assert calibrate.threshold(chances, np.array([1, 1, 0, 1]), hard) == pytest.approx(0.91)


def test_an_own_threshold_is_the_highest_that_finds_enough() -> None:
    chances = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55], [0.3, 0.7], [0.2, 0.8]])
    truth = np.array([0, 0, 0, 1, 1])
    assert calibrate.own_threshold(chances, truth, 0, Own(recall=1.0, precision=0.85)) == pytest.approx(0.45)
    assert calibrate.own_threshold(chances, truth, 0, Own(recall=0.6, precision=0.85)) == pytest.approx(0.8)


def test_an_own_threshold_gives_up_recall_before_precision() -> None:
    chances = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.4, 0.6]])
    truth = np.array([0, 1, 1, 0])
    assert calibrate.own_threshold(chances, truth, 0, Own(recall=1.0, precision=0.9)) == pytest.approx(0.9)
    assert calibrate.own_threshold(chances, np.ones(4, int), 0, Own(recall=1.0, precision=0.9)) is None


def test_real_mails_alone_set_the_temperature_where_they_are_enough() -> None:
    (easy, easy_truth), (hard, hard_truth) = drawn(1.0, 4000), drawn(2.0, 1000)
    pairs = {"urgency": (np.concatenate([easy, hard]), np.concatenate([easy_truth, hard_truth]))}
    real = {"urgency": np.arange(5000) >= 4000}
    assert calibrate.fit(pairs, ASKED, real)["urgency"]["temperature"] == pytest.approx(2.0, rel=0.1)
    few = {"urgency": np.arange(5000) >= 5000 - calibrate.LEAST_REAL + 1}
    assert calibrate.fit(pairs, ASKED, few)["urgency"]["temperature"] < 1.4


def test_fit_gives_each_head_its_numbers_and_urgency_an_own_one() -> None:
    pairs = {head: drawn(1.3) for head in ("sentiment", "urgency")}
    found = calibrate.fit(pairs, ASKED)
    assert found["sentiment"].keys() == {"temperature", "threshold"}
    assert found["urgency"]["labels"].keys() == {"high"}
    assert 0 < found["urgency"]["labels"]["high"] < 1


def test_a_head_without_mails_is_named() -> None:
    with pytest.raises(ValueError, match="urgency"):
        calibrate.fit({"urgency": (np.zeros((0, 3)), np.zeros(0, int))}, ASKED)
