"""Layers as torch has them, run with less memory traffic; the same numbers, keys and structure.

Between convolutions a generator does little arithmetic and moves much memory. Its features lie with the channels of a
pixel side by side (channels last), where the convolutions are fastest, and what stands between them reads and writes
each feature as few times as it can: on a processor as in `docs/decisions/0014`, on an NVIDIA GPU as in `gpu_layers.py`.
On other devices these are torch's layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.model import few_channels, gpu_layers, winograd
from engine.model.gpu_layers import EPSILON

# Pixels whose statistics are taken at once in the order of channels last, where the kernel sums one after the other in
# fp32: so few lose nothing of their sum, and are still in the caches when their variance is taken.
_PIXELS_AT_ONCE = 4096


def features_format(device: torch.device) -> torch.memory_format:
    """How weights and features lie in the memory of a device; on GPUs older than Ampere as they always have."""
    if device.type == "cuda":
        is_new = torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.channels_last if is_new else torch.contiguous_format
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


class Layers(nn.Sequential):
    """One layer after the other, but what stands between two convolutions as one where that is faster.

    On a processor that is an instance norm and the ReLU or LeakyReLU after it, and a reflection padding and the 3x3
    convolution after it, where `winograd` has a faster one for both; convolutions from and to pictures are those of
    `few_channels` there. On a GPU it is what `run_on_gpu` says.

    Attributes:
        twice_differentiable: Whether gradients of gradients are wanted, as R1 needs: on a GPU each layer then runs
            alone, as torch has it.
        has_bias_gradients: Whether a bias that an instance norm takes away gets a gradient, of zeros, on a GPU too.
    """

    twice_differentiable: bool = False
    has_bias_gradients: bool = False

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> what the last layer makes of it."""
        layers = list(self)
        if x.device.type == "cuda" and not self.twice_differentiable:
            return run_on_gpu(layers, x, has_bias_gradients=self.has_bias_gradients)
        place = 0
        while place < len(layers):
            layer, after = layers[place], layers[place + 1] if place + 1 < len(layers) else None
            if isinstance(layer, InstanceNorm) and isinstance(after, nn.ReLU | nn.LeakyReLU):
                x = layer.activated(x, slope=after.negative_slope if isinstance(after, nn.LeakyReLU) else 0.0)
                place += 2
            elif isinstance(layer, ReflectionPad) and isinstance(after, nn.Conv2d) and winograd.suits(layer, after, x):
                x = winograd.reflected_conv(x, after.weight, after.bias)
                place += 2
            elif few_channels.suits(layer, x) and not self.twice_differentiable:
                x = few_channels.few_channels_conv(x, layer.weight, layer.bias)
                place += 1
            else:
                x = layer(x)
                place += 1
        return x


class Residual(nn.Module):
    """A block that adds its input to what its layers make of it.

    Attributes:
        conv_block: Its layers.
        recompute: Whether the backward pass computes anew what is inside, instead of remembering it.
    """

    conv_block: Layers
    recompute: bool


