"""JSON lines with picture paths: one object a line, paths relative to the file's folder.

    {"id": "a-1", "image": "images/a.jpg", "question": "What is it?", "answers": ["a cat", "cat"]}

``id``, ``source``, ``kind``, ``answer_type`` and ``choices`` are optional; every other column goes
to the sample's metadata. :data:`vt_env.sources.rows.ALIASES` lists the names that are understood.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack, cast

from vt_env.errors import DataError
from vt_env.sources.admission import Admission, AdmissionOptions
from vt_env.sources.tables import Line, TableSource


class JsonlSource(TableSource):
    """A JSON-lines table.

    Args:
        path: The file, or a folder with one such file (or one with the folder's own name).
        columns: Field to column name, e.g. ``{"question": "text"}``.
        **options: See :class:`~vt_env.sources.admission.Admission`.

    Raises:
        DataError: If there is no such file, or too many of its rows are refused.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        **options: Unpack[AdmissionOptions],
    ) -> None:
        self.path = find_jsonl(Path(path).expanduser())
        super().__init__(
            self.path.stem,
            self.path.parent,
            read_json_lines(self.path),
            columns,
            Admission(**options),
        )


def find_jsonl(path: Path) -> Path:
    """The table that a path means.

    Raises:
        DataError: If it means none, or several.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"expected a JSON-lines file or its folder, found nothing at {path}")
    named = path / f"{path.resolve().name}.jsonl"
    if named.is_file():
        return named
    found = sorted(path.glob("*.jsonl"))
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise DataError(
            f"expected one .jsonl file in {path}, or one named {named.name}, found {names}"
        )
    return found[0]


def read_json_lines(path: Path) -> Iterator[Line]:
    """The objects of a file; blank lines are passed over, a UTF-8 byte-order mark is allowed.

    Raises:
        DataError: If the file is UTF-16 or UTF-32.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if number == 1:
                if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise DataError(f"{path} is not UTF-8 but UTF-16 or UTF-32; save it as UTF-8")
                raw = raw.removeprefix(codecs.BOM_UTF8)
            if raw.strip():
                yield number, _parse(raw)


def _parse(raw: bytes) -> Mapping[str, Any] | str:
    """A line's object, or why there is none."""
    try:
        value: object = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f"not UTF-8 text: {error.reason} at byte {error.start}"
    except RecursionError:
        return "not readable JSON: nested too deeply"
    except ValueError as error:
        return f"not readable JSON: {error}"
    if not isinstance(value, dict):
        return f"expected a JSON object, got {type(value).__name__}"
    return cast("dict[str, Any]", value)
