"""Pictures of a batch: decoded on all cores, held no longer than they are shown, in order."""

from __future__ import annotations

import gc
import pickle
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vt_env import Picture, PictureError, Sample, decoding, make_task, parse
from vt_env.decoding import RECENT, Recent, at_once
from vt_env.regions import Box
from vt_env.vector import VisionThinkVectorEnv

ASK = (
    "<think>look</think><tool_call>"
    '{"name": "resize_image", "arguments": {"action": "resize"}}</tool_call>'
)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "cores", lambda: 2)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Pictures whose colour tells them apart."""
    paths = [tmp_path / f"{shade}.png" for shade in range(6)]
    for shade, path in enumerate(paths):
        Image.new("RGB", (64, 48), (40 * shade, 0, 0)).save(path)
    return paths


def samples_of(files: list[Path]) -> list[Sample]:
    return [Sample(path.stem, "What?", ("red",), path) for path in files]


def test_two_work_at_the_same_time_and_results_keep_their_order() -> None:
    meet = threading.Barrier(2, timeout=30)

    def work(number: int) -> int:
        meet.wait()  # passes only if another is at work
        time.sleep(0.01 * (4 - number))
        return number * number

    assert at_once(work, [0, 1, 2, 3]) == [0, 1, 4, 9]
    assert threading.active_count() == 1 or not [
        thread for thread in threading.enumerate() if thread.name.startswith("pictures")
    ]


def test_the_first_failure_in_order_is_raised() -> None:
    def work(number: int) -> None:
        time.sleep(0.02 * (3 - number))
        raise ValueError(f"item {number}")

    with pytest.raises(ValueError, match="item 1"):
        at_once(work, [1, 2])


def test_a_picture_holds_what_is_shown_and_not_what_was_decoded_for_it(tmp_path: Path) -> None:
    Image.effect_noise((640, 480), 50).convert("RGB").save(tmp_path / "large.png")
    picture = Picture(tmp_path / "large.png")
    shown, decoded = picture.shrunk(0.5), weakref.ref(picture.original)
    part = picture.crop(Box(0, 0, 64, 48))
    assert decoded() is picture.original
    RECENT.clear()
    gc.collect()
    assert decoded() is None
    assert part.size == (64, 48)
    assert picture.shrunk(0.5) is shown
    whole = picture.original
    RECENT.clear()
    assert picture.original is whole


def test_what_was_used_last_stays_up_to_the_room() -> None:
    class Thing:
        pass

    recent, things = Recent(room=10), [Thing() for _ in range(4)]
    alive = [weakref.ref(thing) for thing in things]
    for thing in (*things, things[1]):  # of four bytes each, so two have room
        recent.use(thing, 4)
    recent.use(things[1], 4)
    del thing, things
    gc.collect()
    assert [ref() is not None for ref in alive] == [False, True, False, True]
    recent.use(large := Thing(), 99)
    gc.collect()
    assert [ref() for ref in alive] == [None] * 4
    kept = weakref.ref(large)
    del large
    assert kept() is not None
    recent.clear()
    assert kept() is None


def test_an_array_is_one_for_all_who_hold_it_and_views_travel(files: list[Path]) -> None:
    view = Picture(files[3]).original
    array = view.array
    assert view.array is array
    assert not array.flags.writeable
    held = weakref.ref(array)
    del array
    assert held() is None
    again = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(again.array, view.array)
    assert again.region == view.region


def test_a_batch_begins_as_its_rows_do_alone(files: list[Path]) -> None:
    task = make_task(samples_of(files))
    batch = task.begin_all(samples_of(files), 2)
    assert [[d.sample.id for d in group] for group in batch] == [[str(i)] * 2 for i in range(6)]
    for shade, group in enumerate(batch):
        assert group[0].views[0] is group[1].views[0]
        assert group[0].views[0].array[0, 0, 0] == 40 * shade


def test_tools_of_a_batch_bring_every_row_its_own(files: list[Path]) -> None:
    env = VisionThinkVectorEnv(12, group_size=2, data=samples_of(files), order="sequential")
    env.reset()
    turns = [ASK if row % 3 else "nonsense" for row in range(12)]
    observation, _, _, _, info = env.step(turns)
    asked = [row for row in range(12) if row % 3]
    assert [row for row in range(12) if info["new_image"][row]] == asked
    assert all(observation["images"][row][0].shape == (48, 64, 3) for row in asked)
    assert [observation["image"][row][0, 0, 0] for row in asked] == [40 * (r // 2) for r in asked]
    assert [info["action"][row] for row in range(12)] == [parse(turn) for turn in turns]


def test_a_refused_picture_of_a_batch_changes_no_row(files: list[Path]) -> None:
    env = VisionThinkVectorEnv(6, data=samples_of(files), order="sequential")
    env.reset()
    before = list(env.dialogues)
    files[4].write_bytes(b"damaged")
    with pytest.raises(PictureError, match="sample '4'"):
        env.reset(options={"sample_ids": [str(i) for i in range(6)]})
    assert env.dialogues == before
