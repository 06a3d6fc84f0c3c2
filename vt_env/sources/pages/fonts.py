"""Fonts that come with Python packages, sized by the height of their digits.

Two fonts of one nominal size can print digits of very different heights, so every print is asked
for by what can be seen: the height of a digit in pixels. One face is Pillow's own; the others ship
with matplotlib, whose files are found without importing it.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from vt_env.errors import ConfigError, MissingExtra

PILLOW = "Aileron"
FACES = (
    PILLOW,
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSansMono",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
)
"""Faces of values."""
HARD_FACES = (*FACES, "STIXGeneral", "STIXGeneralBol", "DejaVuSans-Oblique", "DejaVuSerif-Italic")
"""Faces of values from half of the difficulty on: thinner, narrower and slanting ones too."""
LABEL_FACES = FACES[:3]
"""Faces of labels and titles."""

_REFERENCE = 200.0
_STEP = 0.25


def font(face: str, height: float) -> ImageFont.FreeTypeFont:
    """A face in the size at which its digits are this high.

    Args:
        face: One of :data:`FACES`.
        height: Of a digit, in pixels; the nominal size is rounded to a quarter of a pixel.

    Raises:
        MissingExtra: If the face ships with matplotlib, which is not installed.
        ConfigError: If Pillow was built without FreeType.
    """
    return _sized(face, round(height / _digit_share(face) / _STEP) * _STEP)


@lru_cache(maxsize=4096)
def _sized(face: str, size: float) -> ImageFont.FreeTypeFont:
    if face == PILLOW:
        made = ImageFont.load_default(size)
        if not isinstance(made, ImageFont.FreeTypeFont):
            raise ConfigError(
                "pages are printed with FreeType, which this Pillow was built without"
            )
        return made
    return ImageFont.truetype(_file(face), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=65536)
def advance(letters: ImageFont.FreeTypeFont, character: str) -> float:
    """Pixels from a character's beginning to the next one's, without kerning."""
    return letters.getlength(character)


@lru_cache
def _file(face: str) -> str:
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise MissingExtra("matplotlib", "cli", "printing pages (its fonts)")
    return str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{face}.ttf")


@lru_cache
def _digit_share(face: str) -> float:
    """Height of a digit over the nominal size."""
    _, top, _, bottom = _sized(face, _REFERENCE).getbbox("0123456789", anchor="ls")
    return (bottom - top) / _REFERENCE
