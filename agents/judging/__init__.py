"""Models that judge in this process: ``transformers:PATH`` and ``vllm:PATH``.

They are entry points of the group ``vt.judges``, since the environment's package knows neither
library. Prompt, cache and everything else come from ``vt_env.judges.models``.
"""
