"""A child process in a group of its own, its output in a file, that never outlives the demo."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path


class Process:
    """Runs `command`; `end()` ends it and whatever it has started, and checks that."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.name = Path(command[0]).name
        self.log_file = log
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def require_running(self) -> None:
        if self.child.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.child.returncode}:\n{self.log()}")

    def stop(self, seconds: float) -> int:
        """Asks it to end, and returns its exit code."""
        self.child.terminate()
        return self.child.wait(seconds)

    def end(self) -> None:
        """Ends the whole group, and fails when something of it stays."""
        if self.child.poll() is None:
            self.child.terminate()
        deadline = time.monotonic() + 15
        while group_runs(self.child.pid):
            self.child.poll()
            if time.monotonic() > deadline:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()
                raise RuntimeError(f"{self.name} did not end when asked and was killed")
            time.sleep(0.02)


def group_runs(group: int) -> bool:
    """Whether any process of the group runs; one that only waits to be buried does not."""
    return any(is_member(Path(f"/proc/{name}/stat"), group) for name in os.listdir("/proc"))


def is_member(stat: Path, group: int) -> bool:
    """See `stat` in proc(5): after the name in parentheses come state, parent and group."""
    try:
        state, _parent, process_group, *_ = stat.read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return False
    return state != "Z" and int(process_group) == group


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def listens(port: int) -> bool:
    """Whether somebody takes connections on this port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
