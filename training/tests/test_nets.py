"""The shipped weights are the mean of the final net's and the folds'."""

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN: nets need the training environment (`make train-env`)")

from safetensors.torch import save_file

from training import config, net, nets
from training.tests import tiny

ASKED = config.read()


def shares(fold_share: float, folds: dict) -> dict[str, float]:
    train = dataclasses.replace(ASKED.train, fold_share=fold_share)
    return nets.shipped(dataclasses.replace(ASKED, train=train, folds=folds))


def test_the_folds_share_what_the_final_net_leaves() -> None:
    assert shares(0.2, {"A": ["a"], "B": ["b"]}) == {"final": 0.8, "fold-A": 0.1, "fold-B": 0.1}
    assert shares(0.0, {"A": ["a"]}) == {"final": 1.0}
    assert shares(0.2, {}) == {"final": 1.0}


def test_weights_are_averaged_by_their_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"final": tiny.encoder_net(1), "fold-A": tiny.encoder_net(2)}
    for name, one in made.items():
        (tmp_path / name).mkdir()
        state = {key: value.contiguous() for key, value in one.state_dict().items()}
        save_file(state, tmp_path / name / "state.safetensors")
    monkeypatch.setattr(net, "Net", lambda asked, labels: tiny.encoder_net(3))
    mean = nets.load(ASKED, tmp_path, {"final": 0.75, "fold-A": 0.25}).state_dict()
    for key, value in made["final"].state_dict().items():
        expected = 0.75 * value + 0.25 * made["fold-A"].state_dict()[key]
        assert torch.allclose(mean[key], expected.to(value.dtype)), key
