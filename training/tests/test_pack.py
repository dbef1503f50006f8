"""The manifest says what was calibrated and configured, and its hashes are those of the files."""

import dataclasses
import hashlib
import json
from pathlib import Path

from training import config, pack

ASKED = config.read()
CALIBRATION = {head: {"temperature": 1.2, "threshold": 0.5} for head in ASKED.heads}


def content(**more: object) -> pack.Content:
    plain = {
        "name": "default",
        "version": "2",
        "model": Path(),
        "tokenizer": Path(),
        "embedding_size": 384,
        "notice": "",
    }
    return pack.Content(calibration=CALIBRATION, **plain | more)


def test_heads_have_their_numbers_labels_and_keywords() -> None:
    heads = pack.heads_of(ASKED, CALIBRATION)
    assert [head["name"] for head in heads] == list(ASKED.heads)
    assert heads[1] == {
        "name": "urgency",
        "output": "urgency",
        "temperature": 1.2,
        "threshold": 0.5,
        "labels": [
            {"name": "high", "keyword": "urgent"},
            {"name": "normal", "keyword": None},
            {"name": "low", "keyword": None},
        ],
    }


def test_a_threshold_of_its_own_stands_at_its_label() -> None:
    own = CALIBRATION | {"urgency": {"temperature": 1.0, "threshold": 0.4, "labels": {"high": 0.31}}}
    labels = pack.heads_of(ASKED, own)[1]["labels"]
    assert labels[0] == {"name": "high", "keyword": "urgent", "threshold": 0.31}
    assert "threshold" not in labels[1]


def test_optional_keys_are_there_only_where_they_say_something() -> None:
    manifest = pack.manifest_of(content(parent="default-1"), ASKED)
    assert (manifest["languages"], manifest["least_words"], manifest["parent"]) == (["en"], 3, "default-1")
    silent = dataclasses.replace(ASKED, bundle=dataclasses.replace(ASKED.bundle, languages=(), least_words=0))
    assert not {"languages", "least_words", "parent"} & pack.manifest_of(content(), silent).keys()


def test_the_manifest_holds_the_hash_of_every_file_that_is_there(tmp_path: Path) -> None:
    for name in ("model.onnx", "tokenizer.json", "golden.jsonl", "NOTICE"):
        (tmp_path / name).write_text(name)
    pack.write_manifest(tmp_path, {"format": 1})
    made = json.loads((tmp_path / "manifest.json").read_text())
    assert made["files"].keys() == {"model.onnx", "tokenizer.json", "golden.jsonl"}
    assert made["files"]["model.onnx"] == hashlib.sha256(b"model.onnx").hexdigest()
    assert not list(tmp_path.glob("*.part"))


def test_a_manifest_that_is_written_anew_keeps_the_order_of_its_keys(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("x")
    pack.write_manifest(tmp_path, {"format": 1, "files": {}, "signature": None, "name": "default"})
    assert list(json.loads((tmp_path / "manifest.json").read_text())) == ["format", "files", "signature", "name"]
