"""How a model is asked, as data: a TOML file with texts, a version, and the two verdict words."""

from __future__ import annotations

import re
import tomllib
from dataclasses import astuple, dataclass, fields
from hashlib import sha256
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from agents.judging.asking import Ask
from agents.judging.hardening import Shown
from vt_env.errors import ConfigError

_PLACES = {"question", "references", "answer", "mark"}
_WORD = re.compile(r"[A-Za-z]{1,20}")


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """One prompt.

    Attributes:
        version: Its name in logs.
        system: The system turn, without placeholders; may be empty.
        user: The user turn, with ``$question``, ``$references``, ``$answer`` and ``$mark``.
        right: The word that accepts.
        wrong: The word that rejects.

    Raises:
        ConfigError: If a placeholder is missing or unknown, or the verdict words are not two plain
            words that begin differently.
    """

    version: str
    system: str
    user: str
    right: str
    wrong: str

    def __post_init__(self) -> None:
        for field, places in (("system", set[str]()), ("user", _PLACES)):
            template = Template(getattr(self, field))
            if not template.is_valid():
                raise ConfigError(f"judge prompt, {field}: write a literal dollar sign as $$")
            if (used := set(template.get_identifiers())) != places:
                raise ConfigError(
                    f"judge prompt, {field}: expected the placeholders {sorted(places)}, "
                    f"got {sorted(used)}"
                )
        words = self.right, self.wrong
        if not all(_WORD.fullmatch(word) for word in words) or words[0][0] == words[1][0]:
            raise ConfigError(
                "judge prompt: right and wrong must be words of letters that begin differently, "
                f"got {self.right!r} and {self.wrong!r}"
            )

    @property
    def identity(self) -> str:
        """The version, and a hash of every text: a changed prompt is another one."""
        digest = sha256("\0".join(astuple(self)).encode("utf-8", "surrogatepass"))
        return f"{self.version}-{digest.hexdigest()[:16]}"

    def ask(self, shown: Shown) -> Ask:
        """The turns about one answer; what is put in is never read as a template."""
        user = Template(self.user).substitute(
            question=shown.question,
            references=shown.references,
            answer=shown.answer,
            mark=shown.mark(),
        )
        system = Template(self.system).substitute()
        return Ask(system.strip(), user.strip(), self.right, self.wrong)


def load_judge_prompt(path: str | Path = "") -> JudgePrompt:
    """The shipped prompt, or one from a file.

    Raises:
        ConfigError: If there is no such file, or it is not such a prompt.
    """
    shipped = resources.files("agents.judging").joinpath("judge.toml")
    try:
        text = Path(path).read_text("utf-8") if path else shipped.read_text("utf-8")
        table: dict[str, Any] = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the judge prompt {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"the judge prompt {path} is not TOML in UTF-8: {error}") from error
    wanted = {field.name for field in fields(JudgePrompt)}
    if table.keys() != wanted or not all(isinstance(value, str) for value in table.values()):
        raise ConfigError(
            f"the judge prompt {path} must have the texts {', '.join(sorted(wanted))} and nothing "
            f"else, got {', '.join(sorted(table)) or 'nothing'}"
        )
    return JudgePrompt(**table)
