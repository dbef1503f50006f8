"""The written mails as a model sees them: rendered, labelled, and varied from epoch to epoch.

It deliberately renders nothing itself; `triaged render` does.
"""

import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import bundle

LEFT_OUT = ("front_desks", "teams_today")  # plain everyday mail, one writer each
# Label to keyword; none for what most mails are.
LABELS = {
    "sentiment": {"negative": "negative", "neutral": None, "positive": "positive"},
    "urgency": {"high": "urgent", "normal": None, "low": None},
    "category": {
        name: name
        for name in (
            "billing support account order sales feedback meeting work personal notification newsletter spam"
        ).split()
    },
}
WRITTEN_DOMAIN = re.compile(r"\b([a-z0-9-]+)\.example\b(?!\.[a-z])", re.IGNORECASE)
REAL_ENDINGS = ".com .com .com .com .org .net .co.uk .de .fr .io .eu .nl .es .it .ch .edu .ca .com.au .us .se".split()


@dataclass
class Mail:
    """One mail of the data, as the model will see it."""

    file: str
    identity: str
    text: str
    labels: dict[str, str]
    ids: list[int] = field(default_factory=list)

    @property
    def group(self) -> str:
        """Members of a pair differ in the letter that ends their id; they stay together."""
        return self.identity.rstrip("abcd")


def read(triaged: Path, file: Path) -> list[Mail]:
    """The mails of one file of the data, rendered by the daemon's own code."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    texts = bundle.render(triaged, [file])
    if len(rows) != len(texts):
        raise SystemExit(f"{file}: {len(rows)} mails, but {len(texts)} rendered")
    known = [{head: row[head] for head in LABELS if row.get(head)} for row in rows]
    return [Mail(file.stem, row["id"], text["text"], labels) for row, text, labels in zip(rows, texts, known)]


def real_domains(text: str, rng: random.Random) -> str:
    """The text with every `.example` domain under a real ending, the same one each time it occurs."""
    endings: dict[str, str] = {}

    def ending(match: re.Match) -> str:
        return match[1] + endings.setdefault(match[1].lower(), rng.choice(REAL_ENDINGS))

    return WRITTEN_DOMAIN.sub(ending, text)


def varied(text: str, rng: random.Random) -> str:
    """The text as one epoch sees it: real domains, now and then no sender or no subject."""
    text = real_domains(text, rng)
    chance = rng.random()
    if chance < 0.06:
        return re.sub(r"\AFrom:.*\n", "", text)
    if chance < 0.09:
        return re.sub(r"^Subject:.*\n", "", text, count=1, flags=re.MULTILINE)
    return text


def truth(mails: list[Mail], head: str) -> np.ndarray:
    """The place of each mail's label among the head's labels."""
    names = list(LABELS[head])
    return np.array([names.index(mail.labels[head]) for mail in mails])
