"""Picture files: told apart by content, refused by their header, decoded once, to upright RGB.

The format classes of Pillow are called directly instead of through ``PIL.Image.open``, for three
reasons: only formats on an allow-list are ever parsed, the limit on pixels is ours and holds before
anything is decoded, without Pillow's own warning and exception (a TIFF above Pillow's limit still
draws them where ``max_pixels`` was raised that far), and no process-wide Pillow setting is touched,
so that threads cannot disturb each other.
"""

from __future__ import annotations

import io
import math
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from vt_env.errors import ConfigError, PictureError, unknown_name
from vt_env.picture_headers import (
    bound_decoding,
    bound_header,
    content_format,
    gif_size,
    notice_of,
    orientation,
    stored_size,
    unfold_grey,
)

_BITS_TAG, _PHOTOMETRIC_TAG, _MOST_TAG = 258, 262, 281
_FULL_SCALES = [2**bits - 1 for bits in range(9, 16)]
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
        most: Any = image.tag_v2.get(_MOST_TAG, (0,))
        if most and most[0] in _FULL_SCALES and most[0] < top:  # a camera's bits in 16
            top = float(most[0])
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


_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
}
if features.check("avif"):  # of Pillow's wheels since 11.3
    from PIL import AvifImagePlugin

    _READERS["AVIF"] = AvifImagePlugin.AvifImageFile
FORMATS: tuple[str, ...] = tuple(_READERS)
"""Every format that can be read; ``AVIF`` where Pillow was built with it. ``PPM`` stands for the
whole family: PBM, PGM, PPM and PFM."""

_HEAD_BYTES = 512


@dataclass(frozen=True)
class PictureRules:
    """Which pictures are accepted.

    Attributes:
        formats: Accepted formats, some of :data:`FORMATS`, told by content and never by file name.
        max_pixels: Largest width times height, checked before decoding.
        max_bytes: Largest encoded size.
        max_aspect: Largest ratio of the longer to the shorter side. Qwen's processors refuse what
            is above 200.
        min_side: Shortest side, in pixels.
        shrink_above: Width times height to which a larger picture is shrunk by LANCZOS when it is
            decoded; to everybody it then is a picture of that size. 0: none is.

    Raises:
        ConfigError: On an unknown format or a limit below 1.
    """

    formats: tuple[str, ...] = FORMATS
    max_pixels: int = 64_000_000
    max_bytes: int = 256 * 2**20
    max_aspect: float = 200.0
    min_side: int = 1
    shrink_above: int = 0

    def __post_init__(self) -> None:
        for name in self.formats:
            if name not in FORMATS:
                raise unknown_name("picture format", name, FORMATS)
        for limit in ("max_pixels", "max_bytes", "max_aspect", "min_side"):
            if not getattr(self, limit) >= 1:
                raise ConfigError(
                    f"PictureRules.{limit} must be 1 or more, got {getattr(self, limit)!r}"
                )
        if self.shrink_above < 0:
            raise ConfigError(
                f"PictureRules.shrink_above must be 0 or more, got {self.shrink_above!r}"
            )

    @classmethod
    def shrinking(cls, above: int | None) -> PictureRules | None:
        """The usual rules, but larger pictures are shrunk; ``None`` where nothing bounds them."""
        return cls(shrink_above=above) if above else None

    def shown_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of a picture once it is shrunk to ``shrink_above``, if it is larger."""
        area = size[0] * size[1]
        if not 0 < self.shrink_above < area:
            return size
        factor = math.sqrt(self.shrink_above / area)
        return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))

    def check_size(self, size: tuple[int, int], name: str) -> None:
        """Refuses a picture by its size.

        Args:
            size: Width and height in pixels.
            name: What to call the picture in the error.

        Raises:
            PictureError: When a side is too short, or the area or the aspect ratio too large.
        """
        (width, height), shape = size, f"{size[0]}x{size[1]} pixels"
        if min(size) < self.min_side:
            raise PictureError(
                f"{name}: expected sides of at least {self.min_side} pixels, got {shape}; "
                "leave it out"
            )
        if width * height > self.max_pixels:
            raise PictureError(
                f"{name}: expected at most {self.max_pixels:,} pixels, got {shape} = "
                f"{width * height:,}; shrink it, or raise PictureRules.max_pixels if you trust it"
            )
        self.check_aspect(size, name)

    def check_aspect(self, size: tuple[int, int], name: str) -> None:
        """Refuses a picture that is too long and thin; arguments and errors as above."""
        if max(size) > self.max_aspect * min(size):
            raise PictureError(
                f"{name}: expected an aspect ratio of at most {self.max_aspect:g}:1, got "
                f"{size[0]}x{size[1]} pixels = {max(size) / min(size):.1f}:1; crop or pad it"
            )


@dataclass(frozen=True)
class OpenPicture:
    """An encoded picture whose header has been read and accepted, ready for one decode.

    Attributes:
        name: What errors call it.
        image: Pillow's reader; holds no pixels yet.
        orientation: EXIF orientation, 1 to 8.
        size: Width and height in pixels as shown, that is after the orientation.
        kind: Its format.
        file: The encoded picture.
        notice: What of it is not shown; empty where all is.
    """

    name: str
    image: ImageFile.ImageFile
    orientation: int
    size: tuple[int, int]
    kind: str
    file: BinaryIO
    notice: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether every decoder shows the same: an upright, opaque JPEG or PNG, grey or RGB."""
        return (
            isinstance(self.image, JpegImagePlugin.JpegImageFile | PngImagePlugin.PngImageFile)
            and self.orientation == 1
            and self.image.mode in ("L", "RGB")
            and "transparency" not in self.image.info
            and getattr(self.image, "n_frames", 1) == 1
        )

    def decode(self) -> Image.Image:
        """Decodes the whole picture.

        Returns:
            RGB, upright, of :attr:`size`.

        Raises:
            PictureError: When the data is damaged or its samples have no defined 8-bit reading.
        """
        with _refusing(self.name, "decoded"):
            bound_decoding(self.kind, self.file, self.name)
            load(self.image)
            by_itself = isinstance(self.image, TiffImagePlugin.TiffImageFile)  # Pillow turns it
            turned = upright(to_rgb(self.image, self.name), 1 if by_itself else self.orientation)
        if turned.size != self.size:
            raise PictureError(
                f"{self.name}: the header promised {self.size}, decoding gave {turned.size}; "
                "re-encode it"
            )
        return turned

    def draft(self, divisor: int, size: tuple[int, int]) -> Image.Image | None:
        """Decodes a JPEG directly at a reduced scale (fewer DCT coefficients per block).

        libjpeg rounds a reduced side up where a first look rounds it down, so the last row or
        column is dropped when a side is no multiple of ``divisor``.

        Args:
            divisor: 2, 4 or 8.
            size: The wanted width and height in pixels, after the orientation.

        Returns:
            RGB, upright, of ``size``; ``None`` where the decoder cannot do it: another format, or
            a side shorter than ``divisor``. This object can still be decoded then.

        Raises:
            PictureError: When the data is damaged.
        """
        if not isinstance(self.image, JpegImagePlugin.JpegImageFile) or min(self.size) < divisor:
            return None
        width, height = size if self.orientation < 5 else size[::-1]
        with _refusing(self.name, "decoded"):
            bound_decoding(self.kind, self.file, self.name)
            self.image.draft(None, (width, height))
            load(self.image)
            small = to_rgb(self.image, self.name)
            if small.size != (width, height):
                small = small.crop((0, 0, width, height))
            return upright(small, self.orientation)


