"""Models that come with the package, by ``shipped:NAME`` in place of a folder or a Hub name."""

from __future__ import annotations

from pathlib import Path

from vt_env.errors import unknown_name

SHIPPED = {"pages": Path(__file__).parent / "tiny" / "pages" / "policy"}
PREFIX = "shipped:"


def model_path(path: str) -> str:
    """Where a model is: the folder of a shipped one; any other path or name as it is.

    Raises:
        ConfigError: If no model of that name is shipped.
    """
    if not path.startswith(PREFIX):
        return path
    name = path.removeprefix(PREFIX)
    if name not in SHIPPED:
        raise unknown_name("shipped model", name, SHIPPED)
    return str(SHIPPED[name])
