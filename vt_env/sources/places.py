"""Which picture file a row means, and that it lies where pictures may lie."""

from __future__ import annotations

import ntpath
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from vt_env.errors import ConfigError, DataError

_URL = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_SHOWN = 80
"""Characters of a path that an error repeats: it may be a picture in base64."""

_PATH_LIMIT = 4096
"""Characters that a path has at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the picture files of a table are.

    Attributes:
        folder: The table's own.
        root: Where the user lets pictures lie; ``None``: in the table's folder, by relative paths.
    """

    folder: Path
    root: Path | None = None

    @staticmethod
    def of(folder: Path, root: object) -> Place:
        """The place of a table in ``folder`` whose option ``root`` is given or ``None``.

        Raises:
            ConfigError: If ``root`` is no folder.
        """
        if root is None:
            return Place(folder)
        if not isinstance(root, str | Path) or not Path(root).expanduser().is_dir():
            raise ConfigError(f"root is the folder that pictures lie in, got {root!r:.200}")
        return Place(folder, Path(root).expanduser())

    def picture(self, value: object) -> Path:
        """The file that a row names.

        A relative path starts at ``root``, or at the table's folder where it begins with ``..``
        or there is no ``root``. Absolute paths and ``..`` need ``root``, and must lead into it.

        Args:
            value: The path in the row, with slashes or backslashes.

        Raises:
            DataError: If it is no path, leads out of the folder, or is no file. Links are
                followed, since download caches are made of them.
        """
        path = self._inside(_plain(value))
        shown = _short(value)
        try:
            found = path.is_file()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DataError(f"the picture {shown} cannot be looked up: {reason}") from error
        if not found:
            raise DataError(f"the picture {shown} is not in the folder {self._name!r}")
        return path

    @property
    def _name(self) -> str:
        folder = self.root or self.folder
        return folder.name or str(folder)

    def _inside(self, value: str) -> Path:
        path = posixpath.normpath(value.replace("\\", "/"))
        leaves = path == ".." or path.startswith("../")
        absolute = bool(ntpath.splitdrive(value)[0]) or path.startswith("/")
        if self.root is None:
            if absolute:
                raise DataError(
                    f"the picture {_short(value)} must be a path relative to {self._name!r}; "
                    "to allow absolute ones, give root=FOLDER"
                )
            if leaves:
                raise DataError(
                    f"the picture {_short(value)} leads out of the folder {self._name!r}; "
                    "to allow it, give root=FOLDER"
                )
            return self.folder / path
        if not (absolute or leaves):
            return self.root / path
        root = posixpath.normpath(self.root.absolute().as_posix())
        found = posixpath.normpath(posixpath.join(self.folder.absolute().as_posix(), path))
        if not found.startswith(root.rstrip("/") + "/"):
            raise DataError(f"the picture {_short(value)} leads out of root, {str(self.root)!r}")
        return Path(found)


def _plain(value: object) -> str:
    """The text of a path.

    Raises:
        DataError: If it is none: another type, a URL, or far too long.
    """
    if not isinstance(value, str):
        raise DataError(f"the picture must be a relative path, got {type(value).__name__}")
    if value[:5].lower() == "data:" or len(value) > _PATH_LIMIT:
        raise DataError(
            f"the picture {value[:24]!r}… cannot be looked up: {len(value)} characters are no "
            "path; save pictures that are written as text (base64) as files"
        )
    if _URL.match(value) and not ntpath.splitdrive(value)[0]:
        raise DataError(f"the picture {_short(value)} is a URL; download it, nothing is fetched")
    return value


def _short(value: object) -> str:
    text = str(value)
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"
