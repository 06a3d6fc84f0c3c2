"""Reads what Weights & Biases wrote offline; its own reader is not part of the package any more."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK, _BEGIN = 32768, 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[bytes]:
    """Records of a file: pieces (checksum, length, kind, bytes) in blocks, after a header."""
    data = path.read_bytes()
    at, parts = _BEGIN, b""
    while at + 7 <= len(data):
        if _BLOCK - at % _BLOCK < 7:  # no piece begins so late in a block
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST):
            return
        piece = data[at + 7 : at + 7 + length]
        at += 7 + length
        parts = piece if kind in (_WHOLE, _FIRST) else parts + piece
        if kind in (_WHOLE, _LAST):
            yield parts


def history(folder: Path) -> dict[int, dict[str, Any]]:
    """What was logged, by step and name, of all runs below a folder."""
    from wandb.proto import wandb_internal_pb2

    seen: dict[int, dict[str, Any]] = {}
    for file in sorted(folder.rglob("*.wandb")):
        for data in records(file):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            for item in record.history.item:
                name = item.key or "/".join(item.nested_key)
                row = seen.setdefault(record.history.step.num, {})
                row[name] = json.loads(item.value_json)
    return seen
