"""What a served model is sent of a picture: its own file where nothing was done to it."""

from __future__ import annotations

import base64
import gc
import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.served import request as module
from agents.served.request import DataUris, data_uri
from vt_env.pictures import Picture, View


def noise(width: int = 320, height: int = 240, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return small.repeat(8, 0).repeat(8, 1)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def sent(view: View) -> tuple[str, bytes]:
    head, data = data_uri(view).split(",", 1)
    return head, base64.b64decode(data)


RGB = Image.fromarray(noise())
EXIF = Image.Exif()
EXIF[0x0112] = 6

OWN = {
    "jpeg": (encoded(RGB, "JPEG", quality=90), "jpeg"),
    "grey jpeg": (encoded(RGB.convert("L"), "JPEG"), "jpeg"),
    "png": (encoded(RGB, "PNG"), "png"),
    "grey png": (encoded(RGB.convert("L"), "PNG"), "png"),
}
OTHER = {
    "turned jpeg": encoded(RGB, "JPEG", exif=EXIF),
    "CMYK jpeg": encoded(RGB.convert("CMYK"), "JPEG"),
    "transparent png": encoded(RGB.convert("RGBA"), "PNG"),
    "palette png": encoded(RGB.quantize(16), "PNG"),
    "png with a transparent colour": encoded(RGB, "PNG", transparency=(0, 0, 0)),
    "16-bit png": encoded(Image.fromarray(noise()[..., 0].astype(np.uint16) * 257), "PNG"),
    "moving png": encoded(RGB, "PNG", save_all=True, append_images=[RGB.rotate(180)]),
    "webp": encoded(RGB, "WEBP", lossless=True),
    "bmp": encoded(RGB, "BMP"),
    "gif": encoded(RGB.quantize(16), "GIF"),
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("on_disk", [False, True])
def test_an_untouched_picture_is_sent_as_its_file(kind: str, on_disk: bool, tmp_path: Path):
    data, subtype = OWN[kind]
    path = tmp_path / "picture"
    path.write_bytes(data)
    view = Picture(path if on_disk else data).original
    assert sent(view) == (f"data:image/{subtype};base64", data)
    shown = Image.open(io.BytesIO(data)).convert("RGB")
    assert (np.asarray(shown) == view.array).all()


@pytest.mark.parametrize("kind", OTHER)
def test_every_other_picture_is_sent_as_its_pixels(kind: str):
    view = Picture(OTHER[kind]).original
    head, data = sent(view)
    assert head == "data:image/png;base64"
    assert data != OTHER[kind]
    assert (np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) == view.array).all()


def test_a_first_look_is_sent_as_its_pixels():
    view = Picture(OWN["jpeg"][0]).shrunk(0.5)
    assert Image.open(io.BytesIO(sent(view)[1])).size == (160, 120)
    array = View(RGB, "original")
    assert sent(array)[0] == "data:image/png;base64"


def test_a_file_that_is_gone_or_larger_than_its_pixels_is_sent_as_pixels(tmp_path: Path):
    path = tmp_path / "picture.jpg"
    path.write_bytes(OWN["jpeg"][0])
    view = Picture(path).original
    path.unlink()
    assert sent(view)[0] == "data:image/png;base64"
    padded = OWN["jpeg"][0] + bytes(320 * 240 * 3)
    assert sent(Picture(padded).original)[0] == "data:image/png;base64"


def test_a_view_is_encoded_once_by_many_threads_and_forgotten_with_it(monkeypatch):
    made: list[View] = []
    real = module.data_uri
    monkeypatch.setattr(module, "data_uri", lambda view: made.append(view) or real(view))
    views, uris = [View(Image.fromarray(noise(seed=i)), "x") for i in range(4)], DataUris()
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        for view in views:
            uris.of(view)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    made.clear()
    views.clear()
    gc.collect()
    assert len(uris._made) == 0


def test_the_memory_of_uris_is_bounded_in_bytes():
    views = [View(Image.fromarray(noise(seed=i)), "x") for i in range(20)]
    size = len(data_uri(views[0]))
    uris = DataUris(limit=5 * size)
    wanted = [data_uri(view) for view in views]
    for _ in range(2):
        assert [uris.of(view) for view in views] == wanted
        assert sum(map(len, uris._made.values())) <= 5 * size
    assert DataUris(limit=10).of(views[0]) == wanted[0]
