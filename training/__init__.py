"""The training of a triaged model bundle: one file a step, read top to bottom.

Run from the folder that holds this one: `python -m training.run` for all of it, or a step by its
name; README.md lists them. Nothing here renders a mail: `triaged render` does.
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent
