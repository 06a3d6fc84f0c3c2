"""What the tests beside lmms-eval need before it is imported."""

import importlib.util
import os
import random

import pytest

if importlib.util.find_spec("lmms_eval") is not None:
    os.environ.setdefault("OPENAI_API_KEY", "never used")
    os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture
def rng(request):
    """A generator of its own for each test, the same in every run."""
    return random.Random(request.node.name)
