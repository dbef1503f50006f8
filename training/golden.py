"""Writes the golden.jsonl of a packed bundle anew, and the manifest that holds its hash.

    python training/golden.py --triaged target/debug/triaged models/default

For new golden mails, or where the rendering of an odd mail was mended. The model stays as it is;
where the rendering of ordinary mail changes, it has to be trained again instead.
"""

import argparse
import json
from pathlib import Path

import bundle

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triaged", type=Path, required=True, help="the built binary, for `triaged render`")
    parser.add_argument("folder", type=Path, help="the bundle")
    asked = parser.parse_args()
    heads = json.loads((asked.folder / "manifest.json").read_text(encoding="utf-8"))["heads"]
    bundle.write_golden(asked.folder, heads, asked.triaged, HERE / "golden")
    bundle.write_manifest(asked.folder, heads)


if __name__ == "__main__":
    main()
