"""Fetch the pinned ONNX Runtime library: the shared library out of the official Python wheel.

The wheel comes through pip, so an index, a proxy or a mirror that pip is configured for is used
here too. What arrives must have the SHA-256 in pins.json, whatever the index says. Nothing is
installed into any Python: the wheel is opened as the zip archive that it is.

Standard library only, Python 3.9 or later. Deliberately absent: a download without pip, and GPU
builds (an administrator names such a library in the configuration).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_TARGET = HERE.parent.parent / ".onnxruntime"
#: Licence texts that must travel with the library.
NOTICES = ("onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt")
#: sysexits.h: something that is needed is not available.
EX_UNAVAILABLE = 69


class SetupError(Exception):
    """What stopped the setup, in words for the person who ran it."""


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, default=DEFAULT_TARGET, help="folder to fill")
    parser.add_argument("--system", default=platform.system(), help="Linux or Darwin")
    parser.add_argument("--machine", default=platform.machine(), help="x86_64, aarch64 or arm64")
    args = parser.parse_args()
    try:
        print(f"setup: {setup(args.target, args.system, args.machine)}")
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    return 0


def setup(target: Path, system: str, machine: str) -> str:
    """Fill `target` for that kind of machine; returns one line that says what was done."""
    pins = json.loads((HERE / "pins.json").read_text(encoding="utf-8"))
    wheel = choose(pins["wheels"], system, machine)
    library = target / "lib" / wheel["library"]
    stamp = target / "wheel.sha256"
    if is_current(library, stamp, wheel["sha256"]):
        return f"ONNX Runtime {pins['version']} is there: {library}"
    with tempfile.TemporaryDirectory(prefix="triaged-setup-") as folder:
        archive = download(pins, wheel, Path(folder))
        verify(archive, wheel["sha256"])
        unpack(archive, wheel["member"], library)
    write_whole(stamp, f"{wheel['sha256']}  {sha256(library)}\n".encode())
    return f"ONNX Runtime {pins['version']} for {system} {machine}: {library}"


def choose(wheels: list[dict], system: str, machine: str) -> dict:
    """The pinned wheel for this kind of machine."""
    for wheel in wheels:
        if (wheel["system"], wheel["machine"]) == (system, machine):
            return wheel
    known = ", ".join(f"{wheel['system']} {wheel['machine']}" for wheel in wheels)
    raise SetupError(
        f"no ONNX Runtime is pinned for {system} {machine} (there is one for {known}); "
        "build or install one yourself and name it in the configuration, [model] library"
    )


def is_current(library: Path, stamp: Path, wheel_sha256: str) -> bool:
    """Whether the library came whole out of the pinned wheel and is unchanged since."""
    try:
        wheel, member = stamp.read_text(encoding="utf-8").split()
        return wheel == wheel_sha256 and member == sha256(library)
    except (OSError, ValueError):
        return False


def download(pins: dict, wheel: dict, folder: Path) -> Path:
    """Let pip fetch the one wheel into `folder`; returns its path."""
    requirement = f"{pins['package']}=={pins['version']}"
    command = [
        *pip(folder), "--disable-pip-version-check", "download", "--quiet", "--no-deps",
        "--only-binary=:all:", "--platform", wheel["tag"].split("-", 2)[2],
        "--python-version", pins["python"], "--dest", str(folder), requirement,
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    archive = folder / f"{pins['package']}-{pins['version']}-{wheel['tag']}.whl"
    if ended.returncode != 0 or not archive.is_file():
        said = ended.stderr.strip().splitlines()[-3:] or ["pip said nothing"]
        raise SetupError(
            f"pip could not download {requirement} ({wheel['tag']}); is the package index "
            "reachable from here?\n  " + "\n  ".join(said)
        )
    return archive


def pip(folder: Path) -> list[str]:
    """A command that runs pip: this Python's own, else that of a virtual environment in `folder`.

    Debian's Python has neither until python3-pip or python3-venv is installed.
    """
    own = [sys.executable, "-m", "pip"]
    if succeeds([*own, "--version"]):
        return own
    if succeeds([sys.executable, "-m", "venv", str(folder / "venv")]):
        return [str(folder / "venv" / "bin" / "python"), "-m", "pip"]
    raise SetupError(
        f"{sys.executable} has neither pip nor venv; "
        "on Debian and Ubuntu: apt-get install python3-pip"
    )


def succeeds(command: list[str]) -> bool:
    """Whether the command ends with 0."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def verify(archive: Path, expected: str) -> None:
    """Refuse a wheel that is not the pinned one."""
    found = sha256(archive)
    if found != expected:
        raise SetupError(
            f"{archive.name} is not the pinned file and was thrown away: "
            f"SHA-256 {found}, pinned {expected}"
        )


def unpack(archive: Path, member: str, library: Path) -> None:
    """Put the library and its licence texts in place, each one whole or not at all."""
    with zipfile.ZipFile(archive) as wheel:
        for notice in NOTICES:
            write_whole(library.parent.parent / Path(notice).name, wheel.read(notice))
        write_whole(library, wheel.read(member))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that nobody ever sees half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
        part.write(content)
    os.chmod(part.name, 0o644)
    shutil.move(part.name, path)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
