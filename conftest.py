"""Keeps the tests on the installed package.

The checkout's fastloop/ holds no compiled module (unless the install is an editable one), but
`python -m pytest` puts the checkout first on sys.path, and so does each `python -c` that a test
runs. Here it is taken off again, for this process and its children.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent

if not list((ROOT / "fastloop").glob("_core.*.so")):
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    os.environ["PYTHONSAFEPATH"] = "1"
