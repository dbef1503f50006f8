"""Figures of a packed bundle on labelled mails: the same as `triaged eval` gives for them.

    python -m training.evaluate --bundle models/default --triaged target/debug/triaged FILE.jsonl...

The files go through `triaged render`, the texts through the bundle's model one by one, the
probabilities through the daemon's rules for abstention. It chooses nothing.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training import answers, calibrate, figures, reader, table
from training.figures import Rows
from training.prepare import raw_rows, render


@dataclass(frozen=True)
class Judged:
    """A head's rows with the mails that they are of, as `triaged render` printed them."""

    mails: list[dict]
    rows: Rows


def labelled(files: list[Path], triaged: Path, heads: list[dict]) -> tuple[list[dict], int]:
    """The rendered mails with at least one known label, and how many have none.

    SystemExit names a label that the bundle does not have.
    """
    found, unlabelled = [], 0
    for file in files:
        rows, texts = raw_rows(file), render(triaged, [file])
        if len(rows) != len(texts):
            raise SystemExit(f"{file}: {len(rows)} mails, but {len(texts)} rendered")
        for number, (row, text) in enumerate(zip(rows, texts, strict=True), 1):
            known = {}
            for head in heads:
                label = row.get(head["name"])
                if label is not None and label not in [one["name"] for one in head["labels"]]:
                    raise SystemExit(f"{file}, line {number}: the bundle has no {head['name']} {label!r}")
                known |= {head["name"]: label} if label is not None else {}
            found += [text | {"labels": known}] if known else []
            unlabelled += not known
    return found, unlabelled


def judged(mails: list[dict], logits: dict[str, np.ndarray], manifest: dict) -> dict[str, Judged]:
    """Head to its rows, of the mails whose label of it is known. `logits`: head to [N, n], in order."""
    made = {}
    for head in manifest["heads"]:
        name, labels = head["name"], [label["name"] for label in head["labels"]]
        places = [place for place, mail in enumerate(mails) if name in mail["labels"]]
        if not places:
            continue
        asked = [mails[place] for place in places]
        chances = calibrate.softmax(logits[name][places], head["temperature"])
        truth = np.array([labels.index(mail["labels"][name]) for mail in asked])
        reasons = [answers.reason(mail, manifest) for mail in asked]
        made[name] = Judged(asked, answers.rows_of(head, chances, truth, reasons))
    return made


def mistakes(one: Judged, most: int, *, text: bool) -> list[dict]:
    """The most confident wrong answers, abstained or not, the most confident first."""
    rows = one.rows
    confidence = rows.chances[np.arange(len(rows.truth)), rows.answer]
    wrong = np.flatnonzero(rows.answer != rows.truth)
    chosen = sorted(wrong.tolist(), key=lambda place: (-confidence[place], place))[:most]
    return [
        {
            "file": one.mails[place]["file"],
            "id": one.mails[place].get("id"),
            "truth": rows.labels[rows.truth[place]],
            "found": rows.labels[rows.answer[place]],
            "probability": float(str(confidence[place])),  # its own digits, not those of a wider float
            "abstained": rows.reason[place] or None,
        }
        | ({"text": one.mails[place]["text"]} if text else {})
        for place in chosen
    ]


def evaluate(bundle: Path, triaged: Path, files: list[Path]) -> tuple[dict, dict[str, Judged]]:
    """The object that `triaged eval --json` prints, and the rows that it comes from."""
    model, manifest = reader.of_bundle(bundle), reader.read_manifest(bundle)
    mails, unlabelled = labelled(files, triaged, manifest["heads"])
    if not mails:
        raise SystemExit(f"{', '.join(map(str, files))}: no mail with a label that the bundle knows")
    rows = [model.logits(mail["text"]) for mail in mails]
    logits = {head["name"]: np.array([row[head["name"]] for row in rows]) for head in manifest["heads"]}
    found = judged(mails, logits, manifest)
    whole = {
        "model": f"{manifest['name']}-{manifest['version']}",
        "mails": len(mails),
        "unlabelled": unlabelled,
        "refused": 0,
        "seed": figures.SEED,
        "resamples": figures.RESAMPLES,
        "heads": {head: figures.of_head(found[head].rows) if head in found else None for head in logits},
    }
    return whole, found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--triaged", type=Path, required=True, help="the built binary, for `triaged render`")
    parser.add_argument("--json", action="store_true", help="one object instead of tables")
    parser.add_argument("--mistakes", type=int, default=0, help="list so many of the worst mistakes of each head")
    parser.add_argument("--text", action="store_true", help="with the text of the mail")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.jsonl")
    given = parser.parse_args()
    whole, found = evaluate(given.bundle, given.triaged, given.files)
    if given.mistakes:
        for head, one in found.items():
            whole["heads"][head]["mistakes"] = mistakes(one, given.mistakes, text=given.text)
    print(json.dumps(whole, ensure_ascii=False) if given.json else table.of(whole))


if __name__ == "__main__":
    main()
