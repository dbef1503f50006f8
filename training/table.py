"""Figures as text, for people: what `triaged eval` prints where there is no terminal."""

WHY = {"unsure": "unsure", "language": "another language", "too-little-text": "too little text"}


def of(whole: dict) -> str:
    """All heads of an evaluation, one after the other."""
    first = f"{whole['model']} on {counted(whole['mails'])}"
    if whole["unlabelled"]:
        first += f"; {whole['unlabelled']} without a known label passed over"
    parts = [block(head, found) if found else f"{head}: no mail says it" for head, found in whole["heads"].items()]
    return "\n\n".join([first, *parts])


def block(head: str, found: dict) -> str:
    """One head: its figures, its labels, its confusion matrix, its mistakes."""
    low, high = (found["macro_f1_interval"], found["accuracy_interval"])
    lines = [
        f"{head}: {counted(found['mails'])}",
        f"macro-F1 {found['macro_f1']:.3f} ({low[0]:.3f} to {low[1]:.3f}), accuracy {found['accuracy']:.3f} "
        f"({high[0]:.3f} to {high[1]:.3f}), calibration error {found['ece']:.3f}",
    ]
    if found["named_accuracy"] != found["accuracy"]:  # only where labels have thresholds of their own
        lines.append(f"as named: macro-F1 {found['named_macro_f1']:.3f}, accuracy {found['named_accuracy']:.3f}")
    lines += [abstention(found), "", scores(found), "", confusion(found)]
    if found.get("mistakes"):
        lines += ["", mistakes(found["mistakes"])]
    return "\n".join(lines)


def abstention(found: dict) -> str:
    """How many mails are not answered, why, and how good the answers are."""
    why = [f"{count} {WHY[reason]}" for reason, count in found["reasons"].items() if count]
    line = f"abstained {100 * found['abstained']:.1f} %" + (f" ({', '.join(why)})" if why else "")
    right = found["answered_accuracy"]
    return line if right is None else f"{line}, accuracy of the answered {right:.3f}"


def scores(found: dict) -> str:
    """Precision, recall and F1 of each label, by the most probable label and at the thresholds."""
    titles = ["label", "mails", "precision", "recall", "F1", "answered:", "precision", "recall", "F1"]
    rows = [
        [one["label"], str(one["mails"]), *three(one["argmax"]), "", *three(one["answered"])] for one in found["labels"]
    ]
    return aligned(titles, rows)


def three(scores: dict) -> list[str]:
    """Two digits each, a dash for what there is none of."""
    return ["-" if score is None else f"{score:.2f}" for score in scores.values()]


def confusion(found: dict) -> str:
    """Counts by truth and most probable label; the labels have numbers, so that twelve columns fit."""
    numbers = [str(number) for number in range(1, len(found["labels"]) + 1)]
    rows = [
        [f"{number} {label['label']}", *(str(count) if count else "." for count in row)]
        for number, label, row in zip(numbers, found["labels"], found["confusion"]["argmax"], strict=True)
    ]
    return aligned(["truth \\ found", *numbers], rows)


def mistakes(worst: list[dict]) -> str:
    """The worst mistakes, and below them their texts where they are there."""
    rows = [
        [
            one["truth"],
            one["found"],
            f"{one['probability']:.2f}{'?' if one['abstained'] else ''}",
            printable(one["id"] or "-"),
            printable(one["file"]),
        ]
        for one in worst
    ]
    shown = aligned(["truth", "found", "p", "id", "file"], rows)
    for one in worst:
        if "text" in one:
            lines = [f"  {printable(line)}" for line in one["text"].split("\n")]
            shown += "\n\n" + "\n".join([printable(one["file"]), *lines])
    return shown


def aligned(titles: list[str], rows: list[list[str]]) -> str:
    """Names to the left, numbers to the right, two blanks between, none at the ends of lines."""
    widths = [max(len(row[place]) for row in [titles, *rows]) for place in range(len(titles))]
    left = [title.startswith(("label", "truth", "found", "id", "file")) for title in titles]
    made = []
    for row in [titles, *rows]:
        cells = zip(row, widths, left, strict=True)
        made.append("".join(f" {cell.ljust(width) if side else cell.rjust(width)} " for cell, width, side in cells))
    return "\n".join(line.rstrip() for line in made)


def counted(mails: int) -> str:
    """So many mails, in words."""
    return "1 mail" if mails == 1 else f"{mails} mails"


def printable(text: str) -> str:
    """A stranger's text without characters that steer a terminal."""
    return "".join("\ufffd" if ord(sign) < 32 or 127 <= ord(sign) < 160 else sign for sign in text)
