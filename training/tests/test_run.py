"""A run goes on where it ended, and never in the folder of another one."""

import dataclasses
import json
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="NOT RUN: a run needs the training environment (`make train-env`)")

from training import config, nets, run

ASKED = config.read()


@pytest.fixture
def begun(tmp_path: Path) -> run.Run:
    (tmp_path / "work").mkdir()
    return run.Run(ASKED, Path("triaged"), tmp_path / "work", tmp_path / "out", ([], []))


def test_a_step_whose_result_is_there_is_passed_over(begun: run.Run) -> None:
    made = []
    result = begun.work / "result"

    def make() -> None:
        made.append(1)
        result.write_text("x")

    begun.step("something", result, make)
    begun.step("something", result, make)
    assert made == [1]
    times = json.loads((begun.work / "times.json").read_text())
    assert times["something"]["peak_bytes"] > 1_000_000


def test_a_step_that_failed_is_made_again(begun: run.Run) -> None:
    with pytest.raises(ZeroDivisionError):
        begun.step("something", begun.work / "result", lambda: 1 / 0)
    made = []
    begun.step("something", begun.work / "result", lambda: made.append(1))
    assert made == [1]


def test_a_folder_of_another_configuration_or_other_mails_is_refused(tmp_path: Path) -> None:
    mails = tmp_path / "mine.jsonl"
    mails.write_text("{}\n")
    work = tmp_path / "work"
    run.claim(work, run.digest(ASKED, ([mails], [])))
    run.claim(work, run.digest(ASKED, ([mails], [])))
    other = dataclasses.replace(ASKED, train=dataclasses.replace(ASKED.train, epochs=1))
    with pytest.raises(SystemExit, match="another configuration or other mails"):
        run.claim(work, run.digest(other, ([mails], [])))
    mails.write_text("{}\n{}\n")
    with pytest.raises(SystemExit, match="another configuration or other mails"):
        run.claim(work, run.digest(ASKED, ([mails], [])))


def test_the_memory_of_nets_is_that_of_those_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nets, "shared", lambda count: (min(count, 2), 1))
    assert nets.peak_together([nets.Spent(9, 3), nets.Spent(9, 5), nets.Spent(9, 4)]) == 9
    assert nets.peak_together([nets.Spent(9, 3)]) == 3
