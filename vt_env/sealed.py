"""Files that appear only when they are whole, and objects that say so when a bit has changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from vt_env.errors import Damaged

PART = ".part"
_HASH = re.compile(r'(.*"sha256": ")([0-9a-f]{64})("\n}\n)', re.DOTALL)


@contextmanager
def whole_file(path: Path) -> Generator[TextIO]:
    """Write a text file that appears only when it is complete."""
    part = path.with_name(path.name + PART)
    try:
        with part.open("w", encoding="utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sealed_json(value: Mapping[str, Any]) -> str:
    """An object as indented JSON with its own hash.

    Raises:
        ValueError: If a number is not finite.
    """
    blank = json.dumps({**value, "sha256": ""}, indent=2, allow_nan=False)
    digest = hashlib.sha256(blank.encode()).hexdigest()
    return f'{blank.removesuffix(chr(34) + chr(10) + "}")}{digest}"\n}}\n'


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a sealed object, whole or not at all."""
    with whole_file(path) as stream:
        stream.write(sealed_json(value))


def read_sealed(path: Path) -> dict[str, Any]:
    """The object of a sealed file.

    Raises:
        Damaged: If it is not what was written, or cannot be read.
        FileNotFoundError: If there is none.
    """
    try:
        found = _HASH.fullmatch(path.read_text("utf-8"))
    except FileNotFoundError:
        raise
    except UnicodeDecodeError:
        found = None
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from error
    blank = f'{found[1]}"\n}}' if found else ""
    if not found or hashlib.sha256(blank.encode()).hexdigest() != found[2]:
        raise Damaged(f"{path} is not what was written")
    value = json.loads(blank)
    del value["sha256"]
    return value
