#!/usr/bin/env python3
"""Shows triaged at work: real mail, a real Dovecot, a real model, and the keywords that result.

Starts a Dovecot of its own in a temporary folder, delivers the mails of `mails/` to it, runs the
daemon in label mode, asks the server what the mails carry now, and prints a table. It needs no
package beside Python's standard library, touches no Dovecot that runs already, and leaves nothing
running. Exit codes: 0 all as expected, 1 not, 69 no Dovecot.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from daemon import Daemon
from mailserver import Mailserver, install_dovecot
from verdict import Result, complaints, read_expected, table

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
# A dozen mails take a second or two; a machine that is busy with a build takes longer.
PATIENCE_SECONDS = 120


def main() -> int:
    arguments = parse_arguments()
    # A polite end from outside takes the same way out as Ctrl-C: through every `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    may_install = arguments.install and os.environ.get("DEMO_INSTALL") != "no"
    if not install_dovecot(may_install):
        return 69
    with tempfile.TemporaryDirectory(prefix="triaged-demo-") as folder:
        # Where root runs this, Dovecot runs as `nobody`, who must get in.
        os.chmod(folder, 0o755)
        results, log = show(Path(folder), arguments.triaged)
    print(table(results))
    problems = complaints(results)
    for problem in problems:
        print(f"NOT AS EXPECTED: {problem}")
    if problems:
        print(f"--- log of the daemon ---\n{log}", file=sys.stderr)
        return 1
    print("Dovecot and the daemon have ended; nothing is left running.")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--triaged",
        type=Path,
        default=REPOSITORY / "target/release/triaged",
        help="the built daemon (default: %(default)s)",
    )
    parser.add_argument(
        "--no-install",
        dest="install",
        action="store_false",
        help="where Dovecot is missing, only print the command that installs it (or DEMO_INSTALL=no)",
    )
    return parser.parse_args()


def show(folder: Path, triaged: Path) -> tuple[list[Result], str]:
    """Delivers all mails, waits until each is decided, and returns what came of them."""
    expected = read_expected(HERE / "expected.tsv")
    (folder / "server").mkdir()
    (folder / "daemon").mkdir()
    server = Mailserver(folder / "server")
    daemon = None
    try:
        print(f"Dovecot listens on 127.0.0.1:{server.imaps} (a throw-away one, as {server.owner}).")
        daemon = Daemon(folder / "daemon", triaged, REPOSITORY / "models/default", server)
        daemon.wait_ready(PATIENCE_SECONDS)
        print(f"triaged watches the INBOX; delivering {len(expected)} mails by LMTP.\n")
        results = [deliver(server, HERE / "mails" / name, labels) for name, labels in expected]
        watch(server, daemon, results)
        daemon.stop()
        return results, daemon.log()
    except BaseException:
        if daemon is not None:
            print(f"--- log of the daemon ---\n{daemon.log()}", file=sys.stderr)
        raise
    finally:
        if daemon is not None:
            daemon.end()
        server.end()


def deliver(server: Mailserver, path: Path, expected: dict[str, str]) -> Result:
    message_id, subject = server.deliver(path.read_bytes())
    return Result(message_id, subject, expected, delivered=time.time())


def watch(server: Mailserver, daemon: Daemon, results: list[Result]) -> None:
    """Looks at the mailbox and the history until every mail is decided and settled."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all(result.settled() for result in results) and time.monotonic() < deadline:
        # The history costs a process each time; the server is asked often, for the times' sake.
        for _ in range(20):
            on_server = server.keywords()
            for result in results:
                result.see(on_server.get(result.message_id), time.time())
            time.sleep(0.02)
        records = daemon.history()
        for result in results:
            result.record = records.get(result.uid)
    # Once more: what the server has now is what counts.
    on_server = server.keywords()
    for result in results:
        result.see(on_server.get(result.message_id), time.time())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"demo: {error}")
