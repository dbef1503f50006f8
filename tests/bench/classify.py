"""Benchmark: `triaged classify` beside Python onnxruntime, on the same mails and the same two cores.

Both are timed from the start of their processes to the last answer. triaged gets .eml files:
reading, parsing, rendering, tokenising and printing count. Python gets the rendered texts for free,
and of its two ways (one process with two threads, two processes with one thread each) the better
one counts. Five interleaved repetitions, medians. Fails where triaged is slower, where its memory
grows during the run, or where the two give different labels. Shown beside it, and no bar: the same
with Python's start left out, its model loaded and warm, while triaged's start still counts.

Standard library only; the peer runs in a virtual environment in .bench/, made at the first call.
"""

from __future__ import annotations

import argparse
import email.message
import email.policy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
ENVIRONMENT = TOP / ".bench" / "venv"
CORES = 2
#: The memory that may be added between the first tenth of the mails and the end, in MiB.
GROWTH = 10.0
#: Of Linux's names for a processor's features, those that choose between int8 kernels.
FEATURES = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "amx_bf16", "asimddp", "i8mm")


def main() -> int:
    """Run the benchmark; 0 where triaged holds its bars."""
    args = arguments()
    hold_two_cores()
    python = environment()
    print(processor(), flush=True)
    with tempfile.TemporaryDirectory(prefix="triaged-bench-") as folder:
        work = Path(folder)
        mails = write_mails(sorted(args.data.glob("*.jsonl")), work / "mails", args.every)
        texts = write_texts(args.triaged, mails, work / "texts.jsonl")
        print(f"{len(mails)} mails, {args.repetitions} repetitions, {CORES} cores", flush=True)
        sides = measure(args, python, mails, texts)
        memory = resident(args, mails)
        flips = differences(args, python, mails, texts, work / "answers.jsonl")
    return verdict(sides, memory, flips, len(mails))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triaged", type=Path, default=TOP / "target" / "release" / "triaged")
    parser.add_argument("--bundle", type=Path, default=TOP / "models" / "default")
    parser.add_argument("--data", type=Path, default=TOP / "training" / "data")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--every", type=int, default=1, help="take every n-th mail only")
    args = parser.parse_args()
    for path in (args.triaged, args.bundle, args.data):
        if not path.exists():
            parser.error(f"{path} is not there (the program: cargo build --release)")
    return args


def hold_two_cores() -> None:
    """Both sides get the same two cores; where the system can not pin, both get the machine."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


def environment() -> Path:
    """The Python of the peer's virtual environment, made new when the pins have changed."""
    python = ENVIRONMENT / "bin" / "python"
    pins = (HERE / "requirements.txt").read_text(encoding="utf-8")
    stamp = ENVIRONMENT / "pins"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != pins:
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "-r", HERE / "requirements.txt"], check=True)
        stamp.write_text(pins, encoding="utf-8")
    return python


def processor() -> str:
    """One line: the processor and those of its features that matter."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"processor: {os.uname().machine}"
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    found = {key.strip(): value.strip() for key, value in found.items()}
    flags = (found.get("flags") or found.get("Features") or "").split()
    features = [feature for feature in FEATURES if feature in flags]
    return f"processor: {found.get('model name', os.uname().machine)}; {' '.join(features)}"


def write_mails(sources: list[Path], folder: Path, every: int) -> list[Path]:
    """The data's mails as .eml files, in order."""
    folder.mkdir()
    paths = []
    for source in sources:
        for line in source.read_text(encoding="utf-8").split("\n")[::every]:
            if line:
                paths.append(folder / f"{len(paths):05}.eml")
                paths[-1].write_bytes(mail(json.loads(line)))
    return paths


