"""A served bundle as the base of the next training: int8 back to the names of the net's state.

`triaged retrain` starts from the model that is served, so no fp32 weights have to be shipped. It
reads the graph that `graph_bert.py` builds and `quantise.py` packs, by the names that they give;
a bundle made by other means is refused. What int8 rounded away stays lost: the net gives the
bundle's answers within the noise of int8. It deliberately runs no model and trains nothing.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from training.graph import Arrays
from training.graph_counts import Counts


class BaseError(Exception):
    """Why a bundle can not be the base; for people."""


@dataclass(frozen=True)
class Base:
    """A bundle's model as a net can take it up.

    `state`: names of `Net.state_dict()` to fp32 arrays. `shape`: what `BertConfig` has to be told.
    `labels`: head to its labels in the order of the logits. `counts`: as the bundle has them.
    """

    state: Arrays
    shape: dict[str, int]
    labels: dict[str, list[str]]
    manifest: dict
    counts: Counts | None


def from_bundle(folder: Path) -> Base:
    """The base in the bundle's folder; BaseError says why it can not be one."""
    manifest = read_manifest(folder / "manifest.json")
    file = folder / "model.onnx"
    try:
        graph = onnx.load(file).graph
    except (OSError, ValueError) as error:
        raise BaseError(f"{file}: {type(error).__name__}; not an ONNX file that can be read") from None
    except Exception as error:  # protobuf's own error is not part of its interface
        raise BaseError(f"{file}: {type(error).__name__}; not an ONNX file") from None
    arrays = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    if "l0_qkv_bias" not in arrays or ("word_rows" not in arrays and "word_table" not in arrays):
        raise BaseError(f"{file}: was not made by this package's encoder; train a model of your own from its weights")
    state, labels = encoder(arrays), {}
    for head in manifest["heads"]:
        labels[head["name"]] = [label["name"] for label in head["labels"]]
        name, output = f"heads.{head['name']}", head["output"]
        state |= {f"{name}.weight": matrix(arrays, f"{output}_matrix").T, f"{name}.bias": arrays[f"{output}_bias"]}
    state = {name: np.array(values, np.float32, order="C") for name, values in state.items()}
    return Base(state, shape_of(state, attention_heads(graph)), labels, manifest, counts_of(arrays, manifest))


