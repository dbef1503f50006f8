"""The rule which label is the answer: the same cases as in the daemon's score.rs."""

import pytest

np = pytest.importorskip("numpy", reason="NOT RUN: answers need the training environment (`make train-env`)")

from training import answers  # noqa: E402


def answer(chances: list[float], threshold: float, own: list[float | None]) -> tuple[int, bool]:
    return answers.answer(np.array(chances, np.float32), threshold, own)


def test_without_own_thresholds_it_is_the_most_probable_label_if_it_is_sure() -> None:
    assert answer([0.4, 0.6, 0.0], 0.7, [None] * 3) == (1, False)
    assert answer([0.3, 0.7, 0.0], 0.7, [None] * 3) == (1, True)
    assert answer([0.5, 0.5, 0.0], 0.5, [None] * 3) == (0, True)


def test_a_label_that_reaches_its_own_threshold_wins_over_a_more_probable_one() -> None:
    own = [0.3, None, None]
    assert answer([0.3, 0.6, 0.1], 0.7, own) == (0, True)
    assert answer([0.29, 0.71, 0.0], 0.7, own) == (1, True)
    assert answer([0.29, 0.6, 0.11], 0.7, own) == (1, False)


def test_of_two_that_reach_their_own_thresholds_the_further_above_it_wins() -> None:
    own = [0.25, None, 0.5]
    assert answer([0.375, 0.0, 0.625], 0.0, own)[0] == 0
    assert answer([0.25, 0.25, 0.5], 0.0, own)[0] == 0
    assert answer([0.3125, 0.0, 0.6875], 0.0, own)[0] == 2


def test_an_own_threshold_above_the_heads_is_the_one_that_counts() -> None:
    assert answer([0.2, 0.8, 0.0], 0.5, [None, 0.9, None]) == (1, False)
    assert answer([0.6, 0.4, 0.0], 0.5, [None, 0.9, None]) == (0, True)


def test_mails_of_another_language_or_hardly_a_word_are_not_answered() -> None:
    manifest = {"languages": ["en"], "least_words": 3}
    assert answers.reason({"words": 2, "language": None}, manifest) == "too-little-text"
    assert answers.reason({"words": 2, "language": "de"}, manifest) == "too-little-text"
    assert answers.reason({"words": 3, "language": "de"}, manifest) == "language"
    assert answers.reason({"words": 3, "language": "en"}, manifest) == ""
    assert answers.reason({"words": 3, "language": None}, manifest) == ""
    assert answers.reason({"words": 0, "language": "de"}, {}) == ""
    assert answers.reason({"words": 0, "language": "de"}, {"languages": None, "least_words": None}) == ""


def test_the_reason_of_a_mail_comes_before_that_of_a_head() -> None:
    head = {"threshold": 0.7, "labels": [{"name": "a"}, {"name": "b"}]}
    chances = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1]], np.float32)
    rows = answers.rows_of(head, chances, np.zeros(3, int), ["language", "", ""])
    assert rows.reason.tolist() == ["language", "unsure", ""]
