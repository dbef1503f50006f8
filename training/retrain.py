"""The child of `triaged retrain`: from a bundle and a person's labelled mails to a candidate bundle.

    python -m training.retrain --base BUNDLE --out CANDIDATE --triaged PROGRAM

Not for people: settings and mails come in on standard input as JSON lines, progress goes out on
standard output; README.md has the lines. It starts from what is served (`base.py`), mixes the
person's mails with the written ones, trains adapters, calibrates on mails that trained nothing,
and packs. It judges nothing: the parent compares old and new on mails that never came here.
"""

import argparse
import dataclasses
import hashlib
import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from training import child, config, mixture
from training.child import Parent, Refusal
from training.config import Config
from training.mails import Mail, from_row

HERE = Path(__file__).resolve().parent
EPOCHS = 4
ADAPTER_RATE = 5e-4  # higher than that of full training, as adapters start at zero; lower than the heads'
WIDTH_MAILS = 96  # that the channels' widths are measured on before the quantising


@dataclass(frozen=True)
class Settings:
    """What the parent asks for.

    `labels`: head to the labels of the person's mails; `own`: head to new label to its keyword, ""
    for none; `judged`: SHA-256 of the texts that the parent judges by, which no base mail may repeat.
    """

    version: str
    labels: dict[str, list[str]]
    own: dict[str, dict[str, str]]
    judged: frozenset[str]
    epochs: int
    seed: int


