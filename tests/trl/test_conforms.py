"""The recorded transcripts through TRL's trainer; see docs/adapters.md."""

from __future__ import annotations

import pytest
from scripted import TRL

from trainers.conformance import check_groups, check_masks, check_rewards, check_visual_tokens


@pytest.fixture
def adapter(untrained, settings):
    return TRL(untrained, settings)


def test_rewards(adapter):
    check_rewards(adapter)


def test_groups(adapter):
    check_groups(adapter, ["paper", "rate", "price"])


def test_masks_and_pictures(adapter):
    check_masks(adapter, ["paper", "general", "low"], turn_end="<|im_end|>")
    check_visual_tokens(adapter, ["none", "general", "low"])
