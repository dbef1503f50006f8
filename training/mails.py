"""A mail as the training sees it: a row of WORK/prepared.jsonl.

Rows are made by prepare.py, by `triaged retrain` and read here. It deliberately needs nothing but
the standard library, and changes no text; augment.py does.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SOURCES = ("written", "read", "user", "corpus", "rule", "none")


@dataclass(frozen=True)
class Mail:
    """One mail.

    `text` is what `triaged render` printed. `labels` holds the known ones only: head to label.
    `group`: mails of one group (a pair, a thread) stay on one side of every split. `fold`: the
    fold that leaves this mail out, None where it is in none.
    """

    id: str
    file: str
    group: str
    fold: str | None
    text: str
    labels: dict[str, str]
    weight: float
    source: str


def from_row(row: dict) -> Mail:
    """The mail of a prepared row; ValueError says what is wrong with it."""
    names = [field.name for field in dataclasses.fields(Mail)]
    missing = [name for name in names if name not in row]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    if row["source"] not in SOURCES:
        raise ValueError(f"source has to be one of {', '.join(SOURCES)}, not {row['source']!r}")
    if not isinstance(row["text"], str) or not isinstance(row["labels"], dict):
        raise ValueError("text has to be a string and labels an object")
    return Mail(**{name: row[name] for name in names})


def read_prepared(path: Path) -> list[Mail]:
    """All rows of a prepared file; ValueError names file and line of a bad one."""
    found = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                found.append(from_row(json.loads(line)))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return found


def write_prepared(path: Path, mails: Iterable[Mail]) -> None:
    """Writes the rows; the file appears only when it is whole."""
    waiting = path.with_name(f"{path.name}.part")
    with waiting.open("w", encoding="utf-8", newline="\n") as file:
        for mail in mails:
            file.write(json.dumps(dataclasses.asdict(mail), ensure_ascii=False) + "\n")
    waiting.replace(path)


def place(mail: Mail, head: str, labels: dict[str, list[str]]) -> int:
    """The place of the mail's label among the head's labels, -1 where it is not known."""
    return labels[head].index(mail.labels[head]) if head in mail.labels else -1
