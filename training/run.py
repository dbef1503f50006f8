"""All steps, from the mails to a packed bundle with its report and its card.

    python -m training.run --triaged target/debug/triaged --work WORK --out models/default [--extra DIR]

A step whose output is complete is passed over, and a training that was cut off goes on from its
last checkpoint, so the same command again goes on where the last one ended. WORK belongs to one
configuration and one set of mails; others are refused. Nothing is written to --out before all
figures are there.
"""

import argparse
import dataclasses
import hashlib
import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training import HERE, augment, calibrate, config, mails, nets, pack, prepare, tokens, weights, wordcounts
from training.config import Config
from training.graph_counts import Counts
from training.mails import Mail
from training.nets import Spent

PARITY, PARITY_MAILS = 1e-3, 50  # the most that the exact file may differ from the net, and over how many mails


@dataclass(frozen=True)
class Run:
    """What is asked for.

    `asked` names the folder of the pretrained weights; `beside` is the WORK of another run, whose
    figures the card shows, too.
    """

    asked: Config
    triaged: Path
    work: Path
    out: Path
    files: prepare.Inputs
    beside: Path | None = None

    def step(self, title: str, result: Path, make: Callable[[], None]) -> None:
        """Makes `result` unless it is there; how long it took and the peak memory go to times.json."""
        if result.exists():
            print(f"{title}: {result} is there, passed over", file=sys.stderr)
            return
        print(f"{title}", file=sys.stderr, flush=True)
        started = time.monotonic()
        make()
        self.note(title, Spent(round(time.monotonic() - started), nets.peak_bytes()))

    def note(self, title: str, spent: Spent) -> None:
        """Keeps what a step took in times.json."""
        times = self.work / "times.json"
        known = json.loads(times.read_text()) if times.is_file() else {}
        known[title] = dataclasses.asdict(spent)
        write(times, json.dumps(known, indent=2))


def write(file: Path, text: str) -> None:
    """Writes a line or more; the file appears only when it is whole."""
    waiting = file.with_name(f"{file.name}.part")
    waiting.write_text(text + "\n", encoding="utf-8")
    waiting.replace(file)


def digest(asked: Config, files: prepare.Inputs) -> str:
    """Of everything that decides what WORK holds: the configuration and the mails."""
    whole = hashlib.sha256(json.dumps(dataclasses.asdict(asked), sort_keys=True).encode())
    for file in (*files[0], *files[1]):
        whole.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def claim(work: Path, mark: str) -> None:
    """Refuses a WORK that was begun with another configuration or other mails."""
    file = work / "inputs.sha256"
    if file.is_file() and file.read_text().strip() != mark:
        wrong = "was begun with another configuration or other mails; name another --work, or remove it"
        raise SystemExit(f"{work}: {wrong}")
    work.mkdir(parents=True, exist_ok=True)
    write(file, mark)


def ids_of(run: Run, chosen: list[Mail], real: float = 1.0) -> list[list[int]]:
    """The clipped token ids of mails, this share of them under real domains as they would come in service."""
    tokenizer, rng = tokens.of_base(run.asked), random.Random(run.asked.train.seed)
    texts = [augment.real_domains(mail.text, rng) if rng.random() < real else mail.text for mail in chosen]
    return [tokens.clip(encoded.ids, run.asked.text) for encoded in tokenizer.encode_batch(texts)]


def train(run: Run) -> None:
    """All nets; what each of them took is kept, and what all of them took side by side."""
    started = time.monotonic()
    made = nets.make_all(run.asked, run.work)
    for name, spent in made.items():
        run.note(f"net {name}", spent)
    if made:
        run.note("nets", Spent(round(time.monotonic() - started), nets.peak_together(made.values())))


def counted(run: Run, folder: Path, learn: list[Mail]) -> Counts | None:
    """The word counts of these mails, none where the configuration wants none; kept in `folder`."""
    if not run.asked.counts.buckets:
        return None
    file = folder / "counts.npz"
    if not file.is_file():
        words = tokens.of_base(run.asked).get_vocab_size(with_added_tokens=True)
        ids = ids_of(run, learn, run.asked.counts.real_domains)
        wordcounts.write(file, wordcounts.fit(learn, ids, words, run.asked))
    return wordcounts.read(file)


def fold(run: Run, name: str, prepared: list[Mail]) -> None:
    """Keeps the logits of a fold's mails, by the net and the word counts that never saw them."""
    from training import predict

    folder = run.work / nets.folder_of(name)
    learn = [mail for mail in prepared if mail.fold != name]
    left = [mail for mail in prepared if mail.fold == name]
    made, ids = nets.load(run.asked, run.work, {folder.name: 1.0}), ids_of(run, left)
    counts = counted(run, folder, learn)
    rows = wordcounts.logits(counts, ids) if counts else {}
    predict.write_logits(folder / "logits.npz", left, predict.logits(made, ids), rows, run.asked)


