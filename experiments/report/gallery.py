"""The data of the gallery: what the page's script draws episodes from, and what is notable.

Samples, with what all policies share, are there once; an episode names its sample by place. What an
episode does not have is not in its object. All policies show the same samples, as far as they
played them, so that their pictures are embedded once.

One episode shows one arm: what the policy would have said in the other is not in it. Another run on
the same question tells, if it never asks (the *low* arm) or always sees the original (the *high*
arm). So:

* *helped*: it asked and is right, and the low arm is wrong; *harmed*: the other way round;
* *asked needlessly*: it asked, and the low arm is right; or its request brought no more tokens;
* *should have asked*: it did not ask, it is wrong, and the high arm is right; never where its first
  view had as many tokens as the original.

Where an arm that is needed was not played, or is unscored, the mark is unknown: not the same as
absent, and counted apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.episodes import FIELDS, Notes, Row
from experiments.report.pictures import Drawn, Part, Pictures
from experiments.report.reading import Key, Policy, is_number, key_of
from experiments.report.text import all_shown, shown
from vt_env import Answer, Malformed, ToolCall, parse
from vt_env.regions import Box
from vt_env.tools.counterfactual import SHOWS

MARKS = ("wrong", "helped", "harmed", "needless", "missed", "unscored")
PAIRED = ("helped", "harmed", "needless", "missed")
"""Those that need another run."""
_ORDINARY = 3
_MOST = 40
"""Turns, references, flaws and views of an episode that are kept."""
_MORE = 400
"""Characters of a field that the page does not know."""
_OF_SAMPLE = ("metadata", "answer_type", "choices")
"""What else is told of a sample."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A policy in the gallery.

    Attributes:
        policy: The policy.
        arms: What is known of both arms.
        kept: The episodes that are shown, in order, and their marks.
    """

    policy: Policy
    arms: Arms
    kept: Sequence[tuple[Row, Marks]]

    @property
    def honest(self) -> bool:
        """Whether its calls showed what they asked for."""
        return self.policy.mode not in SHOWS

    def counts(self) -> dict[str, dict[str, int]]:
        """How many episodes have each mark, and of how many it cannot be known."""
        made: dict[str, dict[str, int]] = {}
        for name in MARKS:
            values = [getattr(marks, name) for _, marks in self.kept]
            made[name] = {"found": values.count(True), "unknown": values.count(None)}
        return made


def choose(policies: Sequence[Policy], most: int, notes: Notes) -> list[Shown]:
    """The episodes that the gallery holds, at most ``most`` in all.

    Where there are more, samples of which some episode is notable come first, then evenly spaced
    ones; of a sample all policies show what they did.
    """
    arms = [arms_of(policy, policies) for policy in policies]
    marked = [
        [(row, marks_of(row, known)) for row in policy.rows]
        for policy, known in zip(policies, arms, strict=True)
    ]
    ranks: dict[Key, int] = {}
    counts: dict[Key, int] = {}
    for rows in marked:
        for row, marks in rows:
            key = key_of(row)
            ranks[key] = min(rank(marks), ranks.get(key, _ORDINARY))
            counts[key] = counts.get(key, 0) + 1
    total = sum(counts.values())
    kept: set[Key] | None = None
    if total > most:
        kept, left = set(), most
        for key in evenly_by_rank(list(ranks), list(ranks.values()), most):
            if counts[key] <= left:
                kept.add(key)
                left -= counts[key]
        notes.add(
            f"{most - left:,} of {total:,} episodes are in the gallery, those of notable samples "
            "first; more with --episodes N"
        )
    return [
        Shown(policy, known, [one for one in rows if kept is None or key_of(one[0]) in kept])
        for policy, known, rows in zip(policies, arms, marked, strict=True)
    ]


def evenly_by_rank(items: Sequence[Any], ranks: Sequence[int], most: int) -> list[Any]:
    """Items by rank; within the rank that does not fit whole, evenly spaced ones first."""
    order: list[Any] = []
    for level in sorted(set(ranks)):
        some = [item for item, own in zip(items, ranks, strict=True) if own == level]
        count = min(max(0, most - len(order)), len(some))
        first = [some[i * len(some) // count] for i in range(count)]
        chosen = set(first)
        order += first + [item for item in some if item not in chosen]
    return order


def rank(marks: Marks) -> int:
    """The order in which episodes are worth a picture: the lower, the more."""
    if marks.missed or marks.needless or marks.helped or marks.harmed:
        return 0
    if marks.wrong:
        return 1
    return 2 if marks.unscored else _ORDINARY


class Gallery:
    """The samples and episodes of some policies, as JSON.

    Args:
        shown_: The policies.
    """

    def __init__(self, shown_: Sequence[Shown]) -> None:
        self.shown = shown_
        self._places: dict[Key, int] = {}
        self._wanted: list[tuple[int, Row, str]] = []
        self._originals: dict[Key, list[int]] = {}
        self._parts: dict[Key, dict[Part, None]] = {}
        for one in shown_:
            for row, marks in one.kept:
                self._add(one, row, marks)

    def _add(self, one: Shown, row: Row, marks: Marks) -> None:
        key = key_of(row)
        if one.honest:
            self._parts.setdefault(key, {}).update(dict.fromkeys(filter(None, parts_of(row))))
        place = self._places.setdefault(key, len(self._places))
        if place == len(self._wanted):
            self._wanted.append((rank(marks), row, one.policy.data_of(row)))
        elif _is_smaller(row, self._wanted[place][1]):
            self._wanted[place] = (self._wanted[place][0], row, one.policy.data_of(row))
        if row["views"] and (row["requested"] or row["visual_tokens"] == row["full_tokens"]):
            self._originals[key] = max(row["views"])

    def draw(self, pictures: Pictures, places: Sequence[int]) -> dict[int, Drawn]:
        """Pictures of samples, by place, the first ones first."""
        rows = [self._wanted[place] for place in places]
        found = pictures.draw(
            (row, spec, self._parts.get(key_of(row), {})) for _, row, spec in rows
        )
        return dict(zip(places, found, strict=True))

    def by_rank(self, most: int) -> list[int]:
        """All samples, those of notable episodes first."""
        ranks = [level for level, _, _ in self._wanted]
        return evenly_by_rank(range(len(ranks)), ranks, most)

    def place(self, one: Shown, at: int) -> int:
        """The sample of an episode."""
        return self._places[key_of(one.kept[at][0])]

    def sample(self, place: int, drawn: Drawn) -> dict[str, Any]:
        """A sample."""
        row = self._wanted[place][1]
        return _sample(row, drawn, self._originals.get(key_of(row)))

    def episode(self, one: Shown, at: int, drawn: Mapping[int, Drawn]) -> dict[str, Any]:
        """An episode of a policy."""
        row, marks = one.kept[at]
        place = self._places[key_of(row)]
        known = drawn.get(place) if one.honest else None
        return _episode(row, marks, place, one.arms, known.parts if known else {})

    def all(self, drawn: Mapping[int, Drawn]) -> tuple[list[Any], list[list[Any]]]:
        """Samples, and the episodes of each policy; those whose pictures were drawn come first."""
        nothing = Drawn()
        samples = [self.sample(i, drawn.get(i, nothing)) for i in range(len(self._wanted))]
        episodes = [[self.episode(one, i, drawn) for i in range(len(one.kept))]
                    for one in self.shown]  # fmt: skip
        if drawn:
            for some in episodes:
                some.sort(key=lambda episode: "picture" not in samples[episode["sample"]])
        return samples, episodes


def _is_smaller(row: Row, other: Row) -> bool:
    """Whether an episode began with a smaller view: the one that the gallery is to show."""
    return bool(row["views"]) and (not other["views"] or row["views"][0] < other["views"][0])


def _sample(row: Row, drawn: Drawn, original: list[int] | None) -> dict[str, Any]:
    return _without_nothing(
        id=row["id"],
        question=row["question"],
        references=row["references"][:_MOST],
        kind=row["kind"],
        source=row["source"],
        size=drawn.size or original,
        picture=drawn.original,
        first=drawn.first,
        why=drawn.why,
        others=drawn.more,
        more={key: _brief(value) for key in _OF_SAMPLE if (value := row[key])},
    )


def parts_of(row: Row) -> list[Part | None]:
    """Of each view, the part that it shows of a picture; ``None`` where it shows all of one."""
    whole: dict[int, Box] = {}
    made: list[Part | None] = []
    for place, region in enumerate(row["regions"][: len(row["views"])]):
        if region is None:
            made.append(None)
            continue
        picture, box = int(region[0]), Box(*region[1:])
        all_of_it = whole.setdefault(picture, box) == box
        width, height = row["views"][place]
        made.append(None if all_of_it else Part(picture, box, (width, height)))
    return made


def _boxes(row: Row, places: Mapping[Part, int]) -> list[Any]:
    """Of each view that is a part: its picture, its edges over the picture's, its pixels.

    Empty where all views show whole pictures.
    """
    found = parts_of(row)[:_MOST]
    whole = {int(r[0]): Box(*r[1:]) for r in reversed(row["regions"]) if r is not None}
    made: list[Any] = []
    for part in found:
        if part is None or not (area := whole[part.picture]).area:
            made.append(None)
            continue
        box = part.box
        over = (
            (box.left - area.left) / area.width, (box.top - area.top) / area.height,
            box.width / area.width, box.height / area.height,
        )  # fmt: skip
        ends = [min(1.0, max(0.0, round(share, 4))) for share in over]
        made.append([part.picture, ends, str(box), places.get(part)])
    return made if any(made) else []


def _episode(
    row: Row, marks: Marks, sample: int, arms: Arms, parts: Mapping[Part, int]
) -> dict[str, Any]:
    turns = [turn_of(turn) for turn in row["turns"][:_MOST]]
    if (left := len(row["turns"]) - _MOST) > 0:
        turns.append(["", "malformed", f"{left} further turns are not shown"])
    return _without_nothing(
        sample=sample,
        turns=turns,
        answer=row["answer"] if not turns else None,
        correct=row["correct"],
        judge=row["judge"],
        reason=row["reason"],
        flaws=row["flaws"][:_MOST],
        formed=row["well_formed"],
        requested=row["requested"],
        futile=row["futile_request"] or None,
        tokens=row["visual_tokens"],
        full=row["full_tokens"],
        views=row["views"][:_MOST],
        parts=_boxes(row, parts),
        answered=[t["views"] for t in row["turns"][:_MOST] if type(t.get("views")) is int],
        asking=[t["asking"] for t in row["turns"][:_MOST] if is_number(t.get("asking"))],
        reward=row["reward"],
        step=row.get("step"),
        more={k: _brief(v) for k, v in row.items() if k not in FIELDS and v},
        marks=[name for name in MARKS if getattr(marks, name)],
        low=arms.low_right.get(key_of(row)),
        high=arms.high_right.get(key_of(row)),
    )


def turn_of(turn: Mapping[str, Any]) -> list[str]:
    """What a turn thinks, what it does, and what it says.

    A row says what a turn was read as; where it does not, it is read as the default protocol would.
    """
    text, read = str(turn["text"]), turn.get("action")
    thought = text.partition("<think>")[2].partition("</think>")[0]
    match read if isinstance(read, Mapping) else {}:
        case {"type": "answer", "text": said}:
            return [thought, "answers", str(said)]
        case {"type": "tool_call", "name": name, "arguments": arguments, **more}:
            also = more.get("also")
            calls = [(name, arguments)]
            for call in also if isinstance(also, list) else ():
                if isinstance(call, Mapping):
                    calls.append((call.get("name"), call.get("arguments")))
            told = [f"{called} {json.dumps(given, ensure_ascii=False)}" for called, given in calls]
            return [thought, "calls", "\n".join(told)]
        case {"type": "malformed", "reason": reason}:
            return [text, "malformed", str(reason)]
    match parse(text):
        case Answer() as action:
            return [action.thought, "answers", action.text]
        case ToolCall() as action:
            call = json.dumps(dict(action.arguments), ensure_ascii=False)
            return [action.thought, "calls", f"{action.name} {call}"]
        case Malformed() as action:
            return [text, "malformed", action.reason]


def _brief(value: Any) -> str:
    return shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), _MORE)


def _without_nothing(**fields: Any) -> dict[str, Any]:
    """An object without what is unknown or empty, and with texts that can be shown."""
    kept: Iterable[tuple[str, Any]] = (
        (k, v) for k, v in fields.items() if v is not None and v not in ("", (), [], {})
    )
    return {key: all_shown(value) for key, value in kept}


LOW = ("no-tool", "low", "direct")
"""Modes and agents that never ask, the closest to the method's first."""
HIGH = ("oracle-crop", "always-request", "request", "full")
"""The same for those that always see the original, or the place of the answer."""
_BY_PROTOCOL = {"low": "low", "general": "full"}


