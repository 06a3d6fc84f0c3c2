"""What a first look costs, and what the cheaper ways to make it change in the pixels.

    python benchmarks/first_look.py --images DIR --repeat 9

Compares, within one run and from file to half-size pixels, bare Pillow (decode, then LANCZOS) with
:class:`vt_env.pictures.Picture` under each ``first_look``. Every picture is timed ``--repeat``
times, the contenders taking turns, and the fastest time of each counts; a class of sizes adds its
pictures up. Besides the pictures of ``--images``, photo-like JPEGs above one megapixel are made,
since folders of charts and scans often have none.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from vt_env.pictures import FIRST_LOOKS, Picture

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
CLASSES = ((0.3, "below 0.3 MP"), (1.0, "0.3 to 1 MP"), (4.0, "1 to 4 MP"), (math.inf, "over 4 MP"))
PHOTOS = ((1280, 960), (1920, 1080), (2048, 1536), (3001, 2001), (4000, 3000))


def photo(width: int, height: int, seed: int) -> Image.Image:
    """Noise smoothed at several scales, with a spectrum much like a photograph's."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), dtype=np.float32)
    for step in (256, 64, 16, 4, 2):
        cells = generator.normal(0, 1, (height // step + 2, width // step + 2, 3))
        layer = Image.fromarray(np.clip(cells * 40 + 128, 0, 255).astype(np.uint8))
        smooth = layer.resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(smooth, dtype=np.float32) - 128) * step**0.5
    total *= 55 / total.std()
    return Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8))


def bare_pillow(path: Path) -> Image.Image:
    """The plainest correct code for an opaque picture: what the others are measured against."""
    with Image.open(path) as image:
        image.load()
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        size = max(1, image.width // 2), max(1, image.height // 2)
        return rgb.resize(size, Image.Resampling.LANCZOS)


def contenders() -> dict[str, Callable[[Path], Image.Image]]:
    """Each takes a file and returns its half-size picture."""
    ways: dict[str, Callable[[Path], Image.Image]] = {"bare": bare_pillow}
    for first_look in FIRST_LOOKS:
        ways[first_look] = lambda path, way=first_look: (
            Picture(path, first_look=way).shrunk(0.5).image
        )
    return ways


def best_times(path: Path, repeat: int) -> dict[str, float]:
    """Seconds of each contender on one file, the fastest of ``repeat`` rounds."""
    best: dict[str, float] = defaultdict(lambda: math.inf)
    ways = list(contenders().items())
    for turn in range(repeat):
        for name, way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
            start = time.perf_counter()
            way(path)
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def squared_and_absolute(path: Path, first_look: str) -> tuple[float, float]:
    """Mean squared and mean absolute difference from LANCZOS, in steps of 0..255."""
    exact = Picture(path).shrunk(0.5).array.astype(np.float32)
    other = Picture(path, first_look=first_look).shrunk(0.5).array.astype(np.float32)
    return float(np.square(other - exact).mean()), float(np.abs(other - exact).mean())


def row(name: str, files: list[Path], repeat: int) -> str:
    """One line of the table."""
    times = [best_times(path, repeat) for path in files]
    spent = {way: sum(t[way] for t in times) for way in contenders()}
    cells = [f"{name:<24}{len(files):>4}{1000 * spent['bare'] / len(files):>9.2f}"]
    cells += [f"{spent['bare'] / spent[way]:>8.2f}x" for way in FIRST_LOOKS]
    for way in ("reduce", "draft"):
        squared, absolute = np.mean([squared_and_absolute(p, way) for p in files], axis=0)
        peak = 10 * math.log10(255**2 / squared) if squared else math.inf
        cells.append(f"{absolute:>8.2f}{peak:>7.1f}")
    return "".join(cells)


def size_class(path: Path) -> str:
    """The row that a file belongs to."""
    width, height = Picture(path).size
    name = next(name for limit, name in CLASSES if width * height < limit * 1e6)
    return f"{name}, {'JPEG' if path.suffix.lower() in {'.jpg', '.jpeg'} else 'other'}"


def main() -> None:
    """Reads the arguments and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="a folder of pictures")
    parser.add_argument("--repeat", type=int, default=7, help="rounds per picture (default 7)")
    parser.add_argument("--limit", type=int, default=20, help="pictures per class (default 20)")
    arguments = parser.parse_args()
    rows: dict[str, list[Path]] = defaultdict(list)
    if arguments.images:
        for path in sorted(arguments.images.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                rows[size_class(path)].append(path)
    with tempfile.TemporaryDirectory() as folder:
        for seed, (width, height) in enumerate(PHOTOS):
            path = Path(folder) / f"{width}x{height}.jpg"
            photo(width, height, seed).save(path, quality=90)
            rows[f"made {width}x{height} JPEG"].append(path)
        print("Decode and halve: speed against bare Pillow (decode + LANCZOS), higher is faster;")
        print("difference from LANCZOS as mean absolute (of 255) and PSNR in dB.\n")
        print(f"{'':<24}{'':>4}{'bare':>9}{'Picture':>9}{'':>18}{'reduce':>15}{'draft':>15}")
        print(
            f"{'pictures':<24}{'n':>4}{'ms':>9}{'lanczos':>9}{'reduce':>9}{'draft':>9}"
            f"{'MAE':>8}{'PSNR':>7}{'MAE':>8}{'PSNR':>7}"
        )
        for name in sorted(rows):
            print(row(name, rows[name][: arguments.limit], arguments.repeat), flush=True)


if __name__ == "__main__":
    main()
