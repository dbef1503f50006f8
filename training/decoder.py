"""A decoder of the Llama architecture as the base of a model: SmolLM2 and the like, from a local folder.

The mail's vector is the last token's after the last norm, since only it has seen all of the mail.
So every mail gets a token that ends it, also an empty one. In training, mails of a batch are
padded at their right: with causal attention what comes behind a mail's end can not change it. In
service one mail is run at a time and nothing is padded. No text is generated.
"""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.processors import Sequence, TemplateProcessing

from training import lora

FILES = ("config.json", "model.safetensors", "tokenizer.json")
HEAD_SIZE_STEP = 16  # ONNX Runtime's grouped attention takes head sizes in steps of this
FIXED_ROTATIONS = ("default", "linear", "llama3", "yarn")  # those that do not depend on the text's length


class DecoderError(Exception):
    """Why a folder's decoder can not be the base; for people."""


def check(config, where: str) -> None:
    """Refuses what the exported graph has no nodes for. `config`: a `LlamaConfig`."""
    if config.model_type != "llama":
        raise DecoderError(f"{where}: model_type is {config.model_type!r}; a decoder has to be of the kind 'llama'")
    if config.attention_bias or config.mlp_bias:
        raise DecoderError(f"{where}: attention_bias and mlp_bias have to be false")
    if config.hidden_act != "silu":
        raise DecoderError(f"{where}: hidden_act is {config.hidden_act!r}; it has to be 'silu'")
    size = config.head_dim
    if size % HEAD_SIZE_STEP:
        raise DecoderError(f"{where}: a head's size is {size}; it has to be a multiple of {HEAD_SIZE_STEP}")
    kind = (config.rope_parameters or {}).get("rope_type", "default")
    if kind not in FIXED_ROTATIONS:
        raise DecoderError(f"{where}: rope_type is {kind!r}; it has to be one of {', '.join(FIXED_ROTATIONS)}")


def load(folder: Path, *, four_bit: bool = False):
    """The `LlamaModel` in `folder`, in fp32, or with its layers in 4 bits on a graphics card."""
    from transformers import AutoConfig, LlamaModel

    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise DecoderError(f"{folder}: lacks {', '.join(missing)}; base.weights has to name a folder that has them")
    check(AutoConfig.from_pretrained(folder), str(folder / "config.json"))
    if four_bit:
        return LlamaModel.from_pretrained(folder, quantization_config=lora.four_bit_config())
    return LlamaModel.from_pretrained(folder, dtype=torch.float32)


def last_token(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Of hidden states [B, L, H] those of each mail's last token, [B, H]; `mask` [B, L] is 0 where padded."""
    last = mask.long().sum(1) - 1
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


def tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in `folder`, neither cutting nor padding, with the token that ends every mail."""
    found = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found.no_padding()
    found.no_truncation()
    end, number = end_token(folder, found)
    if found.encode("a").ids[-1:] != [number]:
        closing = TemplateProcessing(single=f"$A {end}", special_tokens=[(end, number)])
        found.post_processor = Sequence([found.post_processor, closing]) if found.post_processor else closing
    if found.encode("").ids[-1:] != [number]:
        raise DecoderError(f"{folder / 'tokenizer.json'}: its post-processor drops the end token {end!r}")
    return found


def end_token(folder: Path, found: Tokenizer) -> tuple[str, int]:
    """Text and id of the token that ends a text, from config.json's `eos_token_id`."""
    number = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("eos_token_id")
    number = number[0] if isinstance(number, list) and number else number
    end = found.id_to_token(number) if isinstance(number, int) else None
    if end is None:
        raise DecoderError(f"{folder / 'config.json'}: eos_token_id names no token of tokenizer.json")
    return end, number
