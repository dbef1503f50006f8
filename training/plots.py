"""Plots as SVG text, to stand inline in a page: losses, reliability diagrams, confusion matrices.

It deliberately reads no model and computes no figure; figures.py does.
"""

import csv
import io
from pathlib import Path

import matplotlib

matplotlib.use("svg")  # no screen
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of what draws)

# The same figures give the same bytes, and text stays text.
matplotlib.rcParams |= {"svg.hashsalt": "triaged", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
BLUE, GREY = "#1f5fa8", "#999999"


def svg(figure: plt.Figure) -> str:
    """The figure as an <svg> element; it is closed."""
    written = io.StringIO()
    figure.savefig(written, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return written.getvalue()[written.getvalue().index("<svg") :]


def losses(log: Path) -> str:
    """The columns of a training's log.csv whose names begin with "loss", against its first column."""
    with log.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0]) if rows else []
    figure, axes = plt.subplots(figsize=(6, 2.6))
    for name in [name for name in names if name.startswith("loss")]:
        points = [(float(row[names[0]]), float(row[name])) for row in rows if row[name]]
        axes.plot([x for x, _ in points], [y for _, y in points], label=name, linewidth=1)
    if names:
        axes.set_xlabel(names[0])
        axes.legend(frameon=False)
    return svg(figure)


def reliability(heads: dict[str, dict]) -> str:
    """One diagram a head: how often the answers of a confidence are right, and how many they are."""
    figure, places = plt.subplots(1, len(heads), figsize=(3 * len(heads), 2.8), squeeze=False)
    for axes, (name, figures) in zip(places[0], heads.items(), strict=True):
        bins = [one for one in figures["reliability"] if one["mails"]]
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        axes.bar(
            [one["from"] for one in figures["reliability"]],
            [one["mails"] / figures["mails"] for one in figures["reliability"]],
            width=0.1,
            align="edge",
            color=GREY,
            alpha=0.4,
        )
        axes.plot(
            [one["confidence"] for one in bins], [one["accuracy"] for one in bins], "o-", color=BLUE, markersize=4
        )
        axes.set(title=f"{name}, error {figures['ece']:.3f}", xlim=(0, 1), ylim=(0, 1), xlabel="confidence")
    places[0][0].set_ylabel("share that is right; grey: share of mails")
    return svg(figure)


def confusion(figures: dict) -> str:
    """The confusion matrix by the most probable label; rows are the truth."""
    names, counts = [one["label"] for one in figures["labels"]], figures["confusion"]["argmax"]
    size = 1.2 + 0.42 * len(names)
    figure, axes = plt.subplots(figsize=(size, size))
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1)  # rectangles; an image would be a picture in the text
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                axes.text(
                    x + 0.5, y + 0.5, count, ha="center", va="center", color="white" if shares[y][x] > 0.5 else "black"
                )
    middles = [place + 0.5 for place in range(len(names))]
    axes.set_xticks(middles, names, rotation=60, ha="right")
    axes.set_yticks(middles, names)
    axes.invert_yaxis()
    axes.set(xlabel="found", ylabel="truth")
    return svg(figure)
