"""The model card, card.md in the bundle: what it learnt from, how well it does, where it fails.

Every number comes from WORK/figures.json, data.json and times.json; the prose about what the
model is bad at is card_notes.md's, written by people who have read its mistakes.
"""

import json
from pathlib import Path

from training import HERE
from training.config import Config
from training.report import OVERVIEW, number, overview


def table(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def data(about: dict) -> str:
    """The files that trained, with counts by whose labels they are and their licences."""
    rows = [
        [
            one["file"],
            "yes" if one["committed"] else "no",
            ", ".join(f"{count} {source}" for source, count in one["mails"].items()) or "0",
            "; ".join(one["licences"]).replace("|", "/"),
        ]
        for one in about["train"]
    ]
    return table(["file", "in the repository", "mails", "licence"], rows)


def numbers(sets: dict[str, dict]) -> str:
    """Every set and head."""
    return table(OVERVIEW, overview(sets))


def classes(whole: dict) -> str:
    """Each label of one set, by the most probable label and at the thresholds."""
    rows = [
        [head, one["label"], str(one["mails"])]
        + [number(one[way][what], 2) for way in ("argmax", "answered") for what in ("precision", "recall", "f1")]
        for head, found in whole["heads"].items()
        for one in found["labels"]
    ]
    titles = ["head", "label", "mails", "precision", "recall", "F1", "precision, answered", "recall", "F1"]
    return table(titles, rows)


def beside(made: dict) -> str:
    """The baselines' macro-F1 beside the model's."""
    rows = []
    for name, heads in made["baselines"].items():
        for head, found in heads.items():
            ours = number(made["sets"][name]["heads"][head]["macro_f1"]) if name in made["sets"] else "–"
            rows.append([name, head, ours, *(number(one["macro_f1"]) for one in found.values())])
    names = list(next(iter(next(iter(made["baselines"].values())).values())))
    return table(["set", "head", "this model", *names], rows)


def thresholds(asked: Config, calibration: dict) -> str:
    """Temperature and thresholds of each head."""
    rows = [
        [
            head,
            f"{calibration[head]['temperature']:.3f}",
            f"{calibration[head]['threshold']:.2f}",
            ", ".join(f"{label} {value:.2f}" for label, value in calibration[head].get("labels", {}).items()) or "–",
        ]
        for head in asked.heads
    ]
    return table(["head", "temperature", "threshold", "labels with a threshold of their own"], rows)


def other_run(other: dict) -> str:
    """The figures of a run on other mails, in short."""
    title = f"## The same from {origin(other)}\n\n{other['trained_on']} mails; this file is not that model.\n\n"
    return title + numbers(other["sets"])


def origin(made: dict) -> str:
    """Which mails the shipped file learnt from."""
    if made["extra"]:
        return "the mails of this repository and further ones that may not be committed (`TRAIN_EXTRA`)"
    return "the mails of this repository alone"


def text(made: dict, about: dict, calibration: dict, times: dict, asked: Config, other: dict | None) -> str:
    """The whole card. `other`: figures.json of a run on other mails."""
    # The nets were trained side by side: what each of them took is within what all of them took.
    hours = sum(one["seconds"] for title, one in times.items() if not title.startswith("net ")) / 3600
    peak = max((one["peak_bytes"] for one in times.values()), default=0) / 1e9
    features = ", ".join(name for name, present in made["processor"].items() if present) or "unknown"
    flips = ", ".join(f"{head} {share:.4f}" for head, share in made["flips"].items())
    pretrained = asked.base.package or asked.base.weights
    first = next(iter(made["sets"]))
    parts = [
        f"# {made['model']}",
        f"Made on {made['created']} from {pretrained}. It learnt from {origin(made)}: {made['trained_on']} mails.",
        (HERE / "card_notes.md").read_text(encoding="utf-8").strip(),
        f"## Data\n\n{data(about)}",
        "## Figures\n\nIntervals are of 95 %, by bootstrap. The sets to choose by trained nothing and set no "
        "threshold. Mails left out were read by nets that never saw them: of written ones the whole file, and so the "
        "writer, of others only the thread or subject. Together they set temperatures and thresholds.",
        numbers(made["sets"]),
        f"### What it has to beat, macro-F1\n\n{beside(made)}",
        f"### Labels on {first}\n\n{classes(made['sets'][first])}",
        *([other_run(other)] if other else []),
        f"## Calibration\n\n{thresholds(asked, calibration)}",
        f"Share of labels that int8 changes on the sets to choose by: {flips}. The net and its exact file differ by "
        f"{made['parity']:.1e} at most.",
        f"## Speed\n\nOne thread of a processor with {features}: text to logits in {made['milliseconds']['median']} ms "
        f"(median), {made['milliseconds']['p99']} ms (99th of 100), on the sets to choose by, by Python's onnxruntime.",
        f"## How to make it again\n\n`make train`{' with `TRAIN_EXTRA=DIR`' if made['extra'] else ''}: "
        f"{hours:.1f} hours and {peak:.1f} GB of memory there. The configuration is `training/default.toml`.",
    ]
    return "\n\n".join(parts) + "\n"


def write(work: Path, asked: Config, other: Path | None = None) -> None:
    """Writes WORK/card.md. `other`: the WORK of a run on other mails, shown beside this one."""
    made, about, calibration, times = (
        json.loads((work / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("figures", "data", "calibration", "times")
    )
    another = json.loads((other / "figures.json").read_text(encoding="utf-8")) if other else None
    waiting = work / "card.md.part"
    waiting.write_text(text(made, about, calibration, times, asked, another), encoding="utf-8")
    waiting.replace(work / "card.md")
