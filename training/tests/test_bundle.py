"""The committed bundle is what its manifest says, and what models/README.md promises."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from training import config, pack, reader

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "models" / "default"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def manifest() -> dict:
    return json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def golden() -> list[dict]:
    return [json.loads(line) for line in (FOLDER / "golden.jsonl").read_text(encoding="utf-8").split("\n") if line]


def test_every_file_has_the_hash_that_the_manifest_names(manifest: dict) -> None:
    assert set(manifest["files"]) - {"card.md"} == {"model.onnx", "tokenizer.json", "golden.jsonl"}
    for name, promised in manifest["files"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == promised, name


def test_the_bundle_stays_under_35_megabytes() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 35 * MEGABYTE


def test_it_was_trained_on_the_rendering_that_the_daemon_has(manifest: dict) -> None:
    source = (ROOT / "daemon" / "core" / "src" / "document" / "mod.rs").read_text(encoding="utf-8")
    served = int(re.search(r"pub const RENDERING: u32 = (\d+);", source)[1])
    assert manifest["rendering"] == served == pack.RENDERING


def test_the_rule_for_long_texts_adds_up(manifest: dict) -> None:
    rule = manifest["long_text"]
    asked = config.read().text
    assert rule == asked.rule
    assert rule["head"] + rule["tail"] == manifest["max_tokens"] == asked.most


def test_heads_have_sane_numbers_and_keywords_that_differ(manifest: dict) -> None:
    keywords = []
    for head in manifest["heads"]:
        names = [label["name"] for label in head["labels"]]
        assert len(set(names)) == len(names) > 1
        assert 0.1 < head["temperature"] < 10
        assert 0 < head["threshold"] < 1
        keywords += [label["keyword"] for label in head["labels"] if label["keyword"]]
    assert len(set(keywords)) == len(keywords) == 15


def test_golden_names_the_processor_first(golden: list[dict]) -> None:
    assert golden[0].keys() == {"processor"}
    assert set(golden[0]["processor"]) <= set(reader.FEATURES)


def test_golden_holds_the_mails_of_training_golden_in_order(golden: list[dict]) -> None:
    mails = [file.read_bytes().decode("utf-8") for file in sorted((ROOT / "training" / "golden").glob("*.eml"))]
    assert [line["mail"] for line in golden[1:]] == mails


def test_golden_scores_are_probabilities_of_the_manifests_labels(manifest: dict, golden: list[dict]) -> None:
    for line in golden[1:]:
        assert line.keys() == {"mail", "text", "scores"}
        assert line["scores"].keys() == {head["name"] for head in manifest["heads"]}
        for head in manifest["heads"]:
            scores = line["scores"][head["name"]]
            assert list(scores) == [label["name"] for label in head["labels"]]
            assert sum(scores.values()) == pytest.approx(1, abs=1e-4)


def test_the_tokenizer_neither_cuts_nor_pads() -> None:
    tokenizer = json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    assert tokenizer["truncation"] is None
    assert tokenizer["padding"] is None
