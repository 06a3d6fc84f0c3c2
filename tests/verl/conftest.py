"""An untrained policy for the trainer ``verl``."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny policy that has learnt nothing."""
    from agents.tiny import make_vlm, save

    return save(make_vlm(), tmp_path_factory.mktemp("untrained"))