def fit(run: Run) -> None:
    """What the counts weigh beside the net, temperatures and thresholds, on the predictions of all folds."""
    pairs, real = calibrate.out_of_fold(run.work, run.asked)
    if run.asked.counts.buckets:
        weighed = {head: factor * run.asked.counts.trust for head, factor in wordcounts.factors(pairs).items()}
        write(run.work / "factors.json", json.dumps(weighed, indent=2))
    found = calibrate.fit(calibrate.together(pairs, wordcounts.kept_factors(run.work)), run.asked, real)
    write(run.work / "calibration.json", json.dumps(found, indent=2))


def exported(run: Run, prepared: list[Mail]) -> None:
    """The shipped net as WORK/fp32/model.onnx and as WORK/int8/model.onnx, the latter last."""
    from training import export

    made = nets.load(run.asked, run.work, nets.shipped(run.asked))
    counted(run, run.work / nets.FINAL, prepared)
    made.counts = wordcounts.of_run(run.work)
    for name in ("fp32", "int8"):
        (run.work / name).mkdir(exist_ok=True)
    exact = export.fp32(made, run.work / "fp32")
    watched = [mail for mail in prepared if mail.source == "written"][::10]  # whose inputs set the channel widths
    ids = ids_of(run, watched)
    parity = export.parity(made, exact, ids[:PARITY_MAILS])
    write(run.work / "parity.json", json.dumps(parity, indent=2))
    if max(parity.values()) > PARITY:
        raise SystemExit(f"{exact}: differs from the net by {max(parity.values()):.5f}, more than {PARITY}")
    waiting = run.work / "int8.part"
    waiting.mkdir(exist_ok=True)
    export.int8(made, waiting, ids)
    (waiting / "model.onnx").replace(run.work / "int8" / "model.onnx")
    waiting.rmdir()


def packed(run: Run) -> None:
    """WORK/bundle, as yet without a card."""
    source, tokenizer = run.work / "int8" / "model.onnx", run.work / "tokenizer.json"
    tokens.of_base(run.asked).save(str(tokenizer))
    content = pack.Content(
        name=run.asked.bundle.name,
        version=run.asked.bundle.version,
        model=source,
        tokenizer=tokenizer,
        calibration=json.loads((run.work / "calibration.json").read_text(encoding="utf-8")),
        embedding_size=pack.embedding_size(source),
        notice=(HERE / "NOTICE").read_text(encoding="utf-8"),
    )
    pack.pack(content, run.asked, run.triaged, run.work / "bundle")


def published(run: Run) -> None:
    """The bundle with its card, copied to --out; the manifest last."""
    run.out.mkdir(parents=True, exist_ok=True)
    (run.out / "manifest.json").unlink(missing_ok=True)
    for file in sorted((run.work / "bundle").iterdir()):
        if file.name != "manifest.json":
            shutil.copyfile(file, run.out / file.name)
    shutil.copyfile(run.work / "card.md", run.out / "card.md")
    pack.write_manifest(run.out, json.loads((run.work / "bundle" / "manifest.json").read_text(encoding="utf-8")))


def run_all(run: Run) -> None:
    """Every step in its order."""
    from training import assess, card, report

    work = run.work
    run.step("prepare", work / "prepared.jsonl", lambda: prepare.prepare(run.triaged, work, run.files, run.asked))
    prepared = mails.read_prepared(work / "prepared.jsonl")
    train(run)
    for name in run.asked.folds:
        run.step(f"fold {name}", work / f"fold-{name}" / "logits.npz", lambda name=name: fold(run, name, prepared))
    run.step("calibrate", work / "calibration.json", lambda: fit(run))
    run.step("export", work / "int8" / "model.onnx", lambda: exported(run, prepared))
    run.step("pack", work / "bundle" / "manifest.json", lambda: packed(run))
    run.step("figures", work / "figures.json", lambda: assess.assess(work, run.triaged, run.files[1], run.asked))
    run.step("report", work / "report.html", lambda: report.write(work))
    card.write(work, run.asked, run.beside)
    published(run)
    print(f"{run.out}: {run.asked.bundle.name}-{run.asked.bundle.version}; report: {work / 'report.html'}")


def begin(run: Run) -> None:
    """Claims WORK, brings the pretrained weights, and runs every step."""
    claim(run.work, digest(run.asked, run.files))
    folder = weights.pretrained(run.asked.base, run.work / "weights")
    asked = dataclasses.replace(run.asked, base=dataclasses.replace(run.asked.base, weights=str(folder)))
    run_all(dataclasses.replace(run, asked=asked))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triaged", type=Path, required=True, help="the built binary, for `triaged render`")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything on the way")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--extra", type=Path, help="folder of .jsonl files that may not be committed")
    parser.add_argument("--beside", type=Path, help="WORK of another run, whose figures the card shows, too")
    parser.add_argument("--config", type=Path, default=config.DEFAULT)
    given = parser.parse_args()
    files = prepare.inputs(given.extra)
    begin(Run(config.read(given.config), given.triaged, given.work, given.out, files, given.beside))


if __name__ == "__main__":
    main()
