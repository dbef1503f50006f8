"""What came of each mail, the table that shows it, and whether it is as it must be."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailserver import Stored

HEADS = ("sentiment", "urgency", "category")
# Of twelve; the model is real, so it errs at times. Sentiment is shown and not held to a number.
LEAST_RIGHT = {"urgency": 9, "category": 9}


@dataclass
class Result:
    """One mail: what was expected, what the server has, what the daemon says."""

    message_id: str
    subject: str
    expected: dict[str, str]
    delivered: float
    stored: Stored | None = None
    seconds: float | None = None
    record: dict | None = None

    @property
    def uid(self) -> int | None:
        return self.stored.uid if self.stored else None

    @property
    def keywords(self) -> set[str]:
        return set(self.stored.keywords) if self.stored else set()

    def see(self, stored: Stored | None, now: float) -> None:
        """Takes note of the mail as the server has it now."""
        if stored and stored.keywords and self.seconds is None:
            self.seconds = now - self.delivered
        self.stored = stored

    def settled(self) -> bool:
        """Whether it is decided, and what was decided is done."""
        return self.record is not None and self.record["outcome"] != "pending"

    def label(self, head: str) -> str:
        return self.record["labels"].get(head, "") if self.record else ""

    def right(self, head: str) -> bool:
        return self.label(head) == self.expected[head]


def read_expected(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Each mail's file name and the labels that a person gave it."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [(row["mail"], {head: row[head] for head in HEADS}) for row in rows]


def complaints(results: list[Result]) -> list[str]:
    """All that is not as it must be; empty when the demo has succeeded."""
    problems = []
    for result in results:
        if not result.settled():
            problems.append(f"{result.subject!r} was not decided")
        elif result.record["outcome"] not in ("labelled", "unlabelled"):
            problems.append(f"{result.subject!r}: {result.record['outcome']}")
        elif result.keywords != set(result.record["keywords"]):
            problems.append(
                f"{result.subject!r}: the server has {sorted(result.keywords)}, "
                f"the history {sorted(result.record['keywords'])}"
            )
    for head, least in LEAST_RIGHT.items():
        right = sum(result.right(head) for result in results)
        if right < least:
            problems.append(f"{head}: {right} of {len(results)} as expected, {least} wanted")
    return problems


def table(results: list[Result]) -> str:
    """The results for people; a star marks a label that a person would not have given."""
    head = ("subject", *HEADS, "confidence", "keywords on the server", "seconds")
    rows = [head, *map(row, results)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(head))]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths)] for line in rows)
    lines = ["  ".join(line).rstrip() for line in padded]
    lines.insert(1, "  ".join("-" * width for width in widths))
    right = {head: sum(result.right(head) for result in results) for head in HEADS}
    counts = [f"{head} {right[head]} of {len(results)}" for head in HEADS]
    summary = f"As a person would have it: {', '.join(counts)} (* marks the others)."
    return "\n".join([*lines, "", summary])


def row(result: Result) -> tuple[str, ...]:
    marks = (result.label(head) + ("" if result.right(head) else " *") for head in HEADS)
    confidences = result.record["confidences"] if result.record else {}
    return (
        shortened(result.subject, 44),
        *marks,
        " ".join(f"{confidences[head]:.2f}" for head in HEADS if head in confidences),
        " ".join(sorted(result.keywords)) or "-",
        "-" if result.seconds is None else f"{result.seconds:.2f}",
    )


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
