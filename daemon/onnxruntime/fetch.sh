#!/bin/sh
# Brings the ONNX Runtime library that the daemon loads into .onnxruntime/lib at the top of the
# repository. Does nothing when the pinned one is there already. All the work is in fetch.py.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if ! command -v python3 >/dev/null 2>&1; then
    echo "setup: python3 is missing; on Debian and Ubuntu: apt-get install python3 python3-pip" >&2
    exit 69
fi
exec python3 "$here/fetch.py" "$@"
