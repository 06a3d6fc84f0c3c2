"""Any of Pillow's modes to upright 8-bit RGB."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from vt_env.errors import PictureError

_BITS_TAG, _PHOTOMETRIC_TAG = 258, 262
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load(image: ImageFile.ImageFile) -> None:
    """Decodes what a reader has opened; Pillow raises nearly anything on damaged data."""
    image.load()  # pyright: ignore[reportUnknownMemberType] - its result is partly untyped


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Brings any decoded picture to 8-bit RGB.

    - Transparency of any kind (alpha, a transparent colour, palette entries) shows white.
    - Integer samples of more than 8 bits are scaled, 65,535 (or a TIFF's own maximum) being white.
    - Float samples are read as 0..1.
    - CMYK, YCbCr and Lab are converted by Pillow; colour profiles are not applied.

    Args:
        image: A loaded picture in any of Pillow's modes.
        name: What to call it in an error.

    Returns:
        ``image`` itself if it is RGB already, else a new picture.

    Raises:
        PictureError: On samples outside the range above.
    """
    colour: Any = image.info.get("transparency")
    if image.mode == "F" or image.mode.startswith("I"):
        hidden = None if colour is None else np.asarray(image) == colour
        image = Image.fromarray(_eight_bits(image, name))
        if hidden is not None:
            image.putalpha(Image.fromarray(np.where(hidden, 0, 255).astype(np.uint8)))
    elif isinstance(colour, tuple) and max(cast(tuple[int, ...], colour)) > 255:
        # The transparent colour of a 16-bit PNG, whose pixels Pillow cuts to their upper 8 bits.
        image.info["transparency"] = tuple(c >> 8 for c in cast(tuple[int, ...], colour))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            ground = Image.new("RGB", image.size, "white")
            ground.paste(image, mask=image)
            return ground
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """Samples of a grey 16-bit, 32-bit or float picture, scaled to 0..255: uint8 [H, W]."""
    samples = np.asarray(image)
    top, white_is_zero = (1.0 if image.mode == "F" else 65535.0), False
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode.startswith("I;16"):
        bits: Any = image.tag_v2.get(_BITS_TAG, (16,))
        top = float(2 ** bits[0] - 1)
        white_is_zero = image.tag_v2.get(_PHOTOMETRIC_TAG) == 0
    low, high = float(samples.min()), float(samples.max())
    if not (low >= 0 and high <= top):
        raise PictureError(
            f"{name}: expected samples within 0..{top:g} in a picture of mode {image.mode}, got "
            f"{low:g}..{high:g}; rescale it and save it with 8 bits"
        )
    scaled = samples.astype(np.float32) * np.float32(255 / top)
    return np.rint(255 - scaled if white_is_zero else scaled).astype(np.uint8)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Applies an EXIF orientation and drops the metadata, so that nobody applies it again.

    Args:
        image: As stored.
        orientation: 1 (nothing to do) to 8.

    Returns:
        ``image`` itself for 1, else a new picture.
    """
    turn = _TRANSPOSE.get(orientation)
    image = image if turn is None else image.transpose(turn)
    image.info = {}
    return image
