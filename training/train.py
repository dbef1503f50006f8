"""Trains a net on prepared mails; `nets.py` is the step that calls it.

One plain loop: all of a mail's known labels in one pass, AdamW, warm-up and a cosine, and an average
of the weights over the last steps, which is what is kept. After each epoch a checkpoint; a run that
was cut off goes on from it. What is trained is whatever `requires_grad`; with `method = "lora"`
adapters are put on before and merged after. It deliberately measures nothing but its own loss:
evaluate.py does.
"""

import csv
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from training import augment, tokens
from training.config import Config
from training.mails import Mail, place
from training.progress import track

EACH = 16  # lengths are padded to a multiple of this: few shapes, so that memory is used again
LENGTHS_DIFFER = 0.1  # noise on the order of lengths, so that the same mails do not meet in every epoch
UNKNOWN = -1  # the place of a label that nobody gave

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Batch:
    """Ids and mask [B, L], a place [B] among each head's labels or UNKNOWN, and a weight [B]."""

    ids: torch.Tensor
    mask: torch.Tensor
    truth: dict[str, torch.Tensor]
    weight: torch.Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        truth = {head: values.to(device) for head, values in self.truth.items()}
        return Batch(self.ids.to(device), self.mask.to(device), truth, self.weight.to(device))


def grouped(lengths: list[int], most: int, rng: random.Random) -> list[list[int]]:
    """Places of texts of like length together, about `most` tokens a batch, in random order."""
    noise = (1 - LENGTHS_DIFFER, 1 + LENGTHS_DIFFER)
    order = sorted(range(len(lengths)), key=lambda at: -lengths[at] * rng.uniform(*noise))
    made, start = [], 0
    while start < len(order):
        count = max(1, most // rounded(max(lengths[at] for at in order[start : start + 8])))
        made.append(order[start : start + count])
        start += count
    rng.shuffle(made)
    return made


def rounded(length: int) -> int:
    """The next multiple of EACH."""
    return -(-length // EACH) * EACH


def tensors(chosen: list[Mail], ids: list[list[int]], asked: Config) -> Batch:
    """These mails with these ids as one batch."""
    longest = rounded(max(map(len, ids)))
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    lengths = torch.tensor([len(row) for row in ids])
    mask = (torch.arange(longest)[None] < lengths[:, None]).long()
    truth = {head: torch.tensor([place(mail, head, asked.labels) for mail in chosen]) for head in asked.labels}
    return Batch(padded, mask, truth, torch.tensor([mail.weight for mail in chosen]))


def label_weights(learn: list[Mail], asked: Config) -> dict[str, torch.Tensor]:
    """Per head, one over each label's count to the power of `class_balance`, mean 1: rare labels count more."""
    found = {}
    for head, names in asked.labels.items():
        counts: Counter = Counter()
        for mail in learn:
            counts[mail.labels.get(head)] += mail.weight
        raw = torch.tensor([max(counts[name], 1.0) ** -asked.train.class_balance for name in names])
        found[head] = raw / raw.mean()
    return found


def losses(
    logits: dict[str, torch.Tensor], batch: Batch, weights: dict[str, torch.Tensor], smoothing: float
) -> dict[str, torch.Tensor]:
    """The mean loss of each head over the mails whose label is known, weighed by mail and label."""
    found = {}
    for head, rows in logits.items():
        known = batch.truth[head] != UNKNOWN
        if not known.any():
            continue
        truth, share = batch.truth[head][known], batch.weight[known]
        each = nn.functional.cross_entropy(
            rows[known].float(), truth, weight=weights[head], label_smoothing=smoothing, reduction="none"
        )
        found[head] = (each * share).sum() / (weights[head][truth] * share).sum().clamp(min=1e-6)
    return found


def rate(share: float, warm_up: float) -> float:
    """The learning rate, as a share of its top, at this share of the steps: warm-up, then a cosine."""
    share = min(share, 1.0)
    if share < warm_up:
        return share / warm_up
    return (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up))) / 2


