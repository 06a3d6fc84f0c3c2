"""Multiple choice: reading the options out of a question, and what an answer chooses."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vt_env.judges.questions import Asked, read_question
from vt_env.judges.sameness import clean, same
from vt_env.judges.sentences import states

_LABEL = re.compile(r"(?:^|(?<=[\s,;]))[(\[]?([A-Za-z]|[1-9])[)\].:](?=\s)", re.M)
_FRAME = re.compile(
    r"(?:(?:the|my) )?(?:(?:correct|final|right|best) )?(?:answer|option|choice|letter)\b"
    r"(?: is| would be)?:?\s*",
    re.I,
)
_LETTER = re.compile(r"[(\[]?([A-Za-z]|[1-9])[)\]]?[.:)]?")
_LETTERED = re.compile(
    r"(?:[(\[](?P<boxed>[A-Za-z1-9])[)\]][.:]?\s*|(?P<marked>[A-Za-z1-9])[.:)]\s*"
    r"|(?P<bare>[A-Z])(?:,| -)? )(?P<text>\S.*)"
)
_MAX_OPTIONS = 26
_LIMIT = 8_000


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a question.

    Attributes:
        stem: The question without its options.
        labels: One label an option, upper case (``A``…, or ``1``…).
        texts: The option texts, cleaned.
    """

    stem: str
    labels: tuple[str, ...]
    texts: tuple[str, ...]


def read_options(question: str, choices: tuple[str, ...] = ()) -> Options | None:
    """The options given with a query, or those written in its question, or ``None``.

    Written options are a run of labels ``A B C …`` or ``1 2 3 …``, each as ``A.``, ``A)``,
    ``(A)``, ``[A]`` or ``A:``.
    """
    written = _written(question[-_LIMIT:])
    if not choices:
        return written
    labels = tuple(chr(ord("A") + index) for index in range(min(len(choices), _MAX_OPTIONS)))
    stem = written.stem if written else question
    return Options(stem, labels, tuple(clean(text) for text in choices[:_MAX_OPTIONS]))


def _written(question: str) -> Options | None:
    found = list(_LABEL.finditer(question))
    best: list[re.Match[str]] = []
    for first in ("A", "a", "1"):
        run: list[re.Match[str]] = []
        for match in found:
            expected = chr(ord(first) + len(run))
            if match[1] == first:
                run = [match]
            elif run and match[1] == expected:
                run.append(match)
        best = run if len(run) > max(1, len(best)) else best
    if not best:
        return None
    ends = [match.start() for match in best[1:]] + [len(question)]
    texts = [question[m.end() : end] for m, end in zip(best, ends, strict=True)]
    texts[-1] = texts[-1].strip().split("\n")[0]
    cleaned = tuple(clean(text.strip().rstrip(",;.").strip()) for text in texts)
    if not all(cleaned):
        return None
    return Options(question[: best[0].start()], tuple(m[1].upper() for m in best), cleaned)


def choose(reference: str, options: Options) -> int | None:
    """The option that a reference names by label, by text, or by both; ``None`` if none."""
    asked = read_question(options.stem)
    reference = clean(reference)
    by_label = _label_index(reference, options)
    if by_label is not None:
        return by_label
    matching = [i for i, text in enumerate(options.texts) if same(reference, text, asked)]
    if len(matching) == 1:
        return matching[0]
    lettered = _lettered(reference, options)
    if lettered is not None and same(lettered[1], options.texts[lettered[0]], asked):
        return lettered[0]
    return None


def chooses(answer: str, wanted: int, options: Options) -> bool:
    """Whether a cleaned answer chooses the wanted option and no other one.

    A label, a text, or both may be given; a label with another option's text is wrong.
    """
    asked = read_question(options.stem)
    bare = answer
    for _ in range(2):
        bare = _FRAME.sub("", bare, count=1) if _FRAME.match(bare) else bare
    bare = bare.rstrip(" .!")

    def names(claim: str, _: str, context: Asked) -> bool:
        if _is_part_of_text(claim, answer, options):
            return False
        return _names(claim, wanted, options, context, whole=claim in (bare, answer))

    return (
        names(bare, "", asked) or states(bare, "", asked, names) or states(answer, "", asked, names)
    )


def _names(claim: str, wanted: int, options: Options, asked: Asked, whole: bool) -> bool:
    by_label = _label_index(claim, options)
    if by_label is not None and (whole or not claim.islower()):
        return by_label == wanted
    text = options.texts[wanted]
    if _is_labelled(claim, options, whole) and _lettered_index(claim, options) != wanted:
        return False
    if same(claim, text, asked):
        others = (t for i, t in enumerate(options.texts) if i != wanted)
        return not any(same(claim, other, asked) for other in others)
    lettered = _lettered(claim, options)
    return lettered is not None and lettered[0] == wanted and states(lettered[1], text, asked, same)


def _is_part_of_text(claim: str, answer: str, options: Options) -> bool:
    """Whether a letter follows the first word of some option: *Vitamin B* is no option B."""
    before = re.search(rf"([^\W\d_]+) {re.escape(claim)}(?!\w)", answer)
    firsts = {text.split(" ", 1)[0].lower() for text in options.texts if " " in text}
    return len(claim) == 1 and before is not None and before[1].lower() in firsts


def _lettered_index(claim: str, options: Options) -> int | None:
    lettered = _lettered(claim, options)
    return lettered[0] if lettered else None


def _is_labelled(claim: str, options: Options, whole: bool) -> bool:
    """Whether a claim surely starts with a label; an article *A* starts a text in lower case."""
    match = _LETTERED.fullmatch(claim)
    if match is None or _lettered(claim, options) is None:
        return False
    return not (match["bare"] and whole and match["text"][0].islower())


def _label_index(text: str, options: Options) -> int | None:
    match = _LETTER.fullmatch(text.strip())
    if match is None or match[1].upper() not in options.labels:
        return None
    return options.labels.index(match[1].upper())


def _lettered(text: str, options: Options) -> tuple[int, str] | None:
    match = _LETTERED.fullmatch(text)
    if match is None:
        return None
    label = (match["boxed"] or match["marked"] or match["bare"]).upper()
    if label not in options.labels:
        return None
    return options.labels.index(label), match["text"].strip().rstrip(".")
