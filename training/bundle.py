"""A model bundle: its rule for long texts, its golden mails and its manifest.

The format is described in models/README.md; the daemon's loader holds to the same page.
This file needs nothing but the standard library until a model is run, so that its rules can be
tested anywhere. It deliberately trains nothing and renders nothing: the text that a model reads
comes from `triaged render` alone.
"""

import datetime
import hashlib
import json
import math
import subprocess
from pathlib import Path

FORMAT = 1
RENDERING = 1  # of `triaged_core::document::RENDERING`: the text that this model was trained on
HEAD_TOKENS = 160  # of a long text's tokens, the first kept: sender, subject, opening
TAIL_TOKENS = 96  # and the last: a deadline often stands at the end
MAX_TOKENS = HEAD_TOKENS + TAIL_TOKENS
# Features of x86-64 that choose between ONNX Runtime's int8 kernels, by Linux's names.
FEATURES = ("avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "amx_int8", "amx_bf16")


def clip(ids: list[int], head: int = HEAD_TOKENS, tail: int = TAIL_TOKENS) -> list[int]:
    """The ids that the model reads: all of them, or the first `head` and the last `tail`.

    `ids` hold the special tokens; the opening one counts towards `head`, the closing one
    towards `tail`, so a clipped text is exactly `head + tail` ids long.
    """
    return ids if len(ids) <= head + tail else ids[:head] + ids[-tail:]


def probabilities(logits: list[float], temperature: float) -> list[float]:
    """Softmax of the logits divided by the temperature."""
    scaled = [value / temperature for value in logits]
    top = max(scaled)
    powers = [math.exp(value - top) for value in scaled]
    return [power / sum(powers) for power in powers]


def render(triaged: Path, files: list[Path]) -> list[dict]:
    """What `triaged render --json` prints for these files: one object a mail, in order."""
    command = [str(triaged), "render", "--json", *map(str, files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8")
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def processor() -> dict[str, bool]:
    """Which of FEATURES this machine has; empty where Linux does not say."""
    source = Path("/proc/cpuinfo")
    if not source.exists():
        return {}
    flags = next((line for line in source.read_text().splitlines() if line.startswith("flags")), "").split()
    return {feature: feature in flags for feature in FEATURES}


class Reader:
    """The exported model as the daemon runs it: one mail a run, one thread."""

    def __init__(self, folder: Path, heads: list[dict]) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.heads = heads

    def logits(self, text: str) -> dict[str, list[float]]:
        """Head to logits, uncalibrated."""
        import numpy

        ids = numpy.array([clip(self.tokenizer.encode(text).ids)], dtype=numpy.int64)
        names = [head["output"] for head in self.heads]
        rows = self.session.run(names, {"input_ids": ids})
        return {head["name"]: row[0].tolist() for head, row in zip(self.heads, rows, strict=True)}

    def scores(self, text: str) -> dict[str, dict[str, float]]:
        """Head to label to calibrated probability, six digits."""
        found = {}
        logits = self.logits(text)
        for head in self.heads:
            names = [label["name"] for label in head["labels"]]
            values = probabilities(logits[head["name"]], head["temperature"])
            found[head["name"]] = {name: round(value, 6) for name, value in zip(names, values, strict=True)}
        return found


def write_golden(folder: Path, heads: list[dict], triaged: Path, mails: Path) -> None:
    """golden.jsonl: this processor, then each mail with its rendered text and its scores."""
    reader = Reader(folder, heads)
    files = sorted(mails.glob("*.eml"))
    rows = render(triaged, files)
    lines = [{"processor": processor()}]
    for file, row in zip(files, rows, strict=True):
        mail = file.read_bytes().decode("utf-8")  # bytes, so that line ends stay as they are
        lines.append({"mail": mail, "text": row["text"], "scores": reader.scores(row["text"])})
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "golden.jsonl").write_text(text, encoding="utf-8", newline="\n")


def write_manifest(folder: Path, heads: list[dict]) -> None:
    """manifest.json, written last: a folder without one is no bundle."""
    names = ("model.onnx", "tokenizer.json", "golden.jsonl")
    manifest = {
        "format": FORMAT,
        "name": "default",
        "version": "1",
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rendering": RENDERING,
        "inputs": {"ids": "input_ids"},
        "outputs": {"embedding": "embedding"},
        "heads": heads,
        "embedding_size": 384,
        "max_tokens": MAX_TOKENS,
        "long_text": {"rule": "head_tail", "head": HEAD_TOKENS, "tail": TAIL_TOKENS},
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
        "signature": None,
    }
    waiting = folder / "manifest.json.part"
    waiting.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    waiting.replace(folder / "manifest.json")


def write_tokenizer(source: Path, folder: Path) -> None:
    """tokenizer.json without the padding and the cut at 128 that the pretrained file asks for."""
    content = json.loads(source.read_text(encoding="utf-8"))
    content["truncation"] = content["padding"] = None
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
