"""What lmms-eval finds under its entry-point group ``lmms_eval.models``."""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any

NAME = "visionthink"


def manifest() -> Any:
    """Name and class of the model; lmms-eval asks for it whenever it starts."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(NAME, simple_class_path="experiments.lmms.model.VisionThink")
