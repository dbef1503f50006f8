"""A Dovecot with many users and a triaged that watches all of them, for the benchmarks.

Both run in one temporary folder, on loopback ports of their own, and end with it. Dovecot's limits
are raised, and it lets sessions hibernate that only wait, as a server for so many would.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(TOP / "tests" / "demo"))

from process import Process, free_ports, listens  # noqa: E402  (its folder comes first)

PASSWORD = "bench-password"
MASTER_PASSWORD = "bench-master"
#: Put before the test server's own passdb.
DOVECOT = """
default_client_limit = 30000
default_process_limit = 10000
default_vsz_limit = 1G
auth_master_user_separator = *
passdb {{
  driver = static
  master = yes
  args = password={master}
}}
plugin {{
  acl_user = %u
}}
mail_max_userip_connections = 100
imap_hibernate_timeout = 3s
# For those that get no inotify instance: Linux gives one system user 128 as it comes.
mailbox_idle_check_interval = 1s
service imap-login {{
  process_limit = 4
}}
service imap {{
  process_limit = 10000
  unix_listener imap-master {{
    mode = 0666
  }}
}}
service imap-hibernate {{
  unix_listener imap-hibernate {{
    mode = 0666
  }}
}}
"""
CONFIGURATION = """
mode = {mode}
state = "state"
[model]
bundle = {bundle}
[http]
listen = "127.0.0.1:{http}"
[connections]
in_all = 30000
per_server = 30000
[[server]]
name = "bench"
host = "127.0.0.1"
port = {imaps}
ca_file = {ca_file}
master = "root"
separator = "*"
password_file = "password"
users_file = "users"
"""


class Mailserver:
    """A Dovecot in `folder` that knows every user."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        (folder / "more.conf").write_text(DOVECOT.format(master=MASTER_PASSWORD))
        self.ca_file = folder / "ca.pem"
        ports = self.imap, self.imaps, self.lmtp = free_ports(3)
        start = [str(TOP / "tests" / "dovecot" / "start.sh"), str(folder), "sdbox"]
        self.process = Process([*start, *map(str, ports), PASSWORD], folder / "out.log")
        while not all(listens(port) for port in ports):
            self.process.require_running()
            time.sleep(0.05)

    def sessions(self) -> int:
        """Processes of its that serve one session each: those that do not hibernate."""
        done = subprocess.run(["ps", "-eo", "pgid=,comm="], capture_output=True, text=True, check=True)
        rows = (line.split(None, 1) for line in done.stdout.splitlines())
        return sum(int(group) == self.process.child.pid and name.strip() == "imap" for group, name in rows)


class Daemon:
    """A triaged in `folder` that watches the users of a list."""

    def __init__(
        self,
        folder: Path,
        triaged: Path,
        bundle: Path,
        mail: Mailserver,
        mode: str,
        more: str = "",
    ) -> None:
        """`more`: lines that end the configuration, first of the server's."""
        folder.mkdir()
        self.users = folder / "users"
        self.http = free_ports(1)[0]
        (folder / "triaged.toml").write_text(
            CONFIGURATION.format(
                mode=json.dumps(mode),
                bundle=json.dumps(str(bundle)),
                http=self.http,
                imaps=mail.imaps,
                ca_file=json.dumps(str(mail.ca_file)),
            )
            + more
        )
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text(MASTER_PASSWORD + "\n")
        self.command = [str(triaged), "--config", str(folder / "triaged.toml"), "run"]
        self.log = folder / "triaged.log"

    def start(self, users: list[str]) -> None:
        """Start it with these users."""
        self.follow(users)
        self.process = Process(self.command, self.log)

    def follow(self, users: list[str]) -> None:
        """From now on these are the users."""
        new = self.users.with_suffix(".new")
        new.write_text("".join(f"{user}\n" for user in users))
        new.rename(self.users)

    def wait_watched(self, count: int, seconds: float) -> None:
        """Wait until so many accounts are watched."""
        end = time.monotonic() + seconds
        while (watched := self.metric('triaged_accounts{state="watching"}')) != count:
            self.process.require_running()
            if time.monotonic() > end:
                raise SystemExit(f"bench: {watched:g} of {count} are watched after {seconds} s")
            time.sleep(0.5)

    def metric(self, series: str) -> float:
        """The value of a series; 0 while there is no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=10) as page:
                lines = page.read().decode().splitlines()
        except (urllib.error.URLError, OSError):
            return 0.0
        found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return next((float(value) for name, _, value in found if name == series), 0.0)

    def resident(self) -> int:
        """Resident memory in KiB: VmRSS of proc(5)."""
        status = Path(f"/proc/{self.process.child.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


def allow_many_files() -> None:
    """A connection is a file to each of its ends; both inherit what this process may open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def machine() -> str:
    """One line: what this ran on, what else ran there, and how many mailboxes Dovecot can watch: one
    that gets no inotify instance is looked at each second, and its session does not hibernate."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    name = names[0] if names else platform.machine()
    instances = Path("/proc/sys/fs/inotify/max_user_instances").read_text().strip()
    return f"{os.cpu_count()} x {name}; load of the machine {load}; {instances} inotify instances a user"


def names(count: int) -> list[str]:
    """Names of users."""
    return [f"user{number:05}" for number in range(count)]
