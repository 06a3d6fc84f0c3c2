"""Weights & Biases as a view of a run's log.

A view never decides anything: without a key or a network it is written offline (``wandb sync``
uploads it later), and when it fails it is switched off with a warning. A resumed run is a new one
in the same W&B group, and shows the whole log from its first step: W&B cannot resume offline.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from agents import Episode
from trainers.tracking import Metrics, episode_text
from vt_env.errors import MissingExtra, unknown_name

logger = logging.getLogger(__name__)

MODES = ("auto", "off", "offline", "online")
_ASKED = ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT")
_INIT_SECONDS = 30

P = ParamSpec("P")


def wandb_view(
    mode: str, *, project: str, name: str, out: Path, config: Mapping[str, Any]
) -> WandbView | None:
    """A view, where one is wanted.

    Args:
        mode: ``off``; ``offline``; ``online``, which falls back to offline without a key or a
            network; ``auto``: what ``WANDB_MODE`` says, else online where ``WANDB_API_KEY`` or
            ``WANDB_PROJECT`` is set and wandb is installed, else off.
        project: W&B project, unless ``WANDB_PROJECT`` names one.
        name: Name of the run and of its group.
        out: Folder under which W&B writes.
        config: The settings of the run; secrets in it are blotted out.

    Raises:
        ConfigError: On an unknown mode.
        MissingExtra: If ``offline`` or ``online`` is asked for and wandb is not installed.
    """
    if mode not in MODES:
        raise unknown_name("wandb mode", mode, MODES)
    wanted = wanted_mode(mode)
    if wanted == "off":
        return None
    try:
        import wandb
    except ImportError as error:
        if mode != "auto":
            raise MissingExtra("wandb", "wandb", "the view in Weights & Biases") from error
        return None
    if wanted == "online" and not _has_key(wandb):
        logger.warning("there is no W&B key: the view is written offline, for `wandb sync`")
        wanted = "offline"
    for tried in dict.fromkeys((wanted, "offline")):
        try:
            run = wandb.init(
                mode=tried,  # pyright: ignore[reportArgumentType]
                project=os.environ.get("WANDB_PROJECT") or project,
                name=name,
                group=name,
                dir=str(out),
                config=redact(config),
                settings=wandb.Settings(
                    console="off",
                    init_timeout=_INIT_SECONDS,
                    silent=True,
                    save_code=False,
                    disable_git=True,
                    x_disable_meta=True,  # the command line and the environment may hold secrets
                ),
            )
            return WandbView(wandb, run)
        except Exception as error:
            logger.warning("W&B cannot begin a run %s: %s", tried, redact(str(error)))
    return None


def wanted_mode(mode: str) -> str:
    """``off``, ``offline`` or ``online``: what ``auto`` means here, else the mode itself."""
    if mode != "auto":
        return mode
    if not any(os.environ.get(name) for name in _ASKED):
        return "off"
    said = os.environ.get("WANDB_MODE", "online").lower()
    return {"online": "online", "offline": "offline", "dryrun": "offline"}.get(said, "off")


def _has_key(wandb: Any) -> bool:
    """Whether there is a key; nobody is asked for one."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return bool(wandb.login(prompt=False))
    except TypeError:  # before wandb 0.31
        return wandb.api.api_key is not None


def _safely(
    method: Callable[Concatenate[WandbView, P], None],
) -> Callable[Concatenate[WandbView, P], None]:
    """Switch the view off when it fails."""

    @wraps(method)
    def safe(self: WandbView, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if self.failed:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self.failed = True
            logger.warning("W&B failed (%s): the view stops here", redact(str(error)))

    return safe


class WandbView:
    """A run in W&B."""

    def __init__(self, wandb: Any, run: Any) -> None:
        self.wandb = wandb
        self.run = run
        self.failed = False
        self.reported = False

    @_safely
    def log(self, step: int, metrics: Metrics) -> None:
        """Show a step."""
        self.run.log({k: v for k, v in metrics.items() if v is not None}, step=step)

    @_safely
    def episodes(self, step: int, episodes: Sequence[Episode]) -> None:
        """Show a table of episodes with the pictures that the policy saw."""
        if not episodes:
            return
        columns = ["step", "first look", "original", *episode_text(episodes[0])]
        table = self.wandb.Table(columns=columns)
        for episode in episodes:
            views = [self.wandb.Image(view.image) for view in episode.views[:2]]
            shown = [*views, None][:2]
            table.add_data(step, *shown, *map(_cell, episode_text(episode).values()))
        self.run.log({"episodes": table}, step=step)

    @_safely
    def report(
        self,
        tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]],
        plots: Mapping[str, Path],
        page: Path,
    ) -> None:
        """Show results that are compared: tables, plots, and the page that has both.

        Args:
            tables: Columns and rows by name; a cell may be a picture of Pillow.
            plots: Picture files by name.
            page: An HTML file.
        """

        def cell(value: Any) -> Any:
            return self.wandb.Image(value) if hasattr(value, "getpixel") else value

        shown: dict[str, Any] = {}
        for name, (columns, rows) in tables.items():
            data = [[cell(value) for value in row] for row in rows]
            shown[f"report/{name}"] = self.wandb.Table(columns=list(columns), data=data)
        shown |= {f"report/{name}": self.wandb.Image(str(path)) for name, path in plots.items()}
        shown["report/page"] = self.wandb.Html(str(page), inject=False)
        self.run.log(shown)
        self.reported = True

    @_safely
    def finish(self, model: Path | None) -> None:
        """Upload the final model as an artifact, and close."""
        if model is not None:
            artifact = self.wandb.Artifact(f"model-{self.run.id}", type="model")
            artifact.add_dir(str(model))
            self.run.log_artifact(artifact)
        self.run.finish(exit_code=0 if model is not None or self.reported else 1)


def _cell(value: Any) -> Any:
    return "\n---\n".join(map(str, value)) if isinstance(value, list) else value


_SECRET_NAME = re.compile(r"(^|_)(api_?key|key|token|secret|password|passwd)$", re.IGNORECASE)
_SECRET_PAIR = re.compile(
    r"((?:api[_-]?key|token|secret|password|passwd)\s*[=:]\s*)[^\s,;&'\"]+", re.IGNORECASE
)
_URL_LOGIN = re.compile(r"(://)[^/@\s]+@")
_BLOT = "***"


def redact(value: Any) -> Any:
    """A copy without secrets.

    Blotted out are the values of keys like ``api_key``, ``api_key=…`` and logins within texts, and
    wherever they stand the values of environment variables whose names end like a secret's.
    """
    if isinstance(value, Mapping):
        return {
            k: _BLOT if _SECRET_NAME.search(str(k)) and v is not None else redact(v)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redact(v) for v in value]
    if not isinstance(value, str):
        return value
    for name, secret in os.environ.items():
        if _SECRET_NAME.search(name) and len(secret) >= 8:
            value = value.replace(secret, _BLOT)
    value = _SECRET_PAIR.sub(rf"\1{_BLOT}", value)
    return _URL_LOGIN.sub(rf"\1{_BLOT}@", value)
