"""Questions about drawn pictures: no data to download, and the truth is known.

Four kinds can be answered from the half-size picture (*coarse*), two cannot (*fine*). Of one, the
faint number, less or more is left at half size, which can be seen: whether the full picture is
worth asking for is a matter of its price. All numbers are asked for in the same words, so a policy
has to look before it decides whether to ask. What is drawn is in :mod:`vt_env.sources.drawing`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Unpack, cast

import numpy as np

from vt_env.errors import ConfigError, unknown_name
from vt_env.samples import Sample
from vt_env.sources.admission import AdmissionOptions
from vt_env.sources.base import is_number
from vt_env.sources.drawing import FAINT, Recipe, draw
from vt_env.sources.seeded import SPLITS, SeededSource, stream


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


class GeneratedSource(SeededSource):
    """Pictures and questions drawn from a seed, see :class:`~vt_env.sources.seeded.SeededSource`.

    Answers are judged as exact text, numbers too: "07" is two digits to be read, not a quantity.
    A sample's metadata holds the picture's attributes, ``needs_high``, whether its kind is fine,
    and ``answer_box``, where what is asked about is drawn.

    Args:
        n: Number of samples.
        seed: From 0 to 2⁶³ - 1.
        split: ``train``, ``validation`` or ``test``.
        kinds: The name of a mix (see MIXES), kinds in equal shares (``colour+texture``), or a
            mapping of kind to share; shares are scaled to sum to 1.
        side: See :class:`~vt_env.sources.drawing.Recipe`, also for ``noise``, ``snap``, ``hard``.
        noise: In grey levels.
        snap: In pixels.
        hard: Faint digits and hatching.
        **options: As every source has them; only ``limit`` has an effect.

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
        super().__init__("generated", n, seed, split, options)
        self.mix = parse_mix(kinds)
        self.recipe = Recipe(side, noise, snap, hard)
        self._kinds = [KINDS[kind] for kind in self.mix]
        self._cumulative = np.cumsum(list(self.mix.values()))

    @property
    def fine_share(self) -> float:
        """The expected share of fine questions, in [0, 1]."""
        return sum(share for kind, share in self.mix.items() if KINDS[kind].fine)

    def _settings(self) -> Sequence[Any]:
        return self.mix, asdict(self.recipe)

    def _draw(self, index: int) -> Sample:
        rng = stream(self.seed, SPLITS.index(self.split), index)
        chosen = np.searchsorted(self._cumulative, rng.random(), side="right")
        kind = self._kinds[min(int(chosen), len(self._kinds) - 1)]
        pixels, attributes, places = draw(rng, self.recipe, kind.number_size)
        place = places.get(kind.attribute, places["shape"])
        return Sample(
            id=self._id(index),
            question=kind.question,
            references=references(kind, attributes),
            image=pixels,
            source="generated",
            kind=kind.name,
            answer_type="exact",
            metadata={**attributes, "needs_high": kind.fine, "answer_box": list(place)},
        )


def parse_mix(kinds: str | Mapping[str, float]) -> dict[str, float]:
    """Shares of the kinds in the order of KINDS, scaled to sum to 1.

    Raises:
        ConfigError: On an unknown kind, a negative share, or no kind at all.
    """
    if isinstance(kinds, str):
        kinds = MIXES[kinds] if kinds in MIXES else dict.fromkeys(kinds.split("+"), 1.0)
    if not isinstance(cast("object", kinds), Mapping):
        raise ConfigError(f"kinds are names joined by '+', or a mix, got {kinds!r:.80}")
    for kind, share in kinds.items():
        if kind not in KINDS:
            raise unknown_name("kind of question", kind, [*KINDS, *MIXES])
        if not is_number(share, 0, sys.float_info.max):
            raise ConfigError(f"the share of {kind!r} must be 0 or more, got {share!r}")
    total = sum(kinds.values())
    if total <= 0:
        raise ConfigError(f"at least one kind needs a share above 0, got {dict(kinds)}")
    return {kind: kinds[kind] / total for kind in KINDS if kinds.get(kind)}
