"""Helpers of other folders are found here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "agents"))
