"""The demo's triaged: its configuration, its process, and what `triaged history` says."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import mailserver
from process import Process, free_ports


class Daemon:
    """`triaged run` in label mode on the server's INBOX."""

    def __init__(
        self, folder: Path, triaged: Path, bundle: Path, server: mailserver.Mailserver
    ) -> None:
        self.command = [str(triaged), "--config", str(folder / "triaged.toml")]
        self.http = free_ports(1)[0]
        password_file = folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(mailserver.PASSWORD + "\n")
        (folder / "state").mkdir()
        (folder / "triaged.toml").write_text(
            f"""mode = "label"
state = "{folder}/state"

[model]
bundle = "{bundle}"

[http]
listen = "127.0.0.1:{self.http}"

[[account]]
name = "demo"
host = "127.0.0.1"
port = {server.imaps}
ca_file = "{server.ca_file}"
user = "{mailserver.USER}"
password_file = "{password_file}"
"""
        )
        # Where the demo is killed, the kernel ends the daemon: see setpriv(1).
        outlive_nothing = ["setpriv", "--pdeathsig", "KILL"]
        self.process = Process([*outlive_nothing, *self.command, "run"], folder / "triaged.log")

    def wait_ready(self, seconds: float) -> None:
        """Waits until the daemon has logged in and watches the mailbox."""
        deadline = time.monotonic() + seconds
        while not self.ready():
            self.process.require_running()
            if time.monotonic() > deadline:
                raise RuntimeError(f"the daemon is not ready after {seconds} s")
            time.sleep(0.05)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=5) as page:
                return page.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def history(self) -> dict[int, dict]:
        """The records of `triaged history`, by UID."""
        self.process.require_running()
        history = subprocess.run(
            [*self.command, "history", "--json"], check=True, capture_output=True, timeout=60
        )
        records = map(json.loads, history.stdout.splitlines())
        return {record["uid"]: record for record in records}

    def log(self) -> str:
        return self.process.log()

    def stop(self) -> None:
        """Asks the daemon to end, as systemd does; it must end well."""
        code = self.process.stop(60)
        if code != 0:
            raise RuntimeError(f"the daemon ended with {code} after SIGTERM")

    def end(self) -> None:
        self.process.end()
