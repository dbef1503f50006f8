"""The ONNX graph of a decoder of the Llama architecture that reads a mail: causal attention with
grouped heads and rotary places, and the last token's vector as the mail's.

One node for attention with its rotation, one for each residual with its root-mean-square norm.
There is no cache and no mask: a mail is read once, whole and unpadded. Biases in attention and in
the feed-forward layers, which Llama's configuration allows and hardly any model has, are refused
by `export.py`; no text is generated.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto

from training import graph_counts
from training.graph import FUSED, Arrays, Graph, Heads, Precision, Widths, answers, save, single, words


@dataclass(frozen=True)
class Shape:
    """What the arrays do not say."""

    query_heads: int
    key_heads: int  # also the values'; a divisor of query_heads
    epsilon: float  # of the norms
    frequencies: np.ndarray  # [head size / 2], radians a token, from the model itself
    scaling: float  # of cosines and sines, from the model itself; 1 for most
    places: int  # the longest mail in tokens


def rotation(graph: Graph, shape: Shape) -> None:
    """The arrays that attention rotates queries and keys with: cosine and sine, [places, head size / 2]."""
    angles = np.outer(np.arange(shape.places), shape.frequencies)
    graph.array("cosines", np.cos(angles) * shape.scaling)
    graph.array("sines", np.sin(angles) * shape.scaling)


def lengths(graph: Graph) -> None:
    """What attention wants to know of the mail's length L: `key_places` [1] = L - 1 and `total` = L."""
    graph.node("Shape", ["input_ids"], "length", start=1, end=2)
    graph.node("Cast", ["length"], "length32", to=TensorProto.INT32)
    graph.node("Sub", ["length32", graph.keep("one32", np.array([1], np.int32))], "key_places")
    graph.node("Squeeze", ["length32"], "total")


