"""A training in small: tiny random models through every step, served by the real binary.

    python -m training.smoke --triaged target/debug/triaged

Takes seconds, and says nothing about how well anything is learnt. It checks that each step reads
what the one before it left, that a run which is started again passes over what is there, that the
packed bundle gives the same scores in the daemon as in Python, and that `triaged eval` prints the
figures that evaluate.py prints.
"""

import argparse
import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from training import HERE, config, evaluate, nets, prepare, random_models, run
from training.config import Config

MAILS_A_FILE = 40
FILES = {"A": "office_life", "B": "front_desks", "C": "plain_everyday", "D": "voices"}
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
NOISE = 1e-5  # between two builds of ONNX Runtime, on figures rounded to six digits
CLOSE = 1e-3  # what the daemon's scores may differ by on the machine that packed


def data(home: Path) -> None:
    """A few mails of each of FILES, and of the validation mails, as a training folder of their own."""
    for folder, names in (("data", FILES.values()), ("validation", ["careful_mix"])):
        (home / folder).mkdir(parents=True)
        for name in names:
            lines = (HERE / folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            (home / folder / f"{name}.jsonl").write_text("".join(lines[:MAILS_A_FILE]), encoding="utf-8")


def asked(weights: Path) -> Config:
    """The default configuration with the tiny encoder, a file a fold and one epoch."""
    read = config.read()
    return replace(
        read,
        base=replace(read.base, weights=str(weights)),
        bundle=replace(read.bundle, name="smoke"),
        train=replace(read.train, epochs=1, fold_epochs=1),
        folds={fold: (name,) for fold, name in FILES.items()},
    )


def asked_of_decoder(weights: Path) -> Config:
    """The same with the tiny decoder and adapters on all of its projections."""
    read = asked(weights)
    adapters = replace(read.train.lora, rank=4, targets=PROJECTIONS)
    return replace(
        read,
        base=replace(read.base, kind="decoder"),
        train=replace(read.train, method="lora", lora=adapters, fold_share=0.0),
        counts=replace(read.counts, buckets=0),
    )


def answers(triaged: Path, *arguments: str | Path) -> list[dict]:
    """The JSON lines that a command of the binary prints."""
    done = subprocess.run([triaged, *arguments], stdout=subprocess.PIPE, check=False, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"`{triaged} {arguments[0]}` ended with {done.returncode}; what it said stands above")
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_served(triaged: Path, bundle: Path) -> None:
    """The daemon's scores of the golden mails are those that were packed."""
    golden = [json.loads(line) for line in (bundle / "golden.jsonl").read_text(encoding="utf-8").splitlines()][1:]
    files = sorted((HERE / "golden").glob("*.eml"))
    rows = answers(triaged, "classify", "--json", "--bundle", bundle, *files)
    if len(rows) != len(golden):
        raise SystemExit(f"{bundle}: {len(golden)} golden mails, but {len(rows)} classified")
    for file, expected, row in zip(files, golden, rows, strict=True):
        for head, scores in expected["scores"].items():
            worst = max(abs(row[head]["scores"][label] - score) for label, score in scores.items())
            if worst > CLOSE:
                raise SystemExit(f"{file.name}: {head} differs by {worst:.5f} between Python and the daemon")


def check_figures(triaged: Path, bundle: Path, file: Path) -> None:
    """`triaged eval` and evaluate.py give the same object, but for the noise of float arithmetic."""
    ours, _ = evaluate.evaluate(bundle, triaged, [file])
    theirs = answers(triaged, "eval", "--json", "--bundle", bundle, file)[0]
    if place := difference(ours, theirs):
        raise SystemExit(f"{file.name}: {place} from evaluate.py and from triaged eval")


def difference(one: object, other: object, place: str = "") -> str:
    """Where two JSON values differ first, "" where they are the same; counts and names exactly."""
    if isinstance(one, float) and isinstance(other, float):
        return "" if abs(one - other) <= NOISE else f"{place}: {one} and {other}"
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        parts = ((f"{place}.{key}", one[key], other[key]) for key in one)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        parts = ((f"{place}[{at}]", *pair) for at, pair in enumerate(zip(one, other, strict=True)))
    else:
        return "" if one == other else f"{place}: {one} and {other}"
    return next((found for at, left, right in parts if (found := difference(left, right, at))), "")


def check_passed_over(work: Path, again) -> None:
    """The same command again makes nothing anew."""
    watched = [work / name for name in ("prepared.jsonl", "figures.json", "int8/model.onnx", "fold-A/logits.npz")]
    before = [file.stat().st_mtime_ns for file in watched]
    again()
    if before != [file.stat().st_mtime_ns for file in watched]:
        raise SystemExit(f"{work}: a step whose output was there was run again")


def whole(triaged: Path, scratch: Path, home: Path) -> None:
    """The encoder through every step."""
    weights, work, out = (scratch / name for name in ("encoder", "work", "bundle"))
    files = prepare.inputs(None, home)
    random_models.encoder(weights, files[0])

    def all_steps() -> None:
        run.begin(run.Run(asked(weights), triaged, work, out, files, beside=None))

    all_steps()
    check_passed_over(work, all_steps)
    check_served(triaged, out)
    check_figures(triaged, out, files[1][0])
    for name in ("report.html", "card.md", "times.json"):
        if not (work / name).stat().st_size:
            raise SystemExit(f"{work / name}: is empty")


def decoder(triaged: Path, scratch: Path, home: Path) -> None:
    """The decoder through training, merging, export, quantising and packing, without folds."""
    weights, work = scratch / "decoder", scratch / "decoder-work"
    files = prepare.inputs(None, home)
    random_models.decoder(weights, files[0])
    made = run.Run(asked_of_decoder(weights), triaged, work, scratch / "decoder-bundle", files)
    prepared, _ = prepare.prepare(triaged, work, files, made.asked)
    plain = {head: {"temperature": 1.0, "threshold": 0.5} for head in made.asked.heads}
    (work / "calibration.json").write_text(json.dumps(plain), encoding="utf-8")
    nets.make(made.asked, work, nets.FINAL, threads=1)
    run.exported(made, prepared)
    run.packed(made)
    check_served(triaged, work / "bundle")


def smoke(triaged: Path, scratch: Path) -> None:
    """Everything, in `scratch`."""
    data(scratch / "home")
    whole(triaged, scratch, scratch / "home")
    decoder(triaged, scratch, scratch / "home")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triaged", type=Path, required=True, help="the built binary")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triaged-smoke-") as scratch:
        smoke(given.triaged.absolute(), Path(scratch))
    print("train-smoke: a tiny encoder and a tiny decoder were trained, packed and served")


if __name__ == "__main__":
    main()
