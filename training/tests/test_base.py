"""A bundle taken up again gives the answers that the bundle gives."""

import dataclasses
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the training's packages: make train-env")
np = pytest.importorskip("numpy")
pytest.importorskip("onnx", reason="needs the training's packages: make train-env")

from transformers import BertConfig, BertModel  # noqa: E402

from training import base, config, export, net, quantise, tokens  # noqa: E402
from training.tests import tiny  # noqa: E402
from training.tests.test_export import with_counts  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "models" / "default"


def taken_up(found: base.Base) -> tiny.Net:
    """A net with the state of a base."""
    made = tiny.Net(BertModel(BertConfig(**found.shape), add_pooling_layer=False), found.labels).eval()
    made.load_state_dict({name: torch.from_numpy(values) for name, values in found.state.items()}, strict=True)
    return made


def bundle_of(folder: Path, labels: dict[str, list[str]] = tiny.LABELS) -> Path:
    """As much of a bundle as a base is read from."""
    heads = [
        {"name": head, "output": head, "labels": [{"name": name} for name in names]} for head, names in labels.items()
    ]
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "heads": heads}), encoding="utf-8")
    return folder


def test_an_exact_file_comes_back_exactly(tmp_path) -> None:
    made = tiny.encoder_net()
    export.fp32(made, tmp_path)
    again = taken_up(base.from_bundle(bundle_of(tmp_path)))
    before, after = export.net_outputs(made, tiny.mails()), export.net_outputs(again, tiny.mails())
    for name, rows in before.items():
        assert np.abs(rows - after[name]).max() < 1e-5


def test_an_int8_file_comes_back_within_its_noise(tmp_path) -> None:
    made = tiny.encoder_net()
    file = export.int8(made, tmp_path, tiny.mails())
    again = taken_up(base.from_bundle(bundle_of(tmp_path)))
    mails = tiny.mails(40)
    packed, found = export.outputs(file, mails), export.net_outputs(again, mails)
    for head in tiny.LABELS:
        assert np.abs(packed[head] - found[head]).mean() < 0.1 * packed[head].std(axis=0).mean()


def test_the_widest_channels_behind_gelu_come_back_as_they_were(tmp_path) -> None:
    """They never become int8; the other rows of the same matrix do."""
    made = tiny.encoder_net()
    with torch.no_grad():
        made.encoder.encoder.layer[0].intermediate.dense.bias[5] += 1000  # one channel, far wider than the others
    export.int8(made, tmp_path, tiny.mails())
    name = "encoder.encoder.layer.0.output.dense.weight"
    before, after = made.state_dict()[name].numpy(), base.from_bundle(bundle_of(tmp_path)).state[name]
    same = np.flatnonzero((before == after).all(axis=0))
    assert 5 in same and len(same) == quantise.OUTLIERS


def test_word_counts_come_back_as_they_were(tmp_path) -> None:
    made = with_counts(tiny.encoder_net())
    export.int8(made, tmp_path, tiny.mails())
    found = base.from_bundle(bundle_of(tmp_path)).counts
    assert found.scales == made.counts.scales and found.labels == made.counts.labels
    assert found.buckets == made.counts.buckets
    for part in ("rows", "row_scales", "idf", "bias"):
        assert np.array_equal(getattr(found, part), getattr(made.counts, part)), part


def test_the_default_bundle_answers_alike_when_taken_up() -> None:
    found, asked = base.from_bundle(DEFAULT), config.read()
    assert list(found.labels) == ["sentiment", "urgency", "category"]
    asked = dataclasses.replace(asked, heads={head: dict.fromkeys(names, "") for head, names in found.labels.items()})
    tokenizer = tokens.load(DEFAULT / "tokenizer.json")
    lines = (ROOT / "training" / "data" / "plain_everyday.jsonl").read_text(encoding="utf-8").split("\n")
    mails = [tokens.clip(tokenizer.encode(json.loads(line)["body"]).ids, asked.text) for line in lines[:40]]
    packed = export.outputs(DEFAULT / "model.onnx", mails)
    exact = export.net_outputs(net.of_base(found, asked), mails)
    for head, share in quantise.flips({head: exact[head] for head in found.labels}, packed).items():
        assert share <= 0.05, head


def test_new_labels_come_after_the_old_ones_and_change_none_of_them(tmp_path) -> None:
    made = with_counts(tiny.encoder_net())
    export.fp32(made, tmp_path)
    found, asked = base.from_bundle(bundle_of(tmp_path)), config.read()
    heads = {head: dict.fromkeys([*names, "own"], "") for head, names in tiny.LABELS.items()}
    wider_labels = heads | {"new": {"a": "", "b": ""}}
    wider = net.of_base(found, dataclasses.replace(asked, heads=wider_labels))
    before, after = export.outputs(tmp_path / "model.onnx", tiny.mails()), export.net_outputs(wider, tiny.mails())
    for head, names in tiny.LABELS.items():
        assert np.abs(before[head] - after[head][:, : len(names)]).max() < 1e-4
        assert after[head].shape[1] == len(names) + 1
    assert after["new"].shape[1] == 2
    again = tmp_path / "again"
    again.mkdir()
    assert max(export.parity(wider, export.fp32(wider, again), tiny.mails()).values()) < 1e-3
    # The next base is this one: its new head has no counts, and the others keep theirs.
    following = base.from_bundle(bundle_of(again, {head: list(names) for head, names in wider_labels.items()}))
    assert following.counts.labels == {head: len(names) + 1 for head, names in tiny.LABELS.items()}
    assert following.counts.scales == found.counts.scales


def test_a_folder_that_is_no_bundle_is_refused_with_its_path(tmp_path) -> None:
    with pytest.raises(base.BaseError, match="manifest.json: FileNotFoundError"):
        base.from_bundle(tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path) -> None:
    bundle_of(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no protocol buffer")
    with pytest.raises(base.BaseError, match="not an ONNX file"):
        base.from_bundle(tmp_path)


def test_a_decoder_bundle_is_refused(tmp_path) -> None:
    from training import decoder

    tiny.write_decoder(tmp_path)
    made = tiny.Net(decoder.load(tmp_path)).eval()
    export.fp32(made, tmp_path)
    with pytest.raises(base.BaseError, match="was not made by this package's encoder"):
        base.from_bundle(bundle_of(tmp_path))
