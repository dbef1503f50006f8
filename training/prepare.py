"""Step 1: the mails as the model will read them, one row each in WORK/prepared.jsonl.

    python -m training.prepare --triaged target/debug/triaged --work WORK [--extra DIR]

Trains on: data/*.jsonl, and the .jsonl files of DIR but those with "validation" in their name.
To choose by, in WORK/validation.jsonl: validation/*.jsonl and those others. The text is what
`triaged render` prints; this file deliberately renders, varies and tokenizes nothing.
"""

import argparse
import hashlib
import json
import re
import subprocess
from collections import Counter
from pathlib import Path

from training import HERE, config
from training.config import Config
from training.mails import SOURCES, Mail, write_prepared

REPLY = re.compile(r"\A(?:\s*(?:re|fwd?|aw|sv|antw)(?:\[\d+\])?:|\s*\[[^\]]{1,40}\])+", re.IGNORECASE)
# Hosts that the makers of a public corpus wrote over the real ones.
REWRITTEN = re.compile(r"\b(?:[\w-]+\.)*(?:taint\.org|netnoteinc\.com|jmason\.org)\b", re.IGNORECASE)
STAND_INS = ("mailhub.net", "northgate.org", "openlists.org", "dailyreader.com", "cityline.net", "webpress.com")
LIST_FOOTER = re.compile(r"\n_{20,}\n.{0,60}mailing list.*\Z", re.IGNORECASE | re.DOTALL)


def raw_rows(file: Path) -> list[dict]:
    """The objects of a .jsonl file; SystemExit names a line that is none."""
    rows = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise SystemExit(f"{file}, line {number}: no JSON object ({error})") from None
            if not isinstance(row, dict) or not isinstance(row.get("id"), str):
                raise SystemExit(f'{file}, line {number}: has to be an object with a text as "id"')
            rows.append(row)
    return rows


def render(triaged: Path, files: list[Path]) -> list[dict]:
    """What `triaged render --json` prints for these files: one object a mail, in order."""
    command = [str(triaged), "render", "--json", *map(str, files)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8")
    except OSError as error:
        raise SystemExit(
            f"{triaged}: {error.strerror}; build it with `make build`, or name it with --triaged"
        ) from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"`{' '.join(command)}` ended with {error.returncode}") from None
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def labels_of(row: dict, asked: Config, where: str) -> dict[str, str]:
    """The known labels of a row; SystemExit names one that the configuration does not have."""
    known = {head: row[head] for head in asked.heads if row.get(head) is not None}
    for head, label in known.items():
        if label not in asked.heads[head]:
            raise SystemExit(f"{where}: {head} {label!r} is none of {', '.join(asked.heads[head])}")
    return known


def weight_of(row: dict, source: str, asked: Config) -> float:
    """How much the mail counts: by the source of its labels, less where they are doubtful."""
    unsure = asked.weights.unsure if row.get("sure") is False else 1.0
    return getattr(asked.weights, source) * unsure


def group_of(row: dict, file: Path) -> str:
    """Members of a pair (ids that differ in a last a to d), of a thread, of one subject."""
    if "source" not in row:
        return f"{file.stem}/" + re.sub(r"(?<=\d)[a-d]\Z", "", row["id"])
    if row.get("thread"):
        return f"{file.stem}/thread {row['thread']}"
    subject = " ".join(REPLY.sub("", row.get("subject") or "").lower().split())
    return f"{file.stem}/subject {subject}" if subject else f"{file.stem}/{row['id']}"


def fold_of(group: str, file: Path, asked: Config) -> str:
    """The fold of a written file, or the one that the group's hash falls into."""
    folds = sorted(asked.folds)
    chance = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big")
    return asked.fold_of(file.stem) or folds[chance % len(folds)]


def takes_part(identity: str, source: str, asked: Config) -> bool:
    """Whether a mail is among the share of its source, by the hash of its id."""
    chance = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") / 2**64
    return chance < getattr(asked.shares, source, 1.0)


def without_traces(text: str, identity: str) -> str:
    """The text without what tells the corpus that it comes from: rewritten hosts, list footers."""
    stand_in = STAND_INS[hashlib.sha256(identity.encode()).digest()[0] % len(STAND_INS)]
    return REWRITTEN.sub(stand_in, LIST_FOOTER.sub("", text))


