"""Benchmark: the memory that triaged takes for each account that is watched and gets no mail.

A real Dovecot, TLS, one connection an account, all of them in IDLE. The daemon begins with a few
accounts, so that model and libraries are loaded, and gets the others by its list of users; what it
then holds more, for each account more, is the figure. Fails where that is above the bar.

    python3 tests/bench/idle.py --triaged target/release/triaged --accounts 2000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from fleet import TOP, Daemon, Mailserver, allow_many_files, machine, names

#: KiB an account.
BAR = 60.0
#: Accounts that are there when the counting begins.
FIRST = 20
#: Seconds of quiet before memory is read: Dovecot has let sessions hibernate by then.
QUIET = 10


def main() -> int:
    """Run it; 0 where the bar holds."""
    args = arguments()
    allow_many_files()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="triaged-bench-") as folder:
        Path(folder).chmod(0o755)
        mail = Mailserver(Path(folder) / "mail")
        daemon = Daemon(Path(folder) / "home", args.triaged, args.bundle, mail, "shadow")
        try:
            return measure(args, mail, daemon)
        finally:
            if hasattr(daemon, "process"):
                daemon.process.end()
            mail.process.end()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triaged", type=Path, default=TOP / "target" / "release" / "triaged")
    parser.add_argument("--bundle", type=Path, default=TOP / "models" / "default")
    parser.add_argument("--accounts", type=int, default=2000)
    return parser.parse_args()


def measure(args: argparse.Namespace, mail: Mailserver, daemon: Daemon) -> int:
    """Watch a few, then all, and compare."""
    users = names(FIRST + args.accounts)
    daemon.start(users[:FIRST])
    daemon.wait_watched(FIRST, 300)
    time.sleep(QUIET)
    before = daemon.resident()
    began = time.monotonic()
    daemon.follow(users)
    daemon.wait_watched(len(users), 60 + args.accounts)
    took = time.monotonic() - began
    time.sleep(QUIET)
    after = daemon.resident()
    each = (after - before) / args.accounts
    waiting = daemon.metric('triaged_connections{state="waiting"}')
    print(f"{args.accounts} more accounts were watched after {took:.0f} s, {args.accounts / took:.1f} a second")
    print(f"connections that wait: {waiting:g}; of Dovecot's sessions {mail.sessions()} do not hibernate")
    print(f"resident: {before} KiB with {FIRST} accounts, {after} KiB with {len(users)}")
    print(f"{each:.1f} KiB an account (bar {BAR:g})")
    print("held" if each <= BAR else "missed")
    return 0 if each <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
