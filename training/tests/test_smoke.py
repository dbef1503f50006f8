"""The smoke run's comparison sees what differs, and only that."""

import pytest

pytest.importorskip("scipy", reason="NOT RUN: the smoke run needs the training environment (`make train-env`)")

from training import smoke

ONE = {"mails": 3, "heads": {"mood": {"ece": 0.25, "labels": [{"label": "bad", "f1": None}]}}}


def test_the_noise_of_floats_is_no_difference() -> None:
    assert smoke.difference(ONE, ONE) == ""
    assert smoke.difference(0.25, 0.250001) == ""


@pytest.mark.parametrize(
    ("other", "place"),
    [
        (ONE | {"mails": 4}, ".mails: 3 and 4"),
        (ONE | {"heads": {"mood": ONE["heads"]["mood"] | {"ece": 0.2501}}}, ".heads.mood.ece: 0.25 and 0.2501"),
        (ONE | {"heads": {"mood": ONE["heads"]["mood"] | {"labels": []}}}, ".heads.mood.labels: "),
        (
            ONE | {"heads": {"mood": ONE["heads"]["mood"] | {"labels": [{"label": "bad", "f1": 0.0}]}}},
            ".heads.mood.labels[0].f1: None and 0.0",
        ),
        (ONE | {"more": 1}, ": "),
    ],
)
def test_a_difference_is_named_with_its_place(other: dict, place: str) -> None:
    assert smoke.difference(ONE, other).startswith(place)
