"""A configuration is read whole, or refused with the file, the key and what it has to be."""

import re
from pathlib import Path

import pytest

from training import config

DEFAULT = config.DEFAULT.read_text(encoding="utf-8")


def refusal(tmp_path: Path, old: str, new: str) -> str:
    """The error for the default configuration with the only line that begins with `old` replaced."""
    changed, count = re.subn(rf"^{re.escape(old)}.*$", new, DEFAULT, flags=re.MULTILINE)
    assert count == 1, old
    file = tmp_path / "asked.toml"
    file.write_text(changed, encoding="utf-8")
    with pytest.raises(config.ConfigError) as error:
        config.read(file)
    assert str(error.value).startswith(f"{file}: ")
    return str(error.value).removeprefix(f"{file}: ")


def test_the_default_is_read_with_labels_in_the_order_of_the_file() -> None:
    read = config.read()
    assert list(read.heads) == ["sentiment", "urgency", "category"]
    assert read.labels["urgency"] == ["high", "normal", "low"]
    assert len(read.labels["category"]) == 12
    assert read.text.most == read.text.head + read.text.tail


def test_every_written_file_is_in_just_one_fold() -> None:
    data = Path(config.DEFAULT).parent / "data"
    files = sorted(file.stem for file in data.glob("*.jsonl"))
    assert sorted(name for names in config.read().folds.values() for name in names) == files


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind =", 'kind = "mixer"', "base.kind has to be encoder or decoder, not 'mixer'"),
        ("warm_up =", "warmup = 0.06", "[train] has no key 'warmup'; known are method"),
        ("warm_up =", "", "[train] lacks 'warm_up'"),
        ("epochs =", "epochs = 2.5", "train.epochs has to be a whole number, not 2.5"),
        ("epochs =", "epochs = true", "train.epochs has to be a whole number, not True"),
        ("smoothing =", 'smoothing = "some"', "train.smoothing has to be a number, not 'some'"),
        ("targets =", 'targets = ["query", 3]', "train.lora.targets[1] has to be a text, not 3"),
        ("typos =", "typos = 1.5", "augment.typos has to be a share from 0 to 1, not 1.5"),
        ("unsure =", "unsure = -1", "weights.unsure has to be 0 or more, not -1.0"),
        ("tail =", "tail = 0", "text.tail has to be at least 1, not 0"),
        ("spam =", 'spam = "urgent"', "heads has to be keywords that differ, not 'urgent'"),
        ("[calibrate.own.urgency.high]", "[calibrate.own.urgency.higher]", "calibrate.own.urgency.higher has to be"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert refusal(tmp_path, old, new).startswith(said)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    assert re.search(r"line 2", refusal(tmp_path, "# How the default model is made.", "# x\n= = 1\n"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"nowhere\.toml"):
        config.read(tmp_path / "nowhere.toml")