def run_on_gpu(
    layers: Sequence[nn.Module],
    x: Tensor,
    *,
    padded: int = 0,
    around: Tensor | None = None,
    pad: int = 0,
    has_bias_gradients: bool = False,
) -> Tensor:
    """What one layer after the other makes of a batch, with what stands between two convolutions as one.

    Args:
        layers: Any.
        x: [B, C, H, W].
        padded: Width of the mirrored border that x has already, which the first layer would make.
        around: Added to the result; of its border, if it has one, nothing.
        pad: Width of the mirrored border that the result is to have; with `around` or this, a norm is the last layer.
        has_bias_gradients: As in `Layers`.
    """
    place = 0
    while place < len(layers):
        layer, following = layers[place], _at(layers, place + 1)
        place += 1
        if isinstance(layer, ReflectionPad):
            if not padded and following is not None and gpu_layers.is_from_picture(following, x):
                padded = layer.padding[0]
            else:
                x, padded = (x if padded else reflected(x, layer.padding[0])), 0
        elif isinstance(layer, Residual) and not (layer.recompute and torch.is_grad_enabled()):
            inner = list(layer.conv_block)
            x = x if padded else reflected(x, 1)
            if isinstance(inner[-1], InstanceNorm):
                padded = _border_before(layers, place)
                x = run_on_gpu(inner, x, padded=1, around=x, pad=padded, has_bias_gradients=has_bias_gradients)
            else:
                padded = 0
                x = run_on_gpu(inner, x, padded=1) + x[:, :, 1:-1, 1:-1]
        elif _is_convolution(layer) and isinstance(following, InstanceNorm):
            if gpu_layers.is_from_picture(layer, x):
                y = gpu_layers.of_picture(layer, x, mirrored=padded, with_bias=False)
            else:
                y = gpu_layers.without_bias(layer, x)
            place += 1
            slope = _slope(_at(layers, place))
            place += slope is not None
            is_last = place == len(layers)
            padded = pad if is_last else _border_before(layers, place)
            x = gpu_layers.normed(
                y,
                layer.bias if has_bias_gradients else None,
                around if is_last else None,
                slope=1.0 if slope is None else slope,
                pad=padded,
            )
        elif gpu_layers.is_from_picture(layer, x):
            x, padded = gpu_layers.of_picture(layer, x, mirrored=padded), 0
        elif gpu_layers.is_to_picture(layer, x):
            x = gpu_layers.to_picture(layer, x)
        else:
            x = layer(x)
    return x


def _is_convolution(layer: nn.Module) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    """Whether it is one of torch's own, whose weight nothing changes on its way."""
    return type(layer) in (nn.Conv2d, nn.ConvTranspose2d)


def _at(layers: Sequence[nn.Module], place: int) -> nn.Module | None:
    return layers[place] if place < len(layers) else None


def _border_before(layers: Sequence[nn.Module], place: int) -> int:
    """Width of the mirrored border that the layer at this place begins with."""
    match _at(layers, place):
        case ReflectionPad() as layer:
            return layer.padding[0]
        case Residual(recompute=False):
            return 1
    return 0


def _slope(layer: nn.Module | None) -> float | None:
    """That of a LeakyReLU, 0 of a ReLU; None if it is neither."""
    match layer:
        case nn.ReLU():
            return 0.0
        case nn.LeakyReLU(negative_slope=slope):
            return slope
    return None


class InstanceNorm(nn.Module):
    """Instance normalisation without parameters and without running statistics, computed in at least fp32.

    [B, C, H, W] -> the same shape and dtype. In fp16 the squares of a whole picture overflow.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Zero mean and unit variance of each channel of each picture."""
        if x.device.type == "cpu":
            return _normed(x, None)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return F.instance_norm(wide, eps=EPSILON).to(x.dtype)

    def activated(self, x: Tensor, *, slope: float) -> Tensor:
        """The same and then a LeakyReLU of this slope; a ReLU if it is 0."""
        if x.device.type == "cpu":
            return _normed(x, slope)
        return F.leaky_relu_(self(x), slope) if slope else F.relu_(self(x))


class ReflectionPad(nn.ReflectionPad2d):
    """[B, C, H, W] -> [B, C, H + 2 p, W + 2 p], the borders mirrored, which are not repeated themselves."""

    def forward(self, input: Tensor) -> Tensor:
        """Pad."""
        return reflected(input, self.padding[0])


def reflected(x: Tensor, by: int) -> Tensor:
    """`ReflectionPad` as a function; `by` is p."""
    if x.device.type == "cpu":
        # Autocast would pad in fp32, which changes no value and moves three times the memory.
        with torch.autocast("cpu", enabled=False):
            padded: Tensor = _Reflected.apply(x, by)
        return padded
    if x.device.type == "cuda":
        return gpu_layers.reflected(x, by)
    return F.pad(x, (by, by, by, by), mode="reflect")


def _normed(x: Tensor, slope: float | None) -> Tensor:
    normed: Tensor = _NormedAndActivated.apply(x, slope)
    return normed


