"""Keeps the tests on the installed package.

`python -m pytest` puts the checkout first on sys.path, and its fastloop/ holds no compiled module
(unless the install is an editable one). Here it is taken off again before any test is imported.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent

if not list((ROOT / "fastloop").glob("_core.*.so")):
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
