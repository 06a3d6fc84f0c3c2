import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def png(seed=0, size=(64, 48)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Table:
    """A folder with two pictures in which tests write tables."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "images").mkdir()
        (root / "images" / "a.png").write_bytes(png(1))
        (root / "images" / "b.png").write_bytes(png(2))
        (root / "images" / "cut.png").write_bytes(png(3)[:2000])
        (root / "images" / "text.png").write_text("not a picture")

    def row(self, **changes):
        row = {
            "id": "good",
            "image": "images/a.png",
            "question": "What is it?",
            "answers": ["noise", "static"],
        }
        row.update(changes)
        return {key: value for key, value in row.items() if value is not ...}

    def jsonl(self, *rows, name="table.jsonl"):
        lines = [
            row
            if isinstance(row, bytes)
            else (row if isinstance(row, str) else json.dumps(row)).encode()
            for row in rows
        ]
        path = self.root / name
        path.write_bytes(b"\n".join(lines) + b"\n")
        return path

    def text(self, name, text):
        path = self.root / name
        path.write_text(text, encoding="utf-8", newline="")
        return path


@pytest.fixture
def table(tmp_path):
    folder = tmp_path / "vqa"
    folder.mkdir()
    return Table(folder)


@pytest.fixture
def make_png():
    return png
