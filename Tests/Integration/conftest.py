"""Puts the shared helpers on the path of every test below Tests/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Support" / "Python"))