@dataclass(frozen=True, slots=True)
class Arms:
    """What is known of both arms.

    Attributes:
        low: Name of the run that never asks; ``None`` if there is none.
        high: Name of the run that always sees the original.
        low_right: Its verdicts.
        high_right: Its verdicts.
    """

    low: str | None = None
    high: str | None = None
    low_right: dict[Key, bool | None] = field(default_factory=dict)
    high_right: dict[Key, bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Marks:
    """What is notable about an episode; ``None``: it cannot be known."""

    wrong: bool
    unscored: bool
    helped: bool | None
    harmed: bool | None
    needless: bool | None
    missed: bool | None


def arms_of(policy: Policy, policies: Sequence[Policy]) -> Arms:
    """The runs that show both arms of a policy.

    They were played by the same agent; or in the same folder, where they are a scripted agent's or
    a mode, which a reference may have played.
    """
    low, high = _arm(policy, policies, LOW), _arm(policy, policies, HIGH)
    return Arms(low and low.name, high and high.name, _verdicts(low), _verdicts(high))


def _arm(policy: Policy, policies: Sequence[Policy], names: Sequence[str]) -> Policy | None:
    """The first run that bears one of the names, of those that may stand for the policy."""
    candidates = [p for p in policies if _same_data(p, policy) and _word(p) in names]
    own = [p for p in candidates if policy.agent and p.agent == policy.agent]
    shared = [p for p in candidates if p.folder == policy.folder and _is_shared(p, policy)]
    return min(own or shared, key=lambda p: names.index(_word(p)), default=None)


def _word(policy: Policy) -> str:
    """What tells how it decides: its protocol, its mode, or the first word of its agent."""
    if policy.protocol in _BY_PROTOCOL:
        return _BY_PROTOCOL[policy.protocol]
    return policy.mode or policy.agent.partition(":")[0] or policy.name


def _is_shared(other: Policy, policy: Policy) -> bool:
    """Whether a run is a scripted agent's, or a reference of a run in modes."""
    together = bool(other.together) and other.together == policy.together
    return together or other.agent in ("", "direct", "request")


def _same_data(one: Policy, other: Policy) -> bool:
    hashes = one.origin.get("data"), other.origin.get("data")
    return hashes[0] == hashes[1] if all(hashes) else one.data == other.data


def _verdicts(policy: Policy | None) -> dict[Key, bool | None]:
    return {} if policy is None else {key_of(row): row["correct"] for row in policy.rows}


def marks_of(row: Row, arms: Arms) -> Marks:
    """The marks of an episode."""
    wrong, unscored = row["correct"] is False, row["correct"] is None
    helped, harmed = _changed(row, arms, True), _changed(row, arms, False)
    return Marks(wrong, unscored, helped, harmed, _needless(row, arms), _missed(row, arms))


def _changed(row: Row, arms: Arms, right: bool) -> bool | None:
    """Whether it asked and is right where the low arm is wrong, or the other way round."""
    if row["requested"] is not True or row["correct"] is not right:
        return None if row["requested"] is None or row["correct"] is None else False
    low = arms.low_right.get(key_of(row))
    return None if low is None else low is not right


def _needless(row: Row, arms: Arms) -> bool | None:
    if row["requested"] is not True:
        return row["requested"]
    return True if row["futile_request"] else arms.low_right.get(key_of(row))


def _missed(row: Row, arms: Arms) -> bool | None:
    tokens, full = row["visual_tokens"], row["full_tokens"]
    saw_enough = tokens is not None and full is not None and tokens >= full
    if row["requested"] or row["correct"] or saw_enough:
        return False
    if row["requested"] is None or row["correct"] is None:
        return None
    return arms.high_right.get(key_of(row))
