"""Some rows of another source, by id: a rehearsal's longest ones, or a hard subset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vt_env.errors import DataError
from vt_env.samples import Sample
from vt_env.sources.base import Source


class ChosenSource(Source):
    """Rows of another source, in the order in which they are named.

    Args:
        path: A JSON file: ``{"source": SPEC, "ids": [ID, …]}``; a relative path in SPEC begins
            where the process runs.

    Raises:
        DataError: If the file has another form, or an id is not served or named twice.
    """

    def __init__(self, path: str | Path) -> None:
        from vt_env.sources.opening import open_source

        spec, ids = _read(Path(path))
        if len(set(ids)) < len(ids):
            raise DataError(f"an id is named twice in {path}")
        self._inner = open_source(spec)
        self._ids = [self._inner.by_id(name).id for name in ids]
        self.name = f"{self._inner.name}, {len(ids)} chosen"
        self.tokens, self.commit = self._inner.tokens, self._inner.commit

    def ids(self) -> Sequence[str]:
        """The chosen ids."""
        return self._ids

    def _sample(self, index: int) -> Sample:
        return self._inner.by_id(self._ids[index])

    def fingerprint(self) -> str:
        """Of the other source and what was chosen of it."""
        written = json.dumps([self._inner.fingerprint(), self._ids])
        return hashlib.sha256(written.encode()).hexdigest()


def _read(path: Path) -> tuple[str, list[str]]:
    """The spec and the ids."""
    try:
        chosen: Any = json.loads(path.read_text("utf-8"))
        spec, ids = chosen["source"], [str(name) for name in chosen["ids"]]
        if not isinstance(spec, str) or not ids:
            raise ValueError("no source, or no ids")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f'expected {{"source": SPEC, "ids": [ID, …]}} in {path}, got {error!r:.80}'
        ) from error
    return spec, ids
