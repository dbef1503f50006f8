"""A packed model run as the daemon runs it: one mail at a time, on one thread.

Needs nothing but the standard library until a model is run. It deliberately renders nothing: the
texts come from `triaged render`.
"""

import json
import math
from pathlib import Path

from training import tokens
from training.config import Text, text_of

# Features of x86-64 that choose between ONNX Runtime's int8 kernels, by Linux's names.
FEATURES = ("avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "amx_int8", "amx_bf16")


def processor() -> dict[str, bool]:
    """Which of FEATURES this machine has; empty where Linux does not say."""
    source = Path("/proc/cpuinfo")
    if not source.exists():
        return {}
    flags = next((line for line in source.read_text().splitlines() if line.startswith("flags")), "").split()
    return {feature: feature in flags for feature in FEATURES}


def probabilities(logits: list[float], temperature: float) -> list[float]:
    """Softmax of the logits divided by the temperature."""
    top = max(logits)
    powers = [math.exp((value - top) / temperature) for value in logits]
    return [power / sum(powers) for power in powers]


def read_manifest(folder: Path) -> dict:
    """The manifest of a bundle; SystemExit says that a folder is none."""
    file = folder / "manifest.json"
    if not file.is_file():
        raise SystemExit(f"{folder}: no bundle, manifest.json is missing; `python -m training.run` makes one")
    return json.loads(file.read_text(encoding="utf-8"))


class Reader:
    """The model of a folder, with the heads of a manifest."""

    def __init__(self, folder: Path, heads: list[dict], text: Text) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.tokenizer = tokens.load(folder / "tokenizer.json")
        self.heads = heads
        self.text = text

    def logits(self, text: str) -> dict[str, list[float]]:
        """Head to logits, uncalibrated."""
        import numpy

        ids = numpy.array([tokens.clip(self.tokenizer.encode(text).ids, self.text)], dtype=numpy.int64)
        rows = self.session.run([head["output"] for head in self.heads], {"input_ids": ids})
        return {head["name"]: row[0].tolist() for head, row in zip(self.heads, rows, strict=True)}

    def scores(self, text: str) -> dict[str, dict[str, float]]:
        """Head to label to calibrated probability, six digits."""
        found, logits = {}, self.logits(text)
        for head in self.heads:
            values = probabilities(logits[head["name"]], head["temperature"])
            names = [label["name"] for label in head["labels"]]
            found[head["name"]] = {name: round(value, 6) for name, value in zip(names, values, strict=True)}
        return found


def of_bundle(folder: Path) -> Reader:
    """The reader of a packed bundle, by its own manifest."""
    manifest = read_manifest(folder)
    return Reader(folder, manifest["heads"], text_of(manifest["long_text"]))
