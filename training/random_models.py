"""Tiny random models in folders of the form that pretrained ones have; only smoke.py wants them."""

from pathlib import Path

WORDS, HIDDEN, LAYERS, PARTS = 800, 32, 2, 4  # word pieces, size of a vector, layers, attention heads
END = "<end>"


def encoder(folder: Path, mails: list[Path]) -> None:
    """A random BERT with a word-piece tokenizer learnt from these files."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from tokenizers.processors import BertProcessing
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    folder.mkdir()
    tokenizer = BertWordPieceTokenizer()
    tokenizer.train([str(file) for file in mails], vocab_size=WORDS, show_progress=False)
    opened, closed = ((word, tokenizer.token_to_id(word)) for word in ("[CLS]", "[SEP]"))
    tokenizer.post_processor = BertProcessing(closed, opened)
    tokenizer.enable_truncation(128)  # as a pretrained one comes; the bundle's must not
    tokenizer.save(str(folder / "tokenizer.json"))
    shape = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=PARTS,
        intermediate_size=2 * HIDDEN,
    )
    BertModel(shape, add_pooling_layer=False).save_pretrained(folder)


def decoder(folder: Path, mails: list[Path]) -> None:
    """A random Llama with grouped attention heads and a byte-level tokenizer learnt from these files."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(1)
    folder.mkdir()
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train([str(file) for file in mails], vocab_size=WORDS, special_tokens=[END], show_progress=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    shape = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=PARTS,
        num_key_value_heads=PARTS // 2,
        intermediate_size=4 * HIDDEN,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
    )
    LlamaModel(shape).save_pretrained(folder)
