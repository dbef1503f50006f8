"""Prepared rows come back as they were written; a bad one is named with file and line."""

import dataclasses
from pathlib import Path

import pytest

from training.mails import Mail, place, read_prepared, write_prepared

MAIL = Mail("a-1", "a", "a/1", "A", "From: x\u2028y\n\nJürgen", {"urgency": "low"}, 0.5, "read")
LABELS = {"urgency": ["high", "normal", "low"], "mood": ["bad", "good"]}


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    mails = [MAIL, dataclasses.replace(MAIL, id="a-2", fold=None, labels={})]
    write_prepared(tmp_path / "prepared.jsonl", mails)
    assert read_prepared(tmp_path / "prepared.jsonl") == mails
    assert [file.name for file in tmp_path.iterdir()] == ["prepared.jsonl"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2"),
        ('{"id": "x"}', "lacks file, group, fold, text"),
        (
            '{"id":"x","file":"f","group":"g","fold":null,"text":"t","labels":{},"weight":1,"source":"dream"}',
            "source has to be one of written, read",
        ),
        (
            '{"id":"x","file":"f","group":"g","fold":null,"text":3,"labels":{},"weight":1,"source":"read"}',
            "text has to be a string",
        ),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "prepared.jsonl"
    write_prepared(file, [MAIL])
    file.write_text(file.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"prepared\.jsonl, line 2: ") as error:
        read_prepared(file)
    assert said in str(error.value)


def test_the_place_of_a_label_that_is_not_known_is_minus_one() -> None:
    assert place(MAIL, "urgency", LABELS) == 2
    assert place(MAIL, "mood", LABELS) == -1
