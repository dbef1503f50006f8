"""Which mails that judge a model repeat the text of a mail that trained it.

A mailbox holds the same text under several ids: sent and received, forwarded, quoted without a mark.
A model may know such a mail by heart, so the figures are also told without them. Nothing is taken
out of the training here, and no label is looked at.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

WORDS = 8  # in a row that two mails share by copying, hardly ever by chance
MOST = 0.5  # of a mail's runs of words in one other mail: more is a copy


def runs(text: str) -> set[tuple[str, ...]]:
    """All runs of WORDS words of a rendered mail's body; of a shorter one the whole body, of an empty one nothing."""
    words = re.findall(r"\w+", text.partition("\n\n")[2].lower())
    if not words:
        return set()
    return {tuple(words[at : at + WORDS]) for at in range(max(1, len(words) - WORDS + 1))}


def repeated(judge: Iterable[str], learn: Iterable[str]) -> list[bool]:
    """Of each rendered mail of `judge`, whether more than MOST of it stands in one mail of `learn`."""
    asked = [runs(text) for text in judge]
    wanted = set().union(*asked)
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, text in enumerate(learn):
        for run in runs(text) & wanted:
            holders[run].append(number)
    found = []
    for own in asked:
        shared = Counter(number for run in own for number in holders.get(run, ()))
        found.append(bool(own) and max(shared.values(), default=0) > MOST * len(own))
    return found
