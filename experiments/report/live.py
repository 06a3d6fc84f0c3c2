"""The report while a run goes on: numbers and plots at once, pictures when a card is looked at.

The page is the report's own. It asks for

========================  =====================================================================
``data``                  what the islands of a report hold, without pictures
``version``               names the state of the results; the reader is told when it changes
``cards?VERSION:P:AT,…``  episodes of a policy, by places, and their samples, with pictures
========================  =====================================================================
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.evaluation.result import CONFIG, EPISODES, JOURNAL
from experiments.files import check_folders
from experiments.report import figures
from experiments.report.gallery import Gallery, choose
from experiments.report.page import Report, ReportConfig, islands_of, lead_of, render
from experiments.report.pictures import Pictures
from experiments.report.reading import COMPARISON, DEEPEST, RESULT, SUITE, read_results
from experiments.site import Answer
from trainers.results import PRIVATE
from trainers.tracking import LOG

MOST_CARDS = 48
"""Episodes of one answer."""
KEPT = 64 * 2**20
"""Characters of embedded pictures beyond which they are forgotten, and drawn again if asked for."""
_FILES = (RESULT, COMPARISON, SUITE, CONFIG, EPISODES, JOURNAL, LOG)
_CARDS = re.compile(r"cards\?([0-9a-f]{16}):(\d{1,6}):(\d{1,9}(?:,\d{1,9})*)")


@dataclass(frozen=True, slots=True)
class _State:
    """What the results came to when they were last read."""

    version: str
    page: bytes
    data: Answer
    gallery: Gallery
    pictures: Pictures


class Live:
    """Answers for a folder of results, read anew when it has changed.

    Args:
        folders: Results.
        config: What is shown.

    Raises:
        ConfigError: If there is nothing to show yet.
    """

    def __init__(self, folders: Sequence[Path], config: ReportConfig) -> None:
        self.folders, self.config = folders, config
        self._lock = threading.Lock()
        self._state = self._read(self._version())

    def get(self, path: str) -> Answer | None:
        """See the module."""
        if path == "version":
            return Answer.of({"version": self._version()})
        if path == "":
            with self._lock:
                if (version := self._version()) != self._state.version:
                    self._state = self._read(version)
                return Answer(self._state.page, "text/html; charset=utf-8")
        if path == "data":
            return self._state.data
        if found := _CARDS.fullmatch(path):
            with self._lock:
                if found[1] != self._state.version:
                    return None
                return self._cards(int(found[2]), [int(at) for at in found[3].split(",")])
        return None

    def _version(self) -> str:
        """A hash of sizes and times of all files that are read."""
        check_folders(self.folders)
        made = hashlib.sha256()
        for folder in self.folders:
            for path in _read_from(folder, DEEPEST):
                told = path.stat()
                made.update(f"{path} {told.st_size} {told.st_mtime_ns}\n".encode())
        return made.hexdigest()[:16]

    def _read(self, version: str) -> _State:
        found, config = read_results(self.folders), self.config
        kept = choose([p for p in found.policies if p.rows], config.episodes, found.notes)
        gallery = Gallery(kept)
        samples, episodes = gallery.all({})
        title = config.title or ", ".join(folder.resolve().name for folder in self.folders)
        with TemporaryDirectory() as folder:
            drawn = figures.draw(found, Path(folder, "report"))
            notes = found.notes.lines()
            report = Report(Path(), drawn, found, title, lead_of(found), notes, kept, samples,
                            episodes, [], config)  # fmt: skip
            page = render(report, live=version).encode("utf-8", "replace")
        pictures = Pictures(config.pictures, found.notes, config.data)
        return _State(version, page, Answer.of(islands_of(report)), gallery, pictures)

    def _cards(self, policy: int, places: list[int]) -> Answer | None:
        state = self._state
        if state.pictures.size > KEPT:
            state.pictures.forget()
        shown = state.gallery.shown
        if policy >= len(shown) or len(places) > MOST_CARDS:
            return None
        one = shown[policy]
        if any(at >= len(one.kept) for at in places):
            return None
        wanted = [state.gallery.place(one, at) for at in places]
        drawn = state.gallery.draw(state.pictures, wanted)
        samples = {place: state.gallery.sample(place, drawn[place]) for place in wanted}
        episodes = {at: state.gallery.episode(one, at, drawn) for at in places}
        used = {place for found in drawn.values() for place in found.places}
        made: dict[str, Any] = {"samples": samples, "episodes": episodes}
        return Answer.of({**made, "pictures": {i: state.pictures.embedded[i] for i in used}})


def _read_from(folder: Path, depth: int) -> list[Path]:
    """The files of a folder, and of those in it, that a report is made of."""
    found = [path for name in _FILES if (path := folder / name).is_file()]
    if depth:
        for inner in sorted(p for p in folder.iterdir() if p.is_dir() and p.name != PRIVATE):
            found += _read_from(inner, depth - 1)
    return found
