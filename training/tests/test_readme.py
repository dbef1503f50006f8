"""README.md names every file of the package, and none that is not there."""

import re
from pathlib import Path

TRAINING = Path(__file__).resolve().parents[1]
README = (TRAINING / "README.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([a-z_]+\.py)`", README))
NOT_FOR_READERS = {"__init__.py"}


def test_every_file_is_named() -> None:
    there = {file.name for file in TRAINING.glob("*.py")} - NOT_FOR_READERS
    graphs = {name for name in there if name.startswith("graph")}  # as `graph*.py`
    assert "`graph*.py`" in README
    assert there - graphs - NAMED == set()


def test_no_file_is_named_that_is_not_there() -> None:
    assert {name for name in NAMED if not (TRAINING / name).is_file()} == set()


def test_every_file_opens_with_what_it_is() -> None:
    for file in TRAINING.glob("*.py"):
        assert re.match(r'"""[A-Z].*[.:]', file.read_text(encoding="utf-8")), file.name
