"""Step: int8 for processors, and how many labels it changes.

Dynamic int8: weights are quantised here, inputs while the model runs, so no calibration set is
needed; what is measured beforehand is only how wide the channels of each input are. fp16 and fp32
files for graphics cards are `export.py`'s. It deliberately decides nothing by labels: the recipe
is the one that models/README.md gives figures for.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from training import graph_bert
from training.graph import Widths

SMOOTHING = np.float32(0.7)  # how much of the inputs' outliers moves into the weights: 1 would be all
# Behind GELU a few channels are so much wider than the others that smoothing is not enough: so many
# of each product's inputs never become int8 (after LLM.int8(), Dettmers et al., 2022).
OUTLIERS = 32


def channel_widths(largest: Widths) -> Widths:
    """How much wider than the median channel each input channel of each product is; 1 for the rest,
    and infinite for the outliers that stay floats.

    Dividing the inputs by it and multiplying the matrix with it changes no product, but takes
    outliers out of the inputs, which share one scale when they become int8 (after SmoothQuant,
    Xiao et al., 2023).
    `largest`: path of a linear layer to the largest magnitude of each input channel, measured.
    """
    widths = {path: np.maximum(1, seen / max(np.median(seen), 1e-12)) ** SMOOTHING for path, seen in largest.items()}
    for path, seen in largest.items():
        if path.endswith(graph_bert.BEHIND_GELU) and not path.endswith(graph_bert.ATTENTION):
            widths[path][np.argsort(seen / widths[path])[-OUTLIERS:]] = np.inf
    return widths


def largest_inputs(net, mails: Iterable[Sequence[int]]) -> Widths:
    """Path of each linear layer of `net.encoder` to the largest magnitude that its input channels had.

    `mails`: token ids of each; one mail is run at a time, as in service.
    """
    import torch

    largest: Widths = {}

    def watch(path: str):
        def note(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            seen = inputs[0].detach().abs().flatten(0, -2).amax(0).float().cpu().numpy()
            largest[path] = np.maximum(largest.get(path, 0), seen)

        return note

    layers = [(path, layer) for path, layer in net.encoder.named_modules() if isinstance(layer, torch.nn.Linear)]
    hooks = [layer.register_forward_pre_hook(watch(path)) for path, layer in layers]
    device = next(net.parameters()).device
    net.eval()
    with torch.inference_mode():
        for ids in mails:
            row = torch.tensor([list(ids)], device=device)
            net(row, torch.ones_like(row))
    for hook in hooks:
        hook.remove()
    return largest


def int8(source: Path, target: Path) -> None:
    """Turns the products of a graph into dynamic int8, all but the heads and the channels kept apart.

    Weights get one scale a column and 7 bits (`reduce_range`): on processors with AVX2 but
    without VNNI the product of an unsigned and a signed byte is added up in 16 bits, which
    full-range weights can overflow without a word. Unsigned weights cannot, but run at half the
    speed on processors with VNNI.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # The heads are tiny, and the quantiser turns a Gemm into a MatMul of this name to take it, too.
    nodes = onnx.load(source, load_external_data=False).graph.node
    heads = [f"{node.name}_MatMul" for node in nodes if node.op_type == "Gemm"]
    floats = [node.name for node in nodes if any(output.endswith(graph_bert.APART) for output in node.output)]
    # It advises a preparation that knows none of the fused operators.
    logging.getLogger().addFilter(no_advice)
    try:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Attention"],
            nodes_to_exclude=[*floats, *heads],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            # The fused operators are not the standard's, so no shape inference says what they give.
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
    finally:
        logging.getLogger().removeFilter(no_advice)


def no_advice(record: logging.LogRecord) -> bool:
    """False for the quantiser's advice to preprocess."""
    return "pre-processing before quantization" not in record.getMessage()


def flips(exact: dict[str, np.ndarray], packed: dict[str, np.ndarray]) -> dict[str, float]:
    """Share of mails whose best label differs between two models' logits [mails, n], a head each."""
    return {head: float((rows.argmax(1) != packed[head].argmax(1)).mean()) for head, rows in exact.items()}
