"""Step: a trained net as one ONNX file.

    python -m training.export --work WORK --precision fp16 --triaged target/debug/triaged --out FOLDER

makes the bundle of a finished run anew for graphics cards, where int8 buys nothing. `int8` is what
the daemon serves on processors, and what run.py packs; `fp32` is also what the others are held
against. Outputs: the logits of each head, `embedding` at length 1; input: the ids of one mail. It
deliberately neither trains nor calibrates.
"""

import argparse
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from training import HERE, config, graph_bert, graph_llama, quantise
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


def check_encoder(shape) -> None:
    """Refuses what the encoder's graph has no nodes for. `shape`: a `BertConfig`."""
    if shape.hidden_act != "gelu" or shape.layer_norm_eps != graph_bert.EPSILON:
        raise ValueError(
            f"the encoder's config.json: hidden_act has to be 'gelu' and layer_norm_eps {graph_bert.EPSILON}, "
            f"not {shape.hidden_act!r} and {shape.layer_norm_eps}"
        )


def llama_shape(net) -> graph_llama.Shape:
    """What the decoder's graph has to know beside the arrays."""
    shape, rotary = net.encoder.config, net.encoder.rotary_emb
    return graph_llama.Shape(
        query_heads=shape.num_attention_heads,
        key_heads=shape.num_key_value_heads,
        epsilon=shape.rms_norm_eps,
        frequencies=single(rotary.inv_freq).astype(np.float64),
        scaling=float(rotary.attention_scaling),
        places=min(shape.max_position_embeddings, MOST_PLACES),
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


MAKERS = {Precision.HALF: fp16, Precision.EXACT: fp32}


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


def bundle(work: Path, precision: Precision, triaged: Path, out: Path, asked) -> None:
    """A bundle for graphics cards from what run.py left in `work`: another model.onnx, else the same."""
    from training import nets, pack, tokens, weights, wordcounts

    shares, calibration = nets.shipped(asked), work / "calibration.json"
    states = [work / name / "state.safetensors" for name in shares]
    missing = [str(file) for file in (*states, calibration) if not file.is_file()]
    if missing:
        raise SystemExit(f"{', '.join(missing)} is missing; `python -m training.run --work {work}` makes it")
    folder = weights.pretrained(asked.base, work / "weights")
    asked = dataclasses.replace(asked, base=dataclasses.replace(asked.base, weights=str(folder)))
    made = nets.load(asked, work, shares)
    made.counts = wordcounts.of_run(work)
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        tokenizer = Path(scratch) / "tokenizer.json"
        tokens.of_base(asked).save(str(tokenizer))
        content = pack.Content(
            name=f"{asked.bundle.name}-{precision}",
            version=asked.bundle.version,
            model=MAKERS[precision](made, Path(scratch)),
            tokenizer=tokenizer,
            calibration=json.loads(calibration.read_text(encoding="utf-8")),
            embedding_size=pack.embedding_size(Path(scratch) / "model.onnx"),
            notice=(HERE / "NOTICE").read_text(encoding="utf-8"),
            card=(work / "card.md").read_text(encoding="utf-8") if (work / "card.md").is_file() else None,
        )
        pack.pack(content, asked, triaged, out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--precision", type=Precision, choices=list(MAKERS), required=True)
    parser.add_argument("--triaged", type=Path, required=True, help="the built binary, for `triaged render`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--config", type=Path, default=config.DEFAULT)
    given = parser.parse_args()
    bundle(given.work, given.precision, given.triaged, given.out, config.read(given.config))
    print(f"{given.out}: packed in {given.precision}")


if __name__ == "__main__":
    main()
