"""Convolutions from and to pictures on a processor, whose vectors three channels leave mostly idle.

A convolution to three channels computes four columns of the result together, as twelve channels of a convolution that
goes on by four columns: more multiplications, in less time. The gradients are convolutions of the kind that the
processor is good at: what goes back to features is a convolution from few channels, and the gradient of weights is
taken with the wide side as its result. The same sums, in another order. See `docs/decisions/0014`.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

COLUMNS = 4
"""Of the result, which are computed together."""

_FEW, _MANY = 4, 16


def suits(layer: nn.Module, x: Tensor) -> TypeGuard[nn.Conv2d]:
    """Whether `few_channels_conv` computes this layer, and gradients are wanted, for which it is there."""
    return (
        type(layer) is nn.Conv2d
        and min(layer.in_channels, layer.out_channels) <= _FEW
        and max(layer.in_channels, layer.out_channels) >= _MANY
        and layer.kernel_size[0] == layer.kernel_size[1] > 1
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding == (0, 0)
        and layer.groups == 1
        and (x.shape[3] - layer.kernel_size[1] + 1) % COLUMNS == 0
        and x.device.type == "cpu"
        # What is translated stays bit for bit what it was.
        and torch.is_grad_enabled()
    )


def few_channels_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution without a border.

    Args:
        x: [B, C, H, W].
        weight: [D, C, k, k]; C or D is small, W - k + 1 a multiple of `COLUMNS`.
        bias: [D], or None.

    Returns:
        [B, D, H - k + 1, W - k + 1] in the order of channels last, of the dtype of autocast, if there is one, else x's.
    """
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    x, weight = (part.to(dtype, memory_format=torch.channels_last) for part in (x, weight))
    y: Tensor = _Conv.apply(x, weight, None if bias is None else bias.to(dtype))
    return y


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _to_few(x, weight, bias) if len(weight) <= _FEW else F.conv2d(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        border = weight.shape[2] - 1
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            if len(weight) <= _FEW:
                of_x = F.conv2d(gradient, _turned(weight), padding=border)
            else:
                # Columns beyond the right edge make their number a multiple.
                more = -x.shape[3] % COLUMNS
                padded = F.pad(gradient, (border, border + more, border, border))
                of_x = _to_few(padded, _turned(weight), None)[..., : x.shape[3]]
        if ctx.needs_input_grad[1]:
            if len(weight) <= _FEW:
                padded = F.pad(gradient, (border, border, border, border))
                of_weight = _turned(_of_weight(x, padded, _turned(weight)))
            else:
                of_weight = _of_weight(gradient, x, weight)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias


def _to_few(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution, `COLUMNS` of the result at once."""
    shifted = torch.cat([F.pad(weight, (column, COLUMNS - 1 - column)) for column in range(COLUMNS)])
    shifted = shifted.contiguous(memory_format=torch.channels_last)
    together = F.conv2d(x, shifted, None if bias is None else bias.repeat(COLUMNS), stride=(1, COLUMNS))
    # Columns that were channels lie where they belong already.
    pixels = together.permute(0, 2, 3, 1)
    return pixels.reshape(*pixels.shape[:2], -1, len(weight)).permute(0, 3, 1, 2)


def _turned(weight: Tensor) -> Tensor:
    """[D, C, k, k] -> [C, D, k, k], of the convolution that goes the other way."""
    return weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)


def _of_weight(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """The gradient of a convolution's weight."""
    sizes, only_of_weight = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1), [False, True, False]
    of_weight: Tensor = torch.ops.aten.convolution_backward(gradient, x, weight, None, *sizes, only_of_weight)[1]
    return of_weight