def mails_of(file: Path, triaged: Path, asked: Config, *, trains: bool) -> list[Mail]:
    """The labelled mails of one file; a fold is given to those that train."""
    rows, texts = raw_rows(file), render(triaged, [file])
    if len(rows) != len(texts):
        raise SystemExit(f"{file}: {len(rows)} mails, but {len(texts)} rendered")
    found = []
    for number, (row, rendered) in enumerate(zip(rows, texts, strict=True), 1):
        where = f"{file}, line {number}"
        source = row.get("label_source", "read" if "source" in row else "written")
        if source not in SOURCES:
            raise SystemExit(f"{where}: label_source {source!r} is none of {', '.join(SOURCES)}")
        labels, weight = labels_of(row, asked, where), weight_of(row, source, asked)
        if not labels or (trains and not (weight and takes_part(row["id"], source, asked))):
            continue
        group = group_of(row, file)
        fold = fold_of(group, file, asked) if trains else None
        text = without_traces(rendered["text"], row["id"]) if trains and "source" in row else rendered["text"]
        found.append(Mail(row["id"], file.stem, group, fold, text, labels, weight, source))
    return found


Inputs = tuple[list[Path], list[Path]]


def inputs(extra: Path | None, home: Path = HERE) -> Inputs:
    """The files that train, and those to choose by: of the folder `home`, and of `extra`."""
    train, choose = sorted((home / "data").glob("*.jsonl")), sorted((home / "validation").glob("*.jsonl"))
    if extra:
        further = sorted(extra.glob("*.jsonl"))
        if not further:
            raise SystemExit(f"{extra}: holds no .jsonl file; TRAIN_EXTRA or --extra has to name a folder of them")
        for file in further:
            refuse_without_source(file)
        train += [file for file in further if "validation" not in file.stem]
        choose += [file for file in further if "validation" in file.stem]
    return train, choose


def refuse_without_source(file: Path) -> None:
    """A further mail that did not say where it comes from would count as written for this project, text and all."""
    for number, row in enumerate(raw_rows(file), 1):
        if not row.get("source"):
            wrong = 'lacks "source"; a mail that is not of this repository has to say where it comes from'
            raise SystemExit(f"{file}, line {number}: {wrong}")


def describe(file: Path, mails: list[Mail]) -> dict:
    """What the model card says of a file: how many mails count, by whose labels, under which licences.

    A file that names no sources was written for this project.
    """
    rows = raw_rows(file)
    licences = sorted({row.get("license", "MIT or Apache-2.0" if "source" not in row else "unknown") for row in rows})
    counts = Counter(mail.source for mail in mails if mail.file == file.stem)
    return {
        "file": file.stem,
        "committed": not any("source" in row for row in rows),
        "mails": dict(counts),
        "licences": licences,
    }


def refuse_doubles(mails: list[Mail]) -> None:
    """An id in two places may be the same mail on both sides of a split."""
    twice = [identity for identity, count in Counter(mail.id for mail in mails).items() if count > 1]
    if twice:
        raise SystemExit(f"ids that occur twice: {', '.join(twice[:5])}; every mail needs one of its own")


def prepare(triaged: Path, work: Path, files: Inputs, asked: Config) -> tuple[list[Mail], list[Mail]]:
    """Writes WORK/data.json, WORK/validation.jsonl and WORK/prepared.jsonl; gives the mails of the two."""
    train, choose = files
    prepared = [mail for file in train for mail in mails_of(file, triaged, asked, trains=True)]
    validation = [mail for file in choose for mail in mails_of(file, triaged, asked, trains=False)]
    refuse_doubles(prepared + validation)
    work.mkdir(parents=True, exist_ok=True)
    about = {
        "train": [describe(file, prepared) for file in train],
        "choose": [describe(file, validation) for file in choose],
    }
    (work / "data.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_prepared(work / "validation.jsonl", validation)
    write_prepared(work / "prepared.jsonl", prepared)
    return prepared, validation


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triaged", type=Path, required=True, help="the built binary, for `triaged render`")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything on the way")
    parser.add_argument("--extra", type=Path, help="folder of .jsonl files that may not be committed")
    parser.add_argument("--config", type=Path, default=config.DEFAULT)
    given = parser.parse_args()
    prepared, validation = prepare(given.triaged, given.work, inputs(given.extra), config.read(given.config))
    for title, mails in (("train", prepared), ("to choose by", validation)):
        counts = Counter(f"{mail.file} ({mail.source})" for mail in mails)
        print(f"{len(mails)} mails {title}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
