"""How far a step is: a bar on a terminal, a plain line now and then elsewhere. Prints nothing else."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")
SECONDS_A_LINE = 20  # where nobody watches, more often only fills logs


def track(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """Yields the items and shows how many of `total` are done; standard output stays untouched."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as bar

        yield from bar(items, description=title, total=total, console=Console(stderr=True))
    else:
        yield from lines(items, title, total)


def lines(items: Iterable[Item], title: str, total: int | None) -> Iterator[Item]:
    """The same as lines on standard error: one every SECONDS_A_LINE, and one at the end."""
    started = said = time.monotonic()
    count = 0
    for item in items:
        yield item
        count += 1
        if time.monotonic() - said >= SECONDS_A_LINE:
            said = time.monotonic()
            say(title, count, total, said - started)
    say(title, count, total, time.monotonic() - started)


def say(title: str, count: int, total: int | None, seconds: float) -> None:
    """One line."""
    whole = f" of {total}" if total else ""
    print(f"{title}: {count}{whole}, {seconds:.0f} s", file=sys.stderr, flush=True)
