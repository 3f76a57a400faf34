"""Why U-Nets on a CPU take fp32: how far bf16 convolutions are from fp32 where their result is narrow.

    python benchmarks/narrow_bf16.py

A 4x4 convolution of stride 2, as a U-Net has them, on inputs of several heights and widths, 30 times each, while memory
that was freed holds no numbers. Printed: the largest difference to fp32 (below 0.01 is what bf16 costs), and how many
results were not finite.
"""

from __future__ import annotations

import argparse
import sys

import torch
from torch import nn

_ROUNDS = 30


def main() -> int:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    for size in ((14, 2), (32, 2), (64, 2), (8, 2), (2, 2), (2, 14), (14, 4), (64, 64)):
        worst, broken = _try(size)
        print(f"{size[0]:>3} x {size[1]:<3} largest difference {worst:8.3f}   not finite {broken} of {_ROUNDS}")
    return 0


@torch.inference_mode()
def _try(size: tuple[int, int]) -> tuple[float, int]:
    layer = nn.Conv2d(128, 128, 4, stride=2, padding=1)
    picture = torch.randn(1, 128, *size).bfloat16()
    expected = layer.bfloat16().float()(picture.float())
    layer.bfloat16()
    worst, broken = 0.0, 0
    for _ in range(_ROUNDS):
        freed = [torch.full((1000 * n,), float("nan"), dtype=torch.bfloat16) for n in range(1, 60)]
        del freed
        difference = (layer(picture).float() - expected).abs()
        broken += not bool(difference.isfinite().all())
        worst = max(worst, float(difference.nan_to_num(0, 0, 0).max()))
    return worst, broken


if __name__ == "__main__":
    sys.exit(main())
