"""Step: a trained net as one ONNX file.

    python -m training.export --work WORK --precision fp16 --out FOLDER

`int8` is what the daemon serves on processors; `fp16` and `fp32` are for graphics cards, each a
bundle of its own. Outputs: the logits of each head, `embedding` at length 1; input: the ids of
one mail. It deliberately neither trains nor calibrates, and packs nothing: pack.py does.
"""

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from training import graph_bert, graph_llama, quantise
from training.graph import Precision, Widths

# ONNX Runtime for Linux reports to its maker unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"

MOST_PLACES = 8192  # the longest mail in tokens that a manifest may promise
Ids = Sequence[int]


def write(net, target: Path, precision: Precision, widths: Widths | None = None) -> None:
    """Writes the net's graph, products as floats: for `SMALL` the step before `quantise.int8`."""
    arrays = {name: single(tensor) for name, tensor in net.encoder.state_dict().items()}
    heads = {name: (single(layer.weight).T, single(layer.bias)) for name, layer in net.heads.items()}
    common = {"precision": precision, "counts": getattr(net, "counts", None)}
    if net.encoder.config.model_type == "bert":
        check_encoder(net.encoder.config)
        heads_inside = net.encoder.config.num_attention_heads
        graph_bert.build(arrays, heads, widths or {}, target, attention_heads=heads_inside, **common)
    else:
        graph_llama.build(arrays, heads, widths or {}, target, shape=llama_shape(net), **common)


def single(tensor) -> np.ndarray:
    """A tensor of any float type on any device as fp32."""
    return tensor.detach().float().cpu().numpy()


def check_encoder(config) -> None:
    """Refuses what the encoder's graph has no nodes for."""
    if config.hidden_act != "gelu" or config.layer_norm_eps != graph_bert.EPSILON:
        raise ValueError(
            f"the encoder's config.json: hidden_act has to be 'gelu' and layer_norm_eps {graph_bert.EPSILON}, "
            f"not {config.hidden_act!r} and {config.layer_norm_eps}"
        )


def llama_shape(net) -> graph_llama.Shape:
    """What the decoder's graph has to know beside the arrays."""
    config, rotary = net.encoder.config, net.encoder.rotary_emb
    return graph_llama.Shape(
        query_heads=config.num_attention_heads,
        key_heads=config.num_key_value_heads,
        epsilon=config.rms_norm_eps,
        frequencies=single(rotary.inv_freq).astype(np.float64),
        scaling=float(rotary.attention_scaling),
        places=min(config.max_position_embeddings, MOST_PLACES),
    )


def fp32(net, folder: Path) -> Path:
    """The exact graph, in `folder`; also the reference that others are held against."""
    target = folder / "model.onnx"
    write(net, target, Precision.EXACT)
    return target


def fp16(net, folder: Path) -> Path:
    """The graph for graphics cards in half precision, in `folder`; pooling and heads stay fp32."""
    target = folder / "model.onnx"
    write(net, target, Precision.HALF)
    return target


def int8(net, folder: Path, mails: Iterable[Ids]) -> Path:
    """The graph for processors, in `folder`; channel widths are measured on the ids of `mails`."""
    target = folder / "model.onnx"
    widths = quantise.channel_widths(quantise.largest_inputs(net, mails))
    with tempfile.TemporaryDirectory() as scratch:
        exact = Path(scratch) / "exact.onnx"
        write(net, exact, Precision.SMALL, widths)
        quantise.int8(exact, target)
    return target


def session(file: Path):
    """ONNX Runtime on one thread of the processor, as the daemon runs it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def outputs(file: Path, mails: Iterable[Ids]) -> dict[str, np.ndarray]:
    """Output name to its rows [mails, n] from the file, one mail a run."""
    opened = session(file)
    names = [output.name for output in opened.get_outputs()]
    rows = [opened.run(names, {"input_ids": np.array([ids], np.int64)}) for ids in mails]
    return {name: np.concatenate([row[place] for row in rows]) for place, name in enumerate(names)}


def net_outputs(net, mails: Iterable[Ids]) -> dict[str, np.ndarray]:
    """The same from the net itself, in fp32."""
    import torch

    found: dict[str, list] = {name: [] for name in (*net.heads, "embedding")}
    net.eval()
    with torch.inference_mode():
        for ids in mails:
            row = torch.tensor([list(ids)], device=next(net.parameters()).device)
            mask = torch.ones_like(row)
            for name, logits in net(row, mask).items():
                found[name].append(single(logits))
            found["embedding"].append(single(torch.nn.functional.normalize(net.pooled(row, mask).float())))
    return {name: np.concatenate(rows) for name, rows in found.items()}


def parity(net, file: Path, mails: Iterable[Ids]) -> dict[str, float]:
    """Output name to the largest difference between net and file over these mails."""
    mails = list(mails)
    packed = outputs(file, mails)
    return {name: float(np.abs(rows - packed[name]).max()) for name, rows in net_outputs(net, mails).items()}
