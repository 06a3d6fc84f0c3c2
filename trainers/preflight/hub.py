"""Whether the Hugging Face Hub answers, asked once: its client asks six times for each file.

Between these it pauses for 23 seconds in all, and each may take as long as a connection does. A
recipe's model and data are a dozen files.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from huggingface_hub import constants, is_offline_mode  # comes with transformers

from trainers.config import TrainConfig
from trainers.preflight.findings import Finding
from vt_env.errors import VisionThinkError
from vt_env.sources.opening import parse_spec

_WAIT = 10.0
"""Seconds for a connection."""
_OFFLINE = "HF_HUB_OFFLINE"


def hub_names(config: TrainConfig) -> list[str]:
    """The names in a recipe that mean a model or a data set on the Hub, not a folder or file."""
    places = [config.model.path]
    for spec in filter(None, (config.data.train, config.data.validation)):
        with suppress(VisionThinkError):  # what is wrong with it is told where it is opened
            name, place, _ = parse_spec(spec)
            places += [place] if name == "hf" else []
    return [p for p in places if not p.startswith((".", "/", "~")) and not Path(p).exists()]


@contextmanager
def hub_asked(config: TrainConfig) -> Iterator[Finding | None]:
    """Ask the Hub whether it answers; where it does not, nothing else asks it in the block.

    Then only what is on this machine is taken, also by processes that the block starts.

    Args:
        config: The recipe.

    Yields:
        What was found; ``None`` if the recipe needs nothing from the Hub.
    """
    names, place = ", ".join(dict.fromkeys(hub_names(config))), constants.ENDPOINT
    if not names:
        yield None
    elif is_offline_mode():
        yield Finding(1, "the Hub", "ok", f"not asked ({_OFFLINE}): {names} must be here already")
    elif (why := _silence(place)) is None:
        yield Finding(1, "the Hub", "ok", f"{place} answers")
    else:
        with _offline():
            yield Finding(
                1, "the Hub", "look",
                f"{place} does not answer ({why}); from here on only what is on this machine of "
                f"{names} is looked at",
                f"for a run without it, set {_OFFLINE}=1; else every file waits for it",
            )  # fmt: skip


def _silence(place: str) -> str | None:
    """Why a server does not answer; ``None`` if it does, whatever it says."""
    try:
        with urlopen(Request(place, method="HEAD"), timeout=_WAIT):
            return None
    except HTTPError:
        return None
    except OSError as error:
        reason = getattr(error, "reason", error)
        # it answers, and the client of the Hub may know its certificate
        return None if isinstance(reason, ssl.SSLError) else str(reason) or type(reason).__name__


@contextmanager
def _offline() -> Iterator[None]:
    """The offline mode of the Hub's client and of ``datasets``, which read it when imported."""

    def modules() -> list[Any]:
        return [m for m in (constants, sys.modules.get("datasets.config")) if m is not None]

    before = {module.__name__: module.HF_HUB_OFFLINE for module in modules()}
    variable = os.environ.get(_OFFLINE)
    os.environ[_OFFLINE] = "1"  # for what is imported or started from here on
    for module in modules():
        module.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for module in modules():
            module.HF_HUB_OFFLINE = before.get(module.__name__, False)
        del os.environ[_OFFLINE]
        if variable is not None:
            os.environ[_OFFLINE] = variable
