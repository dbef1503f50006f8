"""The figures of a training, in WORK/figures.json: of the packed file, of the folds, of the baselines.

The sets to choose by are judged with the packed bundle; the folds with the nets that never saw
them, at the calibration that all folds together gave. It chooses nothing. Texts are kept of
written mails alone: others' mail does not leave its file.
"""

import json
import statistics
import time
from pathlib import Path

import numpy as np

from training import baselines, evaluate, figures, mails, overlap, predict, progress, reader, wordcounts
from training.config import Config
from training.evaluate import Judged
from training.figures import Rows
from training.mails import Mail

MISTAKES = 20  # of each head, the most confident


def sets_of_bundle(
    bundle: Path, triaged: Path, files: list[Path], written: set[str], learn: list[str]
) -> dict[str, dict]:
    """Set name to the object of `triaged eval --json`, with the worst mistakes.

    `written`: the sets whose text may be shown. `learn`: the texts that trained; a set that repeats
    some of them is there twice, the second time without those mails.
    """
    made = {}
    for file in progress.track(files, "sets"):
        whole, found = evaluate.evaluate(bundle, triaged, [file])
        whole["heads"] = {head: whole["heads"][head] for head in found}  # a file need not label every head
        for head, one in found.items():
            whole["heads"][head]["mistakes"] = evaluate.mistakes(one, MISTAKES, text=file.stem in written)
        made[file.stem] = whole
        if rest := without_copies(found, learn):
            made[f"{file.stem}, without copies of what trained"] = rest
    return made


def without_copies(found: dict[str, Judged], learn: list[str]) -> dict | None:
    """The figures of a set without the mails that repeat a text of `learn`; None where none does."""
    texts = {mail["file"]: mail["text"] for one in found.values() for mail in one.mails}
    copies = {name for name, copied in zip(texts, overlap.repeated(texts.values(), learn), strict=True) if copied}
    if not copies or len(copies) == len(texts):
        return None
    heads = {}
    for head, one in found.items():
        keep = np.array([mail["file"] not in copies for mail in one.mails])
        if keep.any():
            columns = (getattr(one.rows, name)[keep] for name in ("chances", "truth", "answer", "reason"))
            heads[head] = figures.of_head(Rows(one.rows.labels, *columns))
    return {"mails": len(texts) - len(copies), "heads": heads}


def sets_of_folds(work: Path, prepared: list[Mail], manifest: dict, asked: Config) -> dict[str, dict]:
    """The same of mails that were left out: all written ones, all read ones, and the written ones of each fold."""
    parts = {fold: predict.read_logits(work / f"fold-{fold}" / "logits.npz") for fold in asked.folds}
    chosen = {"left out, written": ("written", list(parts)), "left out, read": ("read", list(parts))}
    chosen |= {f"fold {fold}": ("written", [fold]) for fold in parts}
    by_id, made = {mail.id: mail for mail in prepared}, {}
    factors = wordcounts.kept_factors(work)
    for name, (source, folds) in chosen.items():
        part = {key: np.concatenate([parts[fold][key] for fold in folds]) for key in parts[folds[0]]}
        keep = part["source"] == source
        left = [by_id[identity] for identity in part["id"][keep].tolist()]
        if not left:
            continue
        logits = {
            head: (part[f"logits/{head}"] + factors.get(head, 0.0) * part[f"counts/{head}"])[keep]
            for head in asked.heads
        }
        shown = [{"file": mail.file, "id": mail.id, "text": mail.text, "labels": mail.labels} for mail in left]
        plain = manifest | {"languages": None, "least_words": 0}  # prepared rows do not carry what these ask
        found = evaluate.judged(shown, logits, plain)
        heads = {head: figures.of_head(one.rows) for head, one in found.items()}
        for head, one in found.items():
            heads[head]["mistakes"] = evaluate.mistakes(one, MISTAKES, text=source == "written")
        made[name] = {"mails": len(left), "heads": heads}
    return made


def whole_rows(parts: list[Rows]) -> Rows:
    """Several rows of one head as one."""
    names = ("chances", "truth", "answer", "reason")
    return Rows(parts[0].labels, *(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def sets_of_baselines(prepared: list[Mail], validation: list[Mail], asked: Config) -> dict[str, dict]:
    """Set to head to baseline to figures: each validation file, and the written mails of all folds."""
    labels, made = asked.labels, {}
    jobs = [(name, head) for name in baselines.BASELINES for head in labels]
    for name, head in progress.track(jobs, "baselines"):
        known = [mail for mail in validation if head in mail.labels]
        for file in sorted({mail.file for mail in known}):
            judge = [mail for mail in known if mail.file == file]
            found = figures.of_head(baselines.rows(name, head, labels, prepared, judge))
            made.setdefault(file, {}).setdefault(head, {})[name] = found
        written = [mail for mail in prepared if head in mail.labels and mail.source == "written"]
        parts = []
        for fold in sorted({mail.fold for mail in written}):
            learn = [mail for mail in prepared if mail.fold != fold]
            judge = [mail for mail in written if mail.fold == fold]
            parts.append(baselines.rows(name, head, labels, learn, judge))
        if parts:
            made.setdefault("left out, written", {}).setdefault(head, {})[name] = figures.of_head(whole_rows(parts))
    return made


def flips(work: Path, validation: list[Mail], asked: Config) -> dict[str, float]:
    """Share of the validation mails whose most probable label int8 changes, a head each."""
    from training import export, quantise, tokens

    tokenizer = tokens.load(work / "bundle" / "tokenizer.json")
    ids = [tokens.clip(tokenizer.encode(mail.text).ids, asked.text) for mail in validation]
    exact, packed = (export.outputs(work / name / "model.onnx", ids) for name in ("fp32", "int8"))
    return quantise.flips({head: exact[head] for head in asked.heads}, {head: packed[head] for head in asked.heads})


def speed(bundle: Path, texts: list[str]) -> dict[str, float]:
    """Milliseconds a mail on one thread, text to logits: median, and the 99th of 100."""
    model, taken = reader.of_bundle(bundle), []
    for text in texts:
        started = time.perf_counter()
        model.logits(text)
        taken.append(1000 * (time.perf_counter() - started))
    return {"median": round(statistics.median(taken), 2), "p99": round(statistics.quantiles(taken, n=100)[-1], 2)}


def assess(work: Path, triaged: Path, files: list[Path], asked: Config) -> None:
    """Writes WORK/figures.json; `files` are those to choose by."""
    bundle = work / "bundle"
    manifest = reader.read_manifest(bundle)
    prepared, validation = (mails.read_prepared(work / f"{name}.jsonl") for name in ("prepared", "validation"))
    written = {mail.file for mail in validation if mail.source == "written"}
    sets = sets_of_bundle(bundle, triaged, files, written, [mail.text for mail in prepared])
    made = {
        "model": f"{manifest['name']}-{manifest['version']}",
        "created": manifest["created"],
        "extra": any(mail.source != "written" for mail in prepared),
        "trained_on": len(prepared),
        "sets": sets | sets_of_folds(work, prepared, manifest, asked),
        "baselines": sets_of_baselines(prepared, validation, asked),
        "flips": flips(work, validation, asked),
        "parity": max(json.loads((work / "parity.json").read_text()).values()),
        "milliseconds": speed(bundle, [mail.text for mail in validation]),
        "processor": reader.processor(),
    }
    waiting = work / "figures.json.part"
    waiting.write_text(json.dumps(made, ensure_ascii=False) + "\n", encoding="utf-8")
    waiting.replace(work / "figures.json")
