"""Where a server is, and its key, which comes from the environment and goes nowhere else."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from vt_env.errors import ConfigError

OPENAI = "https://api.openai.com/v1"
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_NO_KEY = "none"
_PART = 8
"""A piece of a key from so many characters on is a secret too; a shorter key is none."""
_HINT = "put the key into the environment variable OPENAI_API_KEY, or into one named by key_env="


@dataclass(frozen=True, slots=True)
class Address:
    """A model on a server.

    Attributes:
        model: As the server calls it.
        url: The server's root, as in ``http://127.0.0.1:8000/v1``.
        key_env: The environment variable that holds the key.
        role: What the model is asked as, for messages.
    """

    model: str
    url: str
    key_env: str = "OPENAI_API_KEY"
    role: str = "judge"

    @property
    def loopback(self) -> bool:
        """Whether the server is on this machine, where no proxy is asked."""
        host = urlsplit(self.url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def key(self) -> str:
        """The key, read anew each time; a word that is none where a server needs none.

        Raises:
            ConfigError: If there is none where one is needed, or it is not one.
        """
        key = os.environ.get(self.key_env, "")
        needed = self.url == OPENAI or self.key_env != "OPENAI_API_KEY"
        if not key and needed:
            raise ConfigError(f"there is no key for the {self.role} {self.model!r}: {_HINT}")
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ConfigError(
                f"the environment variable {self.key_env} holds no key: expected letters, digits "
                "and signs without spaces or line ends; set it again"
            )
        return key or _NO_KEY

    def scrubbed(self, text: str) -> str:
        """A text without the key, and without any piece of it of eight characters or more."""
        if len(text) < _PART:
            return text
        key = os.environ.get(self.key_env, "")
        pieces = {key[start : start + _PART] for start in range(len(key) - _PART + 1)}
        if not any(piece in text for piece in pieces):
            return text
        secret = bytearray(len(text))
        for piece in pieces:
            place = text.find(piece)
            while place >= 0:
                secret[place : place + _PART] = b"\1" * _PART
                place = text.find(piece, place + 1)
        kept = "".join("\0" if hidden else c for c, hidden in zip(text, secret, strict=True))
        return re.sub("\0+", "***", kept)


def read_address(text: str, key_env: str, role: str = "judge") -> Address:
    """``MODEL@URL``, or ``MODEL`` alone for OpenAI's own server.

    Raises:
        ConfigError: If the model is missing, the URL is none, or could hold a secret. The message
            never repeats the URL.
    """
    if not _NAME.fullmatch(key_env):
        raise ConfigError(
            "key_env is the name of an environment variable, in capitals, and not the key itself"
        )
    model, at, rest = text.partition("@http")
    if not at and "@" in text:  # OpenAI would be asked, and told what was meant for another
        raise ConfigError(
            f"the address of a model that is the {role} begins with http:// or https://, as in "
            "qwen@http://127.0.0.1:8000/v1"
        )
    url = f"http{rest}" if at else OPENAI
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        raise ConfigError(f"the {role} {model!r} has a URL that cannot be read") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"the URL of a model that is the {role} may hold no user, password or ?query, where "
            f"keys would end up in logs: {_HINT}"
        )
    if "," in url:
        raise ConfigError(
            f"the URL of a model that is the {role} may hold no comma: what follows is an option, "
            "as in concurrency=8"
        )
    if not model or not usable:
        raise ConfigError(
            "expected MODEL@URL, such as qwen@http://127.0.0.1:8000/v1, or MODEL alone for OpenAI"
        )
    return Address(model, url.rstrip("/"), key_env, role)
