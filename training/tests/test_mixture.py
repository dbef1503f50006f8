"""A person's mails are heard among the base mails, and some of them calibrate."""

from collections import Counter

from training import mixture
from training.mails import Mail


def mail(number: int, *, file: str = "user", group: str | None = None, label: str = "a", source: str = "user") -> Mail:
    return Mail(f"{file}-{number}", file, group or f"{file}/{number}", None, "text", {"topic": label}, 1.0, source)


def base(count: int) -> list[Mail]:
    files = ("one", "two", "three")
    return [mail(number, file=files[number % 3], source="written") for number in range(count)]


def weight(mails: list[Mail], source: str) -> float:
    return sum(each.weight for each in mails if each.source == source)


def test_five_hundred_mails_carry_half_of_the_weight() -> None:
    mixed = mixture.mix([mail(number) for number in range(500)], mixture.sample(base(7000), seed=1), seed=1)
    mine, written = weight(mixed.train, "user"), weight(mixed.train, "written")
    assert 0.47 < mine / (mine + written) < 0.53
    assert sum(each.source == "written" for each in mixed.train) == 1998  # 666 of each of three files


def test_thirty_mails_are_heard_but_do_not_steer() -> None:
    mixed = mixture.mix([mail(number) for number in range(30)], mixture.sample(base(7000), seed=1), seed=1)
    mine = weight(mixed.train, "user")
    assert 0.05 < mine / (mine + weight(mixed.train, "written")) < 0.15


def test_a_sixth_calibrates_and_trains_nothing() -> None:
    mixed = mixture.mix([mail(number) for number in range(300)], base(10), seed=1)
    assert len(mixed.aside) == 50
    aside = {each.id for each in mixed.aside}
    assert not aside & {each.id for each in mixed.train}
    counts = Counter(each.id for each in mixed.train if each.source == "user")
    assert set(counts.values()) == {mixture.TIMES} and len(counts) == 250


def test_groups_stay_on_one_side() -> None:
    mixed = mixture.mix([mail(number, group=f"thread {number // 4}") for number in range(300)], base(10), seed=1)
    assert mixed.aside
    assert not {each.group for each in mixed.aside} & {each.group for each in mixed.train}


def test_a_label_of_a_single_group_is_still_taught() -> None:
    mails = [mail(number) for number in range(120)] + [
        mail(number, group="one thread", label="rare") for number in range(120, 126)
    ]
    for seed in range(20):
        mixed = mixture.mix(mails, base(10), seed=seed)
        assert any(each.labels["topic"] == "rare" for each in mixed.train)


def test_a_handful_calibrates_nothing() -> None:
    mixed = mixture.mix([mail(number) for number in range(40)], base(10), seed=1)
    assert mixed.aside == []


def test_the_same_seed_gives_the_same_mixture() -> None:
    mails, known = [mail(number) for number in range(100)], base(3000)
    assert mixture.sample(known, seed=4) == mixture.sample(known, seed=4) != mixture.sample(known, seed=5)
    assert mixture.mix(mails, known, seed=4) == mixture.mix(mails, known, seed=4)
    assert mixture.mix(mails, known, seed=4) != mixture.mix(mails, known, seed=5)
