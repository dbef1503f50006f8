"""LoRA: low-rank adapters beside the frozen layers of a net, and their merging (Hu et al., 2021).

`adapt` before the training, `merge` after it: what is exported knows nothing of adapters. With
`four_bit` the frozen layers are kept in 4 bits while training (QLoRA, Dettmers et al., 2023),
which needs a graphics card and the package bitsandbytes. The training loop is `train.py`'s; it
trains whatever `requires_grad`.
"""

import importlib.util

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.utils.integrations import dequantize_module_weight
from torch import nn

from training.config import Lora

ADAPTER = "default"


class LoraError(Exception):
    """What about the adapters can not be done, and what to change; for people."""


def adapt(net: nn.Module, asked: Lora) -> None:
    """Puts adapters on the targets of `net.encoder` and freezes all else of it.

    Heads and whatever else the net has beside its encoder train fully, as before. The logits are
    unchanged at first: an adapter starts at zero.
    """
    names = sorted({path.rpartition(".")[2] for path, layer in net.encoder.named_modules() if is_linear(layer)})
    unknown = [target for target in asked.targets if target not in names]
    if unknown:
        raise LoraError(f"train.lora.targets: no linear layer is named {unknown[0]!r}; there are {', '.join(names)}")
    config = LoraConfig(
        r=asked.rank, lora_alpha=asked.alpha, lora_dropout=asked.dropout, target_modules=list(asked.targets)
    )
    inject_adapter_in_model(config, net.encoder, adapter_name=ADAPTER)
    for name, tensor in net.encoder.named_parameters():
        tensor.requires_grad = ".lora_" in name


def merge(net: nn.Module) -> None:
    """Adds each adapter to the layer it stands beside and leaves plain linear layers, named as before.

    Layers in 4 bits become plain ones, too. The logits stay the same but for rounding.
    """
    for path, layer in list(net.encoder.named_modules()):
        if isinstance(layer, LoraLayer):
            base = layer.get_base_layer()
            put(net.encoder, path, plain(base, layer.get_delta_weight(ADAPTER)))
    for path, layer in list(net.encoder.named_modules()):
        if is_packed(layer):
            put(net.encoder, path, plain(layer, None))


@torch.no_grad()
def plain(layer: nn.Module, delta: torch.Tensor | None) -> nn.Linear:
    """A linear layer in fp32 with the weights of `layer` and `delta` [outputs, inputs] added."""
    weight = dequantize_module_weight(layer).float()
    made = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device=weight.device)
    made.weight.copy_(weight if delta is None else weight + delta.float())
    if layer.bias is not None:
        made.bias.copy_(layer.bias)
    return made


def put(root: nn.Module, path: str, layer: nn.Module) -> None:
    """Sets the layer at `path`, in the mode that the root is in."""
    parent, _, name = path.rpartition(".")
    setattr(root.get_submodule(parent), name, layer.train(root.training))


def is_packed(layer: nn.Module) -> bool:
    """Whether it is a layer in 4 bits; bitsandbytes need not be there to ask."""
    return type(layer).__name__ == "Linear4bit"


def is_linear(layer: nn.Module) -> bool:
    """Whether it is a linear layer that an adapter can stand beside."""
    return isinstance(layer, nn.Linear) or is_packed(layer)


def four_bit_config():
    """How transformers loads a base in 4 bits; LoraError where this machine can not.

    For `AutoModel.from_pretrained(quantization_config=…)`: normal floats of 4 bits, scales
    quantised again, products in bf16, as in the paper.
    """
    if not torch.cuda.is_available():
        raise LoraError("train.lora.four_bit needs an NVIDIA graphics card, and PyTorch finds none; set it to false")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise LoraError("train.lora.four_bit needs the package bitsandbytes; `pip install bitsandbytes`, or false")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