def read_manifest(path: Path) -> dict:
    """The manifest, with the keys that this file reads."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BaseError(f"{path}: {type(error).__name__}; the base has to be a whole bundle") from None
    if manifest.get("format") != 1:
        raise BaseError(f"{path}: format {manifest.get('format')!r}; this program reads format 1")
    return manifest


def matrix(arrays: Arrays, name: str) -> np.ndarray:
    """The matrix [inputs, outputs] of a product, from int8 where it was quantised."""
    if name in arrays:
        return arrays[name]
    scale = np.asarray(arrays[f"{name}_scale"], np.float32)
    zero = np.asarray(arrays[f"{name}_zero_point"], np.float32)
    return (arrays[f"{name}_quantized"].astype(np.float32) - zero) * scale


def read(arrays: Arrays, name: str, widths: str) -> np.ndarray:
    """The matrix of a product whose inputs the graph divides by widths: here without them."""
    found = matrix(arrays, name)
    if widths in arrays:
        found = found * arrays[widths][:, None]  # the graph keeps 1 / width
    if f"{name}_places" in arrays:  # channels that never became int8
        found[arrays[f"{name}_places"]] = arrays[f"{name}_rows"]
    return found


def encoder(arrays: Arrays) -> Arrays:
    """Names of `BertModel.state_dict()`, after "encoder.", to arrays.

    The widths of what attention mixes are in two matrices, and cancel; they stay there.
    """
    found = {
        "embeddings.word_embeddings.weight": word_table(arrays),
        "embeddings.position_embeddings.weight": arrays["positions"],
        # The graph has added the first token type to the places; the other is never used.
        "embeddings.token_type_embeddings.weight": np.zeros((2, arrays["positions"].shape[1])),
        "embeddings.LayerNorm.weight": arrays["embed_gamma"],
        "embeddings.LayerNorm.bias": arrays["embed_beta"],
    }
    number = 0
    while f"l{number}_qkv_bias" in arrays:
        found |= {f"encoder.layer.{number}.{name}": values for name, values in layer(arrays, number).items()}
        number += 1
    return {f"encoder.{name}": values for name, values in found.items()}


def word_table(arrays: Arrays) -> np.ndarray:
    """The vectors of the word pieces, [V, H]."""
    if "word_table" in arrays:
        return arrays["word_table"]
    return arrays["word_rows"].astype(np.float32) * arrays["word_scales"]


def layer(arrays: Arrays, number: int) -> Arrays:
    """One layer's arrays by BERT's names."""
    name = f"l{number}_"
    parts = np.split(read(arrays, f"{name}qkv", f"{name}qkv_widths"), 3, axis=1)
    biases = np.split(arrays[f"{name}qkv_bias"], 3)
    found: Arrays = {}
    for part, weight, bias in zip(("query", "key", "value"), parts, biases, strict=True):
        found |= {f"attention.self.{part}.weight": weight.T, f"attention.self.{part}.bias": bias}
    attended, output = f"{name}attended", f"layer{number + 1}"
    found |= {
        "attention.output.dense.weight": matrix(arrays, f"{name}out").T,
        "attention.output.dense.bias": arrays[f"{attended}_bias"],
        "attention.output.LayerNorm.weight": arrays[f"{attended}_gamma"],
        "attention.output.LayerNorm.bias": arrays[f"{attended}_beta"],
        "intermediate.dense.weight": read(arrays, f"{name}up", f"{name}even_widths").T,
        "intermediate.dense.bias": arrays[f"{name}up_bias"],
        "output.dense.weight": read(arrays, f"{name}down", f"{name}level_widths").T,
        "output.dense.bias": arrays[f"{output}_bias"],
        "output.LayerNorm.weight": arrays[f"{output}_gamma"],
        "output.LayerNorm.bias": arrays[f"{output}_beta"],
    }
    return found


def attention_heads(graph: onnx.GraphProto) -> int:
    """How many heads the attention has."""
    nodes = (node for node in graph.node if node.op_type in ("Attention", "QAttention"))
    return next(attribute.i for node in nodes for attribute in node.attribute if attribute.name == "num_heads")


def shape_of(state: Arrays, heads: int) -> dict[str, int]:
    """The arguments of `BertConfig` that these arrays are for."""
    words, places = (state[f"encoder.embeddings.{kind}_embeddings.weight"] for kind in ("word", "position"))
    layers = sum(name.endswith(".attention.self.query.weight") for name in state)
    return {
        "vocab_size": len(words),
        "hidden_size": words.shape[1],
        "max_position_embeddings": len(places),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": len(state["encoder.encoder.layer.0.intermediate.dense.bias"]),
    }


def counts_of(arrays: Arrays, manifest: dict) -> Counts | None:
    """The word counts as the file keeps them, or None where it has none."""
    if "counts_rows" not in arrays:
        return None
    sizes = arrays["counts_sizes"].tolist()
    # A head that a retraining added has no counts; it comes after those that have.
    names = [head["name"] for head in manifest["heads"]][: len(sizes)]
    starts = np.cumsum([0, *sizes[:-1]])
    factors = {name: float(arrays["counts_factors"][start]) for name, start in zip(names, starts, strict=True)}
    labels = dict(zip(names, sizes, strict=True))
    kept = (arrays[f"counts_{part}"] for part in ("rows", "row_scales", "idf"))
    return Counts(*kept, arrays["counts_bias"][0], factors, labels, int(arrays["counts_buckets"]))
