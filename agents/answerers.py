"""Who answers: perception without a policy, shared by all scripted agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vt_env.errors import ConfigError
from vt_env.pictures import View
from vt_env.regions import Box
from vt_env.registry import Registry
from vt_env.samples import Sample
from vt_env.tools.counterfactual import SHOWS


@dataclass(frozen=True, slots=True)
class Guess:
    """What an answerer makes of one view.

    Attributes:
        text: The answer.
        confidence: How sure it is, in [0, 1].
        how: How it came to it, in a sentence.
        sharper_helps: Whether a sharper view could change its mind.
        where: What should be looked at closer, in pixels of the view; ``None``: all of it.
    """

    text: str
    confidence: float
    how: str
    sharper_helps: bool = True
    where: Box | None = None

    @classmethod
    def nothing(cls, sought: str) -> Guess:
        """A guess without content; a larger picture may help."""
        return cls("unknown", 0.0, f"No {sought} can be read here.")


@runtime_checkable
class Answerer(Protocol):
    """Answers a question from one view."""

    def guess(self, question: str, view: View, sample: Sample) -> Guess:
        """The best answer that this view allows.

        Args:
            question: The question in plain text.
            view: What is looked at.
            sample: The row, for answerers that are oracles; others must not read it.
        """
        ...


class Ideal:
    """An observer that reads all that a view still holds, and knows what it does not.

    It reads the references, so it shows what perfect perception would reach. It needs data that
    says whether the original is needed: ``sample.metadata["needs_high"]``, as ``generated`` does.
    """

    def guess(self, question: str, view: View, sample: Sample) -> Guess:
        """The canonical reference, or a shrug where the view does not hold it.

        Raises:
            ConfigError: If the sample does not say what it needs.
        """
        needs_high = sample.metadata.get("needs_high")
        if needs_high is None:
            raise ConfigError(
                f"the answerer 'ideal' needs metadata['needs_high'], which sample {sample.id!r} "
                "lacks; use answerer=ocr"
            )
        if needs_high and not _shows_all(view, sample):
            return Guess("unreadable", 0.0, "The detail is lost at this size.")
        return Guess(sample.references[0], 1.0, "It can be made out.")


def _shows_all(view: View, sample: Sample) -> bool:
    """Whether a view is the original, or shows the place of the answer with all of its pixels."""
    box, region = sample.answer_box, view.region
    if view.method in SHOWS:  # pixels of another place than its region says
        return view.method == "oracle-crop"
    if view.method == "original" or box is None or region is None or region.picture:
        return view.method == "original"
    sharp = view.size[0] >= region.box.width and view.size[1] >= region.box.height
    return sharp and box.within(region.box) == box


class Auto:
    """``ideal`` where a sample says what it needs, ``ocr`` elsewhere."""

    def __init__(self) -> None:
        self._ideal = Ideal()
        self._ocr: Answerer | None = None

    def guess(self, question: str, view: View, sample: Sample) -> Guess:
        """By whoever fits the sample."""
        if "needs_high" in sample.metadata:
            return self._ideal.guess(question, view, sample)
        if self._ocr is None:
            self._ocr = make_answerer("ocr")
        return self._ocr.guess(question, view, sample)


ANSWERERS: Registry[Answerer] = Registry(
    "answerer",
    "vt.answerers",
    {"auto": Auto, "ideal": Ideal, "ocr": "agents.ocr:OcrAnswerer"},
)


def make_answerer(answerer: str | Answerer) -> Answerer:
    """An answerer by name, or as it is.

    Raises:
        ConfigError: On an unknown name.
    """
    return ANSWERERS.make(answerer) if isinstance(answerer, str) else answerer
