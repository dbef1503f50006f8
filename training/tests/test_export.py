"""The exported file answers what the net answers, for encoder and decoder."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the training's packages: make train-env")
np = pytest.importorskip("numpy")
onnx = pytest.importorskip("onnx", reason="needs the training's packages: make train-env")

from training import config, decoder, export, graph_counts, net, nets, quantise, train  # noqa: E402
from training.config import Text  # noqa: E402
from training.tests import tiny  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TRIAGED = Path(os.environ.get("TRIAGED", ROOT / "target" / "debug" / "triaged"))


@pytest.fixture(scope="module")
def decoder_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoder")
    tiny.write_decoder(folder)
    return folder


@pytest.fixture(params=["encoder", "decoder"], name="made")
def made_net(request, decoder_folder) -> tiny.Net:
    torch.manual_seed(2)
    return tiny.encoder_net() if request.param == "encoder" else tiny.Net(decoder.load(decoder_folder)).eval()


def with_counts(net: tiny.Net) -> tiny.Net:
    rng, rows = np.random.default_rng(0), net.encoder.config.vocab_size + 64
    sizes = {head: len(names) for head, names in tiny.LABELS.items()}
    scales = dict.fromkeys(sizes, 0.5)
    net.counts = graph_counts.stored(rng.normal(size=(rows, 5)), rng.random(rows), np.zeros(5), scales, sizes, 64)
    return net


def test_fp32_is_the_net(made, tmp_path) -> None:
    assert max(export.parity(made, export.fp32(made, tmp_path), tiny.mails()).values()) < 1e-4


def test_fp16_is_the_net_within_half_precision(made, tmp_path) -> None:
    file = export.fp16(made, tmp_path)
    differences = export.parity(made, file, tiny.mails())
    scale = max(np.abs(rows).max() for rows in export.net_outputs(made, tiny.mails()).values())
    assert max(differences.values()) < 0.02 * scale
    assert file.stat().st_size < 0.7 * export.fp32(made, tmp_path).stat().st_size


def test_int8_changes_no_label_by_more_than_its_noise(made, tmp_path) -> None:
    mails = tiny.mails(40)
    file = export.int8(made, tmp_path, mails)
    exact, packed = export.net_outputs(made, mails), export.outputs(file, mails)
    for head in tiny.LABELS:
        spread = exact[head].std(axis=0).mean()
        assert np.abs(exact[head] - packed[head]).mean() < 0.2 * spread
    assert quantise.flips({head: exact[head] for head in tiny.LABELS}, packed)["mood"] <= 0.1


def test_int8_leaves_the_heads_as_they_are(made, tmp_path) -> None:
    """The quantiser turns each Gemm into a MatMul and takes that, unless it is told not to."""
    file = export.int8(made, tmp_path, tiny.mails())
    arrays = {array.name: array.data_type for array in onnx.load(file).graph.initializer}
    assert arrays["mood_matrix"] == onnx.TensorProto.FLOAT
    assert arrays["word_rows"] == onnx.TensorProto.INT8


def test_one_channel_of_a_thousandfold_width_does_not_spoil_int8(tmp_path) -> None:
    """Behind GELU such a channel would set the scale of all others."""
    made = tiny.encoder_net()
    with torch.no_grad():
        for layer in made.encoder.encoder.layer:
            layer.intermediate.dense.bias[5] += 1000
            layer.output.dense.weight[:, 5] /= 1000
    mails = tiny.mails(40)
    exact, packed = export.net_outputs(made, mails), export.outputs(export.int8(made, tmp_path, mails), mails)
    for head in tiny.LABELS:
        assert np.abs(exact[head] - packed[head]).mean() < 0.1 * exact[head].std(axis=0).mean()


def test_word_counts_are_added_to_each_heads_logits(made, tmp_path) -> None:
    plain = export.outputs(export.fp32(made, tmp_path), tiny.mails())
    added = export.outputs(export.fp32(with_counts(made), tmp_path), tiny.mails())
    for place, ids in enumerate(tiny.mails()):
        for head, row in graph_counts.logits(made.counts, np.array(ids)).items():
            assert np.abs(added[head][place] - plain[head][place] - row).max() < 1e-4


def test_a_head_that_is_named_like_an_inner_value_is_refused(tmp_path) -> None:
    made = tiny.Net(tiny.encoder_net().encoder, {"pooled": ["a", "b"]})
    with pytest.raises(ValueError, match="a head can not be named 'pooled'"):
        export.fp32(made, tmp_path)


def test_padding_at_the_right_changes_nothing(made) -> None:
    """In training mails are padded, in service they are not."""
    mails = tiny.mails(4, longest=30)
    alone = export.net_outputs(made, mails)
    ids = torch.tensor([mail + [0] * (30 - len(mail)) for mail in mails])
    mask = torch.tensor([[1] * len(mail) + [0] * (30 - len(mail)) for mail in mails])
    with torch.inference_mode():
        for head, rows in made(ids, mask).items():
            assert np.abs(rows.numpy() - alone[head]).max() < 1e-4


def test_every_mail_of_a_decoder_ends_with_its_end_token(decoder_folder) -> None:
    tokenizer = decoder.tokenizer(decoder_folder)
    for text in ("", "a", "From: a\n\nHello"):
        ids = tokenizer.encode(text).ids
        assert ids[-1] == 0 and ids.count(0) == 1


def test_a_folder_that_lacks_a_file_is_refused_with_its_name(tmp_path) -> None:
    with pytest.raises(decoder.DecoderError, match="lacks config.json, model.safetensors, tokenizer.json"):
        decoder.load(tmp_path)


def test_a_decoder_that_the_graph_has_no_nodes_for_is_refused(decoder_folder) -> None:
    config = decoder.load(decoder_folder).config
    config.mlp_bias = True
    with pytest.raises(decoder.DecoderError, match="mlp_bias"):
        decoder.check(config, "here")


@pytest.mark.skipif(not TRIAGED.is_file(), reason=f"{TRIAGED} is not built, and only it renders mail: make build")
def test_a_finished_run_becomes_a_bundle_for_graphics_cards(tmp_path) -> None:
    weights, work, asked = tmp_path / "weights", tmp_path / "work", config.read()
    tiny.encoder_net().encoder.save_pretrained(weights)
    tiny.write_words(weights / "tokenizer.json")
    asked = dataclasses.replace(
        asked,
        base=dataclasses.replace(asked.base, weights=str(weights)),
        heads={head: dict.fromkeys(names, "") for head, names in tiny.LABELS.items()},
        text=Text(head=32, tail=16),
    )
    made = net.Net(asked, asked.labels)
    for name in nets.names(asked):
        (work / name).mkdir(parents=True)
        train.keep(made, work / name / "state.safetensors")
    numbers = {head: {"temperature": 1.0, "threshold": 0.5} for head in asked.heads}
    (work / "calibration.json").write_text(json.dumps(numbers), encoding="utf-8")
    export.bundle(work, export.Precision.HALF, TRIAGED, tmp_path / "out", asked)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["name"] == "default-fp16"
    assert max(export.parity(made, tmp_path / "out" / "model.onnx", tiny.mails(8, longest=40)).values()) < 0.05


def test_a_run_that_is_not_finished_is_refused_with_what_is_missing(tmp_path) -> None:
    with pytest.raises(SystemExit, match=r"state.safetensors.*is missing; `python -m training.run"):
        export.bundle(tmp_path, export.Precision.EXACT, TRIAGED, tmp_path / "out", config.read())
