"""Tiny random models for the tests: an encoder, and a folder with a decoder and its tokenizer."""

import json
from pathlib import Path

import torch
from tokenizers import BertWordPieceTokenizer, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel

from training import decoder

DATA = Path(__file__).resolve().parents[1] / "data"
LABELS = {"mood": ["bad", "good"], "topic": ["money", "travel", "garden"]}
VOCABULARY, HIDDEN = 400, 64
END = "<|endoftext|>"


class Net(nn.Module):
    """An encoder or decoder with heads, as `training.net` has them, without anything that trains."""

    def __init__(self, encoder: nn.Module, labels: dict[str, list[str]] = LABELS) -> None:
        super().__init__()
        self.encoder = encoder
        size = encoder.config.hidden_size
        self.heads = nn.ModuleDict({head: nn.Linear(size, len(names)) for head, names in labels.items()})

    def pooled(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        if isinstance(self.encoder, LlamaModel):
            return decoder.last_token(hidden, mask)
        return (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        pooled = self.pooled(ids, mask)
        return {head: layer(pooled) for head, layer in self.heads.items()}


def lively(model: nn.Module) -> nn.Module:
    """The model with larger random weights than fresh ones have, so that its outputs differ by mail."""
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.mul_(4) if tensor.dim() > 1 else tensor.add_(torch.rand_like(tensor) / 2)
    return model.eval()


def encoder_net(seed: int = 0) -> Net:
    """A BERT of two layers with heads."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
    )
    return Net(lively(BertModel(config, add_pooling_layer=False))).eval()


def write_decoder(folder: Path, seed: int = 0) -> None:
    """config.json, model.safetensors and tokenizer.json of a Llama of two layers with grouped heads."""
    torch.manual_seed(seed)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    lines = (DATA / "plain_everyday.jsonl").read_text(encoding="utf-8").split("\n")
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator((json.loads(line)["body"] for line in lines if line), trainer)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=HIDDEN,
        intermediate_size=112,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=0,
    )
    lively(LlamaModel(config)).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def mails(count: int = 8, longest: int = 60) -> list[list[int]]:
    """Random ids of `count` mails, the first of one id and the last of `longest`."""
    generator = torch.Generator().manual_seed(1)
    lengths = [1 + place * (longest - 1) // (count - 1) for place in range(count)]
    return [torch.randint(1, 300, (length,), generator=generator).tolist() for length in lengths]


def write_words(target: Path) -> None:
    """A word-piece tokenizer learnt from the committed mails, with BERT's special tokens."""
    tokenizer = BertWordPieceTokenizer()
    lines = (DATA / "plain_everyday.jsonl").read_text(encoding="utf-8").split("\n")
    tokenizer.train_from_iterator(
        (json.loads(line)["body"] for line in lines if line), vocab_size=VOCABULARY, show_progress=False
    )
    tokenizer.save(str(target))
