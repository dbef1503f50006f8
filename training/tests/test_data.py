"""The written mails are whole, and labelled with the labels that the bundle answers with."""

import json
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "training" / "data").glob("*.jsonl"))
FIELDS = {"id", "from", "to", "subject", "body", "sentiment", "urgency", "category"}


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


def test_all_written_files_are_there() -> None:
    assert len(FILES) == 30
    assert sum(len(rows(file)) for file in FILES) == 8884


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_mail_has_its_fields_and_known_labels(file: Path) -> None:
    manifest = json.loads((ROOT / "models" / "default" / "manifest.json").read_text(encoding="utf-8"))
    known = {head["name"]: {label["name"] for label in head["labels"]} for head in manifest["heads"]}
    for row in rows(file):
        assert row.keys() == FIELDS, row["id"]
        for head, labels in known.items():
            assert row[head] in labels, row["id"]


def test_no_id_occurs_twice() -> None:
    counts = Counter(row["id"] for file in FILES for row in rows(file))
    assert [identity for identity, count in counts.items() if count > 1] == []
