"""Variation is seeded, keeps what the labels are read from, and adds nothing that a label could be read from."""

import dataclasses
import random
import re

import pytest

from training import augment, config, phrases
from training.mails import Mail

TEXT = (
    "From: Dale Haskett @ trimountain.example\nSubject: Valve 3\n\n"
    "Don\u2019t open it before tomorrow at 9, \u00a3420 each.\n\nDale"
)
# Words that the label guide reads urgency, mood or topic from.
TELLING = re.compile(
    r"urgent|asap|immediate|today|tomorrow|deadline|overdue|invoice|payment|refund|password|order\b|deliver|unsubscribe|"
    r"newsletter|offer|discount|meeting|calendar|sorry|thank|happy|unfortunately|disappoint|problem|error|alert|account",
    re.IGNORECASE,
)


def mail(text: str = TEXT) -> Mail:
    return Mail("x-1", "x", "x/1", None, text, {"urgency": "high"}, 1.0, "written")


def only(**shares: float) -> config.Config:
    """The default configuration with all shares 0 but these."""
    read = config.read()
    nothing = {field.name: 0.0 for field in dataclasses.fields(config.Augment)}
    return dataclasses.replace(read, augment=config.Augment(**nothing | shares))


def changed(text: str = TEXT, **shares: float) -> str:
    return augment.varied(mail(text), random.Random(1), only(**shares))


def test_the_same_seed_gives_the_same_text_and_another_seed_another() -> None:
    asked = config.read()
    texts = [[augment.varied(mail(), random.Random(seed), asked) for seed in range(50)] for _ in range(2)]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 10


def test_with_all_shares_zero_nothing_changes() -> None:
    assert changed() == TEXT


@pytest.mark.parametrize("name", [*augment.STEPS, *augment.LOSSES])
def test_each_change_has_a_share_of_its_own(name: str) -> None:
    text = TEXT if name != "lower_case" else TEXT.upper()
    wordy = text + " considerable" * 200
    assert changed(wordy, **{name: 1.0}) != wordy


def test_every_share_of_the_configuration_is_a_change() -> None:
    assert {field.name for field in dataclasses.fields(config.Augment)} == {*augment.STEPS, *augment.LOSSES}


def test_one_written_domain_gets_one_real_ending_wherever_it_occurs() -> None:
    text = changed("From: a.example\n\nwrite to a.example or b.example.com", real_domains=1.0)
    assert ".example\n" not in text
    endings = re.findall(r"\ba(\.[a-z.]*[a-z])", text)
    assert len(endings) == 2
    assert len(set(endings)) == 1


def test_reserved_domains_become_mail_providers() -> None:
    assert (
        changed("From: Ann @ example.com\n\nHello", real_domains=1.0).split("\n")[0].split(" @ ")[1]
        in phrases.PROVIDERS
    )


def test_losses_take_the_sender_or_the_subject_and_leave_the_body() -> None:
    body = TEXT.split("\n\n", 1)[1]
    assert changed(no_sender=1.0) == f"Subject: Valve 3\n\n{body}"
    assert changed(domain_only=1.0).startswith("From: trimountain.example\nSubject: Valve 3\n")
    assert changed(name_only=1.0).startswith("From: Dale Haskett\nSubject: Valve 3\n")
    assert changed(no_subject=1.0) == f"From: Dale Haskett @ trimountain.example\n\n{body}"


def test_a_mail_that_is_all_subject_keeps_it() -> None:
    assert changed("From: a.example\nSubject: call me", no_subject=1.0) == "From: a.example\nSubject: call me"


def test_a_text_without_header_lines_survives_every_change() -> None:
    for name in [*augment.STEPS, *augment.LOSSES]:
        assert "hello" in changed("hello", **{name: 1.0}).lower(), name


def test_typos_touch_neither_numbers_nor_short_words_nor_the_header() -> None:
    text = TEXT + "\n" + "not now 10:45 14 considerable undertaking " * 60
    made = changed(text, typos=1.0)
    assert made != text
    assert made.split("\n\n")[0] == text.split("\n\n")[0]
    for kept in ("not now", "10:45 14", "9, \u00a3420"):
        assert made.count(kept) == text.count(kept)


def test_what_is_added_says_nothing_that_a_label_is_read_from() -> None:
    added = (*phrases.HISTORY, *phrases.SIGNATURES, *phrases.DISCLAIMERS, *phrases.ATTRIBUTIONS, *phrases.FORWARDS)
    assert [line for line in (*added, *phrases.SUBJECT_TAGS, *phrases.PICTURES) if TELLING.search(line)] == []


def test_the_choice_does_not_look_at_the_labels() -> None:
    asked = config.read()
    other = dataclasses.replace(mail(), labels={"urgency": "low", "category": "spam"})
    for seed in range(40):
        same = augment.varied(other, random.Random(seed), asked)
        assert same == augment.varied(mail(), random.Random(seed), asked)
