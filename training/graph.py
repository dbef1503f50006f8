"""The ONNX graph of a bundle: the encoder, its heads and its embedding as one file.

Built node by node instead of traced, because ONNX Runtime's fused kernels are what makes the
model fast on a processor: one node for attention, one for each residual with its layer norm,
one for bias and GELU. There is no mask and no token type: one mail is run at a time, unpadded.
It deliberately knows nothing about training: it takes named arrays and gives a file.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

OPSET = 17  # the first with LayerNormalization; every later ONNX Runtime reads it
FUSED = "com.microsoft"  # ONNX Runtime's own operators
ATTENTION_HEADS = 12
EPSILON = 1e-12  # BERT's layer norms
SMOOTHING = np.float32(0.7)  # how much of the inputs' outliers moves into the weights: 1 would be all
# Products that stay fp32: what GELU gives in the three lowest layers has outliers that smoothing
# alone does not take out. They cost 5 MB and a fifth of the speed, and bring the categories that
# int8 changes from 2 % under 1 %.
EXACT = ("l0_narrow_node", "l1_narrow_node", "l2_narrow_node")
Widths = dict[str, np.ndarray]  # path of a linear layer to a number for each input channel


class Graph:
    """Nodes and arrays in the making."""

    def __init__(self) -> None:
        self.nodes: list = []
        self.arrays: list = []

    def array(self, name: str, values: np.ndarray) -> str:
        self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes) -> str:
        name = f"{output}_node"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, domain=domain, **attributes))
        return output


def embed(graph: Graph, weights: dict[str, np.ndarray]) -> str:
    """Token ids [1, L] to vectors [1, L, H]; the word table is int8 with one scale a row.

    A scale of its own for each row keeps the rounding below that of the layers; the table
    shrinks from 47 to 12 MB and only the L rows that occur are turned back into floats.
    """
    table = weights["embeddings.word_embeddings.weight"]
    scale = np.abs(table).max(axis=1, keepdims=True) / 127 + 1e-12
    graph.array("word_rows", np.round(table / scale).astype(np.int8))
    graph.array("word_scales", scale.astype(np.float32))
    graph.node("Gather", ["word_rows", "input_ids"], "rows_int8")
    graph.node("Cast", ["rows_int8"], "rows", to=TensorProto.FLOAT)
    graph.node("Gather", ["word_scales", "input_ids"], "row_scales")
    graph.node("Mul", ["rows", "row_scales"], "words")

    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    graph.array("positions", positions.astype(np.float32))
    graph.array("zero", np.array([0], np.int64))
    graph.node("Shape", ["input_ids"], "length", start=1, end=2)
    graph.node("Slice", ["positions", "zero", "length", "zero"], "places")
    graph.node("Add", ["words", "places"], "placed")
    gamma = graph.array("embed_gamma", weights["embeddings.LayerNorm.weight"])
    beta = graph.array("embed_beta", weights["embeddings.LayerNorm.bias"])
    return graph.node("LayerNormalization", ["placed", gamma, beta], "layer0", epsilon=EPSILON, axis=-1)


def dense(weights: dict[str, np.ndarray], path: str) -> tuple[np.ndarray, np.ndarray]:
    """Matrix [inputs, outputs] and bias of a linear layer."""
    return weights[f"{path}.weight"].T, weights[f"{path}.bias"]


def attention(graph: Graph, weights: dict[str, np.ndarray], number: int, hidden: str, widths: Widths) -> str:
    """All heads' mixed values, [1, L, H], divided by the width of each channel."""
    path, name = f"encoder.layer.{number}.attention.", f"l{number}_"
    parts = [dense(weights, f"{path}self.{part}") for part in ("query", "key", "value")]
    after = widths[f"{path}output.dense"]
    # Mixing is linear in the values: what is divided out here needs no node of its own.
    parts[2] = parts[2][0] / after, parts[2][1] / after
    before = widths[f"{path}self.query"]
    matrix = np.concatenate([part[0] for part in parts], axis=1) * before[:, None]
    narrowed = graph.node("Mul", [hidden, graph.array(f"{name}qkv_widths", 1 / before)], f"{name}narrowed")
    bias = graph.array(f"{name}qkv_bias", np.concatenate([part[1] for part in parts]))
    inputs = [narrowed, graph.array(f"{name}qkv", matrix), bias]
    return graph.node("Attention", inputs, f"{name}mixed", FUSED, num_heads=ATTENTION_HEADS)


