"""Weights as the reference's networks have them, drawn at random: its keys and shapes, written down from its layers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor


def resnet(
    *, blocks: int = 2, c: int = 4, in_c: int = 3, out_c: int = 3, norm: str = "instance", dropout: bool = False
) -> dict[str, Tensor]:
    """A generator of resnet_9blocks and its kin."""
    w = _Weights(norm)
    w.conv(1, (c, in_c, 7, 7), norm_at=2)
    w.conv(4, (2 * c, c, 3, 3), norm_at=5)
    w.conv(7, (4 * c, 2 * c, 3, 3), norm_at=8)
    for block in range(10, 10 + blocks):
        w.conv(f"{block}.conv_block.1", (4 * c, 4 * c, 3, 3), norm_at=f"{block}.conv_block.2")
        second = 6 if dropout else 5
        w.conv(f"{block}.conv_block.{second}", (4 * c, 4 * c, 3, 3), norm_at=f"{block}.conv_block.{second + 1}")
    after = 10 + blocks
    w.conv(after, (4 * c, 2 * c, 3, 3), norm_at=after + 1, transposed=True)
    w.conv(after + 3, (2 * c, c, 3, 3), norm_at=after + 4, transposed=True)
    w.conv(after + 7, (out_c, c, 7, 7))
    return w.weights


def unet(*, halvings: int = 5, c: int = 2, in_c: int = 3, out_c: int = 3, norm: str = "instance") -> dict[str, Tensor]:
    """A generator of unet_128 and its kin."""
    w = _Weights(norm)
    widths = [c, 2 * c, 4 * c, *[8 * c] * (halvings - 3)]
    w.conv("model.0", (c, in_c, 4, 4), bias=norm == "instance")
    w.conv("model.3", (2 * c, out_c, 4, 4), transposed=True)
    level = "model.1.model"
    for outer, inner in pairwise(widths[:-1]):
        w.conv(f"{level}.1", (inner, outer, 4, 4), norm_at=f"{level}.2")
        w.conv(f"{level}.5", (2 * inner, outer, 4, 4), norm_at=f"{level}.6", transposed=True)
        level += ".3.model"
    w.conv(f"{level}.1", (widths[-1], widths[-2], 4, 4), bias=norm == "instance")
    w.conv(f"{level}.3", (widths[-1], widths[-2], 4, 4), norm_at=f"{level}.4", transposed=True)
    return w.weights


def patch(*, layers: int = 3, c: int = 4, in_c: int = 3, norm: str = "instance") -> dict[str, Tensor]:
    """A discriminator of "basic" and "n_layers"."""
    w = _Weights(norm)
    w.conv(0, (c, in_c, 4, 4))
    widths = [c * min(2**n, 8) for n in range(layers + 1)]
    for n in range(1, layers + 1):
        w.conv(3 * n - 1, (widths[n], widths[n - 1], 4, 4), norm_at=3 * n)
    w.conv(3 * layers + 2, (1, widths[-1], 4, 4))
    return w.weights


def pixel(*, c: int = 4, in_c: int = 3, norm: str = "instance") -> dict[str, Tensor]:
    """A discriminator of "pixel"."""
    w = _Weights(norm, root="net")
    w.conv(0, (c, in_c, 1, 1))
    w.conv(2, (2 * c, c, 1, 1), norm_at=3)
    w.conv(5, (1, 2 * c, 1, 1), bias=norm == "instance")
    return w.weights


class _Weights:
    def __init__(self, norm: str, root: str = "model") -> None:
        self.weights: dict[str, Tensor] = {}
        self._norm = norm
        self._root = root

    def conv(
        self,
        at: int | str,
        shape: tuple[int, int, int, int],
        *,
        norm_at: int | str | None = None,
        transposed: bool = False,
        bias: bool = True,
    ) -> None:
        """A convolution, and the norm after it where there is one; only before an instance norm it has a bias."""
        self.weights[f"{self._root}.{at}.weight"] = 0.1 * torch.randn(shape)
        channels = shape[1] if transposed else shape[0]
        if bias and (norm_at is None or self._norm == "instance"):
            self.weights[f"{self._root}.{at}.bias"] = 0.1 * torch.randn(channels)
        if norm_at is not None and self._norm == "batch":
            layer = f"{self._root}.{norm_at}"
            self.weights[f"{layer}.weight"] = 1 + 0.1 * torch.randn(channels)
            self.weights[f"{layer}.bias"] = 0.1 * torch.randn(channels)
            self.weights[f"{layer}.running_mean"] = 0.1 * torch.randn(channels)
            self.weights[f"{layer}.running_var"] = 1 + 0.1 * torch.rand(channels)
            self.weights[f"{layer}.num_batches_tracked"] = torch.tensor(17)
