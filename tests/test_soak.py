"""Memory over many episodes: a short soak of what runs here, and a slope that sees a leak."""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import pytest

EPISODES = 1000
KEPT = 8.0
"""MiB that may stay of so few episodes, in which memories fill; of 20,000 characters each, if they
were kept, 20 would."""


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import soak

    return soak


def lean() -> Iterator[int]:
    while True:
        yield 1


def heavy() -> Iterator[int]:
    kept = []
    while True:  # pages of its own: the heap has room
        kept.append(mmap.mmap(-1, 20 * 1024))
        kept[-1].write(b"x" * 20 * 1024)
        yield 1


@pytest.mark.parametrize("way", ["single", "vector", "parts", "judge", "model"])
def test_what_is_played_does_not_stay(soak: ModuleType, way: str) -> None:
    grows, _, played = soak.apart(soak.WAYS[way], EPISODES)
    assert played >= EPISODES
    assert grows < KEPT


def test_a_slope_sees_what_stays(soak: ModuleType) -> None:
    slopes = [soak.apart(way, 2000)[0] for way in (lean, heavy)]
    assert slopes[0] < soak.LIMIT < 15 < slopes[1] < 25


@pytest.mark.parametrize(("grows", "missed"), [(0.2, False), (1.2, True)])
def test_a_steep_slope_ends_with_status_1(
    soak: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    grows: float,
    missed: bool,
) -> None:
    told: list[tuple[str, int]] = []

    def apart(way: Callable[[], Iterator[int]], episodes: int) -> tuple[float, float, int]:
        told.append((way.__name__, episodes))
        return (grows if way is soak.judge else 0.0), 99.0, episodes

    monkeypatch.setattr(soak, "apart", apart)
    monkeypatch.setattr("sys.argv", ["soak.py", "--out", str(tmp_path / "found.json")])
    says = "missed: judge: MiB for every 1,000 episodes"
    with pytest.raises(SystemExit, match=says) if missed else nullcontext():
        soak.main()
    ways = ("single", "vector", "parts", "judge", "model", "agent")
    assert told == [(way, 50_000) for way in ways]
    assert json.loads((tmp_path / "found.json").read_text("utf-8"))["agent"]["episodes"] == 50_000
