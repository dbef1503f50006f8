"""From a text to the token ids that the model reads, in training and in service.

The daemon holds to the same rule (models/README.md, long texts); a test compares both.
"""

import json
from pathlib import Path

from training.config import Config, Text


def clip(ids: list[int], text: Text) -> list[int]:
    """The ids that the model reads: all of them, or the first and the last ones (`Text` says how many).

    `ids` hold the special tokens; the opening one counts towards `head`, the closing one towards
    `tail`, so a clipped text is exactly `head + tail` ids long, a very long one shorter.
    """
    if len(ids) <= text.most:
        return ids
    head = text.very_long_head if text.very_long and len(ids) > text.very_long else text.head
    return ids[:head] + ids[-text.tail :]


def load(file: Path):
    """The tokenizer of a tokenizer.json, set neither to cut nor to pad."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def of_base(asked: Config):
    """The tokenizer of the pretrained weights; a decoder's ends every mail with a token."""
    folder = Path(asked.base.weights)
    if asked.base.kind == "decoder":
        from training import decoder

        return decoder.tokenizer(folder)
    return load(folder / "tokenizer.json")


def write(source: Path, target: Path) -> None:
    """Copies a tokenizer.json without the cut and the padding that a pretrained one asks for."""
    content = json.loads(source.read_text(encoding="utf-8"))
    content["truncation"] = content["padding"] = None
    target.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
