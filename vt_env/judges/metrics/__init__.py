"""The metrics of public benchmarks, as published (``official``) and repaired (``fixed``).

``official`` is what lmms-eval 0.7 computes, the harness that most reports (VisionThink's too) use;
``make test-lmms`` compares the two. ``fixed`` refuses tags, hidden and look-alike characters, and
where it has to understand an answer it asks the judge ``auto``. Rules that only one benchmark has
stand with it, in :mod:`experiments.benchmarks`.
"""
