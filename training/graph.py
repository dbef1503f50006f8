"""What every ONNX graph of a bundle has in common: nodes and arrays, word table, heads, file.

Graphs are built node by node instead of traced, because ONNX Runtime's fused kernels are what
makes a small model fast on a processor. One mail is run at a time, unpadded, so no graph has a
mask. The encoder's own nodes are in `graph_bert.py`, the decoder's in `graph_llama.py`, the word
counts' in `graph_counts.py`. Nothing here knows about training or PyTorch: named arrays go in, a
file comes out.
"""

from collections import Counter
from enum import StrEnum
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17  # the first with LayerNormalization; every later ONNX Runtime reads it
FUSED = "com.microsoft"  # ONNX Runtime's own operators
LARGEST_FILE = 2**31 - 2**20  # of a protocol buffer, in bytes, less room for the nodes
Arrays = dict[str, np.ndarray]
Widths = dict[str, np.ndarray]  # path of a linear layer to a number for each input channel
Heads = dict[str, tuple[np.ndarray, np.ndarray]]  # head to matrix [H, n] and bias [n]


class Precision(StrEnum):
    """How the numbers of a file are kept."""

    SMALL = "int8"  # for processors: word table int8, products still to be quantised
    HALF = "fp16"  # for graphics cards
    EXACT = "fp32"  # the reference; for graphics cards, too


class Graph:
    """Nodes and arrays in the making."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: list[onnx.TensorProto] = []

    def array(self, name: str, values: np.ndarray) -> str:
        """Keeps numbers for the encoder's own work: half of them in size where the file is fp16."""
        if values.dtype.kind == "f":
            values = values.astype(np.float16 if self.precision is Precision.HALF else np.float32)
        return self.keep(name, values)

    def keep(self, name: str, values: np.ndarray) -> str:
        """Keeps an array just as it is."""
        self.arrays.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes) -> str:
        """One node with one output; a node's name is its output's with `_node` behind."""
        return self.nodes_outputs(operator, inputs, [output], domain, **attributes)[0]

    def nodes_outputs(
        self, operator: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes
    ) -> list[str]:
        """One node with several outputs, "" for one that nobody wants; named after the first named one."""
        name = f"{next(output for output in outputs if output)}_node"
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs


def words(graph: Graph, table: np.ndarray) -> str:
    """Token ids [1, L] to vectors [1, L, H].

    For processors the table is int8 with one scale a row. A scale of its own for each row keeps
    the rounding below that of the layers; MiniLM's table shrinks from 47 to 12 MB and only the L
    rows that occur are turned back into floats.
    """
    if graph.precision is not Precision.SMALL:
        return graph.node("Gather", [graph.array("word_table", table), "input_ids"], "words")
    scale = np.abs(table).max(axis=1, keepdims=True) / 127 + 1e-12
    graph.keep("word_rows", np.round(table / scale).astype(np.int8))
    graph.keep("word_scales", scale.astype(np.float32))
    graph.node("Gather", ["word_rows", "input_ids"], "rows_int8")
    graph.node("Cast", ["rows_int8"], "rows", to=TensorProto.FLOAT)
    graph.node("Gather", ["word_scales", "input_ids"], "row_scales")
    return graph.node("Mul", ["rows", "row_scales"], "words")


def answers(graph: Graph, pooled: str, heads: Heads, added: dict[str, str]) -> None:
    """The outputs: each head's logits [1, n], and the pooled vector [1, H] at length 1.

    Always fp32: the heads are tiny. `pooled`: fp32 [1, H]. `added`: head to what is added to its logits.
    """
    graph.node("LpNormalization", [pooled], "embedding", axis=-1, p=2)
    for name, (matrix, bias) in heads.items():
        inputs = [
            pooled,
            graph.keep(f"{name}_matrix", matrix.astype(np.float32)),
            graph.keep(f"{name}_bias", bias.astype(np.float32)),
        ]
        if name in added:
            graph.node("Add", [graph.node("Gemm", inputs, f"{name}_read"), added[name]], name)
        else:
            graph.node("Gemm", inputs, name)


def single(graph: Graph, source: str, output: str) -> str:
    """`source` as fp32."""
    if graph.precision is not Precision.HALF:
        return source
    return graph.node("Cast", [source], output, to=TensorProto.FLOAT)


def save(graph: Graph, heads: Heads, size: int, target: Path) -> None:
    """Writes the file: input `input_ids` int64 [1, L], outputs each head's logits and `embedding` [1, size]."""
    made = Counter(output for node in graph.nodes for output in node.output)
    made.update([array.name for array in graph.arrays] + ["input_ids"])
    if clash := next((name for name in heads if made[name] > 1), None):
        raise ValueError(f"a head can not be named {clash!r}: the graph uses this name itself")
    bytes_needed = sum(len(array.raw_data) for array in graph.arrays)
    if bytes_needed > LARGEST_FILE:
        raise ValueError(
            f"the graph's arrays take {bytes_needed / 1e9:.1f} GB, and one ONNX file holds 2; take a smaller base model"
        )
    shapes = {name: len(bias) for name, (_, bias) in heads.items()} | {"embedding": size}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count]) for name, count in shapes.items()]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "length"])
    body = helper.make_graph(graph.nodes, "triaged", [ids], outputs, graph.arrays)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
    model = helper.make_model(body, opset_imports=opsets, producer_name="triaged training", ir_version=8)
    onnx.save(model, target)
