"""Questions about drawn pictures: no data to download, and the truth is known.

Four kinds can be answered from the half-size picture (*coarse*), two cannot (*fine*). Of one, the
faint number, less or more is left at half size, which can be seen: whether the full picture is
worth asking for is a matter of its price. All numbers are asked for in the same words, so a policy
has to look before it decides whether to ask. What is drawn is in :mod:`vt_env.sources.drawing`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Unpack

import numpy as np

from vt_env.errors import ConfigError, unknown_name
from vt_env.samples import Sample
from vt_env.sources.admission import Admission, AdmissionOptions, is_count
from vt_env.sources.base import Source, picture_digest
from vt_env.sources.drawing import FAINT, Recipe, draw


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of question.

    Attributes:
        name: Written into ``Sample.kind``.
        question: Its words.
        attribute: Which of the picture's attributes is the answer.
        fine: Whether the answer is lost at half size.
        number_size: What the picture's number must be, or ``None`` for small or big.
    """

    name: str
    question: str
    attribute: str
    fine: bool = False
    number_size: str | None = None


_NUMBER = "What number is it?"
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("colour", "What colour is the shape?", "colour"),
        Kind("shape", "What shape is it?", "shape"),
        Kind("corner", "Which corner is the shape in?", "corner"),
        Kind("big_number", _NUMBER, "number", number_size="big"),
        Kind("small_number", _NUMBER, "number", fine=True, number_size="small"),
        Kind("texture", "What pattern is it?", "texture", fine=True),
        Kind("faint_number", _NUMBER, "number", number_size=FAINT),
    )
}

MIXES: Mapping[str, Mapping[str, float]] = {
    "half": {
        "colour": 0.1,
        "shape": 0.1,
        "corner": 0.1,
        "big_number": 0.2,
        "small_number": 0.25,
        "texture": 0.25,
    },
    "laptop": {
        "colour": 0.125,
        "shape": 0.125,
        "corner": 0.125,
        "big_number": 0.2,
        "small_number": 0.25,
        "texture": 0.175,
    },
    "close": {"faint_number": 1.0},
}
"""Shares of the kinds. An oracle, which asks for the full picture exactly where a question is fine,
shows 0.25 + (share of fine) times the visual tokens of always-full: ``half`` is half fine and half
coarse, 0.75; ``laptop`` has 42.5 % fine, 0.675. In ``close`` no question is fine; what an oracle
shows depends on what a visual token costs."""

SPLITS = ("train", "validation", "test")

_ALSO = {
    "horizontal": "horizontal stripes",
    "vertical": "vertical stripes",
    "checker": "checkerboard",
}


def references(kind: Kind, attributes: Mapping[str, str]) -> tuple[str, ...]:
    """The accepted answers to a kind of question about a picture; the first is canonical.

    Args:
        kind: One of KINDS. The picture may be any: a warm-up can ask several kinds of one.
        attributes: As :func:`~vt_env.sources.drawing.draw` returns them.
    """
    answer = attributes[kind.attribute]
    if kind.attribute == "number":
        return answer, " ".join(answer)
    return (answer, _ALSO[answer]) if answer in _ALSO else (answer,)


