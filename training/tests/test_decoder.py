"""A tiny random decoder goes all the way: adapt, train, merge, export, quantise, pack, serve."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the training's packages: make train-env")
pytest.importorskip("onnx", reason="needs the training's packages: make train-env")

from training import config, decoder, export, lora, pack, reader, tokens  # noqa: E402
from training.config import Lora, Text  # noqa: E402
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


def train(net: tiny.Net, mails: list[list[int]]) -> list[float]:
    """Some steps of next to nothing, padded at the right; the loss of each."""
    longest = max(map(len, mails))
    ids = torch.tensor([mail + [0] * (longest - len(mail)) for mail in mails])
    mask = torch.tensor([[1] * len(mail) + [0] * (longest - len(mail)) for mail in mails])
    optimizer = torch.optim.AdamW([tensor for tensor in net.parameters() if tensor.requires_grad], lr=1e-2)
    losses = []
    for _ in range(8):
        rows = net(ids, mask)
        truth = {head: torch.arange(len(mails)) % values.shape[1] for head, values in rows.items()}
        loss = sum(torch.nn.functional.cross_entropy(values, truth[head]) for head, values in rows.items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.fixture(scope="module")
def bundle(base: Path, tmp_path_factory) -> Path:
    if not TRIAGED.is_file():
        pytest.skip(f"{TRIAGED} is not built, and only it renders mail: make build")
    work, out = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("bundle")
    decoder.tokenizer(base).save(str(work / "tokenizer.json"))
    tokenizer = tokens.load(work / "tokenizer.json")
    mails = [tokenizer.encode(text).ids for text in ("Where is my order?", "Lunch on Friday?", "The roses bloom.", "")]

    net = tiny.Net(decoder.load(base))
    lora.adapt(net, Lora(rank=4, alpha=8, dropout=0.0, targets=TARGETS, four_bit=False))
    losses = train(net, mails)
    assert losses[-1] < losses[0]
    lora.merge(net)
    assert max(export.parity(net, export.fp32(net, work), mails).values()) < 1e-3
    export.int8(net, work, mails)

    asked = config.read()
    asked = dataclasses.replace(
        asked,
        heads=HEADS,
        text=Text(head=100, tail=60),
        bundle=dataclasses.replace(asked.bundle, name="tiny", version="1", languages=(), least_words=0),
    )
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
