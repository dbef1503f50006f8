"""Adapters train, and leave without a trace."""

import pytest

torch = pytest.importorskip("torch", reason="needs the training's packages: make train-env")
pytest.importorskip("peft", reason="needs the training's packages: make train-env")

from training import lora  # noqa: E402
from training.config import Lora  # noqa: E402
from training.tests import tiny  # noqa: E402

BERT = Lora(rank=4, alpha=8, dropout=0.0, targets=("query", "key", "value", "dense"), four_bit=False)
LLAMA = Lora(rank=4, alpha=8, dropout=0.0, targets=("q_proj", "k_proj", "v_proj", "o_proj"), four_bit=False)


def decoder_net(folder) -> tiny.Net:
    from training import decoder

    tiny.write_decoder(folder)
    return tiny.Net(decoder.load(folder)).eval()


@pytest.fixture(params=["encoder", "decoder"])
def case(request, tmp_path):
    return (tiny.encoder_net(), BERT) if request.param == "encoder" else (decoder_net(tmp_path), LLAMA)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(1, 300, (3, 20), generator=torch.Generator().manual_seed(3))
    return ids, torch.ones_like(ids)


def trained(net, steps: int = 3) -> None:
    """A few steps on what `requires_grad`, so that the adapters are not zero any more."""
    optimizer = torch.optim.SGD([tensor for tensor in net.parameters() if tensor.requires_grad], lr=0.5)
    for _ in range(steps):
        loss = sum(torch.nn.functional.cross_entropy(rows, torch.zeros(3).long()) for rows in net(*batch()).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_a_fresh_adapter_changes_no_logit(case) -> None:
    net, asked = case
    before = net(*batch())
    lora.adapt(net, asked)
    for head, rows in net(*batch()).items():
        assert torch.equal(rows, before[head])


def test_only_adapters_and_heads_train(case) -> None:
    net, asked = case
    lora.adapt(net, asked)
    training = {name for name, tensor in net.named_parameters() if tensor.requires_grad}
    assert {name for name in training if not name.startswith("heads.")} == {
        name for name, _ in net.named_parameters() if ".lora_" in name
    }
    assert len([name for name in training if name.startswith("heads.")]) == 4


def test_logits_are_the_same_before_and_after_merging(case) -> None:
    net, asked = case
    untouched = net(*batch())
    lora.adapt(net, asked)
    trained(net)
    before = net(*batch())
    lora.merge(net)
    for head, rows in net(*batch()).items():
        assert (rows - before[head]).abs().max() < 1e-5
        assert (rows - untouched[head]).abs().max() > 1e-3  # the adapters had learnt something


def test_merging_leaves_plain_layers_with_the_names_they_had(case) -> None:
    net, asked = case
    names = list(net.state_dict())
    kinds = {path: type(layer) for path, layer in net.named_modules()}
    lora.adapt(net, asked)
    lora.merge(net)
    assert list(net.state_dict()) == names
    assert {path: type(layer) for path, layer in net.named_modules()} == kinds


def test_a_target_that_is_no_layer_is_refused_with_those_there_are() -> None:
    with pytest.raises(lora.LoraError, match="no linear layer is named 'q_proj'; there are dense, key, query, value"):
        lora.adapt(tiny.encoder_net(), LLAMA)


def test_four_bits_without_a_graphics_card_are_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a graphics card")
    with pytest.raises(lora.LoraError, match="needs an NVIDIA graphics card"):
        lora.four_bit_config()
