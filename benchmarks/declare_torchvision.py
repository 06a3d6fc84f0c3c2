"""Import this first to make torchvision importable beside a torch that was built for the CPU.

The torchvision of the package index is built for CUDA: its library does not load there, and its
Python code fails on describing two operators that the library would have declared. Neither is
called when pictures are resized.
"""

import torch

LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
if torch.version.cuda is None:
    for name in ("nms", "qnms"):
        LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
