"""The rules that the daemon's code has to follow to the letter."""

from training import config, reader, tokens
from training.config import Text

OPEN, CLOSE = 101, 102
RULE = Text(head=160, tail=96)


def ids(count: int) -> list[int]:
    """Ids of a text of `count` ids, the two special ones included, each other id its own place."""
    return [OPEN, *range(1000, 1000 + count - 2), CLOSE]


def test_a_text_of_just_the_limit_is_left_whole() -> None:
    assert tokens.clip(ids(256), RULE) == ids(256)


def test_one_id_too_many_loses_the_first_of_the_middle() -> None:
    assert tokens.clip(ids(257), RULE) == ids(257)[:160] + ids(257)[161:]


def test_a_long_text_keeps_opening_and_closing_token() -> None:
    kept = tokens.clip(ids(2000), RULE)
    assert len(kept) == RULE.most == 256
    assert (kept[0], kept[-1]) == (OPEN, CLOSE)
    assert kept[159:161] == [1158, 1000 + 2000 - 2 - 95]


def test_of_a_very_long_text_less_of_the_beginning_is_read() -> None:
    rule = Text(head=160, tail=96, very_long=1024, very_long_head=64)
    assert tokens.clip(ids(1024), rule) == tokens.clip(ids(1024), RULE)
    kept = tokens.clip(ids(1025), rule)
    assert kept == ids(1025)[:64] + ids(1025)[-96:]


def test_the_rule_of_a_manifest_comes_back() -> None:
    for rule in (RULE, Text(160, 96, 1024, 64)):
        assert config.text_of(rule.rule) == rule


def test_a_small_limit_of_ones_own_works_alike() -> None:
    assert tokens.clip([OPEN, 1, 2, 3, 4, CLOSE], Text(head=2, tail=2)) == [OPEN, 1, 4, CLOSE]


def test_probabilities_sum_to_one_and_survive_large_logits() -> None:
    values = reader.probabilities([800.0, 799.0, -900.0], temperature=0.5)
    assert abs(sum(values) - 1) < 1e-12
    assert values[0] > values[1] > values[2]


def test_a_higher_temperature_makes_surer_answers_less_sure() -> None:
    assert reader.probabilities([2.0, 0.0], 2.0)[0] < reader.probabilities([2.0, 0.0], 1.0)[0]
