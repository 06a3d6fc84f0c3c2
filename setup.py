"""What pyproject.toml cannot state: the description on a package index.

README.md's links lead into the repository, and an index has no repository around the text. With
``Repository`` in ``[project.urls]`` they become links to its files; without, their text is left.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")


def description(readme: str, project: dict) -> str:
    """README.md for readers outside the repository."""
    address = project.get("urls", {}).get("Repository")

    def link(found: re.Match) -> str:
        picture, text, target = found.groups()
        if not address:
            return "" if picture else text
        kind = "raw" if picture else "blob"
        return f"{picture}[{text}]({address}/{kind}/v{project['version']}/{target})"

    return LINK.sub(link, readme)


if __name__ == "__main__":
    here = Path(__file__).parent
    with (here / "pyproject.toml").open("rb") as stream:
        stated = tomllib.load(stream)["project"]
    setup(
        long_description=description((here / "README.md").read_text("utf-8"), stated),
        long_description_content_type="text/markdown",
    )