def _normed_alone(picture: Tensor, one: Tensor, zero: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[1, C, H, W] -> the same normed, and mean and scale of each channel; `one` and `zero` are [C] and wide."""
    strips = torch.split(picture, max(1, _PIXELS_AT_ONCE // picture.shape[3]), 2)
    if len(strips) == 1 or not picture.is_contiguous(memory_format=torch.channels_last):
        return torch.native_batch_norm(picture, one, zero, None, None, True, 0.0, EPSILON)
    pieces = [torch.batch_norm_update_stats(strip, zero, one, 0.0) for strip in strips]
    means, variances = (torch.stack([piece[part] for piece in pieces]).double() for part in (0, 1))
    shares = torch.tensor([strip.shape[2] / picture.shape[2] for strip in strips], dtype=torch.float64)[:, None]
    mean = (shares * means).sum(0)
    variance = (shares * (variances + (means - mean).square())).sum(0)
    known = mean.to(one.dtype), variance.to(one.dtype)
    normed, _, _ = torch.native_batch_norm(picture, one, zero, *known, False, 0.0, EPSILON)
    return normed, known[0], (variance + EPSILON).rsqrt().to(one.dtype)


class _NormedAndActivated(torch.autograd.Function):
    """Instance norm, then LeakyReLU; remembers the input and, only with an activation, the output.

    torch's instance norm goes to fp32 and to another order in memory and back. Its batch norm does neither, and for a
    batch of one picture it is the same: so it takes one picture after the other. Its weight and bias, 1 and 0, are
    there to say that the statistics are wide.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float | None) -> Tensor:
        channels = x.shape[1]
        wide = torch.promote_types(x.dtype, torch.float32)
        one, zero = x.new_ones(channels, dtype=wide), x.new_zeros(channels, dtype=wide)
        pictures = [_normed_alone(picture, one, zero) for picture in torch.split(x, 1)]
        y = pictures[0][0] if len(pictures) == 1 else torch.cat([normed for normed, _, _ in pictures])
        if slope is not None:
            y = F.leaky_relu_(y, slope) if slope else F.relu_(y)
        means, scales = (torch.stack([picture[part] for picture in pictures]) for part in (1, 2))
        ctx.save_for_backward(x, one, means, scales, None if slope is None else y)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, one, means, scales, y = ctx.saved_tensors
        # The kernels want all in one order.
        order = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        gradient = gradients[0].contiguous(memory_format=order)
        if y is not None:
            gradient = torch.ops.aten.leaky_relu_backward(gradient, y, ctx.slope, True)
        pairs = zip(torch.split(gradient, 1), torch.split(x, 1), means, scales, strict=True)
        pieces = [
            torch.ops.aten.native_batch_norm_backward(
                g, picture, one, None, None, mean, scale, True, EPSILON, [True, False, False]
            )[0]
            for g, picture, mean, scale in pairs
        ]
        return (pieces[0] if len(pieces) == 1 else torch.cat(pieces)), None


class _Reflected(torch.autograd.Function):
    """Reflection padding whose gradient is folded back border by border; torch's own copies all of it several times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, by: int) -> Tensor:
        ctx.by = by
        return F.pad(x, (by, by, by, by), mode="reflect")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        by, gradient = ctx.by, gradients[0]
        is_ordered = gradient.is_contiguous(memory_format=torch.channels_last)
        order = torch.channels_last if is_ordered else torch.contiguous_format
        inner = _folded_across(gradient[:, :, by:-by], by, order)
        for rows, first in ((gradient[:, :, :by], by), (gradient[:, :, -by:], -2)):
            folded = _folded_across(rows, by, order)
            for i in range(by):
                inner[:, :, first - i].add_(folded[:, :, i])
        return inner, None


def _folded_across(gradient: Tensor, by: int, order: torch.memory_format) -> Tensor:
    """[B, C, H, W + 2 by] -> [B, C, H, W], the columns of the borders added to those that they mirror."""
    inner = gradient[..., by:-by].clone(memory_format=order)
    for i in range(by):
        inner[..., by - i].add_(gradient[..., i])
        inner[..., -1 - by + i].add_(gradient[..., -1 - i])
    return inner
