"""The long honest run of `triaged retrain`: 500 labelled mails with an own category among them.

Two sets of the same 500 mails: one with its labels, which must be accepted in less than twenty
minutes on two cores, and one whose labels are shuffled among the mails, which must be refused.
Sixty of them are of a category that the model does not have (tests/fixtures/retrain). Of the rest,
half of training/validation is new to the model, and the other half stays the check set; what is
missing comes from training/data, which the model knows by heart: the gate does not let these
speak for the old model. `--mails` takes the rest from files that the model has not read instead.

Standard library only. Prints times, peak memory, figures and verdicts; ends with 0 where both
verdicts and the time are as they must be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
OWN = TOP / "tests" / "fixtures" / "retrain" / "grant_applications.jsonl"
HEADS = ("sentiment", "urgency", "category")
MAILS = 500
CORES = 2
MOST_MINUTES = 20
SEED = 1

CONFIG = """
state = {state}
[model]
bundle = {bundle}
threads = 2
[retrain]
{retrain}
[[account]]
name = "nobody"
host = "127.0.0.1"
user = "nobody"
password_file = "/dev/null"
"""


def main() -> int:
    """Make both sets, run both, judge the verdicts."""
    args = arguments()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    honest = mails(args.mails)
    shuffled = with_shuffled_labels(honest)
    print(f"{len(honest)} mails, {CORES} cores, base {args.bundle}", flush=True)
    with tempfile.TemporaryDirectory(prefix="triaged-bench-retrain-") as folder:
        first = retrain(args, Path(folder) / "honest", honest)
        second = retrain(args, Path(folder) / "shuffled", shuffled)
    return verdict(first, second)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triaged", type=Path, default=TOP / "target" / "release" / "triaged")
    parser.add_argument("--bundle", type=Path, default=TOP / "models" / "default")
    parser.add_argument("--python", type=Path, help="of the training environment; else as `triaged retrain` finds it")
    parser.add_argument("--mails", type=Path, nargs="+", help="JSON lines that the base has not read")
    return parser.parse_args()


def rows(files: list[Path]) -> list[dict]:
    """The mails of these files that carry a label, in their order."""
    found = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [row for row in found if any(row.get(head) for head in HEADS)]


def mails(files: list[Path] | None) -> list[dict]:
    """The honest set."""
    rng = random.Random(SEED)
    own = rows([OWN])
    if files:
        others = rng.sample(rows(files), MAILS - len(own))
        return own + others
    fresh = rows(sorted((TOP / "training" / "validation").glob("*.jsonl")))[::2]
    known = rng.sample(rows(sorted((TOP / "training" / "data").glob("*.jsonl"))), MAILS - len(own) - len(fresh))
    return own + fresh + known


def with_shuffled_labels(honest: list[dict]) -> list[dict]:
    """The same mails, each with the labels of another."""
    labels = [{head: row.get(head) for head in HEADS} for row in honest]
    random.Random(SEED).shuffle(labels)
    return [row | said for row, said in zip(honest, labels, strict=True)]


def retrain(args: argparse.Namespace, folder: Path, labelled: list[dict]) -> dict:
    """Runs one retraining; its report, with `exit`, `minutes` and `peak` (MiB) beside it."""
    folder.mkdir()
    file, config = folder / "mails.jsonl", folder / "triaged.toml"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in labelled), encoding="utf-8")
    python = f"python = {json.dumps(str(args.python.absolute()))}" if args.python else ""
    bundle, state = json.dumps(str(args.bundle.absolute())), json.dumps(str(folder / "state"))
    config.write_text(CONFIG.format(state=state, bundle=bundle, retrain=python), encoding="utf-8")
    begun = time.monotonic()
    command = [args.triaged, "--config", config, "retrain", "--from", file, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    minutes = (time.monotonic() - begun) / 60
    if not done.stdout.strip():
        raise SystemExit(f"{folder.name}: ended with {done.returncode} and no report")
    report = json.loads(done.stdout)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report |= {"exit": done.returncode, "minutes": minutes, "peak": peak}
    show(folder.name, report)
    return report


def show(name: str, report: dict) -> None:
    """One run for people."""
    print(f"\n{name}: {report['outcome']} after {report['minutes']:.1f} min, peak {report['peak']:.0f} MiB")
    print(f"  mails {json.dumps(report['mails'])}")
    for head, found in report["heads"].items():
        for part in ("held_out", "fresh", "check_set"):
            if found[part]:
                (old, new), (right, now) = found[part]["macro_f1"], found[part]["accuracy"]
                print(
                    f"  {head:10} {part:9} {found[part]['mails']:4} mails: macro-F1 {old:.3f} → {new:.3f}, "
                    f"accuracy {right:.3f} → {now:.3f}"
                )
        for own in found["own"]:
            print(f"  {head}={own['label']}: {json.dumps(own)}")
    for refusal in report["refusals"]:
        print(f"  - {refusal}")
    sys.stdout.flush()


def verdict(honest: dict, shuffled: dict) -> int:
    """0 where everything is as it must be."""
    problems = []
    if honest["outcome"] != "accepted" or honest["exit"] != 0:
        problems.append("the honest set was not accepted")
    if honest["minutes"] >= MOST_MINUTES:
        problems.append(f"it took {MOST_MINUTES} minutes or more")
    if shuffled["outcome"] != "refused" or shuffled["exit"] != 1:
        problems.append("the shuffled set was not refused")
    print("\n" + ("\n".join(problems) if problems else "as it must be"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
