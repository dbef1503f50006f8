"""A bundle, in the format of models/README.md; run.py packs the default one.

    python -m training.pack --golden-only --triaged target/debug/triaged --out models/default

writes golden.jsonl of a packed bundle anew and the manifest that holds its hash: for new golden
mails, or where the rendering of an odd mail was mended. The model stays as it is; where the
rendering of ordinary mail changes, it has to be trained again instead.
"""

import argparse
import datetime
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from training import HERE, tokens
from training.config import Config, Text, text_of
from training.prepare import render
from training.reader import Reader, processor, read_manifest

FORMAT = 1
RENDERING = 1  # of `triaged_core::document::RENDERING`: the text that the models here are trained on
HASHED = ("model.onnx", "tokenizer.json", "golden.jsonl", "card.md")


@dataclass(frozen=True)
class Content:
    """What a bundle is made of. `calibration`: head to what calibrate.fit found."""

    name: str
    version: str
    model: Path
    tokenizer: Path
    calibration: dict[str, dict]
    embedding_size: int
    notice: str
    card: str | None = None
    parent: str | None = None


def heads_of(asked: Config, calibration: dict[str, dict]) -> list[dict]:
    """The manifest's heads: outputs, temperatures, thresholds, labels with their keywords."""
    heads = []
    for head, labels in asked.heads.items():
        own = calibration[head].get("labels", {})
        named = [{"name": label, "keyword": keyword or None} for label, keyword in labels.items()]
        named = [label | ({"threshold": own[label["name"]]} if label["name"] in own else {}) for label in named]
        numbers = {key: calibration[head][key] for key in ("temperature", "threshold")}
        heads.append({"name": head, "output": head} | numbers | {"labels": named})
    return heads


def write_golden(folder: Path, heads: list[dict], text: Text, triaged: Path) -> None:
    """golden.jsonl: this processor, then each mail of training/golden with its text and its scores."""
    reader = Reader(folder, heads, text)
    files = sorted((HERE / "golden").glob("*.eml"))
    lines = [{"processor": processor()}]
    for file, row in zip(files, render(triaged, files), strict=True):
        mail = file.read_bytes().decode("utf-8")  # bytes, so that line ends stay as they are
        lines.append({"mail": mail, "text": row["text"], "scores": reader.scores(row["text"])})
    written = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "golden.jsonl").write_text(written, encoding="utf-8", newline="\n")


def write_manifest(folder: Path, manifest: dict) -> None:
    """manifest.json with the hashes of the files beside it; written last, and renamed into place."""
    present = [name for name in HASHED if (folder / name).is_file()]
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in present}
    waiting = folder / "manifest.json.part"
    whole = json.dumps(manifest | {"files": hashes, "signature": None}, indent=2, ensure_ascii=False)
    waiting.write_text(whole + "\n", encoding="utf-8")
    waiting.replace(folder / "manifest.json")


def manifest_of(content: Content, asked: Config) -> dict:
    """All of the manifest but what is known only when the files are written."""
    manifest = {
        "format": FORMAT,
        "name": content.name,
        "version": content.version,
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rendering": RENDERING,
        "inputs": {"ids": "input_ids"},
        "outputs": {"embedding": "embedding"},
        "heads": heads_of(asked, content.calibration),
        "embedding_size": content.embedding_size,
        "max_tokens": asked.text.most,
        "long_text": asked.text.rule,
    }
    optional = {"languages": list(asked.bundle.languages), "least_words": asked.bundle.least_words}
    return manifest | {key: value for key, value in (optional | {"parent": content.parent}).items() if value}


def pack(content: Content, asked: Config, triaged: Path, out: Path) -> None:
    """Writes the bundle into `out`; without a manifest, and so no bundle, until all of it is new."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").unlink(missing_ok=True)
    shutil.copyfile(content.model, out / "model.onnx")
    tokens.write(content.tokenizer, out / "tokenizer.json")
    (out / "NOTICE").write_text(content.notice, encoding="utf-8")
    (out / "card.md").unlink(missing_ok=True)
    if content.card is not None:
        (out / "card.md").write_text(content.card, encoding="utf-8")
    manifest = manifest_of(content, asked)
    write_golden(out, manifest["heads"], asked.text, triaged)
    write_manifest(out, manifest)


def golden_only(folder: Path, triaged: Path) -> None:
    """Writes golden.jsonl and the manifest's hashes of a packed bundle anew."""
    manifest = read_manifest(folder)
    write_golden(folder, manifest["heads"], text_of(manifest["long_text"]), triaged)
    write_manifest(folder, manifest)


def embedding_size(model: Path) -> int:
    """The length of the model's output `embedding`."""
    import onnx

    outputs = {output.name: output for output in onnx.load(model, load_external_data=False).graph.output}
    return outputs["embedding"].type.tensor_type.shape.dim[-1].dim_value


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triaged", type=Path, required=True, help="the built binary, for `triaged render`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--golden-only", action="store_true", required=True, help="what this command does")
    given = parser.parse_args()
    golden_only(given.out, given.triaged)
    print(f"{given.out}: golden.jsonl and manifest.json written anew")


if __name__ == "__main__":
    main()
