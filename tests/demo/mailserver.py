"""The demo's Dovecot: started from `tests/dovecot/`, filled by LMTP, asked by imaplib."""

from __future__ import annotations

import contextlib
import email
import email.policy
import imaplib
import os
import pwd
import re
import smtplib
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from process import Process, free_ports, listens

SCRIPTS = Path(__file__).resolve().parents[1] / "dovecot"
USER = "demo"
PASSWORD = "demo-password"


def install_dovecot(may_install: bool) -> bool:
    """Sees to it that Dovecot's programs are there; false where they are not."""
    command = [str(SCRIPTS / "install.sh")] + ([] if may_install else ["--print"])
    return subprocess.run(command, check=False).returncode == 0


@dataclass(frozen=True)
class Stored:
    """A mail as the server has it."""

    uid: int
    keywords: frozenset[str]


class Mailserver:
    """A Dovecot in `folder`, on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.ca_file = folder / "ca.pem"
        self.owner = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        imap, self.imaps, self.lmtp = free_ports(3)
        ports = [imap, self.imaps, self.lmtp]
        command = [str(SCRIPTS / "start.sh"), str(folder), "sdbox", *map(str, ports), PASSWORD]
        self.process = Process(command, folder / "dovecot.log")
        try:
            while not all(listens(port) for port in ports):
                self.process.require_running()
                time.sleep(0.02)
            context = ssl.create_default_context(cafile=self.ca_file)
            self.client = imaplib.IMAP4_SSL("127.0.0.1", self.imaps, ssl_context=context)
            self.client.login(USER, PASSWORD)
        except BaseException:
            self.process.end()
            raise

    def deliver(self, mail: bytes) -> tuple[str, str]:
        """Hands a mail over as a mail transfer agent does; returns Message-ID and subject."""
        message = email.message_from_bytes(mail, policy=email.policy.default)
        with smtplib.LMTP("127.0.0.1", self.lmtp) as lmtp:
            lmtp.sendmail("sender@example.org", [f"{USER}@localhost"], mail)
        return str(message["Message-ID"]), str(message["Subject"])

    def keywords(self) -> dict[str, Stored]:
        """What every mail of the INBOX carries, by Message-ID. Sets no flag itself."""
        self.client.select("INBOX", readonly=True)
        query = "(UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
        _, answers = self.client.fetch("1:*", query)
        stored = {}
        for answer in answers:
            if not isinstance(answer, tuple):
                continue
            line, header = answer[0].decode(), answer[1].decode()
            uid = int(re.search(r"UID (\d+)", line)[1])
            flags = re.search(r"FLAGS \(([^)]*)\)", line)[1].split()
            message_id = header.partition(":")[2].strip()
            keywords = frozenset(flag for flag in flags if not flag.startswith("\\"))
            stored[message_id] = Stored(uid, keywords)
        return stored

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.client.shutdown()
        self.process.end()
