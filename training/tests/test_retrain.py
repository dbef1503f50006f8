"""The child of `triaged retrain`, from its first line to the bundle: a tiny base, a person's mails, a new label."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the training's packages: make train-env")
pytest.importorskip("peft", reason="needs the training's packages: make train-env")

from training import base, config, export, pack, tokens  # noqa: E402
from training import retrain as retraining  # noqa: E402
from training.config import Text  # noqa: E402
from training.tests import tiny  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TRIAGED = Path(os.environ.get("TRIAGED", ROOT / "target" / "debug" / "triaged"))
HEADS = {"urgency": {"high": "urgent", "normal": "", "low": ""}, "topic": {"money": "money", "travel": ""}}
CANARY = "kumquat-4711"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """A tiny random encoder as a bundle of its own."""
    if not TRIAGED.is_file():
        pytest.skip(f"{TRIAGED} is not built, and only it renders mail: make build")
    work, out = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("bundle") / "tiny"
    labels = {head: list(names) for head, names in HEADS.items()}
    net = tiny.Net(tiny.encoder_net().encoder, labels).eval()
    tiny.write_words(work / "tokenizer.json")
    asked = config.read()
    asked = dataclasses.replace(
        asked,
        heads=HEADS,
        text=Text(head=32, tail=16),
        bundle=dataclasses.replace(asked.bundle, name="tiny", version="1", languages=(), least_words=0),
    )
    content = pack.Content(
        name="tiny",
        version="1",
        model=export.int8(net, work, tiny.mails(8, longest=40)),
        tokenizer=work / "tokenizer.json",
        calibration={head: {"temperature": 1.5, "threshold": 0.4} for head in HEADS},
        embedding_size=tiny.HIDDEN,
        notice="Where it comes from.",
    )
    pack.pack(content, asked, TRIAGED, out)
    return out


def settings() -> dict:
    return {
        "type": "settings",
        "version": "2",
        "labels": {
            "topic": ["money", "travel", "garden"],
            "urgency": ["high", "normal", "low"],
            "tone": ["dry", "warm"],
        },
        "own": {"topic": {"garden": "garden"}, "tone": {"warm": "warm"}},
        "judged": [],
        "epochs": 1,
        "seed": 1,
    }


def mail(number: int) -> dict:
    topic, text = [("money", "the invoice"), ("travel", "the train"), ("garden", "the roses")][number % 3]
    labels = {"topic": topic} | ({"tone": "warm" if number % 2 else "dry"} if number < 8 else {})
    return {
        "type": "mail",
        "id": f"user-{number}",
        "file": "user",
        "group": f"user-{number // 2}",
        "fold": None,
        "text": f"From: a @ b.org\n\nIt is about {text} of {CANARY}, number {number}.",
        "labels": labels,
        "weight": 1.0,
        "source": "user",
    }


def retrain(bundle: Path, out: Path, lines: list[dict]) -> tuple[int, list[dict], bytes]:
    """Exit code, what the child said, and what it wrote to standard error."""
    command = [sys.executable, "-m", "training.retrain", "--base", bundle, "--out", out, "--triaged", TRIAGED]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = subprocess.Popen([str(part) for part in command], cwd=ROOT, **pipes)
    child.stdin.write("".join(json.dumps(line) + "\n" for line in lines).encode())
    child.stdin.flush()
    said = [json.loads(line) for line in child.stdout]
    errors = child.stderr.read()
    code = child.wait(30)
    child.stdin.close()
    return code, said, errors


@pytest.fixture(scope="module")
def made(bundle: Path, tmp_path_factory) -> tuple[Path, list[dict]]:
    out = tmp_path_factory.mktemp("state") / ".candidate-1"
    code, said, errors = retrain(bundle, out, [settings(), *map(mail, range(90)), {"type": "end"}])
    assert code == 0, (said[-1], errors.decode())
    return out, said


def test_the_candidate_is_a_bundle_with_old_labels_first(made, bundle: Path) -> None:
    manifest = json.loads((made[0] / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["version"], manifest["parent"]) == ("tiny", "2", "tiny-1")
    heads = {head["name"]: [label["name"] for label in head["labels"]] for head in manifest["heads"]}
    assert heads == {
        "urgency": ["high", "normal", "low"],
        "topic": ["money", "travel", "garden"],
        "tone": ["dry", "warm"],
    }
    keywords = {label["name"]: label["keyword"] for label in manifest["heads"][1]["labels"]}
    assert keywords == {"money": "money", "travel": None, "garden": "garden"}
    assert set(manifest["files"]) == {"model.onnx", "tokenizer.json", "golden.jsonl", "card.md"}
    assert (made[0] / "NOTICE").read_text(encoding="utf-8") == "Where it comes from."


def test_the_model_answers_with_the_new_label_and_head_too(made) -> None:
    from training import reader

    found = reader.of_bundle(made[0]).logits(mail(2)["text"])
    assert {head: len(row) for head, row in found.items()} == {"urgency": 3, "topic": 3, "tone": 2}


def test_progress_goes_through_all_stages_in_order(made) -> None:
    stages = [line["stage"] for line in made[1] if line["type"] == "progress"]
    assert list(dict.fromkeys(stages)) == ["prepare", "train", "calibrate", "export", "pack"]
    assert all(0 <= line["done"] <= line["of"] for line in made[1] if line["type"] == "progress")
    assert made[1][-1] == {"type": "done", "bundle": str(made[0])}


def test_numbers_of_a_head_without_new_mails_stay_and_a_new_head_gets_some(made) -> None:
    manifest = json.loads((made[0] / "manifest.json").read_text(encoding="utf-8"))
    numbers = {head["name"]: (head["temperature"], head["threshold"]) for head in manifest["heads"]}
    assert numbers["urgency"] == (1.5, 0.4)
    assert numbers["tone"] == (pytest.approx(1.0, abs=0.1), 0.5)  # eight mails, of which few are set aside


def test_nothing_of_a_mail_is_left_in_the_candidates_folder(made) -> None:
    files = [file for file in made[0].rglob("*") if file.is_file()]
    assert {file.name for file in files} == {
        "manifest.json", "model.onnx", "tokenizer.json", "golden.jsonl", "card.md", "NOTICE"
    }  # fmt: skip
    assert not any(CANARY.encode() in file.read_bytes() for file in files)


def test_a_candidate_can_be_the_next_base(made) -> None:
    found = base.from_bundle(made[0])
    assert found.labels["topic"] == ["money", "travel", "garden"]
    assert tokens.load(made[0] / "tokenizer.json").encode("money").ids


def test_a_base_without_the_default_labels_is_asked_for_none_of_their_thresholds() -> None:
    manifest = {
        "name": "mine",
        "languages": None,
        "least_words": None,
        "heads": [
            {"name": "urgency", "labels": [{"name": "now", "keyword": "now"}, {"name": "later", "keyword": None}]}
        ],
        "long_text": {"rule": "head_tail", "head": 32, "tail": 16},
    }
    asked = retraining.asked_of(manifest, retraining.settings_of(settings() | {"labels": {}, "own": {}}))
    assert asked.labels == {"urgency": ["now", "later"]}
    assert asked.calibrate.own == {"urgency": {}}
    assert (asked.bundle.languages, asked.bundle.least_words) == ((), 0)


@pytest.mark.skipif(not TRIAGED.is_file(), reason=f"{TRIAGED} is not built, and only it renders mail: make build")
def test_no_written_mail_repeats_what_the_parent_judges_by(tmp_path) -> None:
    asked, wanted = config.read(), retraining.settings_of(settings())
    all_of_them = retraining.written(TRIAGED, asked, wanted, tmp_path)
    judged = frozenset(hashlib.sha256(mail.text.encode()).hexdigest() for mail in all_of_them[:5])
    rest = retraining.written(TRIAGED, asked, dataclasses.replace(wanted, judged=judged), tmp_path)
    assert [mail.id for mail in rest] == [mail.id for mail in all_of_them[5:]]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([{"type": "end"}], "sent no mails"),
        ([settings(), {"type": "end"}], "sent no mails"),
        ([{"type": "settings"}, {"type": "end"}], "settings are not what this program knows"),
        ([settings(), {"type": "mail", "text": CANARY}, {"type": "end"}], "mail 1 from the parent is no prepared row"),
        ([mail(0), {"type": "end"}], "in an order"),
    ],
)
def test_what_can_not_be_understood_is_refused_without_a_word_of_it(tmp_path, lines, why: str) -> None:
    code, said, errors = retrain(tmp_path, tmp_path / "out", lines)
    assert code == 1
    assert said[-1]["type"] == "failed" and why in said[-1]["why"]
    assert CANARY not in json.dumps(said) and CANARY.encode() not in errors


def test_a_base_that_is_no_bundle_is_named(tmp_path) -> None:
    _, said, _ = retrain(tmp_path, tmp_path / "out", [settings(), mail(0), {"type": "end"}])
    assert "manifest.json: FileNotFoundError" in said[-1]["why"]
