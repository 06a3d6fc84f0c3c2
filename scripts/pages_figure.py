"""Draws two pages of each kind for the docs: ``python scripts/pages_figure.py``."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from vt_env.sources.pages import KINDS, Recipe, page_at

FILE = Path(__file__).parents[1] / "docs" / "pages.jpg"
GAP = 8


def main() -> None:
    """Draw and write."""
    recipe = Recipe()
    side = recipe.width + GAP
    sheet = Image.new("RGB", (len(KINDS) * side - GAP, 2 * side - GAP), "white")
    for column, kind in enumerate(KINDS):
        for row in range(2):
            page, _ = page_at((kind,), recipe, 0, "train", 2 * column + row)
            sheet.paste(Image.fromarray(page.pixels), (column * side, row * side))
    sheet.save(FILE, quality=85)


if __name__ == "__main__":
    main()