def settings_of(message: dict) -> Settings:
    """The settings of the parent's first line."""
    try:
        own = {head: {label: word or "" for label, word in words.items()} for head, words in message["own"].items()}
        return Settings(
            version=str(message["version"]),
            labels={head: list(names) for head, names in message["labels"].items()},
            own=own,
            judged=frozenset(message.get("judged", ())),
            epochs=int(message.get("epochs") or EPOCHS),
            seed=int(message.get("seed") or 0),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refusal(f"the parent's settings are not what this program knows ({type(error).__name__})") from None


def read(parent: Parent) -> tuple[Settings, list[Mail]]:
    """Settings and mails, as the parent sends them."""
    settings, mails = None, []
    for message in parent.messages():
        if message["type"] == "settings" and settings is None:
            settings = settings_of(message)
        elif message["type"] == "mail" and settings is not None:
            try:
                mails.append(from_row(message))
            except ValueError:
                raise Refusal(f"mail {len(mails) + 1} from the parent is no prepared row") from None
        else:
            raise Refusal("the parent's lines come in an order that this program does not know")
    if settings is None or not mails:
        raise Refusal("the parent sent no mails to learn from")
    return settings, mails


def heads_of(manifest: dict, settings: Settings) -> dict[str, dict[str, str]]:
    """Head to label to keyword: those of the base in their order, then what is new."""
    heads = {
        head["name"]: {label["name"]: label["keyword"] or "" for label in head["labels"]} for head in manifest["heads"]
    }
    for head, names in settings.labels.items():
        known = heads.setdefault(head, {})
        for name in names:
            known.setdefault(name, settings.own.get(head, {}).get(name, ""))
    return heads


def asked_of(manifest: dict, settings: Settings) -> Config:
    """The configuration of this training: the default one, with the base's labels and text and the new ones."""
    found, rule = config.read(), manifest["long_text"]
    bundle = dataclasses.replace(
        found.bundle,
        name=manifest["name"],
        version=settings.version,
        languages=tuple(manifest.get("languages") or ()),
        least_words=manifest.get("least_words") or 0,
    )
    heads = heads_of(manifest, settings)
    own = {
        head: {label: wanted for label, wanted in labels.items() if label in heads.get(head, {})}
        for head, labels in found.calibrate.own.items()
    }
    return dataclasses.replace(
        found,
        bundle=bundle,
        heads=heads,
        calibrate=dataclasses.replace(found.calibrate, own=own),
        text=config.text_of(rule),
        train=dataclasses.replace(
            found.train, method="lora", encoder_rate=ADAPTER_RATE, epochs=settings.epochs, seed=settings.seed
        ),
    )


def written(triaged: Path, asked: Config, settings: Settings, scratch: Path) -> list[Mail]:
    """A sample of the committed mails, rendered, with those of their labels that the model has.

    None whose text the parent judges by. Only these mails, never a person's, are written to `scratch`.
    """
    from training.prepare import group_of, raw_rows, render

    rows, known = {}, []
    for file in sorted((HERE / "data").glob("*.jsonl")):
        for row in raw_rows(file):
            labels = {head: row[head] for head, names in asked.heads.items() if row.get(head) in names}
            group, weight = group_of(row, file), asked.weights.written
            rows[row["id"]] = row
            known += [Mail(row["id"], file.stem, group, None, "", labels, weight, "written")] if labels else []
    chosen = mixture.sample(known, settings.seed)
    lines = scratch / "written.jsonl"
    lines.write_text("".join(json.dumps(rows[mail.id]) + "\n" for mail in chosen), encoding="utf-8")
    texts = [rendered["text"] for rendered in render(triaged, [lines])]
    mails = [dataclasses.replace(mail, text=text) for mail, text in zip(chosen, texts, strict=True)]
    return [mail for mail in mails if hashlib.sha256(mail.text.encode()).hexdigest() not in settings.judged]


def ids_of(mails: list[Mail], tokenizer, asked: Config, seed: int) -> list[list[int]]:
    """What the model reads of each mail, with real domains in place of reserved ones."""
    from training import augment, tokens

    rng = random.Random(seed)
    texts = [augment.real_domains(mail.text, rng) for mail in mails]
    return [tokens.clip(encoded.ids, asked.text) for encoded in tokenizer.encode_batch(texts)]


def card(manifest: dict, asked: Config, user: list[Mail], mixed: mixture.Mixture, base: int) -> str:
    """The model card of the candidate: numbers and names of labels, nothing of a mail."""
    name = f"{asked.bundle.name}-{asked.bundle.version}"
    parent = f"{manifest['name']}-{manifest['version']}"
    lines = [
        f"# {name}",
        "",
        f"Made by `triaged retrain` from {parent}, whose card holds for all that is not said here.",
        "",
        f"{len(user)} mails that a person labelled taught it: {len(user) - len(mixed.aside)} trained, "
        f"{len(mixed.aside)} moved temperatures and thresholds. "
        f"{base} written mails of training/data trained beside them, so that it forgets nothing else. "
        "None of these mails judged it: what it was accepted by is in the log of `triaged retrain`.",
        "",
        "| head | label | mails that a person gave it |",
        "| --- | --- | --- |",
    ]
    for head, labels in asked.heads.items():
        for label in labels:
            count = sum(mail.labels.get(head) == label for mail in user)
            lines += [f"| {head} | {label} | {count} |"] if count else []
    return "\n".join([*lines, ""])


def work(parent: Parent, base_folder: Path, out: Path, triaged: Path, scratch: Path) -> None:
    """All of it; the candidate is a bundle when its manifest is there."""
    settings, user = read(parent)
    parent.progress("prepare", 0, 1)
    from training import base

    found = base.from_bundle(base_folder)
    # PyTorch takes seconds to load: only now.
    from training import export, net, newlabels, pack, recalibrate, tokens, train

    asked = asked_of(found.manifest, settings)
    mixed = mixture.mix(user, written(triaged, asked, settings, scratch), settings.seed)
    parent.progress("prepare", 1, 1)

    tokenizer = tokens.load(base_folder / "tokenizer.json")
    made = net.of_base(found, asked)
    newlabels.begin(made, found.labels, user, ids_of(user, tokenizer, asked, settings.seed), asked)
    train.train(made, mixed.train, asked, scratch, tokenizer, told=lambda done, of: parent.progress("train", done, of))

    parent.progress("calibrate", 0, 1)
    aside = ids_of(mixed.aside, tokenizer, asked, settings.seed)
    numbers = recalibrate.numbers(made, mixed.aside, aside, found.manifest, asked)
    parent.progress("calibrate", 1, 1)

    parent.progress("export", 0, 1)
    watched = random.Random(settings.seed).sample(mixed.train, min(WIDTH_MAILS, len(mixed.train)))
    model = export.int8(made, scratch, ids_of(watched, tokenizer, asked, settings.seed))
    parent.progress("export", 1, 1)

    parent.progress("pack", 0, 1)
    content = pack.Content(
        name=asked.bundle.name,
        version=settings.version,
        model=model,
        tokenizer=base_folder / "tokenizer.json",
        calibration=numbers,
        embedding_size=found.shape["hidden_size"],
        notice=notice(base_folder),
        card=card(found.manifest, asked, user, mixed, sum(mail.source == "written" for mail in mixed.train)),
        parent=f"{found.manifest['name']}-{found.manifest['version']}",
    )
    pack.pack(content, asked, triaged, out)
    shutil.rmtree(scratch)
    parent.progress("pack", 1, 1)
    parent.tell("done", bundle=str(out))


def notice(base_folder: Path) -> str:
    """Where the base's weights come from; the candidate's come from there, too."""
    file = base_folder / "NOTICE"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="the bundle to start from")
    parser.add_argument("--out", type=Path, required=True, help="folder of the candidate")
    parser.add_argument("--triaged", type=Path, required=True, help="the program, for `triaged render`")
    given = parser.parse_args()
    scratch = given.out / "work"
    child.confine(scratch)
    parent = Parent()

    def all_of_it() -> None:
        work(parent, given.base, given.out, given.triaged, scratch)

    child.run(all_of_it, parent)


if __name__ == "__main__":
    main()