def optimizer_of(net: nn.Module, asked: Config) -> torch.optim.Optimizer:
    """AdamW over what is trained; heads at a rate of their own, no decay for biases and norms."""
    groups = []
    for name, tensor in net.named_parameters():
        if tensor.requires_grad:
            top = asked.train.encoder_rate if name.startswith("encoder.") else asked.train.head_rate
            decay = asked.train.weight_decay if tensor.dim() > 1 else 0.0
            groups.append({"params": [tensor], "lr": 0.0, "top": top, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)


class Average:
    """The exponential average of what is trained; early on it forgets faster."""

    def __init__(self, net: nn.Module, keep: float) -> None:
        self.keep, self.steps = keep, 0
        self.values = {name: value.detach().clone() for name, value in net.named_parameters() if value.requires_grad}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Takes the state after a step in."""
        self.steps += 1
        keep = min(self.keep, self.steps / (10 + self.steps))
        for name, value in net.named_parameters():
            if name in self.values:
                self.values[name].lerp_(value, 1 - keep)

    def put(self, net: nn.Module) -> None:
        """Gives the net the average."""
        net.load_state_dict(self.values, strict=False)


class Training:
    """A net in training: what a checkpoint has to hold, and one step."""

    def __init__(self, net: nn.Module, learn: list[Mail], asked: Config, work: Path) -> None:
        self.net, self.asked, self.work = net, asked, work
        self.device = next(net.parameters()).device
        self.optimizer = optimizer_of(net, asked)
        self.average = Average(net, asked.train.average)
        self.weights = {head: row.to(self.device) for head, row in label_weights(learn, asked).items()}
        self.epoch = self.done = self.steps = 0

    def step(self, batch: Batch) -> dict[str, float]:
        """One step on a batch; the loss of each head."""
        part = rate(self.done / self.steps, self.asked.train.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = group["top"] * part
        batch = batch.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=halves(self.device)):
            logits = self.net(batch.ids, batch.mask)
        found = losses(logits, batch, self.weights, self.asked.train.smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        sum(found.values()).backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.asked.train.clip)
        self.optimizer.step()
        self.average.update(self.net)
        self.done += 1
        return {head: loss.item() for head, loss in found.items()}

    @property
    def checkpoint(self) -> Path:
        """The file that a run which was cut off goes on from."""
        return self.work / "checkpoint.pt"

    def save(self) -> None:
        """Writes the checkpoint; the last one stays until the new one is whole."""
        names = self.average.values
        state = {
            "trained": {name: value for name, value in self.net.state_dict().items() if name in names},
            "average": (self.average.values, self.average.steps),
            "optimizer": self.optimizer.state_dict(),
            "counters": (self.epoch, self.done, self.steps),
            "random": torch.get_rng_state(),
        }
        waiting = self.checkpoint.with_suffix(".part")
        torch.save(state, waiting)
        waiting.replace(self.checkpoint)

    def resume(self) -> None:
        """Goes on from the checkpoint where there is one."""
        if not self.checkpoint.is_file():
            return
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.net.load_state_dict(state["trained"], strict=False)
        self.average.values, self.average.steps = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.done, self.steps = state["counters"]
        torch.set_rng_state(state["random"].cpu())


def halves(device: torch.device) -> bool:
    """Whether the machine computes in bf16; elsewhere it is emulated, and slow."""
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported()  # PyTorch has no public question for it
    return torch.cuda.is_bf16_supported()


def seen(learn: list[Mail], tokenizer, asked: Config, rng: random.Random) -> list[list[int]]:
    """The ids of all mails as one epoch sees them."""
    texts = [augment.varied(mail, rng, asked) for mail in learn]
    return [tokens.clip(encoded.ids, asked.text) for encoded in tokenizer.encode_batch(texts)]


def epoch(training: Training, learn: list[Mail], tokenizer, log: csv.DictWriter, told: Told | None) -> None:
    """One pass over all mails."""
    asked = training.asked
    rng = random.Random(f"{asked.train.seed} {training.epoch}")
    ids = seen(learn, tokenizer, asked, rng)
    made = grouped([len(row) for row in ids], asked.train.tokens_a_batch, rng)
    training.steps = training.steps or len(made) * asked.train.epochs
    title = f"epoch {training.epoch + 1} of {asked.train.epochs}"
    for places in track(made, title) if told is None else made:
        found = training.step(tensors([learn[at] for at in places], [ids[at] for at in places], asked))
        row = {f"loss_{head}": f"{value:.4f}" for head, value in found.items()}
        log.writerow({"step": training.done, "epoch": training.epoch, **row})
        if told:
            told(training.done, max(training.done, training.steps))
    training.epoch += 1


def train(
    net: nn.Module, learn: list[Mail], asked: Config, work: Path, tokenizer=None, told: Told | None = None
) -> None:
    """Trains `net` on these mails; WORK/state.safetensors holds its state in the end, adapters merged.

    `tokenizer`: the base's unless it is given. `told`: is called with steps done and all steps;
    without it the progress is shown.
    """
    lower = asked.train.method == "lora"
    if lower:
        from training import lora  # peft is only needed for it

        lora.adapt(net, asked.train.lora)
    torch.manual_seed(asked.train.seed)
    net.to("cuda" if torch.cuda.is_available() else "cpu").train()
    training = Training(net, learn, asked, work)
    training.resume()
    tokenizer = tokenizer or tokens.of_base(asked)
    fields = ["step", "epoch", *(f"loss_{head}" for head in asked.labels)]
    kept = logged(work / "log.csv", training.done)
    with (work / "log.csv").open("w", encoding="utf-8", newline="", buffering=1) as file:
        log = csv.DictWriter(file, fields)
        log.writeheader()
        log.writerows(kept)
        while training.epoch < asked.train.epochs:
            epoch(training, learn, tokenizer, log, told)
            training.save()
    training.average.put(net)
    net.to("cpu").eval()
    if lower:
        lora.merge(net)
    keep(net, work / "state.safetensors")
    training.checkpoint.unlink()


def logged(log: Path, done: int) -> list[dict[str, str]]:
    """The rows of the first `done` steps: what was cut off after the checkpoint is done again."""
    if not done or not log.is_file():
        return []
    with log.open(encoding="utf-8", newline="") as file:
        whole = [row for row in csv.DictReader(file) if None not in row.values()]
    return [row for row in whole if int(row["step"]) <= done]


def keep(net: nn.Module, file: Path) -> None:
    """Writes the net's state, fp32; the file appears only when it is whole."""
    waiting = file.with_suffix(".part")
    save_file({name: value.float().contiguous() for name, value in net.state_dict().items()}, waiting)
    waiting.replace(file)
