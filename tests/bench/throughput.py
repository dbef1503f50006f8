"""Benchmark: how many messages a second are labelled end to end, and the share of the store in that.

A real Dovecot with a backlog in one INBOX, TLS, and a daemon that comes to it with the shipped model:
once with its store in SQLite, once in PostgreSQL. The clock runs from when the daemon answers its first
question until all messages are settled; another client then counts the keywords. What the store takes
is the sum of the stages that wait for it, by the daemon's own metrics: one account's stages come one
after the other. Fails where that share is above the bar, or a message is not settled.

    python3 tests/bench/throughput.py --triaged target/release/triaged --messages 5000
"""

from __future__ import annotations

import argparse
import imaplib
import re
import sys
import tempfile
import time
from pathlib import Path

from fleet import PASSWORD, TOP, Daemon, Mailserver, machine

from process import Process, free_ports  # fleet says where it is

#: The store's part of the time.
BAR = 0.15
#: Stages that wait for the store.
STORE = ("attempt", "recall", "plan", "settle")
STAGES = ("attempt", "fetch", "parse", "render", "recall", "classify", "plan", "apply", "verify", "settle")
#: Seconds without a new message after which the daemon is taken for stuck.
PATIENCE = 120
DATABASE = """
[database]
kind = "postgresql"
url_file = "url"
"""


def main() -> int:
    """Run it on each database; 0 where the bars hold."""
    args = arguments()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="triaged-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        mail = Mailserver(folder / "mail")
        try:
            held = [measure(args, folder, mail, kind) for kind in args.databases]
        finally:
            mail.process.end()
    print(machine())
    print("held" if all(held) else "missed")
    return 0 if all(held) else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triaged", type=Path, default=TOP / "target" / "release" / "triaged")
    parser.add_argument("--bundle", type=Path, default=TOP / "models" / "default")
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    return parser.parse_args()


def measure(args: argparse.Namespace, folder: Path, mail: Mailserver, kind: str) -> bool:
    """One run; whether its bars hold."""
    fill(mail, kind, args.messages)
    home = folder / kind
    database = None
    more = 'backfill = "all"\n'
    if kind == "postgresql":
        database, url = postgresql(folder / "database")
        more += DATABASE
    daemon = Daemon(home, args.triaged, args.bundle, mail, "label", more)
    try:
        if database is not None:
            (home / "url").touch(mode=0o600)
            (home / "url").write_text(url + "\n")
        daemon.start([kind])
        took = wait_settled(daemon, args.messages)
        return verdict(args, mail, daemon, kind, took)
    finally:
        daemon.process.end()
        if database is not None:
            database.end()


def fill(mail: Mailserver, user: str, messages: int) -> None:
    """Put the backlog into the user's INBOX."""
    texts = [path.read_bytes() for path in sorted((TOP / "tests" / "demo" / "mails").glob("*.eml"))]
    texts = [re.sub(rb"(?im)^message-id:.*\r?\n", b"", text, count=1) for text in texts]
    texts = [re.sub(rb"\r?\n", b"\r\n", text) for text in texts]
    client = login(mail, user)
    for number in range(messages):
        text = f"Message-ID: <{number}@{user}.example>\r\n".encode() + texts[number % len(texts)]
        client.append("INBOX", "", imaplib.Time2Internaldate(time.time()), text)
    client.logout()


def login(mail: Mailserver, user: str) -> imaplib.IMAP4:
    """A client that owes nothing to triaged."""
    client = imaplib.IMAP4("127.0.0.1", mail.imap)
    client.login(user, PASSWORD)
    return client


def postgresql(folder: Path) -> tuple[Process, str]:
    """A PostgreSQL in `folder`, and where it is."""
    folder.mkdir()
    folder.chmod(0o755)
    port = free_ports(1)[0]
    start = [str(TOP / "tests" / "postgresql" / "start.sh"), str(folder), str(port), "bench"]
    process = Process(start, folder.with_suffix(".log"))
    while "ready to accept connections" not in process.log():
        process.require_running()
        time.sleep(0.05)
    return process, f"postgres://triaged:bench@127.0.0.1:{port}/postgres?sslmode=disable"


def wait_settled(daemon: Daemon, messages: int) -> float:
    """Seconds from the daemon's first answer until all are settled."""
    while not daemon.metric("process_start_time_seconds"):
        daemon.process.require_running()
        time.sleep(0.01)
    began = last = time.monotonic()
    before = 0.0
    while (now := settled(daemon)) < messages:
        daemon.process.require_running()
        if now > before:
            before, last = now, time.monotonic()
        if time.monotonic() - last > PATIENCE:
            raise SystemExit(f"bench: {now:g} of {messages} are settled, and no more for {PATIENCE} s")
        time.sleep(0.1)
    return time.monotonic() - began


def settled(daemon: Daemon) -> float:
    """Messages that left the pipe with all that was to be done."""
    outcomes = ("labelled", "unlabelled")
    return sum(daemon.metric(f'triaged_messages_total{{outcome="{outcome}"}}') for outcome in outcomes)


def verdict(args: argparse.Namespace, mail: Mailserver, daemon: Daemon, kind: str, took: float) -> bool:
    """Print the figures; whether the bar holds."""
    spent = {stage: daemon.metric(f'triaged_stage_duration_seconds_sum{{stage="{stage}"}}') for stage in STAGES}
    store = sum(spent[stage] for stage in STORE)
    share = store / took
    labelled = daemon.metric('triaged_messages_total{outcome="labelled"}')
    seen = with_keywords(mail, kind)
    print(f"{kind}: {args.messages} messages in {took:.1f} s, {args.messages / took:.0f} a second; {seen} have keywords")
    print("  " + ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in spent.items()))
    print(f"  in the store {store:.2f} s: {share:.1%} of the time (bar {BAR:.0%})", flush=True)
    return share <= BAR and seen == labelled


def with_keywords(mail: Mailserver, user: str) -> int:
    """How many messages another client sees with a keyword of ours."""
    client = login(mail, user)
    client.select("INBOX", readonly=True)
    _, lines = client.fetch("1:*", "(FLAGS)")
    client.logout()
    return sum(b"triaged-" in line for line in lines)


if __name__ == "__main__":
    sys.exit(main())
