"""Where samples come from: drawn pictures, JSON lines, picture folders, Hugging Face data sets."""

from vt_env.sources.admission import Admission, Check
from vt_env.sources.base import Refusal, Source
from vt_env.sources.generated import GeneratedSource
from vt_env.sources.opening import open_source, register_source, source_names
from vt_env.sources.serving import ListSource

__all__ = [
    "Admission",
    "Check",
    "GeneratedSource",
    "ListSource",
    "Refusal",
    "Source",
    "open_source",
    "register_source",
    "source_names",
]
