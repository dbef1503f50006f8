"""A bundle taken up again gives the answers that the bundle gives."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the training's packages: make train-env")
np = pytest.importorskip("numpy")
pytest.importorskip("onnx", reason="needs the training's packages: make train-env")

from transformers import BertConfig, BertModel  # noqa: E402

from training import base, config, export, quantise, tokens  # noqa: E402
from training.tests import tiny  # noqa: E402
from training.tests.test_export import with_counts  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "models" / "default"


def taken_up(found: base.Base) -> tiny.Net:
    """A net with the state of a base."""
    net = tiny.Net(BertModel(BertConfig(**found.shape), add_pooling_layer=False), found.labels).eval()
    net.load_state_dict({name: torch.from_numpy(values) for name, values in found.state.items()}, strict=True)
    return net


def bundle_of(net: tiny.Net, folder: Path) -> Path:
    """As much of a bundle as a base is read from."""
    heads = [
        {"name": head, "output": head, "labels": [{"name": name} for name in names]}
        for head, names in tiny.LABELS.items()
    ]
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "heads": heads}), encoding="utf-8")
    return folder


def test_an_exact_file_comes_back_exactly(tmp_path) -> None:
    net = tiny.encoder_net()
    export.fp32(net, tmp_path)
    again = taken_up(base.from_bundle(bundle_of(net, tmp_path)))
    before, after = export.net_outputs(net, tiny.mails()), export.net_outputs(again, tiny.mails())
    for name, rows in before.items():
        assert np.abs(rows - after[name]).max() < 1e-5


def test_an_int8_file_comes_back_within_its_noise(tmp_path) -> None:
    net = tiny.encoder_net()
    file = export.int8(net, tmp_path, tiny.mails())
    again = taken_up(base.from_bundle(bundle_of(net, tmp_path)))
    mails = tiny.mails(40)
    packed, found = export.outputs(file, mails), export.net_outputs(again, mails)
    for head in tiny.LABELS:
        assert np.abs(packed[head] - found[head]).mean() < 0.1 * packed[head].std(axis=0).mean()


def test_word_counts_come_back_as_they_were(tmp_path) -> None:
    net = with_counts(tiny.encoder_net())
    export.int8(net, tmp_path, tiny.mails())
    found = base.from_bundle(bundle_of(net, tmp_path)).counts
    assert found.scales == net.counts.scales and found.labels == net.counts.labels
    assert found.buckets == net.counts.buckets
    for part in ("rows", "row_scales", "idf", "bias"):
        assert np.array_equal(getattr(found, part), getattr(net.counts, part)), part


def test_the_default_bundle_answers_alike_when_taken_up() -> None:
    found = base.from_bundle(DEFAULT)
    assert list(found.labels) == ["sentiment", "urgency", "category"]
    tokenizer, text = tokens.load(DEFAULT / "tokenizer.json"), config.read().text
    lines = (ROOT / "training" / "data" / "plain_everyday.jsonl").read_text(encoding="utf-8").split("\n")
    mails = [tokens.clip(tokenizer.encode(json.loads(line)["body"]).ids, text) for line in lines[:40]]
    net = taken_up(found)
    packed, exact = export.outputs(DEFAULT / "model.onnx", mails), export.net_outputs(net, mails)
    if found.counts is not None:
        net.counts = found.counts
    for head, share in quantise.flips({head: exact[head] for head in found.labels}, packed).items():
        assert share <= 0.05, head


def test_a_folder_that_is_no_bundle_is_refused_with_its_path(tmp_path) -> None:
    with pytest.raises(base.BaseError, match="manifest.json: FileNotFoundError"):
        base.from_bundle(tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path) -> None:
    bundle_of(tiny.encoder_net(), tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no protocol buffer")
    with pytest.raises(base.BaseError, match="not an ONNX file"):
        base.from_bundle(tmp_path)


def test_a_decoder_bundle_is_refused(tmp_path) -> None:
    from training import decoder

    tiny.write_decoder(tmp_path)
    net = tiny.Net(decoder.load(tmp_path)).eval()
    export.fp32(net, tmp_path)
    with pytest.raises(base.BaseError, match="was not made by this package's encoder"):
        base.from_bundle(bundle_of(net, tmp_path))
