"""The exported file answers what the net answers, for encoder and decoder."""

import pytest

torch = pytest.importorskip("torch", reason="needs the training's packages: make train-env")
np = pytest.importorskip("numpy")
onnx = pytest.importorskip("onnx", reason="needs the training's packages: make train-env")

from training import decoder, export, graph_counts, quantise  # noqa: E402
from training.tests import tiny  # noqa: E402


@pytest.fixture(scope="module")
def decoder_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoder")
    tiny.write_decoder(folder)
    return folder


@pytest.fixture(params=["encoder", "decoder"])
def net(request, decoder_folder) -> tiny.Net:
    torch.manual_seed(2)
    return tiny.encoder_net() if request.param == "encoder" else tiny.Net(decoder.load(decoder_folder)).eval()


def with_counts(net: tiny.Net) -> tiny.Net:
    rng, rows = np.random.default_rng(0), net.encoder.config.vocab_size + 64
    sizes = {head: len(names) for head, names in tiny.LABELS.items()}
    scales = dict.fromkeys(sizes, 0.5)
    net.counts = graph_counts.stored(rng.normal(size=(rows, 5)), rng.random(rows), np.zeros(5), scales, sizes, 64)
    return net


def test_fp32_is_the_net(net, tmp_path) -> None:
    assert max(export.parity(net, export.fp32(net, tmp_path), tiny.mails()).values()) < 1e-4


def test_fp16_is_the_net_within_half_precision(net, tmp_path) -> None:
    file = export.fp16(net, tmp_path)
    differences = export.parity(net, file, tiny.mails())
    scale = max(np.abs(rows).max() for rows in export.net_outputs(net, tiny.mails()).values())
    assert max(differences.values()) < 0.02 * scale
    assert file.stat().st_size < 0.7 * export.fp32(net, tmp_path).stat().st_size


def test_int8_changes_no_label_by_more_than_its_noise(net, tmp_path) -> None:
    mails = tiny.mails(40)
    file = export.int8(net, tmp_path, mails)
    exact, packed = export.net_outputs(net, mails), export.outputs(file, mails)
    for head in tiny.LABELS:
        spread = exact[head].std(axis=0).mean()
        assert np.abs(exact[head] - packed[head]).mean() < 0.2 * spread
    assert quantise.flips({head: exact[head] for head in tiny.LABELS}, packed)["mood"] <= 0.1


def test_int8_leaves_the_heads_as_they_are(net, tmp_path) -> None:
    """The quantiser turns each Gemm into a MatMul and takes that, unless it is told not to."""
    file = export.int8(net, tmp_path, tiny.mails())
    arrays = {array.name: array.data_type for array in onnx.load(file).graph.initializer}
    assert arrays["mood_matrix"] == onnx.TensorProto.FLOAT
    assert arrays["word_rows"] == onnx.TensorProto.INT8


def test_word_counts_are_added_to_each_heads_logits(net, tmp_path) -> None:
    plain = export.outputs(export.fp32(net, tmp_path), tiny.mails())
    added = export.outputs(export.fp32(with_counts(net), tmp_path), tiny.mails())
    for place, ids in enumerate(tiny.mails()):
        for head, row in graph_counts.logits(net.counts, np.array(ids)).items():
            assert np.abs(added[head][place] - plain[head][place] - row).max() < 1e-4


def test_a_head_that_is_named_like_an_inner_value_is_refused(tmp_path) -> None:
    net = tiny.Net(tiny.encoder_net().encoder, {"pooled": ["a", "b"]})
    with pytest.raises(ValueError, match="a head can not be named 'pooled'"):
        export.fp32(net, tmp_path)


def test_padding_at_the_right_changes_nothing(net) -> None:
    """In training mails are padded, in service they are not."""
    mails = tiny.mails(4, longest=30)
    alone = export.net_outputs(net, mails)
    ids = torch.tensor([mail + [0] * (30 - len(mail)) for mail in mails])
    mask = torch.tensor([[1] * len(mail) + [0] * (30 - len(mail)) for mail in mails])
    with torch.inference_mode():
        for head, rows in net(ids, mask).items():
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
