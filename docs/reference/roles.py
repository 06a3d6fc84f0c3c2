"""For the site: cross-references in docstrings, written for Sphinx, become names in code type."""

# pyright: basic, reportMissingImports=false
import re
from typing import Any

import griffe

_ROLE = re.compile(r":[a-z]+:`~?\.?(?:[\w.]+\.)?(\w+)`")


class Roles(griffe.Extension):
    """Rewrites what was read, before it is rendered."""

    def on_instance(self, *, obj: griffe.Object, **settings: Any) -> None:
        """Called for everything that has a docstring."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
