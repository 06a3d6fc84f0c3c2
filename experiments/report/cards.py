"""One episode as a piece of the page: both views, the talk, the verdict, the reward.

All text of models and data goes through ``html.escape``; nothing of it can become markup.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from agents import Episode
from vt_env import Answer, Malformed, ToolCall, View
from vt_env.render import printable

LONGEST = 2_000
"""Characters of a text that a card shows."""
WIDEST = 288
"""Side of the original on the page in CSS pixels; the first view is as much smaller as it is."""


@dataclass(frozen=True, slots=True)
class Card:
    """One episode on the page.

    Attributes:
        html: Its markup.
        kind: For the filter by kind.
        flags: For the filters: some of ``wrong``, ``needless``, ``missed``, ``unscored``.
    """

    html: str
    kind: str
    flags: tuple[str, ...]


def flags_of(episode: Episode, low_right: bool | None, high_right: bool | None) -> tuple[str, ...]:
    """What is notable about an episode.

    Args:
        episode: The episode.
        low_right: Whether the same policy is right when it may not ask, where that is known.
        high_right: Whether it is right when it must ask.
    """
    correct, requested = episode.verdict.correct, episode.outcome.requested
    found = {
        "wrong": correct is False,
        "unscored": correct is None,
        "needless": requested and low_right is True,
        "missed": not requested and correct is False and high_right is True,
    }
    return tuple(name for name, holds in found.items() if holds)


def card_of(
    episode: Episode, low_right: bool | None = None, high_right: bool | None = None
) -> Card:
    """The card of an episode; see :func:`flags_of`."""
    flags = flags_of(episode, low_right, high_right)
    sample = episode.sample
    references = " | ".join(sample.references)
    body = [
        f"<h3><a href='#{_anchor(sample.id)}'>{safe(sample.question)}</a></h3>",
        _pictures(episode.views),
        *[_turn(action) for action in episode.actions],
        f"<p class=quiet>accepted: {safe(references)}</p>",
        _verdict(episode),
        f"<p class=quiet>{safe(sample.id)} · {safe(sample.kind)} · {_tokens(episode)}</p>",
    ]
    classes = f"data-kind='{safe(sample.kind)}' data-flags='{' '.join(flags)}'"
    return Card(
        f"<article id='{_anchor(sample.id)}' {classes}>{''.join(body)}</article>",
        sample.kind,
        flags,
    )


def safe(text: str) -> str:
    """Text as HTML that cannot be markup, without what no screen can show, cut if very long."""
    short = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    return escape(printable(short), quote=True)


def _anchor(sample_id: str) -> str:
    return "e-" + "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}" for c in sample_id)


def _pictures(views: Sequence[View]) -> str:
    scale = WIDEST / max(max(view.size) for view in views)
    if len(views) == 1:
        scale /= 2  # the first view alone is half of what the original would be
    pieces: list[str] = []
    for number, view in enumerate(views, 1):
        width, height = view.size
        pieces.append(
            f"<figure><img class={_crisp(view)} alt='view {number}' src='{_data_uri(view)}' "
            f"width='{width * scale:.0f}' height='{height * scale:.0f}'>"
            f"<figcaption>{width} × {height}</figcaption></figure>"
        )
    return f"<div class=views>{''.join(pieces)}</div>"


def _crisp(view: View) -> str:
    """The class of pictures whose pixels are shown as squares."""
    return "small" if max(view.size) <= WIDEST else "large"


def _data_uri(view: View) -> str:
    """The view as PNG, or as JPEG where it is larger than the page shows it."""
    image = view.image
    buffer = io.BytesIO()
    if _crisp(view) == "small":
        image.save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        small = image.copy()
        small.thumbnail((2 * WIDEST, 2 * WIDEST), Image.Resampling.LANCZOS)
        small.save(buffer, "JPEG", quality=80)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _turn(action: Answer | ToolCall | Malformed) -> str:
    if isinstance(action, Malformed):
        return f"<p class=bad>not understood: {safe(action.reason)}</p>"
    thought = f"<p class=quiet>thinks: {safe(action.thought)}</p>" if action.thought else ""
    if isinstance(action, Answer):
        return f"{thought}<p class=says>answers: {safe(action.text)}</p>"
    call = f"{action.name} {dict(action.arguments)}"
    return f"{thought}<p class=says>calls: {safe(call)}</p>"


def _verdict(episode: Episode) -> str:
    verdict, reward = episode.verdict, safe(str(episode.reward))
    word, style = {
        True: ("correct", "good"),
        False: ("wrong", "bad"),
        None: ("unscored", "bad"),
    }[verdict.correct]
    return f"<p class={style}>{word}: {safe(verdict.reason)}</p><p class=quiet>{reward}</p>"


def _tokens(episode: Episode) -> str:
    outcome = episode.outcome
    futile = ", the request gained nothing" if episode.futile else ""
    return (
        f"{outcome.visual_tokens} visual tokens, the original once: {outcome.full_tokens}{futile}"
    )
