"""The child dies with its parent, and says nothing that could quote a mail."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CANARY = "kumquat-4711"
START = f"""
import sys, time, pathlib
sys.path.insert(0, {str(ROOT)!r})
from training import child
child.confine(pathlib.Path(sys.argv[1]) / "work")
parent = child.Parent()
"""


def start(folder: Path, body: str, **options) -> subprocess.Popen:
    """A child that does `body`, with its three streams as pipes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([sys.executable, "-c", START + body, str(folder)], **pipes)


def until(true, seconds: float = 5) -> None:
    """Waits until `true()` is; fails after some seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_it_reads_lines_up_to_the_end_and_tells_progress(tmp_path) -> None:
    body = """
def work():
    for message in parent.messages():
        parent.progress("prepare", message["number"], 2)
    parent.tell("done", bundle="somewhere")
child.run(work, parent)
"""
    child = start(tmp_path, body)
    lines = [{"type": "mail", "number": 1}, {"type": "mail", "number": 2}, {"type": "end"}]
    child.stdin.write("".join(json.dumps(line) + "\n" for line in lines).encode())
    child.stdin.flush()
    said = [json.loads(line) for line in child.stdout]
    assert [line["type"] for line in said] == ["progress", "progress", "done"]
    assert said[1] == {"type": "progress", "stage": "prepare", "done": 2, "of": 2}
    assert child.wait(5) == 0
    child.stdin.close()


@pytest.mark.parametrize("before_the_end", [True, False])
def test_when_the_parent_closes_its_end_the_child_ends(tmp_path, before_the_end: bool) -> None:
    body = """
def work():
    for message in parent.messages():
        pass
    parent.progress("train", 0, 1)
    time.sleep(600)
child.run(work, parent)
"""
    child = start(tmp_path, body)
    if not before_the_end:
        child.stdin.write(b'{"type": "end"}\n')
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["stage"] == "train"
    child.stdin.close()
    assert child.wait(5) == 3


def test_when_the_parent_does_not_read_any_more_the_child_ends(tmp_path) -> None:
    body = """
def work():
    while True:
        parent.progress("train", 0, 1)
child.run(work, parent)
"""
    child = start(tmp_path, body)
    child.stdout.close()
    assert child.wait(5) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_when_the_parent_is_killed_the_child_is_too(tmp_path) -> None:
    """The pipe stays open here, so that only the death of the process in between can end the child."""
    ours, theirs = os.pipe()
    between = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {START + "parent.tell('up'); time.sleep(600)"!r}, {str(tmp_path)!r}],
    stdin={ours}, pass_fds=({ours},))
print(child.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", between], stdout=subprocess.PIPE, pass_fds=(ours,))
    first, second = parent.stdout.readline(), parent.stdout.readline()
    child = int(first if first.strip().isdigit() else second)
    parent.send_signal(signal.SIGKILL)
    parent.wait(5)
    until(lambda: not Path(f"/proc/{child}").exists() or is_zombie(child))
    os.close(ours)
    os.close(theirs)


def is_zombie(process: int) -> bool:
    """Whether it has ended and nobody has asked for its exit code; without init in a container that stays so."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(
    "failing",
    [
        f"raise ValueError('{CANARY}')",
        f"raise KeyError('{CANARY}')",
        f"int('{CANARY}')",
        f"list(parent.messages())  # {CANARY}",
        f"assert False, '{CANARY}'",
    ],
)
def test_no_error_quotes_what_it_failed_on(tmp_path, failing: str) -> None:
    child = start(tmp_path, f"\ndef work():\n    {failing}\nchild.run(work, parent)\n")
    child.stdin.write(f'"{CANARY}" {CANARY}\n'.encode())
    child.stdin.flush()
    said, errors = child.stdout.read(), child.stderr.read()
    assert child.wait(5) == 1
    assert CANARY.encode() not in said + errors
    assert json.loads(said)["type"] == "failed"
    assert b"most recent call last" in errors
    child.stdin.close()


def test_words_that_are_written_to_be_passed_on_are(tmp_path) -> None:
    child = start(tmp_path, "\ndef work():\n    raise child.Refusal('no\\n mails')\nchild.run(work, parent)\n")
    assert json.loads(child.stdout.read()) == {"type": "failed", "why": "no mails"}
    assert child.wait(5) == 1
    child.stdin.close()


def test_a_package_that_is_missing_is_named_with_what_to_do(tmp_path) -> None:
    child = start(tmp_path, "\ndef work():\n    import no_such_package\nchild.run(work, parent)\n")
    assert "no_such_package is missing or broken; `triaged retrain --setup`" in json.loads(child.stdout.read())["why"]
    child.stdin.close()
    child.wait(5)


def test_temporary_files_stay_inside_and_no_core_is_written(tmp_path) -> None:
    body = """
import os, resource, tempfile
def work():
    parent.tell("note", where=tempfile.mkdtemp(), env=os.environ["TMPDIR"], core=resource.getrlimit(resource.RLIMIT_CORE))
child.run(work, parent)
"""
    child = start(tmp_path, body)
    said = json.loads(child.stdout.read())
    assert Path(said["where"]).parent == tmp_path / "work" == Path(said["env"])
    assert said["core"] == [0, 0]
    child.stdin.close()
    child.wait(5)
