"""What a first look costs, and what the cheaper ways to make it change in the pixels.

    python benchmarks/first_look.py [--images DIR] [--repeat N] [--out FILE]

Compares, within one run and from file to half-size pixels, bare Pillow (decode, then LANCZOS) with
:class:`vt_env.pictures.Picture` under each ``first_look``. Every picture is timed ``--repeat``
times, the contenders taking turns, and the fewest seconds of the processor count; a class of sizes
adds its pictures up. Besides the pictures of ``--images``, photo-like JPEGs above one megapixel are
made, since folders of charts and scans often have none.

Leaves with status 1 if a target is missed; targets are held against the photo-like JPEGs.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from bounds import Bound, conclude, quickest
from PIL import Image

from vt_env.pictures import FIRST_LOOKS, Picture

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
CLASSES = ((0.3, "below 0.3 MP"), (1.0, "0.3 to 1 MP"), (4.0, "1 to 4 MP"), (math.inf, "over 4 MP"))
CHEAP = ("reduce", "draft")
SPEEDS = {"lanczos": 0.9, "reduce": 2.0, "draft": 3.5}
PEAK = 35.0
MADE = "made"
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
    """Seconds of each contender on one file, the fewest of ``repeat`` rounds."""
    ways = contenders()
    seconds = quickest([lambda w=way: w(path) for way in ways.values()], repeat)
    return dict(zip(ways, seconds, strict=True))


def squared_and_absolute(path: Path, first_look: str) -> tuple[float, float]:
    """Mean squared and mean absolute difference from LANCZOS, in steps of 0..255."""
    exact = Picture(path).shrunk(0.5).array.astype(np.float32)
    other = Picture(path, first_look=first_look).shrunk(0.5).array.astype(np.float32)
    return float(np.square(other - exact).mean()), float(np.abs(other - exact).mean())


@dataclass(frozen=True, slots=True)
class Row:
    """What a class of pictures gave.

    Attributes:
        n: How many.
        bare: Milliseconds a picture by bare Pillow.
        speed: Of each first look, over bare Pillow's.
        absolute: Mean absolute difference from LANCZOS, of 255.
        peak: PSNR in dB.
    """

    n: int
    bare: float
    speed: dict[str, float]
    absolute: dict[str, float]
    peak: dict[str, float]

    def __str__(self) -> str:
        cells = [f"{self.n:>4}{self.bare:>9.2f}", *(f"{s:>8.2f}x" for s in self.speed.values())]
        cells += [f"{self.absolute[way]:>8.2f}{self.peak[way]:>7.1f}" for way in CHEAP]
        return "".join(cells)


def row(files: list[Path], repeat: int) -> Row:
    """One line of the table."""
    times = [best_times(path, repeat) for path in files]
    spent = {way: sum(t[way] for t in times) for way in contenders()}
    squared, absolute = {}, {}
    for way in CHEAP:
        pairs = [squared_and_absolute(path, way) for path in files]
        squared[way], absolute[way] = (float(mean) for mean in np.mean(pairs, axis=0))
    return Row(
        n=len(files),
        bare=1000 * spent["bare"] / len(files),
        speed={way: spent["bare"] / spent[way] for way in FIRST_LOOKS},
        absolute=absolute,
        peak={w: 10 * math.log10(255**2 / s) if s else math.inf for w, s in squared.items()},
    )


def targets(rows: Collection[Row]) -> list[Bound]:
    """What is held against the photo-like JPEGs, the worst of them."""
    return [
        Bound(
            f"{way}: speed over bare Pillow's", min(r.speed[way] for r in rows), limit, least=True
        )
        for way, limit in SPEEDS.items()
    ] + [
        Bound(
            f"{way}: PSNR beside LANCZOS, in dB", min(r.peak[way] for r in rows), PEAK, least=True
        )
        for way in CHEAP
    ]


def size_class(path: Path) -> str:
    """The row that a file belongs to."""
    width, height = Picture(path).size
    name = next(name for limit, name in CLASSES if width * height < limit * 1e6)
    return f"{name}, {'JPEG' if path.suffix.lower() in {'.jpg', '.jpeg'} else 'other'}"


def collected(folder: Path | None) -> dict[str, list[Path]]:
    """The pictures in a folder, by class of sizes."""
    classes: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")) if folder else []:
        if path.suffix.lower() in SUFFIXES:
            classes[size_class(path)].append(path)
    return classes


def main() -> None:
    """Measure, print, and leave with status 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="a folder of pictures")
    parser.add_argument("--repeat", type=int, default=7, help="rounds per picture (default 7)")
    parser.add_argument("--limit", type=int, default=20, help="pictures per class (default 20)")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/first_look.json"))
    arguments = parser.parse_args()
    classes, rows = collected(arguments.images), {}
    with tempfile.TemporaryDirectory() as folder:
        for seed, (width, height) in enumerate(PHOTOS):
            path = Path(folder) / f"{width}x{height}.jpg"
            photo(width, height, seed).save(path, quality=90)
            classes[f"{MADE} {width}x{height} JPEG"].append(path)
        print("Decode and halve: speed against bare Pillow (decode + LANCZOS), higher is faster;")
        print("difference from LANCZOS as mean absolute (of 255) and PSNR in dB.\n")
        print(f"{'':<24}{'':>4}{'bare':>9}{'Picture':>9}{'':>18}{'reduce':>15}{'draft':>15}")
        print(
            f"{'pictures':<24}{'n':>4}{'ms':>9}{'lanczos':>9}{'reduce':>9}{'draft':>9}"
            f"{'MAE':>8}{'PSNR':>7}{'MAE':>8}{'PSNR':>7}"
        )
        for name, files in sorted(classes.items()):
            rows[name] = row(files[: arguments.limit], arguments.repeat)
            print(f"{name:<24}{rows[name]}", flush=True)
    bounds = targets([found for name, found in rows.items() if name.startswith(MADE)])
    conclude(bounds, arguments.out, {"rows": {name: asdict(r) for name, r in rows.items()}})


if __name__ == "__main__":
    main()
