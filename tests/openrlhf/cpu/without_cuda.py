"""One function for each place that takes a GPU for granted, run right after its import.

Each process group has one member, so there is nothing to be gained from a faster way of
communicating, and tensors stay where they are.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from types import ModuleType, SimpleNamespace


class _Cpu(str):
    """A device's name that also prints as an index, for ``f"cuda:{current_device()}"``."""

    def __format__(self, spec):
        return "0"


def _torch(torch):
    """OpenRLHF asks for the current device and moves tensors there; DeepSpeed synchronises it."""
    torch.cuda.current_device = lambda: _Cpu("cpu")
    for name in ("set_device", "synchronize", "empty_cache", "current_stream"):
        setattr(torch.cuda, name, lambda *args, **kwargs: None)


def _torchvision(torch):
    """The package index's torchvision is built for CUDA; beside the CPU's torch it lacks two
    operators that it registers shapes for while it is imported. Nobody calls them here."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    torch.declared_for_torchvision = library  # they vanish with the object


def _device_mesh(module):
    """DeepSpeed's strategy asks for a mesh of CUDA devices."""
    original = module.init_device_mesh
    module.init_device_mesh = lambda kind, *args, **kwargs: original("cpu", *args, **kwargs)


def _deepspeed_comm(module):
    """DeepSpeed would compile a C++ operator for shared memory; gloo is there already."""
    module.build_shm_op = lambda: None


def _deepspeed_adam(module):
    """DeepSpeed's Adam is a CUDA kernel. Torch's AdamW does the same arithmetic."""
    import torch

    class FusedAdam(torch.optim.AdamW):
        def __init__(self, params, adam_w_mode=True, **settings):
            super().__init__(params, **settings)

    module.FusedAdam = FusedAdam


def _vllm_gemm(module):
    """vLLM packs weights for the CPU's matrix unit and drops the plain ones, which the trainer
    wants to write into after each step."""
    import torch

    def keep_plain_weights(layer, remove_weight):
        layer.cpu_linear = torch.nn.functional.linear

    module.dispatch_cpu_unquantized_gemm = keep_plain_weights


def _weight_sync_group(module):
    """Weights travel from trainer to engine by NCCL; here through the store that sets NCCL up."""

    def stateless_init_process_group(address, port, rank, world_size, device):
        from vllm.distributed.utils import StatelessProcessGroup

        group = StatelessProcessGroup.create(address, port, rank, world_size)

        def broadcast(tensor, src, stream=None):
            sent = tensor.detach().contiguous() if rank == src else None
            received = group.broadcast_obj(sent, src)
            if rank != src:
                tensor.copy_(received)

        return SimpleNamespace(broadcast=broadcast)

    module.stateless_init_process_group = stateless_init_process_group


def _weight_sync_worker(module):
    """The engine's end of it makes room for the weight on a device named "cuda"."""

    def update_weight(self, name, dtype, shape, empty_cache=False):
        import torch

        weight = torch.empty(shape, dtype=dtype, device="cpu")
        self._model_update_group.broadcast(weight, src=0)
        self.model_runner.model.load_weights(weights=[(name, weight)])

    module.WorkerWrap.update_weight = update_weight


_AFTER = {
    "torch": _torch,
    "torch.distributed.device_mesh": _device_mesh,
    "deepspeed.comm.torch": _deepspeed_comm,
    "deepspeed.ops.adam.fused_adam": _deepspeed_adam,
    "vllm.model_executor.layers.utils": _vllm_gemm,
    "openrlhf.utils.distributed_util": _weight_sync_group,
    "openrlhf.trainer.ray.vllm_worker_wrap": _weight_sync_worker,
}
_BEFORE = {"torchvision": _torchvision}
_FLASH_ATTENTION = "openrlhf.models.ring_attn_utils"


def _pretend_flash_attention() -> dict[str, ModuleType]:
    """OpenRLHF imports flash-attn, a CUDA extension, for packed samples, which VLMs cannot use."""
    names = ("flash_attn", "flash_attn.bert_padding", "flash_attn.utils.distributed")
    modules = {name: ModuleType(name) for name in (*names, "flash_attn.utils")}
    for name in ("index_first_axis", "pad_input", "rearrange", "unpad_input"):
        setattr(modules["flash_attn.bert_padding"], name, None)
    modules["flash_attn.utils.distributed"].all_gather = None
    return modules


class _Loader(importlib.abc.Loader):
    """A module's own loader, with something done before or after."""

    def __init__(self, inner, name: str) -> None:
        self.inner = inner
        self.name = name

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    def create_module(self, spec):
        return self.inner.create_module(spec)

    def exec_module(self, module) -> None:
        lent = _pretend_flash_attention() if self.name == _FLASH_ATTENTION else {}
        sys.modules.update(lent)
        if before := _BEFORE.get(self.name):
            import torch

            before(torch)
        try:
            self.inner.exec_module(module)
        finally:
            for name in lent:  # nobody else may believe that it is installed
                del sys.modules[name]
        if after := _AFTER.get(self.name):
            after(module)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        self.looking: set[str] = set()

    def find_spec(self, name, path=None, target=None):
        watched = name in _AFTER or name in _BEFORE or name == _FLASH_ATTENTION
        if not watched or name in self.looking:
            return None
        self.looking.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.looking.discard(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, name)
        return spec


def install() -> None:
    """Watch imports, unless there is a GPU's torch to begin with."""
    sys.meta_path.insert(0, _Finder())
