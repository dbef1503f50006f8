"""The other side of the benchmark: what a Python programmer would write with onnxruntime.

Reads rendered texts from a file, one JSON string a line, and classifies them one by one with the
bundle's model and tokenizer. Loading and warming up are not timed: when it is ready it prints
"ready", waits for a line on standard input, works, and prints the seconds that took.

Run by classify.py with the Python of its virtual environment.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy
import onnxruntime
from tokenizers import Tokenizer

#: Runs before the clock starts; the first ones allocate memory.
WARM_UP = 20


class Reader:
    """A session of the bundle's model with its tokenizer."""

    def __init__(self, bundle: Path, threads: int) -> None:
        self.manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            str(bundle / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.outputs = [head["output"] for head in self.manifest["heads"]]

    def read(self, text: str) -> list[tuple[str, float]]:
        """The most probable label of each head with its probability."""
        ids = self.tokenizer.encode(text).ids
        rule = self.manifest["long_text"]
        if len(ids) > self.manifest["max_tokens"]:
            very_long = rule.get("very_long") or rule | {"tokens": len(ids)}
            head = very_long["head"] if len(ids) > very_long["tokens"] else rule["head"]
            ids = ids[:head] + ids[-rule["tail"] :]
        inputs = {self.manifest["inputs"]["ids"]: numpy.array([ids], dtype=numpy.int64)}
        rows = self.session.run(self.outputs, inputs)
        return [answer(head, row[0]) for head, row in zip(self.manifest["heads"], rows)]


def answer(head: dict, logits: numpy.ndarray) -> tuple[str, float]:
    """Label and calibrated probability: one that reaches a threshold of its own, else the largest."""
    scaled = logits / head["temperature"]
    weights = numpy.exp(scaled - scaled.max())
    chances = weights / weights.sum()
    best, most = int(chances.argmax()), 1.0
    for place, label in enumerate(head["labels"]):
        own = label.get("threshold")
        if own and chances[place] >= own and chances[place] / own >= most:
            best, most = place, chances[place] / own
    return head["labels"][best]["name"], float(chances[best])


def main() -> None:
    """Prepare, wait, work, report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--part", type=int, default=0, help="which of the texts: every n-th")
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--answers", type=Path, help="write the answers there, one JSON a line")
    args = parser.parse_args()
    lines = args.texts.read_text(encoding="utf-8").split("\n")
    texts = [json.loads(line) for line in lines if line][args.part :: args.parts]
    reader = Reader(args.bundle, args.threads)
    for text in texts[:WARM_UP]:
        reader.read(text)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    answers = [reader.read(text) for text in texts]
    print(time.perf_counter() - started, flush=True)
    if args.answers:
        rows = "".join(json.dumps(row) + "\n" for row in answers)
        args.answers.write_text(rows, encoding="utf-8")


if __name__ == "__main__":
    main()
