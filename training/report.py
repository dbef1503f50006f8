"""The report of a training: one HTML file that needs nothing else, with its plots inline.

    python -m training.report --work WORK

Reads what the other steps left in WORK (run.py, figures.json), writes WORK/report.html. It
computes nothing anew. Of the single folds it shows the figures alone.
"""

import argparse
import html
import json
from pathlib import Path

from training import plots

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: .6rem 0 } td, th { padding: .15rem .7rem; text-align: right }
td:first-child, th:first-child { text-align: left } tr + tr { border-top: 1px solid #ddd }
pre { white-space: pre-wrap; background: #f5f5f5; padding: .6rem; max-height: 22rem; overflow: auto }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-end } svg { max-width: 100%; height: auto }
"""


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def spread(figures: dict, name: str) -> str:
    """A figure with its bootstrap interval."""
    low, high = figures[f"{name}_interval"]
    return f"{figures[name]:.3f} ({low:.3f}–{high:.3f})"


def grid(titles: list[str], rows: list[list[str]]) -> str:
    """An HTML table of texts."""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


OVERVIEW = ["set", "head", "mails", "macro-F1", "accuracy", "calibration error", "abstained", "right of the answered"]


def overview(sets: dict[str, dict]) -> list[list[str]]:
    """All sets and heads, a row each; OVERVIEW are the titles."""
    return [
        [
            name,
            head,
            str(figures["mails"]),
            spread(figures, "macro_f1"),
            spread(figures, "accuracy"),
            number(figures["ece"]),
            number(figures["abstained"]),
            number(figures["answered_accuracy"]),
        ]
        for name, whole in sets.items()
        for head, figures in whole["heads"].items()
    ]


def labels(figures: dict) -> str:
    """Precision, recall and F1 of each label, by the most probable label and at the thresholds."""
    titles = ["label", "mails", "precision", "recall", "F1", "at thresholds: precision", "recall", "F1"]
    rows = [
        [one["label"], str(one["mails"])]
        + [number(one[way][figure]) for way in ("argmax", "answered") for figure in ("precision", "recall", "f1")]
        for one in figures["labels"]
    ]
    return grid(titles, rows)


def mistakes(figures: dict) -> str:
    """The worst mistakes, with their text where it may be shown."""
    parts = []
    for one in figures.get("mistakes", []):
        title = f"{one['id'] or one['file']}: {one['found']} ({one['probability']:.2f}) instead of {one['truth']}"
        text = f"<pre>{html.escape(one['text'])}</pre>" if one.get("text") else ""
        parts.append(f"<details><summary>{html.escape(title)}</summary>{text}</details>")
    return "".join(parts)


def one_set(name: str, whole: dict) -> str:
    """A set's diagrams, then each head's labels, matrix and mistakes."""
    parts = [f"<h2>{html.escape(name)}</h2>", f"<div class=plots>{plots.reliability(whole['heads'])}</div>"]
    for head, figures in whole["heads"].items():
        parts += [f"<h3>{html.escape(head)}</h3>", labels(figures)]
        parts += [f"<div class=plots>{plots.confusion(figures)}</div>", mistakes(figures)]
    return "".join(parts)


def baselines(sets: dict[str, dict]) -> str:
    """The baselines' macro-F1 and accuracy beside the model's."""
    rows = [
        [name, head, who, spread(figures, "macro_f1"), spread(figures, "accuracy")]
        for name, heads in sets.items()
        for head, found in heads.items()
        for who, figures in found.items()
    ]
    return grid(["set", "head", "who", "macro-F1", "accuracy"], rows)


def about(made: dict) -> str:
    """What was trained, in a sentence."""
    further = ", further ones from outside of the repository included" if made["extra"] else ", all of this repository"
    return f"Made on {made['created']} from {made['trained_on']} mails{further}. Intervals: bootstrap, 95 %."


def page(work: Path) -> str:
    """The whole page."""
    made = json.loads((work / "figures.json").read_text(encoding="utf-8"))
    parts = [f"<h1>{html.escape(made['model'])}</h1>", f"<p>{html.escape(about(made))}</p>"]
    parts.append(grid(OVERVIEW, overview(made["sets"])))
    if made.get("baselines"):
        parts += ["<h2>What it has to beat</h2>", baselines(made["baselines"])]
    log = work / "final" / "log.csv"
    if log.is_file():
        parts += ["<h2>Losses</h2>", f"<div class=plots>{plots.losses(log)}</div>"]
    parts += [one_set(name, whole) for name, whole in made["sets"].items() if not name.startswith("fold ")]
    head = f"<meta charset=utf-8><title>{html.escape(made['model'])}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def write(work: Path) -> None:
    """Writes WORK/report.html."""
    waiting = work / "report.html.part"
    waiting.write_text(page(work), encoding="utf-8")
    waiting.replace(work / "report.html")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the steps before this one")
    given = parser.parse_args()
    write(given.work)
    print(given.work / "report.html")


if __name__ == "__main__":
    main()