def attention(graph: Graph, weights: Arrays, number: int, normed: str, widths: Widths, shape: Shape) -> str:
    """The attention's branch, [1, L, H]."""
    path, name = f"layers.{number}.self_attn.", f"l{number}_"
    query, key, value = (weights[f"{path}{part}_proj.weight"].T for part in "qkv")
    out = weights[f"{path}o_proj.weight"].T
    after = widths.get(f"{path}o_proj")
    if after is not None:
        # Several queries share one value head, so their channels share its widths; mixing is
        # linear in the values, so what is divided out here needs no node of its own.
        groups = after.reshape(shape.key_heads, shape.query_heads // shape.key_heads, -1)
        shared = groups.max(axis=1)
        value = value / shared.reshape(1, -1)
        out = out * np.broadcast_to(shared[:, None], groups.shape).reshape(-1, 1)
    matrix = np.concatenate([query, key, value], axis=1)
    before = widths.get(f"{path}q_proj")
    if before is not None:
        matrix = matrix * before[:, None]
    graph.node("MatMul", [normed, graph.array(f"{name}qkv", matrix)], f"{name}packed")
    # Empty names: keys and values are packed with the queries, and there is no cache.
    inputs = [f"{name}packed", "", "", "", "", "key_places", "total", "cosines", "sines"]
    numbers = {"num_heads": shape.query_heads, "kv_num_heads": shape.key_heads, "do_rotary": 1}
    graph.node("GroupQueryAttention", inputs, f"{name}mixed", FUSED, **numbers)
    return graph.node("MatMul", [f"{name}mixed", graph.array(f"{name}out", out)], f"{name}attended")


def feed_forward(graph: Graph, weights: Arrays, number: int, normed: str, widths: Widths) -> str:
    """The gated feed-forward branch, [1, L, H]: down(silu(gate) * up)."""
    path, name = f"layers.{number}.mlp.", f"l{number}_"
    gate, up = weights[f"{path}gate_proj.weight"].T, weights[f"{path}up_proj.weight"].T
    down = weights[f"{path}down_proj.weight"].T
    after = widths.get(f"{path}down_proj")
    if after is not None:
        up, down = up / after, down * after[:, None]
    before = widths.get(f"{path}gate_proj")
    if before is not None:
        gate, up = gate * before[:, None], up * before[:, None]
    matrix = graph.array(f"{name}gate_up", np.concatenate([gate, up], axis=1))
    graph.node("MatMul", [normed, matrix], f"{name}both")
    graph.nodes_outputs("Split", [f"{name}both", "halves"], [f"{name}gate", f"{name}up"], axis=-1)
    graph.node("QuickGelu", [f"{name}gate"], f"{name}open", FUSED, alpha=1.0)  # with alpha 1 this is SiLU
    graph.node("Mul", [f"{name}open", f"{name}up"], f"{name}active")
    return graph.node("MatMul", [f"{name}active", graph.array(f"{name}down", down)], f"{name}forward")


def narrowed_norm(weights: Arrays, path: str, width: np.ndarray | None) -> np.ndarray:
    """A norm's factors, divided by the widths of the product that reads its output."""
    gamma = weights[f"{path}.weight"]
    return gamma if width is None else gamma / width


def stack(graph: Graph, weights: Arrays, count: int, widths: Widths, shape: Shape) -> str:
    """All layers and the last norm: `words` to [1, L, H]."""

    def joined(branch: str, skip: str, path: str, width: np.ndarray | None, name: str) -> tuple[str, str]:
        """The norm of branch + skip, and the sum itself."""
        gamma = graph.array(f"{name}_gamma", narrowed_norm(weights, path, width))
        outputs = [f"{name}_normed", "", "", f"{name}_sum"]
        graph.nodes_outputs(
            "SkipSimplifiedLayerNormalization", [branch, skip, gamma], outputs, FUSED, epsilon=shape.epsilon
        )
        return outputs[0], outputs[3]

    first = narrowed_norm(weights, "layers.0.input_layernorm", widths.get("layers.0.self_attn.q_proj"))
    inputs = ["words", graph.array("l0_before_gamma", first)]
    normed = graph.node("SimplifiedLayerNormalization", inputs, "l0_before_normed", epsilon=shape.epsilon, axis=-1)
    hidden = "words"
    for number in range(count):
        path = f"layers.{number}."
        branch = attention(graph, weights, number, normed, widths, shape)
        width = widths.get(f"{path}mlp.gate_proj")
        normed, hidden = joined(branch, hidden, f"{path}post_attention_layernorm", width, f"l{number}_middle")
        branch = feed_forward(graph, weights, number, normed, widths)
        following = f"layers.{number + 1}." if number + 1 < count else None
        path = f"{following}input_layernorm" if following else "norm"
        width = widths.get(f"{following}self_attn.q_proj") if following else None
        normed, hidden = joined(branch, hidden, path, width, f"l{number + 1}_before" if following else "last")
    return normed


def layers(weights: Arrays) -> int:
    """How many transformer layers the arrays hold."""
    return 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))


def build(
    weights: Arrays,
    heads: Heads,
    widths: Widths,
    target: Path,
    *,
    shape: Shape,
    precision: Precision = Precision.SMALL,
    counts: graph_counts.Counts | None = None,
) -> None:
    """Writes the graph; its products are floats until `quantise.int8` has been over it.

    `weights`: Llama's arrays by the names of `LlamaModel.state_dict()`.
    `heads`, `widths`, `counts`: as in `graph_bert.build`; of the queries, keys and values only
    the queries' widths are asked for, of gate and up only the gate's.
    """
    graph = Graph(precision)
    words(graph, weights["embed_tokens.weight"])
    rotation(graph, shape)
    lengths(graph)
    half = weights["layers.0.mlp.up_proj.weight"].shape[0]
    graph.keep("halves", np.array([half, half], np.int64))
    hidden = stack(graph, weights, layers(weights), widths, shape)
    graph.node("Gather", [hidden, graph.keep("end", np.array(-1, np.int64))], "last_token", axis=1)
    pooled = single(graph, "last_token", "pooled")
    answers(graph, pooled, heads, graph_counts.add(graph, counts))
    save(graph, heads, weights["embed_tokens.weight"].shape[1], target)