def mail(row: dict) -> bytes:
    """One mail as it would lie in a mailbox."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = row["from"]
    message["To"] = row["to"]
    message["Subject"] = row["subject"]
    message["Message-ID"] = f"<{row['id']}@bench.example>"
    message["Date"] = "Sat, 21 Nov 2026 08:00:00 +0000"
    message.set_content(row["body"])
    return message.as_bytes()


def write_texts(triaged: Path, mails: list[Path], target: Path) -> Path:
    """What the model is given to read, for Python, which does not render."""
    done = subprocess.run([triaged, "render", "--json", *mails], check=True, capture_output=True)
    rows = [json.loads(line)["text"] for line in done.stdout.decode().split("\n") if line]
    if len(rows) != len(mails):
        raise SystemExit(f"bench: {len(mails)} mails gave {len(rows)} texts")
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return target


def measure(
    args: argparse.Namespace, python: Path, mails: list[Path], texts: Path
) -> dict[str, list[float]]:
    """Seconds of each side and repetition, the sides taking turns."""
    peer = [python, HERE / "peer.py", args.bundle, texts]
    ways = {
        "threads": [[*peer, "--threads", str(CORES)]],
        "processes": [[*peer, "--part", str(n), "--parts", str(CORES)] for n in range(CORES)],
    }
    sides: dict[str, list[float]] = {"triaged": []}
    for repetition in range(args.repetitions):
        sides["triaged"].append(time_triaged(args, mails))
        for way, commands in ways.items():
            whole, loaded = time_peers(commands)
            sides.setdefault(way, []).append(whole)
            sides.setdefault(f"{way}, loaded", []).append(loaded)
        row = ", ".join(f"{side} {seconds[-1]:.2f} s" for side, seconds in sides.items())
        print(f"repetition {repetition + 1}: {row}", flush=True)
    return sides


def command(args: argparse.Namespace, mails: list[Path]) -> list:
    """The call that is measured."""
    return [args.triaged, "classify", "--json", "--bundle", args.bundle, *mails]


def time_triaged(args: argparse.Namespace, mails: list[Path]) -> float:
    """Seconds from the start of the process to its end."""
    started = time.perf_counter()
    subprocess.run(command(args, mails), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def time_peers(commands: list[list]) -> tuple[float, float]:
    """Seconds from the start of these processes to the last one's last answer, and the longest
    time that one of them worked after all were loaded and warm."""
    pipe = subprocess.PIPE
    started = time.perf_counter()
    peers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for command in commands]
    for peer in peers:
        if peer.stdout.readline() != "ready\n":
            raise SystemExit("bench: the Python peer did not get ready")
    for peer in peers:
        peer.stdin.write("go\n")
        peer.stdin.flush()
    seconds = [float(peer.stdout.readline()) for peer in peers]
    whole = time.perf_counter() - started
    for peer in peers:
        peer.wait()
    return whole, max(seconds)


def resident(args: argparse.Namespace, mails: list[Path]) -> tuple[float, float]:
    """Resident memory of triaged in MiB after the first tenth of the mails and at the end."""
    first, last = 0.0, 0.0
    tenth = max(1, len(mails) // 10)
    with subprocess.Popen(command(args, mails), stdout=subprocess.PIPE) as process:
        for number, _ in enumerate(process.stdout, start=1):
            # The very last lines may come from a process that is ending already.
            if number == tenth or (number % tenth == 0 or number == len(mails) - 8):
                last = mebibytes(process.pid) or last
                first = first or last
    return first, last


def mebibytes(pid: int) -> float:
    """Resident memory of a process; 0 where it is gone."""
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=False)
    return int(done.stdout or 0) / 1024


def differences(
    args: argparse.Namespace, python: Path, mails: list[Path], texts: Path, answers: Path
) -> int:
    """How many labels differ between the two sides."""
    peer = [python, HERE / "peer.py", args.bundle, texts, "--answers", answers]
    time_peers([peer])
    theirs = [json.loads(line) for line in answers.read_text().split("\n") if line]
    done = subprocess.run(command(args, mails), check=True, capture_output=True)
    ours = [json.loads(line) for line in done.stdout.decode().split("\n") if line]
    heads = json.loads((args.bundle / "manifest.json").read_text(encoding="utf-8"))["heads"]
    return sum(
        our[head["name"]]["label"] != their[at][0]
        for our, their in zip(ours, theirs, strict=True)
        for at, head in enumerate(heads)
    )


def verdict(
    sides: dict[str, list[float]], memory: tuple[float, float], flips: int, mails: int
) -> int:
    """Print medians and ratio; 1 where a bar is missed."""
    medians = {side: statistics.median(seconds) for side, seconds in sides.items()}
    for side, seconds in medians.items():
        name = side if side == "triaged" else f"Python, two {side}"
        print(f"{name:30} {seconds:7.2f} s  {mails / seconds:7.1f} mails/s")
    ratio, loaded = (
        min(medians[f"threads{start}"], medians[f"processes{start}"]) / medians["triaged"]
        for start in ("", ", loaded")
    )
    growth = memory[1] - memory[0]
    print(f"ratio {ratio:.3f} (bar 1.000); with Python's start left out {loaded:.3f}")
    print(f"resident {memory[0]:.1f} MiB after a tenth, {memory[1]:.1f} at the end (bar +{GROWTH:g})")
    print(f"labels that differ from Python's: {flips}")
    held = ratio >= 1.0 and growth <= GROWTH and flips == 0
    print("held" if held else "missed")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
