"""Lets OpenRLHF's stack, which takes a GPU for granted, run on a machine without one. Tests only.

Putting this folder on PYTHONPATH is the only switch: Python runs this file at the start of every
process, so also in Ray's workers and vLLM's engine. Nothing is patched until the module concerned
is imported; what is done then, and why, is said at each function of :mod:`without_cuda`.
"""

from without_cuda import install

install()
