"""Which mails train together in `triaged retrain`, and how much each counts.

A person's few hundred mails alone would make the model forget what it knew of all other mail;
beside thousands of base mails at equal weight they would hardly be heard. So the base mails are
cut to a sample of all files and labels, the person's are seen several times an epoch, varied each
time, and weighed so that they carry half of the loss where there are enough of them. Nothing here
renders, trains or reads a file.
"""

import dataclasses
import random
from collections import defaultdict
from dataclasses import dataclass

from training.mails import Mail

MOST_BASE = 2000  # mails: a sixth more than a person's 500, seen three times each
TIMES = 3  # a person's mail is seen in an epoch
USER_SHARE = 0.5  # of all weight, where there are enough of the person's mails
MOST_WEIGHT = 2.0  # of one of the person's mails each time it is seen; three dozen mails do not steer alone
ASIDE = 1 / 6  # of the person's mails train nothing: they calibrate
FEWEST_ASIDE = 10  # fewer calibrate nothing, and train instead


@dataclass(frozen=True)
class Mixture:
    """What trains, a mail as often as it is seen in an epoch, and what of the person's mails calibrates."""

    train: list[Mail]
    aside: list[Mail]


def mix(user: list[Mail], base: list[Mail], seed: int) -> Mixture:
    """Mixes a person's mails with a sample of base mails; the same mails and seed give the same mixture."""
    teach, aside = set_aside(user, random.Random(seed))
    seen = teach * TIMES
    weighed = user_weight(len(seen), sum(mail.weight for mail in base))
    again = [dataclasses.replace(mail, weight=mail.weight * weighed) for mail in seen]
    return Mixture(again + base, aside)


def user_weight(seen: int, base: float) -> float:
    """What a person's mail weighs each time, so that all of them have USER_SHARE of the weight.

    `seen`: how often such mails are seen in an epoch; `base`: the weight of the base mails.
    """
    if not seen:
        return 0.0
    wanted = base * USER_SHARE / (1 - USER_SHARE) / seen
    return min(MOST_WEIGHT, max(1.0, wanted))


def set_aside(user: list[Mail], rng: random.Random) -> tuple[list[Mail], list[Mail]]:
    """The mails that teach and those that calibrate, whole groups of one sender or thread together.

    A label whose mails all belong to one group keeps it in teaching: what is never taught can not
    be calibrated.
    """
    wanted = round(len(user) * ASIDE)
    if wanted < FEWEST_ASIDE:
        return user, []
    groups = defaultdict(list)
    for mail in user:
        groups[mail.group].append(mail)
    left = defaultdict(int)  # groups that still teach a label
    for members in groups.values():
        for label in labels_of(members):
            left[label] += 1
    aside: list[Mail] = []
    for group in rng.sample(sorted(groups), len(groups)):
        members = groups[group]
        fits = len(aside) + len(members) <= wanted * 1.25
        if len(aside) >= wanted or not fits or any(left[label] < 2 for label in labels_of(members)):
            continue
        for label in labels_of(members):
            left[label] -= 1
        aside += members
    chosen = {id(mail) for mail in aside}
    return [mail for mail in user if id(mail) not in chosen], aside


def labels_of(mails: list[Mail]) -> set[tuple[str, str]]:
    """The (head, label) pairs that these mails carry."""
    return {pair for mail in mails for pair in mail.labels.items()}


def sample(base: list[Mail], seed: int, most: int = MOST_BASE) -> list[Mail]:
    """At most `most` base mails, whole groups, the same share of each file: each has its own writer."""
    if len(base) <= most:
        return list(base)
    rng = random.Random(seed)
    share = most / len(base)
    files = defaultdict(lambda: defaultdict(list))
    for mail in base:
        files[mail.file][mail.group].append(mail)
    found: list[Mail] = []
    for file in sorted(files):
        groups = files[file]
        wanted = share * sum(len(members) for members in groups.values())
        taken = 0
        for group in rng.sample(sorted(groups), len(groups)):
            if taken + len(groups[group]) <= wanted:
                found += groups[group]
                taken += len(groups[group])
    return found
