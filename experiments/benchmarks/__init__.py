"""The benchmarks of VisionThink's tables: data as samples, metrics as published and as fixed.

Hub or folder ──open_benchmark──▶ samples ──played, judged──▶ rows ──Benchmark.summary──▶ numbers

>>> from experiments.benchmarks import BENCHMARKS
>>> pope = BENCHMARKS.make("pope")
>>> pope.size, pope.judge("fixed").name
(9000, 'yesno:fixed')
"""

from experiments.benchmarks.base import BENCHMARKS, VARIANTS, Benchmark
from experiments.benchmarks.opening import BenchmarkSource, open_benchmark

__all__ = ["BENCHMARKS", "VARIANTS", "Benchmark", "BenchmarkSource", "open_benchmark"]
