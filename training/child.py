"""The life of `triaged retrain`'s child: it reads its parent's lines, tells how far it is, and dies
with its parent.

Mails come in on standard input and stay in memory. Nothing that leaves this process, by
standard output, standard error or a file, holds a line of them: progress has numbers, an error
has its kind and the place in the code, never a message that could quote what it failed on.
This file knows nothing about models; `retrain.py` does the work.
"""

import ctypes
import json
import os
import queue
import resource
import signal
import sys
import tempfile
import threading
import traceback
from pathlib import Path

from training import HERE

FAILED, PARENT_GONE = 1, 3  # exit codes
SET_PDEATHSIG, SET_DUMPABLE = 1, 4  # of prctl(2)
POLITE = 10  # the daemon on the same machine comes first
CHUNK = 1 << 16


class Refusal(Exception):
    """Why there will be no candidate, in words that hold nothing of a mail: they are passed on."""


def confine(scratch: Path) -> None:
    """Ends this process with its parent, and keeps what it holds in memory from the disk.

    Call it first of all, before numpy, PyTorch or ONNX Runtime are loaded: `scratch` becomes the
    only folder for temporary files, and nothing is fetched or reported over a network.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl(SET_PDEATHSIG, signal.SIGKILL)
        prctl(SET_DUMPABLE, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(POLITE, os.getpriority(os.PRIO_PROCESS, 0)))
    scratch.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(scratch)
    for name in ("TMPDIR", "MPLCONFIGDIR", "HF_HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR"):
        os.environ[name] = str(scratch)
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    os.environ |= {"ORT_DISABLE_TELEMETRY": "1", "ORT_TELEMETRY_DISABLED": "1", "TOKENIZERS_PARALLELISM": "false"}


class Parent:
    """The lines that the parent sends, and the lines that are sent to it."""

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue = queue.SimpleQueue()
        self.speaking = threading.Lock()
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    def _listen(self) -> None:
        """Reads to the end of standard input, which comes when the parent is gone: then so is this process.

        By file descriptor: a buffered reader has a lock that would hang the interpreter's own end.
        """
        rest = b""
        while chunk := os.read(0, CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                self.lines.put(line)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # the parent made the group: what was started here ends, too
        os._exit(PARENT_GONE)

    def messages(self):
        """The parent's objects up to and without `{"type": "end"}`; Refusal for a line that is none."""
        number = 0
        while True:
            number += 1
            try:
                message = json.loads(self.lines.get())
            except ValueError:
                raise Refusal(f"line {number} from the parent is no JSON") from None
            if not isinstance(message, dict) or "type" not in message:
                raise Refusal(f"line {number} from the parent is no object with a type")
            if message["type"] == "end":
                return
            yield message

    def tell(self, kind: str, **fields) -> None:
        """One line for the parent; a parent that does not read any more is gone."""
        line = json.dumps({"type": kind} | fields, ensure_ascii=False) + "\n"
        with self.speaking:
            try:
                os.write(1, line.encode())
            except OSError:
                os._exit(PARENT_GONE)

    def progress(self, stage: str, done: int, of: int) -> None:
        """How far a stage is; the stages are prepare, train, calibrate, export and pack."""
        self.tell("progress", stage=stage, done=done, of=of)


def why(error: BaseException) -> str:
    """What may be said of an error: its kind and its place in the code, for its words could quote a mail.

    The words are passed on of errors that are defined in this package, and of SystemExit: those
    are written to be read, from paths, numbers and names of labels.
    """
    if isinstance(error, ImportError):
        return f"the package {error.name} is missing or broken; `triaged retrain --setup` makes the environment anew"
    if type(error).__module__.startswith("training.") or isinstance(error, SystemExit):
        return " ".join(str(error).split())
    places = [place for place in traceback.extract_tb(error.__traceback__) if Path(place.filename).is_relative_to(HERE)]
    where = f" in {Path(places[-1].filename).name}, line {places[-1].lineno}" if places else ""
    return f"{type(error).__name__}{where}"


def trace(error: BaseException) -> None:
    """Writes to standard error where an error came from: files, lines and functions, no values and no message."""
    lines = [f"{type(error).__name__}, most recent call last:"]
    for place in traceback.extract_tb(error.__traceback__):
        lines.append(f"  {place.filename}:{place.lineno} in {place.name}")
    os.write(2, ("\n".join(lines) + "\n").encode())


def run(work, parent: Parent) -> None:
    """Does `work()` and ends the process: 0, or 1 when it failed and the parent has been told why.

    `os._exit`, because the thread that listens is still waiting.
    """
    try:
        work()
    except BaseException as error:  # whatever it is, its message must not reach the interpreter's printing
        trace(error)
        parent.tell("failed", why=why(error))
        os._exit(FAILED)
    os._exit(0)
