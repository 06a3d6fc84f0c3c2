"""Multiple choice: reading the options out of a question, and what an answer chooses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

from vt_env.judges.matching import states, without_announcement
from vt_env.judges.questions import Asked, read_question
from vt_env.judges.readings import clean, same

_LABEL = re.compile(
    r"(?:^|(?<=[\s,;?？。]))[(\[]?"
    r"([A-Za-z1-9](?=[)\].:、](?:\s|[\u3040-\u9fff]))|[ア-オ](?=[)\].:、 ])).",
    re.M,
)
_ALPHABETS = (ascii_uppercase, ascii_lowercase, "123456789", "アイウエオ")
_TAIL = re.compile(r"(?:です|だ)?[\s.!。]*$")
_CHOSEN = re.compile(r"(?:应该)?选(?:择)?")
_CUE = re.compile(
    r"\b(?:choose|select|options?|choices?|which (?:one|of)|pick|correct|following)\b", re.I
)
_LETTER = re.compile(r"[(\[]?([A-Za-z]|[1-9]|[ア-オ])[)\]]?[.:)]?")
_LETTERED = re.compile(
    r"(?:[(\[](?P<boxed>[A-Za-z1-9])[)\]][.:]?\s*|(?P<marked>[A-Za-z1-9])[.:)、]\s*"
    r"|(?P<bare>[A-Zア-オ])(?![A-Za-z0-9ァ-ヺ])(?:,| -|，|の)? ?)(?P<text>\S.*)"
)
_MOST_OPTIONS = 26
_LIMIT = 8_000


@dataclass(frozen=True, slots=True)
class Options:
    """A question without its options (``stem``), their upper-case labels, and cleaned texts."""

    stem: str
    labels: tuple[str, ...]
    texts: tuple[str, ...]


def read_options(question: str, choices: tuple[str, ...] = ()) -> Options | None:
    """The options given with a query, or those written in its question, or ``None``.

    Written options are a run of labels ``A B C …``, each as ``A.``, ``A)``, ``(A)``, ``[A]`` or
    ``A:``. A run of numbers is one only where the question asks to choose; else it is a list.
    """
    written = _written(question[-_LIMIT:])
    if not choices:
        return written
    labels = tuple(ascii_uppercase[: len(choices)])
    stem = written.stem if written else question
    return Options(stem, labels, tuple(clean(text) for text in choices[:_MOST_OPTIONS]))


def _written(question: str) -> Options | None:
    found = list(_LABEL.finditer(question))
    best: list[re.Match[str]] = []
    for alphabet in _ALPHABETS:
        run: list[re.Match[str]] = []
        for match in found:
            if match[1] == alphabet[0]:
                run = [match]
            elif run and alphabet.startswith(match[1], len(run)):
                run.append(match)
        best = run if len(run) > max(1, len(best)) else best
    if not best:
        return None
    before, after = question[: best[0].start()], question[best[-1].end() :]
    if best[0][1] == "1" and not (_CUE.search(question) or ("?" in before and "?" not in after)):
        return None
    ends = [match.start() for match in best[1:]] + [len(question)]
    texts = [question[m.end() : end] for m, end in zip(best, ends, strict=True)]
    texts[-1] = texts[-1].strip().split("\n")[0]
    cleaned = tuple(clean(text.strip().rstrip(",;.?？").strip()) for text in texts)
    return Options(before, tuple(m[1].upper() for m in best), cleaned) if all(cleaned) else None


def choose(reference: str, options: Options) -> int | None:
    """The option that a reference names by label, by text, or by both; ``None`` if none."""
    asked, reference = read_question(options.stem), clean(reference)
    named = [i for i in range(len(options.texts)) if _names(reference, i, options, asked)]
    return named[0] if len(named) == 1 else None


def chooses(answer: str, wanted: int, options: Options) -> bool:
    """Whether a cleaned answer chooses the wanted option and no other one.

    A label, a text, or both may be given; a label with another option's text is wrong.
    """
    asked = read_question(options.stem)
    bare = _CHOSEN.sub("", without_announcement(without_announcement(answer)), count=1)
    bare = _TAIL.sub("", bare).strip()
    text = options.texts[wanted]
    if _letters_other(bare, wanted, options):
        return False

    def names(claim: str, _: str, context: Asked) -> bool | None:
        if _is_part_of_text(claim, answer, options):
            return None
        whole = claim in (bare, answer, answer.rstrip(" .!。"))
        return _names(claim, wanted, options, context, whole) or None

    return bool(states(bare, f"{options.labels[wanted]} {text}", asked, names))


def _names(claim: str, wanted: int, options: Options, asked: Asked, whole: bool = True) -> bool:
    match = _LETTER.fullmatch(claim.strip())
    label = match[1].upper() if match else ""
    if label in options.labels and (whole or not claim.islower()):
        return options.labels.index(label) == wanted
    text = options.texts[wanted]
    if _letters_other(claim, wanted, options):
        return False
    if same(claim, text, asked):
        others = (t for i, t in enumerate(options.texts) if i != wanted)
        return not any(same(claim, other, asked) for other in others)
    lettered = _lettered(claim, options)
    return lettered is not None and bool(states(lettered[1], text, asked))


def _letters_other(claim: str, wanted: int, options: Options) -> bool:
    """Whether a claim has the letter of another option."""
    lettered = _lettered(claim, options)
    is_text = claim.lower() == options.texts[wanted].lower()
    return lettered is not None and lettered[0] != wanted and not is_text


def _is_part_of_text(claim: str, answer: str, options: Options) -> bool:
    """Whether a letter follows the first word of some option: *Vitamin B* is no option B."""
    before = re.search(rf"([^\W\d_]+) {re.escape(claim)}(?!\w)", answer)
    firsts = {text.split(" ", 1)[0].lower() for text in options.texts if " " in text}
    return before is not None and before[1].lower() in firsts


def _lettered(text: str, options: Options) -> tuple[int, str] | None:
    match = _LETTERED.fullmatch(text)
    label = (match["boxed"] or match["marked"] or match["bare"]).upper() if match else ""
    if match is None or label not in options.labels:
        return None
    return options.labels.index(label), match["text"].strip().rstrip(".")
