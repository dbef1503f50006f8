"""Measures what a daemon holds in memory while its model is exchanged again and again.

    python3 tests/bench/reloads.py --triaged target/release/triaged --changes 100

It runs a daemon whose only account can not be reached, and lets it take two copies of the default
bundle in turn. Printed is the resident memory in MiB, at the start and after each change.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUNDLE = TOP / "models" / "default"
PORT = 19753
CONFIGURATION = """
state = "state"
[model]
bundle = {bundle}
threads = 1
[http]
listen = "127.0.0.1:{port}"
[[account]]
name = "nobody"
host = "127.0.0.1"
port = 1
tls = "none"
user = "nobody"
password_file = "password"
"""
#: Longer than any change takes, in seconds.
PATIENCE = 120


def install(folder: Path) -> tuple[str, str]:
    """Write configuration, password and a second version; give the names of both versions."""
    (folder / "triaged.toml").write_text(CONFIGURATION.format(bundle=json.dumps(str(BUNDLE)), port=PORT))
    (folder / "password").write_text("none\n")
    (folder / "password").chmod(0o600)
    manifest = json.loads((BUNDLE / "manifest.json").read_text())
    name, installed = manifest["name"], f"{manifest['name']}-{manifest['version']}"
    copy = folder / "state" / "models" / f"{name}-copy"
    shutil.copytree(BUNDLE, copy)
    (copy / "manifest.json").write_text(json.dumps(manifest | {"version": "copy"}))
    return installed, copy.name


def choose(folder: Path, version: str | None) -> None:
    """Say which version shall serve, as `triaged model activate` does; None is the installed one."""
    record = folder / "state" / "models" / "active.json"
    new = record.with_suffix(".new")
    new.write_text(json.dumps({"active": version, "before": []}))
    new.rename(record)


def wait_serves(version: str) -> None:
    """Wait until /readyz names the version."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz") as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:  # 503: its account can not be reached
            body = error.read()
        except OSError:
            body = b"{}"
        if json.loads(body).get("model", {}).get("serves") == version:
            return
        time.sleep(0.05)
    raise SystemExit(f"{version} does not serve after {PATIENCE} s")


def resident(process: int) -> float:
    """Resident memory in MiB: VmRSS of proc(5)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    """Start the daemon, exchange its model, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triaged", type=Path, required=True, help="the built binary")
    parser.add_argument("--changes", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        installed, copy = install(folder)
        command = [asked.triaged, "--config", folder / "triaged.toml", "run"]
        with open(folder / "log", "wb") as log:
            daemon = subprocess.Popen(command, stderr=log)
        try:
            wait_serves(installed)
            print(f"start {resident(daemon.pid):.0f}", flush=True)
            for change in range(1, asked.changes + 1):
                choose(folder, copy if change % 2 else None)
                wait_serves(copy if change % 2 else installed)
                print(f"{change} {resident(daemon.pid):.0f}", flush=True)
        finally:
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    main()
