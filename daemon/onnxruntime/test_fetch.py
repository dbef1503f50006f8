"""What `make setup` decides, without a network: a wheel made here stands for the real one."""

import hashlib
import json
import zipfile
from pathlib import Path

import fetch
import pytest

PINS = json.loads((Path(fetch.__file__).parent / "pins.json").read_text(encoding="utf-8"))
MEMBER = "onnxruntime/capi/libonnxruntime.so.1"
CONTENT = b"the library"


def wheel(folder: Path) -> Path:
    """A wheel with a library and the licence texts."""
    path = folder / "onnxruntime.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, CONTENT)
        for notice in fetch.NOTICES:
            archive.writestr(notice, "a licence")
    return path


def test_every_platform_has_one_wheel_with_a_hash():
    platforms = [(pin["system"], pin["machine"]) for pin in PINS["wheels"]]
    assert platforms == [("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")]
    for pin in PINS["wheels"]:
        assert len(pin["sha256"]) == 64
        assert PINS["version"] in pin["member"]


def test_a_machine_without_a_wheel_is_told_what_to_do():
    with pytest.raises(fetch.SetupError, match=r"Linux riscv64 .*\[model\] library"):
        fetch.choose(PINS["wheels"], "Linux", "riscv64")


def test_the_library_and_its_licences_come_out_of_the_wheel(tmp_path):
    library = tmp_path / "target" / "lib" / "libonnxruntime.so"
    fetch.unpack(wheel(tmp_path), MEMBER, library)
    assert library.read_bytes() == CONTENT
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == [
        "LICENSE",
        "ThirdPartyNotices.txt",
        "lib",
    ]


def test_another_wheel_than_the_pinned_one_is_refused(tmp_path):
    archive = wheel(tmp_path)
    fetch.verify(archive, hashlib.sha256(archive.read_bytes()).hexdigest())
    with pytest.raises(fetch.SetupError, match="is not the pinned file"):
        fetch.verify(archive, "0" * 64)


def test_only_an_unchanged_library_of_the_pinned_wheel_is_kept(tmp_path):
    library, stamp = tmp_path / "libonnxruntime.so", tmp_path / "wheel.sha256"
    assert not fetch.is_current(library, stamp, "pinned")
    library.write_bytes(CONTENT)
    stamp.write_text(f"pinned  {fetch.sha256(library)}\n", encoding="utf-8")
    assert fetch.is_current(library, stamp, "pinned")
    assert not fetch.is_current(library, stamp, "newer")
    library.write_bytes(CONTENT[:-1])
    assert not fetch.is_current(library, stamp, "pinned")


def test_a_second_setup_fetches_nothing(tmp_path, monkeypatch):
    archive = wheel(tmp_path)
    pin = {"system": "Linux", "machine": "x86_64", "tag": "any", "member": MEMBER}
    pin |= {"sha256": fetch.sha256(archive), "library": "libonnxruntime.so"}
    monkeypatch.setattr(fetch, "choose", lambda *_: pin)
    fetched = []
    monkeypatch.setattr(fetch, "download", lambda *_: fetched.append(1) or archive)
    for _ in range(2):
        fetch.setup(tmp_path / "target", "Linux", "x86_64")
    assert len(fetched) == 1
