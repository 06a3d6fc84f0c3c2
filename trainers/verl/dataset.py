"""The rows of a run as verl's data set: names of samples, in the order in which they are played.

Pictures and references stay in the source, which every agent loop opens for itself. verl loads
this module wherever it plays or learns, so the agent loop and the estimators are registered with
it.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from trainers.verl import estimator, loop
from vt_env.errors import DataError

__all__ = ["VisionThinkDataset", "estimator", "loop"]


class VisionThinkDataset(Dataset[dict[str, Any]]):
    """Rows that :func:`trainers.hosted.export.export` wrote; ``data.custom_cls`` names it.

    Args:
        data_files: One file of rows, or a list of them.
        tokenizer: Not used; a dialogue makes its own prompt.
        config: Not used.
        processor: Not used.
        max_samples: Rows; -1: all.

    Raises:
        DataError: If a file cannot be read.
    """

    def __init__(
        self,
        data_files: str | Sequence[str],
        tokenizer: Any = None,
        config: Any = None,
        processor: Any = None,
        max_samples: int = -1,
    ) -> None:
        files = [data_files] if isinstance(data_files, str) else list(data_files)
        self.rows = [row for file in files for row in _read(Path(file))]
        if max_samples >= 0:
            del self.rows[max_samples:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """What the agent loop is called with, and what verl wants to find."""
        row = self.rows[index]
        label = row["label"]
        return {
            "agent_name": loop.NAME,
            "split": label["split"],
            "sample_id": label["id"],
            "shown": label["shown"],
            "index": index,
            "raw_prompt": [{"role": "user", "content": row["question"]}],
            "data_source": label["split"],
            "reward_model": {"style": "rule", "ground_truth": None},
            "dummy_tensor": torch.zeros(1, dtype=torch.uint8),  # verl: a batch has a tensor
        }


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"the rows in {file} cannot be read: {error}") from error
