"""Benchmark: the time from a mail's delivery until another client sees its keyword.

A real Dovecot whose users all are watched by triaged, over TLS, by IDLE. Mails come by LMTP at a
steady rate, to one user after the other. The clock starts when the server has taken a mail, and stops
when a client of its own, which asks ten times a second, sees a keyword on it. Fails where the median
or the worst hundredth is above its bar, or a mail gets no keyword at all.

    python3 tests/bench/latency.py --triaged target/release/triaged --users 200 --rate 20
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from fleet import PASSWORD, TOP, Daemon, Mailserver, allow_many_files, machine, names

#: Seconds: of the median, and of the worst hundredth.
BARS = (1.0, 3.0)
#: Mails of the demo that get a keyword for certain.
MAILS = ("01-tills-are-down.eml", "02-vat-on-invoice.eml", "03-locked-out.eml", "11-monthly-digest.eml")
#: Between two looks of the other client, in seconds; on average half of it is in each figure.
LOOK = 0.05
#: A mail without a keyword after so many seconds will get none.
PATIENCE = 60


def main() -> int:
    """Run it; 0 where the bars hold."""
    args = arguments()
    allow_many_files()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="triaged-bench-") as folder:
        Path(folder).chmod(0o755)
        mail = Mailserver(Path(folder) / "mail")
        daemon = Daemon(Path(folder) / "home", args.triaged, args.bundle, mail, "label")
        try:
            daemon.start(names(args.users))
            daemon.wait_watched(args.users, 60 + args.users)
            times = asyncio.run(deliver_and_watch(args, mail))
        finally:
            if hasattr(daemon, "process"):
                daemon.process.end()
            mail.process.end()
    print(machine())
    return verdict(args, times)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triaged", type=Path, default=TOP / "target" / "release" / "triaged")
    parser.add_argument("--bundle", type=Path, default=TOP / "models" / "default")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20, help="mails a second")
    parser.add_argument("--seconds", type=float, default=60)
    return parser.parse_args()


class Line:
    """A connection that talks in lines, IMAP or LMTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.tag = reader, writer, 0

    @classmethod
    async def open(cls, port: int) -> Line:
        """Connect and read the greeting."""
        line = cls(*await asyncio.open_connection("127.0.0.1", port))
        await line.reader.readline()
        return line

    async def say(self, text: bytes, code: bytes) -> None:
        """LMTP: send, and read the reply, which must begin so."""
        self.writer.write(text)
        while True:
            reply = await self.reader.readline()
            if not reply.startswith(code):
                raise SystemExit(f"bench: LMTP says {reply!r} to {text[:60]!r}")
            if reply[3:4] != b"-":
                return

    async def command(self, text: str) -> list[str]:
        """IMAP: send, and read up to the end of the command."""
        self.tag += 1
        tag = f"a{self.tag} "
        self.writer.write(f"{tag}{text}\r\n".encode())
        heard = []
        while True:
            line = (await self.reader.readline()).decode(errors="replace")
            if line.startswith(tag):
                return heard
            if not line:
                raise SystemExit(f"bench: the server hung up on {text}")
            heard.append(line)


async def deliver_and_watch(args: argparse.Namespace, mail: Mailserver) -> list[float | None]:
    """Seconds from delivery to keyword of each mail; None where there was none."""
    texts = [(TOP / "tests" / "demo" / "mails" / name).read_bytes() for name in MAILS]
    users = names(args.users)
    clients = [await client(mail, user) for user in users]
    lmtp = await Line.open(mail.lmtp)
    await lmtp.say(b"LHLO localhost\r\n", b"250")
    count = int(args.rate * args.seconds)
    began, watching = time.monotonic(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / args.rate - time.monotonic()))
        user = number % len(users)
        await deliver(lmtp, users[user], texts[number % len(texts)], number)
        seen = keyword(clients[user], number // len(users) + 1, time.monotonic())
        watching.append(asyncio.create_task(seen))
    took = time.monotonic() - began
    print(f"{count} mails to {len(users)} users in {took:.1f} s, {count / took:.1f} a second", flush=True)
    return await asyncio.gather(*watching)


async def client(mail: Mailserver, user: str) -> tuple[Line, asyncio.Lock]:
    """Another client of that user, with the INBOX selected."""
    line = await Line.open(mail.imap)
    await line.command(f"LOGIN {user} {PASSWORD}")
    await line.command("SELECT INBOX")
    return line, asyncio.Lock()


async def deliver(lmtp: Line, user: str, text: bytes, number: int) -> None:
    """Hand a mail over; the server has it when this returns."""
    text = re.sub(rb"(?im)^message-id:.*\r?\n", b"", text, count=1)
    text = f"Message-ID: <{number}@bench.example>\r\n".encode() + re.sub(rb"\r?\n", b"\r\n", text)
    await lmtp.say(b"MAIL FROM:<bench@example.org>\r\n", b"250")
    await lmtp.say(f"RCPT TO:<{user}@localhost>\r\n".encode(), b"250")
    await lmtp.say(b"DATA\r\n", b"354")
    await lmtp.say(text.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n", b"250")


async def keyword(client: tuple[Line, asyncio.Lock], uid: int, delivered: float) -> float | None:
    """Seconds until a keyword is on the mail."""
    line, alone = client
    while (waited := time.monotonic() - delivered) < PATIENCE:
        async with alone:
            await line.command("NOOP")
            answers = await line.command(f"UID FETCH {uid} (FLAGS)")
        if any("triaged-" in answer for answer in answers):
            return time.monotonic() - delivered
        await asyncio.sleep(LOOK)
    print(f"no keyword after {waited:.0f} s", flush=True)
    return None


def verdict(args: argparse.Namespace, times: list[float | None]) -> int:
    """Print the figures; 1 where a bar is missed."""
    seen = sorted(seconds for seconds in times if seconds is not None)
    if len(seen) < 2:
        raise SystemExit("bench: hardly a mail got a keyword")
    cuts = statistics.quantiles(seen, n=100, method="inclusive")
    median, hundredth = cuts[49], cuts[98]
    print(f"delivery to keyword: p50 {median:.2f} s, p95 {cuts[94]:.2f} s, p99 {hundredth:.2f} s, worst {seen[-1]:.2f} s")
    print(f"bars: p50 {BARS[0]:g} s, p99 {BARS[1]:g} s; without a keyword: {len(times) - len(seen)} of {len(times)}")
    held = median <= BARS[0] and hundredth <= BARS[1] and len(seen) == len(times)
    print("held" if held else "missed")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
