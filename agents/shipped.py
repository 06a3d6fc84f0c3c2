"""The policy that comes with the package."""

from __future__ import annotations

from pathlib import Path

PAGES = Path(__file__).parent / "tiny" / "pages" / "model"
"""The pages policy's checkpoint; ``shipped`` in a recipe's ``model.path``."""
