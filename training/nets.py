"""Step: the nets of a run, side by side: the final one, and one for each fold that is left out.

    python -m training.nets --work WORK [--weights DIR] [--config FILE]

A processor gets one net a core, each on one thread: the layers of a small encoder are too short to
share out, so two threads on one net do less than two nets on a thread each (EXPERIMENTS.md). A
graphics card gets one net after the other. A net that is there is passed over, one that was cut off
goes on from its checkpoint. Their weights are averaged here, too.
It deliberately predicts and measures nothing.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from training import config, mails
from training.config import Config
from training.progress import SECONDS_A_LINE, say

FINAL = "final"
# glibc would give a step's memory back after each step and fetch it anew for the next, and huge pages
# save it most of its page faults. It reads this when a process starts; other allocators pass over it.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


@dataclass(frozen=True)
class Spent:
    """What a net took."""

    seconds: int
    peak_bytes: int


def names(asked: Config) -> list[str]:
    """The folders of the nets in WORK, the one that takes longest first."""
    return [FINAL, *(folder_of(fold) for fold in asked.folds)]


def folder_of(fold: str) -> str:
    """The folder of the net that never saw this fold."""
    return f"fold-{fold}"


def of_run(asked: Config, name: str) -> Config:
    """The configuration of one net: those of the folds only set numbers, and train less."""
    epochs = asked.train.epochs if name == FINAL else asked.train.fold_epochs
    return replace(asked, train=replace(asked.train, epochs=epochs))


def shipped(asked: Config) -> dict[str, float]:
    """Net to its share of the weights that are shipped."""
    share = asked.train.fold_share if asked.folds else 0.0
    folds = {folder_of(fold): share / len(asked.folds) for fold in asked.folds if share}
    return {FINAL: 1.0 - share, **folds}


def load(asked: Config, work: Path, shares: dict[str, float]):
    """A net with the mean of the weights in WORK/NAME, each with its share; the shares add up to 1.

    Nets that began at the same weights can be averaged: Wortsman et al., 2022, "Model soups".
    """
    from safetensors.torch import load_file

    from training import net

    parts = [(load_file(work / name / "state.safetensors"), share) for name, share in shares.items()]
    first, _ = parts[0]
    mean = {key: sum(part[key] * share for part, share in parts).to(first[key].dtype) for key in first}
    made = net.Net(asked, asked.labels)
    made.load_state_dict(mean)
    return made.eval()


def peak_bytes() -> int:
    """The most memory that this process had."""
    unit = 1 if sys.platform == "darwin" else 1024  # of the kernel's figure
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Lines:
    """Says on standard error how far one of several nets is, now and then."""

    def __init__(self, title: str) -> None:
        self.title, self.started, self.said = title, time.monotonic(), 0.0

    def __call__(self, done: int, steps: int) -> None:
        now = time.monotonic()
        if now - self.said >= SECONDS_A_LINE or done == steps:
            self.said = now
            say(self.title, done, steps, now - self.started)


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone: two runs must not write to one folder."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def make(asked: Config, work: Path, name: str, threads: int | None) -> Spent:
    """Trains one net in this process; WORK/NAME/state.safetensors is there when it returns."""
    import torch

    from training import net, train

    if threads:
        torch.set_num_threads(threads)
    asked, started = of_run(asked, name), time.monotonic()
    prepared = mails.read_prepared(work / "prepared.jsonl")
    learn = [mail for mail in prepared if mail.fold is None or folder_of(mail.fold) != name]
    (work / name).mkdir(parents=True, exist_ok=True)
    train.train(net.Net(asked, asked.labels), learn, asked, work / name, told=Lines(name))
    return Spent(round(time.monotonic() - started), peak_bytes())


def make_all(asked: Config, work: Path) -> dict[str, Spent]:
    """Trains all nets that are missing; what each of these took. `asked` names the pretrained weights."""
    missing = [name for name in names(asked) if not (work / name / "state.safetensors").is_file()]
    together, threads = shared(len(missing))
    spent: dict[str, Spent] = {}
    # Fresh processes: PyTorch's threads do not survive a fork.
    fresh = multiprocessing.get_context("spawn")
    os.environ.update({name: value for name, value in ALLOCATOR.items() if name not in os.environ})
    with ProcessPoolExecutor(together, fresh, initializer=end_with_parent, max_tasks_per_child=1) as pool:
        begun = {pool.submit(make, asked, work, name, threads): name for name in missing}
        try:
            for done in as_completed(begun):
                spent[begun[done]] = done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # only those in the making come to their end
            raise
    return spent


def peak_together(spent: Iterable[Spent]) -> int:
    """The most memory that these nets can have had, trained side by side: that of the largest ones at once."""
    peaks = sorted((one.peak_bytes for one in spent), reverse=True)
    together, _ = shared(len(peaks))
    return sum(peaks[:together])


def shared(count: int) -> tuple[int, int | None]:
    """How many of `count` nets train together, and on how many threads each, None for PyTorch's choice."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if torch.cuda.is_available() or count < 2:
        return 1, None
    together = min(count, cores)
    return together, max(1, cores // together)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="has prepared.jsonl and gets the nets")
    parser.add_argument("--weights", type=Path, help="folder of the pretrained weights, instead of the configuration's")
    parser.add_argument("--config", type=Path, default=config.DEFAULT)
    given = parser.parse_args()
    from training import weights

    asked = config.read(given.config)
    folder = given.weights or weights.pretrained(asked.base, given.work / "weights")
    asked = replace(asked, base=replace(asked.base, weights=str(folder)))
    for name, spent in make_all(asked, given.work).items():
        print(f"{given.work / name}: {spent.seconds} s, at most {spent.peak_bytes / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
