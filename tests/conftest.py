"""What several tests need."""

import io
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # examples and studies

os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers are processes; idle threads would spin

import numpy as np
import pytest
from PIL import Image

from vt_env import Sample

pytest_plugins = ["skip_list"]

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # some of the environments for other trainers do without
    pass
else:  # neither what else the machine does nor chance decides a test
    anywhere = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("same", anywhere, derandomize=True)
    settings.register_profile("fresh", anywhere)  # pytest --hypothesis-profile fresh
    settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_users(tmp_path_factory: pytest.TempPathFactory):
    """What a start keeps for the next one is kept for this session only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data on disk: three pages of 1240 x 1754 pixels as JPEG files, two questions about each."""
    from experiments.preparation.writing import write_jsonl
    from vt_env.sources.pages import Recipe, page_at

    samples: list[Sample] = []
    for index in range(3):
        page, _ = page_at(("form", "receipt"), Recipe(1240, 1754), 0, "test", index)
        file = io.BytesIO()
        Image.fromarray(page.pixels).save(file, "JPEG", quality=90)
        for entry in page.entries[:2]:
            samples.append(
                Sample(
                    f"scan-{len(samples)}",
                    f"What is the {entry.names[0]}?",
                    (entry.value.words,),
                    file.getvalue(),
                    kind=entry.print,
                    answer_type="exact",
                )
            )
    folder = tmp_path_factory.mktemp("scans") / "data"
    return write_jsonl(folder, ((sample, {}) for sample in samples), "scans")


def picture(width: int = 64, height: int = 48, seed: int = 0) -> np.ndarray:
    """Random pixels: uint8 [H, W, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def samples() -> list[Sample]:
    """Four samples whose answers are one, two, three, four."""
    words = ("one", "two", "three", "four")
    return [
        Sample(f"s{i}", f"What is written in picture {i}?", (word,), picture(640, 480, i))
        for i, word in enumerate(words, 1)
    ]
