"""Visual tokens of any family whose processor in transformers tells its counts.

``tokens="hf:FOLDER"`` asks the processor that stands beside a checkpoint, as vLLM's transformers
backend does. It has whatever bounds that checkpoint has; in families that cut pictures into tiles
the marks between tiles count too. Slower than the families of :mod:`vt_env.tokens`, so each size
is asked once.
"""

from __future__ import annotations

import importlib
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from vt_env.errors import ConfigError, MissingExtra, PictureError


class ProcessorCounter:
    """Counts as a checkpoint's processor says. Nothing is fetched.

    Args:
        folder: The checkpoint's, or the one of its processor.

    Raises:
        ConfigError: If there is no such folder, or its processor cannot be loaded (many need
            torchvision), or does not tell counts.
        MissingExtra: If transformers is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = str(folder)
        if not Path(folder).expanduser().is_dir():
            raise ConfigError(f"tokens=hf:FOLDER needs a checkpoint's folder, found none: {folder}")
        if not hasattr(self._processor, "_get_num_multimodal_tokens"):
            raise ConfigError(
                f"the processor {type(self._processor).__name__} of {folder} does not say how many "
                "visual tokens a picture has; name a family of vt_env.tokens instead"
            )
        self._counted = lru_cache(maxsize=65_536)(self._count)
        self.count(64, 64)

    @property
    def name(self) -> str:
        """The spec."""
        return f"hf:{self.folder}"

    def count(self, width: int, height: int) -> int:
        """Visual tokens of a picture of so many pixels.

        Raises:
            PictureError: If the processor refuses the size.
        """
        return self._counted(width, height)

    def _count(self, width: int, height: int) -> int:
        if min(width, height) < 1:
            raise PictureError(f"expected sides of at least 1 pixel, got {width}x{height}")
        try:
            told = self._processor._get_num_multimodal_tokens(image_sizes=[(height, width)])
            return int(told.num_image_tokens[0])
        except (ValueError, ZeroDivisionError) as error:
            raise PictureError(
                f"the processor of {self.folder} refuses {width}x{height} pixels: {error}"
            ) from error

    @cached_property
    def _processor(self) -> Any:
        try:
            transformers = importlib.import_module("transformers")
        except ImportError as error:
            raise MissingExtra("transformers", "train", f"tokens=hf:{self.folder}") from error
        try:
            path = str(Path(self.folder).expanduser())
            return transformers.AutoProcessor.from_pretrained(path, local_files_only=True)
        except Exception as error:  # whatever a folder of somebody's has
            told = " ".join(str(error).split())
            raise ConfigError(f"{self.folder} has no processor to load: {told:.300}") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcessorCounter) and other.folder == self.folder

    def __hash__(self) -> int:
        return hash(self.folder)

    def __reduce__(self) -> tuple[type[ProcessorCounter], tuple[str]]:
        return ProcessorCounter, (self.folder,)
