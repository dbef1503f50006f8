"""The net: an encoder or decoder, one vector a mail, and one linear layer a head.

An encoder's vector is the mean over the mail's tokens, a decoder's is that of its last token. It
deliberately knows nothing of losses and files of mails; `train.py` trains it, `export.py` writes it.
"""

from pathlib import Path

import torch
from torch import nn
from transformers import AutoModel, BertConfig, BertModel

from training import attention, decoder, graph_counts
from training.base import Base
from training.config import Config
from training.graph_counts import Counts

Labels = dict[str, list[str]]


class MailDropout(nn.Module):
    """Dropout whose mask is one for all tokens of a mail.

    Drawing a number for every element would take a third of the training's time on a processor.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.p = share  # transformers asks for it by this name

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.p:
            return hidden
        shape = (hidden.shape[0], *[1] * (hidden.dim() - 2), hidden.shape[-1])
        kept = torch.rand(shape, device=hidden.device) >= self.p
        return hidden * (kept / (1 - self.p)).to(hidden.dtype)


class Net(nn.Module):
    """`encoder`, `heads` (head to linear layer), and word counts beside them where there are any.

    `asked.base` names the pretrained weights unless `encoder` is given.
    """

    def __init__(self, asked: Config, labels: Labels, encoder: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(asked.train.seed)
        self.encoder = encoder or pretrained(asked)
        prepare(self.encoder, asked.train.dropout)
        self.dropout = MailDropout(asked.train.dropout)
        size = self.encoder.config.hidden_size
        self.heads = nn.ModuleDict({head: nn.Linear(size, len(names)) for head, names in labels.items()})
        self.counts: Counts | None = None

    def pooled(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Ids and mask [B, L] to one vector a mail, fp32 [B, H]."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        if self.encoder.config.model_type == "llama":
            return decoder.last_token(hidden, mask)
        weight = mask.unsqueeze(-1).float()
        return (hidden * weight).sum(1) / weight.sum(1)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Ids and mask [B, L] to logits [B, n] a head."""
        pooled = self.dropout(self.pooled(ids, mask))
        added = self.counted(ids, mask)
        return {head: layer(pooled) + added.get(head, 0) for head, layer in self.heads.items()}

    def counted(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the word counts add to the logits of each head, [B, n]; nothing where there are none."""
        if self.counts is None:
            return {}
        rows = graph_counts.batch(self.counts, ids.cpu().numpy(), mask.cpu().numpy())
        return {head: torch.from_numpy(values).float().to(ids.device) for head, values in rows.items()}


def pretrained(asked: Config) -> nn.Module:
    """The base's encoder or decoder with its pretrained weights."""
    folder = Path(asked.base.weights)
    if asked.base.kind == "decoder":
        return decoder.load(folder, four_bit=asked.train.method == "lora" and asked.train.lora.four_bit)
    return AutoModel.from_pretrained(folder, add_pooling_layer=False, attention_probs_dropout_prob=0.0)


def prepare(encoder: nn.Module, dropout: float) -> None:
    """Sets up dropout and attention for the training, and freezes the table of words.

    The table is half of a small encoder's weights; freezing it costs nothing (EXPERIMENTS.md).
    """
    encoder.get_input_embeddings().weight.requires_grad = False
    if encoder.config.model_type != "bert":
        return
    encoder.set_attn_implementation("sdpa" if torch.cuda.is_available() else attention.NAME)
    for module in list(encoder.modules()):
        # Not on the attention's probabilities: its quick kernels have no place for it.
        if isinstance(getattr(module, "dropout", None), nn.Dropout) and module.dropout.p:
            module.dropout = MailDropout(dropout)


def of_base(found: Base, asked: Config) -> Net:
    """The net of a served bundle. Labels of `asked` that the bundle has not begin near zero."""
    encoder = BertModel(BertConfig(**found.shape, attention_probs_dropout_prob=0.0), add_pooling_layer=False)
    made = Net(asked, asked.labels, encoder)
    state = {name: torch.from_numpy(values) for name, values in found.state.items()}
    heads = {name: state.pop(name) for name in list(state) if name.startswith("heads.")}
    made.load_state_dict(state | dict(made.heads.state_dict(prefix="heads.")))
    with torch.no_grad():
        for head, known in found.labels.items():
            if asked.labels[head][: len(known)] != known:
                raise ValueError(f"head {head}: the labels of the base have to come first, in their order")
            made.heads[head].weight[: len(known)] = heads[f"heads.{head}.weight"]
            made.heads[head].bias[: len(known)] = heads[f"heads.{head}.bias"]
    if found.counts is not None:
        made.counts = graph_counts.widened(found.counts, {head: len(names) for head, names in asked.labels.items()})
    return made
