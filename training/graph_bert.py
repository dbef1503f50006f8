"""The ONNX graph of a BERT encoder with mean pooling: one node for attention, one for bias and
GELU, and for each residual one with its layer norm, or two on processors.

There is no mask and no token type: one mail is run at a time, unpadded. It deliberately knows
nothing about training: it takes named arrays and gives a file.
"""

from pathlib import Path

import numpy as np

from training import graph_counts
from training.graph import FUSED, Arrays, Graph, Heads, Precision, Widths, answers, save, single, words

EPSILON = 1e-12  # BERT's layer norms
APART = "_apart"  # how the outputs of products end that are never to be quantised
BEHIND_GELU = ".output.dense"  # how the paths end of what can have channels apart ...
ATTENTION = ".attention.output.dense"  # ... unless they end so


def embed(graph: Graph, weights: Arrays) -> str:
    """Token ids [1, L] to vectors [1, L, H], with the places of the words in them."""
    found = words(graph, weights["embeddings.word_embeddings.weight"])
    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    graph.array("positions", positions)
    graph.keep("zero", np.array([0], np.int64))
    graph.node("Shape", ["input_ids"], "length", start=1, end=2)
    graph.node("Slice", ["positions", "zero", "length", "zero"], "places")
    graph.node("Add", [found, "places"], "placed")
    gamma = graph.array("embed_gamma", weights["embeddings.LayerNorm.weight"])
    beta = graph.array("embed_beta", weights["embeddings.LayerNorm.bias"])
    return graph.node("LayerNormalization", ["placed", gamma, beta], "layer0", epsilon=EPSILON, axis=-1)


