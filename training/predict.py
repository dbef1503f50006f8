"""A trained net's logits for mails, and the file that keeps them beside their truth.

What is kept for a fold is what calibrate.py and report.py read. It deliberately measures nothing.
"""

from pathlib import Path

import numpy as np

from training.config import Config
from training.mails import Mail, place

TOKENS_A_BATCH = 16_384  # padding included; without gradients four times a training batch fits


def batches(lengths: list[int], most: int = TOKENS_A_BATCH) -> list[list[int]]:
    """Places of texts of like length together, at most `most` tokens a batch, padding included."""
    made: list[list[int]] = []
    longest = 0
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        longest = max(longest, lengths[at])
        if not made or longest * (len(made[-1]) + 1) > most:
            made.append([])
            longest = lengths[at]
        made[-1].append(at)
    return made


def logits(net, ids: list[list[int]]) -> dict[str, np.ndarray]:
    """Head to logits [N, n] in full precision, of clipped token ids, in their order."""
    import torch

    device = next(net.parameters()).device
    found: dict[str, np.ndarray] = {}
    net.eval()
    with torch.inference_mode():
        for batch in batches([len(row) for row in ids]):
            longest = max(len(ids[at]) for at in batch)
            padded = torch.tensor([ids[at] + [0] * (longest - len(ids[at])) for at in batch], device=device)
            lengths = torch.tensor([len(ids[at]) for at in batch], device=device)
            mask = (torch.arange(longest, device=device)[None] < lengths[:, None]).long()
            for head, rows in net(padded, mask).items():
                values = rows.float().cpu().numpy()
                found.setdefault(head, np.zeros((len(ids), values.shape[1]), np.float32))[batch] = values
    return found


def write_logits(
    file: Path, mails: list[Mail], rows: dict[str, np.ndarray], counts: dict[str, np.ndarray], asked: Config
) -> None:
    """One .npz: ids, sources, and of each head `logits/HEAD` and `counts/HEAD` [N, n] and `truth/HEAD` [N].

    A truth of -1 is unknown. `counts`: what the word counts say, zeros where there are none.
    """
    arrays = {"id": np.array([mail.id for mail in mails]), "source": np.array([mail.source for mail in mails])}
    for head, values in rows.items():
        arrays[f"logits/{head}"] = values
        arrays[f"counts/{head}"] = counts.get(head, np.zeros_like(values))
        arrays[f"truth/{head}"] = np.array([place(mail, head, asked.labels) for mail in mails])
    waiting = file.with_name("logits.part.npz")
    np.savez(waiting, **arrays)
    waiting.replace(file)


def read_logits(file: Path) -> dict[str, np.ndarray]:
    """What write_logits wrote."""
    with np.load(file) as arrays:
        return dict(arrays)
