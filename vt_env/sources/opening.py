"""From a text such as ``generated:n=200,seed=1`` or a path to an open source.

A spec is ``name[:argument][,key=value]…`` (``generated``, ``jsonl:data/vqa.jsonl,limit=100``) or
``path[,key=value]…`` (``data/vqa.jsonl``, ``data/pictures``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from vt_env.errors import ConfigError, DataError, unknown_name
from vt_env.registry import Registry
from vt_env.samples import Sample
from vt_env.sources.base import Source
from vt_env.sources.hf_files import is_saved
from vt_env.sources.serving import ListSource, table_in
from vt_env.specs import checked, option_names
from vt_env.specs import parse_spec as parts_of

SOURCES: Registry[Source] = Registry(
    "source",
    "vt.sources",
    {
        "generated": "vt_env.sources.generated:GeneratedSource",
        "pages": "vt_env.sources.pages:PagesSource",
        "jsonl": "vt_env.sources.serving:JsonlSource",
        "folder": "vt_env.sources.serving:FolderSource",
        "hf": "vt_env.sources.hf:HuggingFaceSource",
        "chosen": "vt_env.sources.chosen:ChosenSource",
        "training": "experiments.benchmarks.training:training_source",
    },
)

_WORD = re.compile(r"[A-Za-z_][\w-]+")


def register_source(name: str, factory: Callable[..., Source] | str) -> None:
    """Add a source.

    Args:
        name: What stands before the colon of a spec.
        factory: Called with the spec's argument, if it has one, and its options as keywords; or
            the ``"module:attribute"`` of such a callable, imported on first use. Where it is a
            class, its ``**options`` are those of :class:`~vt_env.sources.admission.Admission`.

    Raises:
        ConfigError: If the name is taken or not a plain word.
    """
    SOURCES.register(name, factory)


def open_source(spec: str | Path | Source | Sequence[Sample], **options: Any) -> Source:
    """Open a source.

    Args:
        spec: ``name[:argument][,key=value]…`` with a name of :func:`source_names`; a path, with
            options or without; a list of samples; or a source, which is returned as it is.
        **options: Further options of that source. Those over real data, and lists, share
            ``max_refused``, ``check``, ``limit`` and ``rules``, see
            :class:`~vt_env.sources.admission.Admission`.

    Raises:
        ConfigError: On an unknown name or option, or a value out of range.
        DataError: If the data cannot be found or used.
    """
    if isinstance(spec, Source):
        if options:
            raise ConfigError(f"a source that is open takes no options, got {', '.join(options)}")
        return spec
    if isinstance(spec, Path):
        factory = SOURCES.get(name := guess_source(spec.expanduser()))
        return SOURCES.make(name, spec, **checked(f"source {name!r}", factory, options))
    if not isinstance(spec, str):
        return _from_samples(spec, options)
    if not spec.strip():
        raise ConfigError(f"expected a source's name or a path, got {spec!r}")
    name, path, _ = parse_spec(spec)
    if not name:
        if _WORD.fullmatch(path) and not Path(path).exists():
            raise unknown_name("source", path, source_names())
        spec = f"{guess_source(Path(path).expanduser())}:{spec}"
    return SOURCES.from_spec(spec, **options)


def source_names() -> list[str]:
    """The names that a spec may start with."""
    return SOURCES.names()


def parse_spec(spec: str) -> tuple[str, str, dict[str, Any]]:
    """A spec's name (empty for a bare path), argument and options; see :mod:`vt_env.specs`."""
    name = re.split("[:,]", spec, maxsplit=1)[0]
    if name in source_names():
        known = option_names(SOURCES.get(name))
    else:
        if ":" in spec and _WORD.fullmatch(name) and not Path(spec.partition(",")[0]).exists():
            raise unknown_name("source", name, source_names())
        spec, known = f":{spec}", option_names(SOURCES.get("hf"))
    name, positional, options = parts_of(spec, known)
    return name, ",".join(positional), options


def guess_source(path: Path) -> str:
    """The name of the source that reads a path.

    Raises:
        DataError: If nothing is there, or nothing that is known.
    """
    if path.is_file():
        kind = {".jsonl": "jsonl", ".csv": "folder", ".tsv": "folder"}.get(path.suffix.lower())
        if kind is None:
            raise DataError(f"expected a .jsonl, .csv or .tsv file, or a folder, got {path}")
        return kind
    if path.is_dir():
        if is_saved(path):
            return "hf"
        if table_in(path) is not None:
            return "folder"
        if any(path.glob("*.jsonl")):
            return "jsonl"
        raise DataError(
            f"{path} is no source: expected a .jsonl file, a metadata.csv beside pictures, or what "
            "datasets.save_to_disk writes. Other folders for `datasets`: write hf:PATH"
        )
    raise DataError(
        f"expected a .jsonl file, a folder, or one of {', '.join(source_names())}; "
        f"there is nothing at {path}. A set on the Hub is written hf:{path}"
    )


def _from_samples(samples: Sequence[Sample], options: dict[str, Any]) -> Source:
    settings = checked("list of samples", ListSource, options)
    for sample in cast("Sequence[object]", samples):
        if not isinstance(sample, Sample):
            raise ConfigError(
                f"expected a spec, a source or a list of Sample, got a {type(sample).__name__}"
            )
    return ListSource(samples, **settings)
