"""Views as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

from vt_env.pictures import View


class DataUris:
    """Makes the data URI of each view once, for as long as the view is there.

    Siblings of a group share their views, and a second turn shows the first view again.
    """

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[View, str] = WeakKeyDictionary()

    def prepare(self, views: Iterable[View]) -> None:
        """Make those that are not there yet, several at a time."""
        missing = {id(view): view for view in views if view not in self._made}
        if missing:
            with ThreadPoolExecutor(min(4, len(missing)), "png") as threads:
                made = threads.map(data_uri, missing.values())
                self._made.update(zip(missing.values(), made, strict=True))

    def of(self, view: View) -> str:
        """The view's data URI."""
        self.prepare([view])
        return self._made[view]


def data_uri(view: View) -> str:
    """A view as a PNG in a data URI: the pixels exactly, whatever the server decodes with."""
    stream = io.BytesIO()
    view.image.save(stream, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
