"""A tiny random decoder goes all the way: adapt, train, merge, export, quantise, pack, serve."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("torch", reason="needs the training's packages: make train-env")
pytest.importorskip("onnx", reason="needs the training's packages: make train-env")

from training import config, export, net, pack, reader, tokens, train  # noqa: E402
from training.config import Config, Text  # noqa: E402
from training.mails import Mail  # noqa: E402
from training.tests import tiny  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TRIAGED = Path(os.environ.get("TRIAGED", ROOT / "target" / "debug" / "triaged"))
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
HEADS = {"mood": {"bad": "sad", "good": ""}, "topic": {"money": "money", "travel": "", "garden": "garden"}}
CALIBRATION = {head: {"temperature": 1.0, "threshold": 0.3} for head in HEADS}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("decoder")
    tiny.write_decoder(folder)
    return folder


def mails() -> list[Mail]:
    """A few, with labels that mean nothing; some lack one."""
    texts = ("Where is my order?", "Lunch on Friday?", "The roses bloom.", "")
    topics = ("money", "travel", "garden", "money")
    return [
        Mail(str(at), "tiny", str(at), None, text, {"topic": topic} | ({"mood": "bad"} if at else {}), 1.0, "written")
        for at, (text, topic) in enumerate(zip(texts, topics, strict=True))
    ]


def asked_of(base: Path) -> Config:
    """The configuration of a decoder with adapters."""
    asked = config.read()
    lora = dataclasses.replace(asked.train.lora, rank=4, alpha=8, targets=TARGETS)
    return dataclasses.replace(
        asked,
        base=dataclasses.replace(asked.base, kind="decoder", weights=str(base)),
        heads=HEADS,
        text=Text(head=100, tail=60),
        train=dataclasses.replace(asked.train, method="lora", epochs=3, encoder_rate=1e-2, lora=lora),
        bundle=dataclasses.replace(asked.bundle, name="tiny", version="1", languages=(), least_words=0),
    )


@pytest.fixture(scope="module")
def bundle(base: Path, tmp_path_factory) -> Path:
    if not TRIAGED.is_file():
        pytest.skip(f"{TRIAGED} is not built, and only it renders mail: make build")
    work, out = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("bundle")
    asked = asked_of(base)
    tokenizer = tokens.of_base(asked)
    tokenizer.save(str(work / "tokenizer.json"))
    ids = [tokenizer.encode(mail.text).ids for mail in mails()]

    made = net.Net(asked, asked.labels)
    names, before = set(made.state_dict()), export.net_outputs(made, ids)
    train.train(made, mails() * 8, asked, work)
    assert set(made.state_dict()) == names
    assert np.abs(export.net_outputs(made, ids)["topic"] - before["topic"]).max() > 1e-3
    assert max(export.parity(made, export.fp32(made, work), ids).values()) < 1e-3
    export.int8(made, work, ids)

    content = pack.Content(
        name="tiny",
        version="1",
        model=work / "model.onnx",
        tokenizer=work / "tokenizer.json",
        calibration=CALIBRATION,
        embedding_size=tiny.HIDDEN,
        notice="Made up.",
        card="# tiny\n",
    )
    pack.pack(content, asked, TRIAGED, out)
    return out


def test_the_daemons_code_serves_it_with_pythons_scores(bundle: Path) -> None:
    mails = sorted((ROOT / "training" / "golden").glob("*.eml"))
    command = [str(TRIAGED), "classify", "--bundle", str(bundle), "--json", *map(str, mails)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.split("\n") if line]
    lines = (bundle / "golden.jsonl").read_text(encoding="utf-8").split("\n")
    golden = [json.loads(line) for line in lines if line][1:]
    assert len(found) == len(golden) == len(mails)
    for served, expected in zip(found, golden, strict=True):
        for head, scores in expected["scores"].items():
            assert served[head]["scores"] == pytest.approx(scores, abs=1e-3)


def test_scores_differ_from_mail_to_mail(bundle: Path) -> None:
    scores = [reader.of_bundle(bundle).scores(text)["topic"]["garden"] for text in ("A", "Roses!", "Where is it?")]
    assert len(set(scores)) == 3
