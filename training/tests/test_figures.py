"""The figures of a worked example are those that `triaged eval` has for it, too."""

import pytest

np = pytest.importorskip("numpy", reason="NOT RUN: figures need the training environment (`make train-env`)")

from training import figures  # noqa: E402

# Chances of high, normal, low; the truth; why the mail is not answered.
EXAMPLE = (
    ((0.75, 0.25, 0.0), 0, ""),
    ((0.5, 0.375, 0.125), 0, "unsure"),
    ((0.125, 0.75, 0.125), 1, ""),
    ((0.625, 0.25, 0.125), 1, ""),
    ((0.0625, 0.9375, 0.0), 1, ""),
    ((0.25, 0.25, 0.5), 2, "language"),
    ((0.375, 0.375, 0.25), 1, "unsure"),
    ((0.03125, 0.9375, 0.03125), 0, ""),
)


@pytest.fixture
def rows() -> figures.Rows:
    chances = np.array([row[0] for row in EXAMPLE], np.float32)
    truth, reason = np.array([row[1] for row in EXAMPLE]), np.array([row[2] for row in EXAMPLE])
    return figures.Rows(["high", "normal", "low"], chances, truth, chances.argmax(1), reason)


def test_the_generator_gives_its_published_numbers() -> None:
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert figures.split_mix(1234567, 3).tolist() == expected


def test_the_worked_example(rows: figures.Rows) -> None:
    found = figures.of_head(rows)
    assert {key: found[key] for key in list(found)[:12]} == {
        "mails": 8,
        "macro_f1": 0.714286,
        "macro_f1_interval": [0.272727, 0.954545],
        "accuracy": 0.625,
        "accuracy_interval": [0.25, 0.875],
        "ece": 0.421875,
        "named_macro_f1": 0.714286,
        "named_accuracy": 0.625,
        "abstained": 0.375,
        "reasons": {"unsure": 2, "language": 1, "too-little-text": 0},
        "answered_accuracy": 0.6,
        "answered_macro_f1": 0.32381,
    }
    assert found["confusion"] == {
        "argmax": [[2, 1, 0], [2, 2, 0], [0, 0, 1]],
        "answered": [[1, 1, 0], [1, 2, 0], [0, 0, 0]],
    }
    assert found["labels"][2] == {
        "label": "low",
        "mails": 1,
        "argmax": {"precision": 1.0, "recall": 1.0, "f1": 1.0},
        "answered": {"precision": None, "recall": 0.0, "f1": 0.0},
    }
    assert found["reliability"][5] == {"from": 0.5, "to": 0.6, "mails": 2, "confidence": 0.5, "accuracy": 1.0}
    assert found["reliability"][0]["confidence"] is None


def test_an_answer_other_than_the_most_probable_label_counts_as_answered(rows: figures.Rows) -> None:
    answer = rows.answer.copy()
    answer[7] = 0
    other = figures.Rows(rows.labels, rows.chances, rows.truth, answer, rows.reason)
    found = figures.of_head(other)
    assert (found["accuracy"], found["named_accuracy"]) == (0.625, 0.75)
    assert found["answered_accuracy"] == 0.8
    assert found["confusion"]["answered"][0] == [2, 0, 0]


def test_a_label_that_never_occurs_does_not_lower_the_mean(rows: figures.Rows) -> None:
    kept = rows.truth != 2
    fewer = figures.Rows(rows.labels, rows.chances[kept], rows.truth[kept], rows.answer[kept], rows.reason[kept])
    found = figures.of_head(fewer)
    assert found["macro_f1"] == pytest.approx(4 / 7, abs=1e-6)
    assert found["labels"][2]["argmax"] == {"precision": None, "recall": None, "f1": None}
