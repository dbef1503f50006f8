"""The training loop goes on where it was cut off, and learns only from what is known."""

import dataclasses

import pytest

torch = pytest.importorskip("torch", reason="needs the training's packages: make train-env")

from safetensors.torch import load_file  # noqa: E402
from transformers import BertModel  # noqa: E402

from training import attention, base, config, net, random_models, smoke, train  # noqa: E402
from training.config import Config  # noqa: E402
from training.mails import Mail  # noqa: E402

LABELS = {"mood": {"bad": "bad", "good": ""}, "topic": {"money": "money", "travel": "", "garden": ""}}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with a tiny random encoder."""
    home = tmp_path_factory.mktemp("home")
    smoke.data(home)
    random_models.encoder(home / "weights", sorted((home / "data").iterdir()))
    return home / "weights"


def asked(weights, **changes) -> Config:
    read = config.read()
    return dataclasses.replace(
        read,
        base=dataclasses.replace(read.base, weights=str(weights)),
        heads=LABELS,
        train=dataclasses.replace(read.train, tokens_a_batch=128, **changes),
    )


def mails(count: int = 24) -> list[Mail]:
    moods, topics = list(LABELS["mood"]), list(LABELS["topic"])
    return [
        Mail(
            id=str(at),
            file="made",
            group=str(at),
            fold=None,
            text=f"From: Ann @ a.example\nSubject: {moods[at % 2]}\n\n" + f"about {topics[at % 3]} " * (1 + at % 5),
            labels={"mood": moods[at % 2]} | ({"topic": topics[at % 3]} if at % 4 else {}),
            weight=1.0,
            source="written",
        )
        for at in range(count)
    ]


def trained(wanted: Config, work, learn=None) -> dict:
    """The state that a whole training leaves in `work`."""
    work.mkdir(exist_ok=True)
    train.train(net.Net(wanted, wanted.labels), learn or mails(), wanted, work)
    return load_file(work / "state.safetensors")


def test_a_run_that_was_cut_off_ends_like_one_that_was_not(weights, tmp_path, monkeypatch) -> None:
    wanted = asked(weights, epochs=3)
    whole = trained(wanted, tmp_path / "whole")
    begin, count = train.epoch, []

    def cut_off(*_) -> None:
        raise KeyboardInterrupt

    def until_the_second(training, learn, tokenizer, log, told) -> None:
        count.append(1)
        begin(training, learn, tokenizer, log, cut_off if len(count) == 2 else told)

    monkeypatch.setattr(train, "epoch", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        trained(wanted, tmp_path / "cut")
    monkeypatch.setattr(train, "epoch", begin)
    again = trained(wanted, tmp_path / "cut")
    assert whole.keys() == again.keys()
    assert max(float((whole[name] - again[name]).abs().max()) for name in whole) < 1e-6
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "cut")]
    steps = [[line.split(",")[:2] for line in log] for log in logs]
    assert steps[0] == steps[1]
    assert len(steps[0]) > 3
    assert not (tmp_path / "cut" / "checkpoint.pt").exists()


def test_the_loss_falls(weights, tmp_path) -> None:
    trained(asked(weights, epochs=30, encoder_rate=3e-3, head_rate=1e-2, dropout=0.0, smoothing=0.0), tmp_path / "run")
    rows = [line.split(",") for line in (tmp_path / "run" / "log.csv").read_text().splitlines()[1:]]
    first, last = (sum(float(row[3]) for row in part) / len(part) for part in (rows[:3], rows[-3:]))
    assert last < first * 0.8


def test_a_head_without_a_label_teaches_nothing(weights) -> None:
    wanted = asked(weights)
    learn = [dataclasses.replace(mail, labels={"mood": "bad"}) for mail in mails(4)]
    made = net.Net(wanted, wanted.labels).train()
    batch = train.tensors(learn, [[2, 5, 3]] * 4, wanted)
    found = train.losses(made(batch.ids, batch.mask), batch, train.label_weights(learn, wanted), 0.0)
    assert list(found) == ["mood"]
    sum(found.values()).backward()
    assert made.heads["topic"].weight.grad is None
    assert made.heads["mood"].weight.grad.abs().sum() > 0


def test_adapters_leave_the_names_of_the_plain_net_and_change_only_their_targets(weights, tmp_path) -> None:
    wanted = asked(weights, epochs=2, method="lora", head_rate=1e-2, encoder_rate=1e-2)
    before = net.Net(wanted, wanted.labels).state_dict()
    after = trained(wanted, tmp_path / "run")
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("attention.self.query.weight" in name for name in changed)
    assert not any("LayerNorm" in name or "embeddings" in name for name in changed)


@pytest.mark.parametrize("length", [1, 7, 33])
def test_the_backward_pass_of_the_attention_is_that_of_pytorch(length: int) -> None:
    torch.manual_seed(length)
    parts = [torch.randn(3, 2, length, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    bias = torch.zeros(3, 1, 1, length, dtype=torch.float64)
    bias[0, ..., length // 2 + 1 :] = float("-inf")
    expected = torch.nn.functional.scaled_dot_product_attention(*parts, attn_mask=bias)
    gradient = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, parts, gradient)
    found = torch.autograd.grad(attention.Attention.apply(*parts, bias), parts, gradient)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_net_of_a_base_answers_as_before_and_has_room_for_new_labels(weights) -> None:
    wanted = asked(weights)
    made = net.Net(wanted, wanted.labels).eval()
    shape = {
        name: getattr(made.encoder.config, name)
        for name in (
            "vocab_size",
            "hidden_size",
            "max_position_embeddings",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
        )
    }
    state = {name: values.numpy() for name, values in made.state_dict().items()}
    found = base.Base(state, shape, wanted.labels, {}, None)
    more = dataclasses.replace(wanted, heads=LABELS | {"topic": LABELS["topic"] | {"legal": ""}})
    again = net.of_base(found, more).eval()
    ids = torch.tensor([[2, 5, 9, 3]])
    with torch.inference_mode():
        old, new = made(ids, torch.ones_like(ids)), again(ids, torch.ones_like(ids))
    assert isinstance(again.encoder, BertModel)
    assert torch.allclose(old["topic"], new["topic"][:, :3], atol=1e-6)
    assert new["topic"].shape == (1, 4)
