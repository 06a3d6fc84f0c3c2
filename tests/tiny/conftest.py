"""An untrained tiny model, which says anything at all."""

from pathlib import Path

import pytest
import torch

from agents.models import VisionLanguageModel, load_vlm
from agents.tiny import make_vlm, save


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def vlm() -> VisionLanguageModel:
    return make_vlm(seed=1)


@pytest.fixture(scope="session")
def folder(vlm: VisionLanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(vlm, tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def loaded(folder: Path) -> VisionLanguageModel:
    return load_vlm(folder)
