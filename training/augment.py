"""Varies a mail from epoch to epoch, so that no model learns from what says nothing about it.

All of it is seeded and cheap (strings and regular expressions alone). Labels stay true by
construction: no choice looks at a label, so an addition is as likely beside every label; nothing
that is added or lost speaks of a deadline, a mood, a topic or a number; and quoted history is
context only, as the label guide says. It deliberately neither renders nor tokenizes.
"""

import random
import re
from collections.abc import Callable

from training import phrases
from training.config import Config
from training.mails import Mail

WRITTEN_DOMAIN = re.compile(r"\b([a-z0-9-]+)\.example\b(?!\.[a-z])", re.IGNORECASE)
RESERVED_DOMAIN = re.compile(r"\bexample\.(?:com|org|net)\b", re.IGNORECASE)
FROM_LINE = re.compile(r"\AFrom: (?:(?P<name>.*) @ )?(?P<rest>.*)\n")
SUBJECT_LINE = re.compile(r"^Subject: ?(.*)(?:\n|\Z)", re.MULTILINE)
LONG_WORD = re.compile(r"\b[a-z]{6,}\b")
TYPOS_A_WORD = 0.04


def real_domains(text: str, rng: random.Random) -> str:
    """The text with a real domain for each reserved one, the same one each time it occurs."""
    endings: dict[str, str] = {}

    def ending(match: re.Match) -> str:
        return match[1] + endings.setdefault(match[1].lower(), rng.choice(phrases.ENDINGS))

    def provider(match: re.Match) -> str:
        return endings.setdefault(match[0].lower(), rng.choice(phrases.PROVIDERS))

    return RESERVED_DOMAIN.sub(provider, WRITTEN_DOMAIN.sub(ending, text))


def no_sender(text: str, _: random.Random) -> str:
    """Without the line of the sender."""
    return FROM_LINE.sub("", text).lstrip("\n")


def domain_only(text: str, _: random.Random) -> str:
    """Of the sender only the domain."""
    return FROM_LINE.sub(lambda match: f"From: {match['rest']}\n", text)


def name_only(text: str, _: random.Random) -> str:
    """Of the sender only the name, where there is one."""
    return FROM_LINE.sub(lambda match: f"From: {match['name'] or match['rest']}\n", text)


def no_subject(text: str, _: random.Random) -> str:
    """Left alone where the subject is all there is."""
    head, _, body = text.partition("\n\n")
    kept = SUBJECT_LINE.sub("", head, count=1).rstrip("\n")
    return f"{kept}\n\n{body}".lstrip("\n") if body.strip() else text


def subject_tag(text: str, rng: random.Random) -> str:
    """With what replies, forwards and gateways put before a subject."""
    tag = rng.choice(phrases.SUBJECT_TAGS)
    return SUBJECT_LINE.sub(lambda match: f"Subject: {tag} {match[0][9:]}", text, count=1)


def lower_case(text: str, _: random.Random) -> str:
    """All in lower case but the names of the first two lines' fields."""
    return re.sub(r"^(from|subject):", lambda match: match[0].capitalize(), text.lower(), flags=re.MULTILINE)


def typos(text: str, rng: random.Random) -> str:
    """Two letters swapped, one doubled or one lost in a few long words; the first letter stays."""

    def slip(match: re.Match) -> str:
        word = match[0]
        if rng.random() >= TYPOS_A_WORD:
            return word
        at = rng.randrange(1, len(word) - 1)
        middle = rng.choice((word[at + 1] + word[at], word[at] * 2 + word[at + 1], word[at]))
        return word[:at] + middle + word[at + 2 :]

    head, gap, body = text.partition("\n\n")
    return head + gap + LONG_WORD.sub(slip, body)


def plain_marks(text: str, rng: random.Random) -> str:
    """Straight quotes and dashes for curly ones; apostrophes lost in half of the mails."""
    plain = text.translate(phrases.STRAIGHT)
    return re.sub(r"(?<=[a-z])'(?=(?:t|s|m|re|ve|ll|d)\b)", "", plain) if rng.random() < 0.5 else plain


def quoted_history(text: str, rng: random.Random) -> str:
    """With an earlier mail below it that the rendering did not know for history."""
    quoted = "\n".join(f"> {line}" for line in rng.choice(phrases.HISTORY).split("\n"))
    return f"{text}\n\n{rng.choice(phrases.ATTRIBUTIONS)}\n{quoted}"


def signature(text: str, rng: random.Random) -> str:
    """With a signature below it."""
    return f"{text}\n\n{rng.choice(phrases.SIGNATURES)}"


def disclaimer(text: str, rng: random.Random) -> str:
    """With boilerplate below it."""
    return f"{text}\n\n{rng.choice(phrases.DISCLAIMERS)}"


def forwarded(text: str, rng: random.Random) -> str:
    """The header of a forward before the body, with the mail's own sender and subject."""
    head, gap, body = text.partition("\n\n")
    return f"{head}\n\n{rng.choice(phrases.FORWARDS)}\n{head}\n\n{body}" if gap else text


def markup(text: str, rng: random.Random) -> str:
    """What a careless conversion leaves of HTML or quoted-printable."""
    kind = rng.randrange(4)
    head, gap, body = text.partition("\n\n")
    if kind == 0:
        body = body.replace("&", "&amp;").replace("'", "&#39;").replace('"', "&quot;")
    elif kind == 1:
        body = body.replace("\n\n", "<br><br>\n").replace("  ", "&nbsp; ")
    elif kind == 2:
        body = body.replace("\n\n", "\n=20\n").replace("'", "=E2=80=99")
    else:
        body = f"{rng.choice(phrases.PICTURES)}\n{body}"
    return head + gap + body


Step = Callable[[str, random.Random], str]
# In this order: what belongs to the text itself, then what comes after it, then what carries it.
STEPS: dict[str, Step] = {
    "real_domains": real_domains,
    "typos": typos,
    "plain_marks": plain_marks,
    "signature": signature,
    "disclaimer": disclaimer,
    "quoted_history": quoted_history,
    "lower_case": lower_case,
    "subject_tag": subject_tag,
    "forwarded": forwarded,
    "markup": markup,
}
# Of these at most one: a mail that has lost its sender and its subject says too little.
LOSSES: dict[str, Step] = {
    "no_sender": no_sender,
    "domain_only": domain_only,
    "name_only": name_only,
    "no_subject": no_subject,
}


def varied(mail: Mail, rng: random.Random, config: Config) -> str:
    """The mail's text as one epoch sees it; the same `rng` state gives the same text."""
    shares, text = config.augment, mail.text
    for name, step in STEPS.items():
        if rng.random() < getattr(shares, name):
            text = step(text, rng)
    chance = rng.random()
    for name, step in LOSSES.items():
        share = getattr(shares, name)
        if chance < share:
            return step(text, rng)
        chance -= share
    return text