class GeneratedSource(Source):
    """Pictures and questions drawn from a seed.

    Sample ``i`` depends on the seed, the split, ``i``, the mix and the recipe, but not on ``n``.
    Splits are separate random streams. Nothing is kept: asking again draws again.

    Answers are judged as exact text, numbers too: "07" is two digits to be read, not a quantity.
    A sample's metadata holds the picture's attributes and ``needs_high``, whether its kind is fine.

    Args:
        n: Number of samples.
        seed: Any non-negative integer.
        split: ``train``, ``validation`` or ``test``.
        kinds: The name of a mix (see MIXES), kinds in equal shares (``colour+texture``), or a
            mapping of kind to share; shares are scaled to sum to 1.
        side: See :class:`~vt_env.sources.drawing.Recipe`, also for ``noise``, ``snap``, ``hard``.
        noise: In grey levels.
        snap: In pixels.
        hard: Faint digits and hatching.
        **options: As every source has them. Nothing here is ever refused, so only ``limit`` has
            an effect: it is one more bound on ``n``.

    Raises:
        ConfigError: On a value out of range or a wrong name.
    """

    tokens = "tiny"

    def __init__(
        self,
        n: int = 2000,
        *,
        seed: int = 0,
        split: str = "test",
        kinds: str | Mapping[str, float] = "half",
        side: int = 32,
        noise: float = 10.0,
        snap: int = 4,
        hard: bool = True,
        **options: Unpack[AdmissionOptions],
    ) -> None:
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        for name, value, least in (("n", n, 1), ("seed", seed, 0)):
            if not is_count(value, least):
                raise ConfigError(f"{name} must be an integer from {least} up, got {value!r}")
        limit = Admission(**options).limit
        self.n = n if limit is None else min(n, limit)
        self.seed = seed
        self.split = split
        self.mix = parse_mix(kinds)
        self.recipe = Recipe(side, noise, snap, hard)
        self.name = f"generated-{split}"
        self._kinds = [KINDS[kind] for kind in self.mix]
        self._cumulative = np.cumsum(list(self.mix.values()))

    @property
    def fine_share(self) -> float:
        """The expected share of fine questions, in [0, 1]."""
        return sum(share for kind, share in self.mix.items() if KINDS[kind].fine)

    def __len__(self) -> int:
        return self.n

    def ids(self) -> Sequence[str]:
        """The ids in order."""
        return [self._id(index) for index in range(self.n)]

    def _id(self, index: int) -> str:
        return f"{self.split}-{self.seed}-{index:06d}"

    def _sample(self, index: int) -> Sample:
        rng = np.random.Generator(
            np.random.PCG64(
                np.random.SeedSequence(self.seed, spawn_key=(SPLITS.index(self.split), index))
            )
        )
        chosen = np.searchsorted(self._cumulative, rng.random(), side="right")
        kind = self._kinds[min(int(chosen), len(self._kinds) - 1)]
        pixels, attributes = draw(rng, self.recipe, kind.number_size)
        return Sample(
            id=self._id(index),
            question=kind.question,
            references=references(kind, attributes),
            image=pixels,
            source="generated",
            kind=kind.name,
            answer_type="exact",
            metadata={**attributes, "needs_high": kind.fine},
        )

    def fingerprint(self) -> str:
        """SHA-256 over all settings and the pixels of the first 16 samples.

        The pixels make it change if the drawing or NumPy's random streams ever do.
        """
        settings = [self.n, self.seed, self.split, self.mix, asdict(self.recipe)]
        digest = hashlib.sha256(json.dumps(settings).encode())
        for index in range(min(self.n, 16)):
            digest.update(picture_digest(self._sample(index).image))
        return digest.hexdigest()


def parse_mix(kinds: str | Mapping[str, float]) -> dict[str, float]:
    """Shares of the kinds in the order of KINDS, scaled to sum to 1.

    Raises:
        ConfigError: On an unknown kind, a negative share, or no kind at all.
    """
    if isinstance(kinds, str):
        kinds = MIXES[kinds] if kinds in MIXES else dict.fromkeys(kinds.split("+"), 1.0)
    for kind, share in kinds.items():
        if kind not in KINDS:
            raise unknown_name("kind of question", kind, [*KINDS, *MIXES])
        if not 0 <= share < float("inf"):
            raise ConfigError(f"the share of {kind!r} must be 0 or more, got {share!r}")
    total = sum(kinds.values())
    if total <= 0:
        raise ConfigError(f"at least one kind needs a share above 0, got {dict(kinds)}")
    return {kind: kinds[kind] / total for kind in KINDS if kinds.get(kind)}