@contextmanager
def open_picture(data: Path | bytes, rules: PictureRules) -> Generator[OpenPicture]:
    """Opens a picture and reads its header; the file is open within the ``with`` block only.

    Args:
        data: A file, or an encoded file in memory.
        rules: What is accepted.

    Yields:
        The picture, nothing of it decoded.

    Raises:
        PictureError: When there is no such file, it cannot be read, or the rules refuse it.
    """
    name = f"picture {str(data)!r}" if isinstance(data, Path) else f"picture of {len(data)} bytes"
    with _open_bytes(data, rules, name) as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        kind = content_format(head)
        if kind not in rules.formats:
            got = kind or f"no known picture format (it starts with {head[:12]!r})"
            advice = "allow it in PictureRules.formats" if kind in FORMATS else "convert it first"
            raise PictureError(
                f"{name}: expected one of {', '.join(rules.formats)}, got {got}; {advice} "
                "(the content decides, not the file name)"
            )
        with _refusing(name, f"read as {kind}"):
            bound_header(kind, file, name)
            if kind == "GIF":  # Pillow allocates a GIF's first frame as soon as it is opened
                rules.check_size(gif_size(file, name), name)
            image = _READERS[kind](file)
            unfold_grey(image, file)
            (width, height), turn = stored_size(image), orientation(image, file)
        size = (width, height) if turn < 5 else (height, width)
        rules.check_size(size, name)
        yield OpenPicture(name, image, turn, size, kind, file, notice_of(kind, image, file))


def _open_bytes(data: Path | bytes, rules: PictureRules, name: str) -> BinaryIO:
    """An open binary file over the encoded picture, after the checks that need no parsing."""
    try:
        if isinstance(data, bytes):
            length, regular = len(data), True
        else:
            status = data.stat()
            length, regular = status.st_size, stat.S_ISREG(status.st_mode)
            if not regular:
                kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a special file"
                raise PictureError(f"{name}: expected a file, got {kind}; name one picture")
        if not 0 < length <= rules.max_bytes:
            raise PictureError(
                f"{name}: expected 1 to {rules.max_bytes:,} bytes, got {length:,}; "
                "get the file again, or set PictureRules.max_bytes"
            )
        return io.BytesIO(data) if isinstance(data, bytes) else data.open("rb")
    except FileNotFoundError as error:
        raise PictureError(f"{name}: no such file; check the path") from error
    except (OSError, ValueError) as error:
        if isinstance(error, PictureError):
            raise
        raise PictureError(
            f"{name}: cannot be opened ({error}); check the path and its permissions"
        ) from error


@contextmanager
def _refusing(name: str, done: str) -> Generator[None]:
    """Turns whatever Pillow raises on bad data into a PictureError.

    Pillow's parsers raise nearly anything (OSError, SyntaxError, ValueError, struct.error, …).
    """
    try:
        yield
    except (PictureError, MemoryError):
        raise
    except Exception as error:
        raise PictureError(
            f"{name}: cannot be {done} ({type(error).__name__}: {error}); it is damaged or "
            "incomplete, or of a rare kind: get it again, convert it to PNG, or leave it out"
        ) from error
