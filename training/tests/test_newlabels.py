"""A new label begins where the base puts its mails."""

import dataclasses

import pytest

torch = pytest.importorskip("torch", reason="needs the training's packages: make train-env")
np = pytest.importorskip("numpy")

from training import config, graph_counts, newlabels, predict  # noqa: E402
from training.mails import Mail  # noqa: E402
from training.tests import tiny  # noqa: E402

WIDER = {"mood": ["bad", "good"], "topic": ["money", "travel", "garden", "own"]}


def net() -> tiny.Net:
    """A net with a fourth topic, and with word counts."""
    made = tiny.Net(tiny.encoder_net().encoder, WIDER).eval()
    rng, rows = np.random.default_rng(0), tiny.VOCABULARY + 64
    sizes = {head: len(names) for head, names in WIDER.items()}
    made.counts = graph_counts.stored(
        rng.normal(size=(rows, 6)), rng.random(rows), rng.normal(size=6), dict.fromkeys(sizes, 0.5), sizes, 64
    )
    return made


def test_it_is_the_mean_of_what_the_base_says_of_its_mails() -> None:
    made, ids, asked = net(), tiny.mails(6), config.read()
    asked = dataclasses.replace(asked, heads={head: dict.fromkeys(names, "") for head, names in WIDER.items()})
    labels = [{"topic": "own"}] * 3 + [{"topic": "money"}] * 3
    mails = [Mail(str(at), "user", str(at), None, "", one, 1.0, "user") for at, one in enumerate(labels)]
    before = {name: value.clone() for name, value in made.heads.state_dict().items()}
    logits = predict.logits(made, ids[:3])["topic"][:, :3]
    shares = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).mean(axis=0)
    columns = made.counts.rows[:, 2:5] @ shares

    newlabels.begin(made, tiny.LABELS, mails, ids, asked)
    weight = before["topic.weight"]
    assert torch.allclose(made.heads["topic"].weight[3], torch.from_numpy(shares).float() @ weight[:3], atol=1e-5)
    assert torch.equal(made.heads["topic"].weight[:3], weight[:3])
    assert torch.equal(made.heads["mood"].weight, before["mood.weight"])
    assert np.abs(made.counts.rows[:, 5] - columns).max() <= 0.5 + 1e-3
    assert made.counts.bias[5] == pytest.approx(made.counts.bias[2:5] @ shares, abs=1e-5)


def test_a_label_without_mails_is_left_alone() -> None:
    made, asked = net(), config.read()
    asked = dataclasses.replace(asked, heads={head: dict.fromkeys(names, "") for head, names in WIDER.items()})
    before = made.heads["topic"].weight.clone()
    newlabels.begin(made, tiny.LABELS, [], [], asked)
    assert torch.equal(made.heads["topic"].weight, before)
