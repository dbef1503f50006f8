"""Figures as text, for people: the same lines as `triaged eval` prints."""


def of(whole: dict) -> str:
    """All heads of an evaluation, one after the other."""
    parts = [f"{whole['model']}, {whole['mails']} mails"]
    return "\n\n".join(parts + [head(name, figures) for name, figures in whole["heads"].items()])


def head(name: str, figures: dict) -> str:
    """One head: its figures, its labels, its confusion matrix."""
    return f"{name}: macro-F1 {figures['macro_f1']:.3f}, accuracy {figures['accuracy']:.3f}"
