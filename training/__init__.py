"""The training of a triaged model bundle: one file a step, read top to bottom.

Run from the folder that holds this one: `python -m training.run` for all of it, or a step by its
name; README.md lists them. Nothing here renders a mail: `triaged render` does.
"""

import os
from pathlib import Path

# ONNX Runtime for Linux reports to its maker unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"

# Weights come from folders: nothing is asked of a hub, and reading a file needs no bar.
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

HERE = Path(__file__).resolve().parent