def residual(graph: Graph, weights: dict[str, np.ndarray], path: str, branch: str, skip: str, output: str) -> str:
    """Layer norm of the branch, its bias and what it goes round: `path` names the linear layer's parent."""
    inputs = [
        branch,
        skip,
        graph.array(f"{output}_gamma", weights[f"{path}.LayerNorm.weight"]),
        graph.array(f"{output}_beta", weights[f"{path}.LayerNorm.bias"]),
        graph.array(f"{output}_bias", weights[f"{path}.dense.bias"]),
    ]
    return graph.node("SkipLayerNormalization", inputs, output, FUSED, epsilon=EPSILON)


def layer(graph: Graph, weights: dict[str, np.ndarray], number: int, hidden: str, widths: Widths) -> str:
    """One transformer layer, [1, L, H] to [1, L, H]."""
    path, name = f"encoder.layer.{number}.", f"l{number}_"

    def product(site: str, source: str, short: str, output: str) -> str:
        matrix = dense(weights, f"{path}{site}")[0] * widths[f"{path}{site}"][:, None]
        return graph.node("MatMul", [source, graph.array(f"{name}{short}", matrix)], f"{name}{output}")

    def narrowed(site: str, source: str, output: str) -> str:
        inverse = graph.array(f"{name}{output}_widths", 1 / widths[f"{path}{site}"])
        return graph.node("Mul", [source, inverse], f"{name}{output}")

    mixed = attention(graph, weights, number, hidden, widths)
    projected = product("attention.output.dense", mixed, "out", "projected")
    attended = residual(graph, weights, f"{path}attention.output", projected, hidden, f"{name}attended")
    wide = product("intermediate.dense", narrowed("intermediate.dense", attended, "even"), "up", "wide")
    bias = graph.array(f"{name}up_bias", weights[f"{path}intermediate.dense.bias"])
    active = graph.node("BiasGelu", [wide, bias], f"{name}active", FUSED)
    narrow = product("output.dense", narrowed("output.dense", active, "level"), "down", "narrow")
    return residual(graph, weights, f"{path}output", narrow, attended, f"layer{number + 1}")


def channel_widths(largest: Widths) -> Widths:
    """How much wider than the median channel each input channel of each product is; 1 for the rest.

    Dividing the inputs by it and multiplying the matrix with it changes no product, but takes
    outliers out of the inputs, which share one scale when they become int8 (after SmoothQuant,
    Xiao et al., 2023).
    `largest`: path of a linear layer to the largest magnitude of each input channel, measured.
    """
    return {path: np.maximum(1, seen / np.median(seen)) ** SMOOTHING for path, seen in largest.items()}


def build(
    weights: dict[str, np.ndarray], heads: dict[str, tuple[np.ndarray, np.ndarray]], widths: Widths, target: Path
) -> None:
    """Writes the fp32 graph.

    `weights`: BERT's arrays by the names of the pretrained file.
    `heads`: output name to (matrix [H, n], bias [n]).
    `widths`: path of each linear layer (of the three in attention only the query's) to what its inputs are divided by.
    """
    graph = Graph()
    hidden = embed(graph, weights)
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    for number in range(layers):
        hidden = layer(graph, weights, number, hidden, widths)
    graph.node("ReduceMean", [hidden], "pooled", axes=[1], keepdims=0)
    graph.node("LpNormalization", ["pooled"], "embedding", axis=-1, p=2)
    size = weights["embeddings.word_embeddings.weight"].shape[1]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, size])]
    for name, (matrix, bias) in heads.items():
        inputs = ["pooled", graph.array(f"{name}_matrix", matrix), graph.array(f"{name}_bias", bias)]
        # Gemm, not MatMul: the heads are tiny, and quantising them would only cost accuracy.
        graph.node("Gemm", inputs, name)
        outputs.insert(-1, helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, len(bias)]))

    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "length"])
    body = helper.make_graph(graph.nodes, "triaged", [ids], outputs, graph.arrays)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
    model = helper.make_model(body, opset_imports=opsets, producer_name="triaged training", ir_version=8)
    onnx.save(model, target)


def quantise(source: Path, target: Path) -> None:
    """Turns the products of an fp32 graph into dynamic int8, all but EXACT.

    Weights get one scale a column and 7 bits (`reduce_range`): on processors with AVX2 but
    without VNNI the product of an unsigned and a signed byte is added up in 16 bits, which
    full-range weights can overflow without a word. Unsigned weights cannot, but run at half the
    speed on processors with VNNI.
    """
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul", "Attention"],
        nodes_to_exclude=list(EXACT),
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        # The fused operators are not the standard's, so no shape inference says what they give.
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