def dense(weights: Arrays, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Matrix [inputs, outputs] and bias of a linear layer."""
    return weights[f"{path}.weight"].T, weights[f"{path}.bias"]


def narrowed(graph: Graph, source: str, output: str, name: str, width: np.ndarray | None) -> str:
    """`source` with each channel divided by its width, so 0 where that is infinite; `name` is the array's."""
    if width is None:
        return source
    return graph.node("Mul", [source, graph.array(name, 1 / width)], output)


def widened(matrix: np.ndarray, width: np.ndarray | None) -> np.ndarray:
    """The matrix [inputs, outputs] for inputs that `narrowed` has divided."""
    if width is None:
        return matrix
    return matrix * np.where(np.isinf(width), 0, width)[:, None]


def apart(graph: Graph, source: str, matrix: np.ndarray, width: np.ndarray | None, name: str) -> list[str]:
    """What the channels of infinite width add to the product: they stay floats. Nothing where there are none."""
    if width is None or not np.isinf(width).any():
        return []
    places = np.flatnonzero(np.isinf(width))
    picked = graph.node("Gather", [source, graph.keep(f"{name}_places", places)], f"{name}_picked", axis=2)
    return [graph.node("MatMul", [picked, graph.array(f"{name}_rows", matrix[places])], f"{name}{APART}")]


def attention(graph: Graph, weights: Arrays, number: int, hidden: str, widths: Widths, heads: int) -> str:
    """All heads' mixed values, [1, L, H], divided by the width of each channel."""
    path, name = f"encoder.layer.{number}.attention.", f"l{number}_"
    parts = [dense(weights, f"{path}self.{part}") for part in ("query", "key", "value")]
    after = widths.get(f"{path}output.dense")
    if after is not None:
        # Mixing is linear in the values: what is divided out here needs no node of its own.
        parts[2] = parts[2][0] / after, parts[2][1] / after
    before = widths.get(f"{path}self.query")
    matrix = np.concatenate([part[0] for part in parts], axis=1)
    matrix = widened(matrix, before)
    source = narrowed(graph, hidden, f"{name}narrowed", f"{name}qkv_widths", before)
    bias = graph.array(f"{name}qkv_bias", np.concatenate([part[1] for part in parts]))
    inputs = [source, graph.array(f"{name}qkv", matrix), bias]
    return graph.node("Attention", inputs, f"{name}mixed", FUSED, num_heads=heads)


def residual(graph: Graph, weights: Arrays, path: str, branches: list[str], output: str) -> str:
    """Layer norm of the branches' sum and of the linear layer's bias; `path` names that layer's parent."""
    bias = graph.array(f"{output}_bias", weights[f"{path}.dense.bias"])
    gamma = graph.array(f"{output}_gamma", weights[f"{path}.LayerNorm.weight"])
    beta = graph.array(f"{output}_beta", weights[f"{path}.LayerNorm.bias"])
    if graph.precision is not Precision.SMALL:
        branch, skip = branches
        inputs = [branch, skip, gamma, beta, bias]
        return graph.node("SkipLayerNormalization", inputs, output, FUSED, epsilon=EPSILON)
    # ONNX Runtime's kernel of that node for processors takes several times as long as these two do.
    # Sum, because it would fuse an Add with the norm into that node again.
    total = graph.node("Sum", [*branches, bias], f"{output}_sum")
    return graph.node("LayerNormalization", [total, gamma, beta], output, epsilon=EPSILON, axis=-1)


def layer(graph: Graph, weights: Arrays, number: int, hidden: str, widths: Widths, heads: int) -> str:
    """One transformer layer, [1, L, H] to [1, L, H]."""
    path, name = f"encoder.layer.{number}.", f"l{number}_"

    def product(site: str, source: str, short: str, output: str) -> str:
        matrix = widened(dense(weights, f"{path}{site}")[0], widths.get(f"{path}{site}"))
        return graph.node("MatMul", [source, graph.array(f"{name}{short}", matrix)], f"{name}{output}")

    def narrow(site: str, source: str, output: str) -> str:
        return narrowed(graph, source, f"{name}{output}", f"{name}{output}_widths", widths.get(f"{path}{site}"))

    mixed = attention(graph, weights, number, hidden, widths, heads)
    projected = product("attention.output.dense", mixed, "out", "projected")
    attended = residual(graph, weights, f"{path}attention.output", [projected, hidden], f"{name}attended")
    wide = product("intermediate.dense", narrow("intermediate.dense", attended, "even"), "up", "wide")
    bias = graph.array(f"{name}up_bias", weights[f"{path}intermediate.dense.bias"])
    active = graph.node("BiasGelu", [wide, bias], f"{name}active", FUSED)
    narrow_again = product("output.dense", narrow("output.dense", active, "level"), "down", "narrow")
    down, width = dense(weights, f"{path}output.dense")[0], widths.get(f"{path}output.dense")
    branches = [narrow_again, attended, *apart(graph, active, down, width, f"{name}down")]
    return residual(graph, weights, f"{path}output", branches, f"layer{number + 1}")


def layers(weights: Arrays) -> int:
    """How many transformer layers the arrays hold."""
    return 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))


def build(
    weights: Arrays,
    heads: Heads,
    widths: Widths,
    target: Path,
    *,
    attention_heads: int,
    precision: Precision = Precision.SMALL,
    counts: graph_counts.Counts | None = None,
) -> None:
    """Writes the graph; its products are floats until `quantise.int8` has been over it.

    `weights`: BERT's arrays by the names of `BertModel.state_dict()`.
    `heads`: output name to (matrix [H, n], bias [n]).
    `widths`: path of a linear layer (of the three in attention only the query's) to what its
    inputs are divided by; a layer that is not named is left as it is. Behind GELU a width may be
    infinite: such a channel has a product in floats of its own.
    """
    graph = Graph(precision)
    hidden = embed(graph, weights)
    for number in range(layers(weights)):
        hidden = layer(graph, weights, number, hidden, widths, attention_heads)
    pooled = graph.node("ReduceMean", [single(graph, hidden, "last")], "pooled", axes=[1], keepdims=0)
    answers(graph, pooled, heads, graph_counts.add(graph, counts))
    save(graph, heads, weights["embeddings.word_embeddings.weight"].shape[1], target)
