"""How far the perceptual hashes of copies and of different pictures are apart.

    python benchmarks/near.py [SOURCE]

What ``vt prepare --near`` has to lie between; pages are the source by default.
"""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from experiments.preparation.screening import BITS, FINE, NEAR, fine_apart, fine_of, look_of
from vt_env import Picture, open_source

DATA = "pages:n=80,width=640,height=877,print=2"


def jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    """A copy through a JPEG file."""

    def copy(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return copy


def resized(factor: float) -> Callable[[Image.Image], Image.Image]:
    """A copy of another size."""

    def copy(image: Image.Image) -> Image.Image:
        size = [max(1, round(side * factor)) for side in image.size]
        return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)

    return copy


COPIES = {
    "JPEG, quality 90": jpeg(90),
    "JPEG, quality 50": jpeg(50),
    "JPEG, quality 20": jpeg(20),
    "half the size": resized(0.5),
    "a third of the size": resized(1 / 3),
    "10 % brighter": lambda image: image.point(lambda level: min(255, round(level * 1.1))),
}


def main(spec: str = DATA) -> None:
    """Fingerprint a line a kind of copy, and one for different pictures."""
    source = open_source(spec)
    images = {s.image if isinstance(s.image, Path) else s.id: s for s in source}
    pictures = [Picture(sample.image).original.image for sample in images.values()]
    looks = [look_of(image) for image in pictures]
    known = [(image, look) for image, look in zip(pictures, looks, strict=True) if look is not None]
    print(f"{source.name}: {len(pictures)} pictures, {len(known)} with a hash of {BITS} bits")
    for name, copy in COPIES.items():
        found = [look_of(copy(image)) for image, _ in known]
        bits = [
            (look ^ (other or 0)).bit_count() for (_, look), other in zip(known, found, strict=True)
        ]
        near = sum(b <= NEAR for b in bits) / len(bits)
        print(f"  {name:20} differs in at most {max(bits):2} bits; {near:.0%} in at most {NEAR}")
    others = sorted((a ^ b).bit_count() for (_, a), (_, b) in itertools.combinations(known, 2))
    print(f"  {'another picture':20} differs in at least {others[0]} bits (the median: "
          f"{others[len(others) // 2]})")  # fmt: skip
    fine = [fine_of(image) for image, _ in known]
    print(f"of the certain fine bits, of which {FINE:.0%} may differ")
    for name, copy in COPIES.items():
        found = [fine_of(copy(image)) for image, _ in known]
        most = max(fine_apart(a, b) for a, b in zip(fine, found, strict=True))
        print(f"  {name:20} differs in at most {most:.0%}")
    least = min(fine_apart(a, b) for a, b in itertools.combinations(fine, 2))
    print(f"  {'another picture':20} differs in at least {least:.0%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
