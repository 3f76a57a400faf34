"""3x3 convolutions with a quarter of the multiplications (Winograd 1980; Lavin and Gray 2016), in fp32 on a processor.

F(4x4, 3x3): a tile of 6x6 pixels is transformed, multiplied with a transformed weight place by place, and transformed
back to 4x4 pixels of the result. What is multiplied are 36 matrices, [tiles, channels] by [channels, channels]. Its
gradients are the same three transforms the other way round, so they take as few multiplications. The numbers are those
of a convolution but for rounding, of which there is more, about 1e-6 of a feature's norm. See `docs/decisions/0020`.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

TILE = 4
"""Rows and columns of the result that are computed together."""

LEAST_CHANNELS, LEAST_TILES = 128, 64
"""With fewer of either, the transforms, of features or of weights, cost what the multiplications save."""

# Where polynomials are evaluated, beside infinity: of all tried these round least, half as much as 0, 1, -1, 2, -2.
_POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))
# Multiples of 16 keep every matrix where the kernels want it in memory, on which their last bits could depend.
_CHANNELS_STEP = 16


def suits(padding: nn.ReflectionPad2d, conv: nn.Conv2d, x: Tensor) -> bool:
    """Whether `reflected_conv` computes this convolution of x after this padding, and is worth it."""
    is_3x3 = conv.kernel_size == (3, 3) and conv.stride == conv.dilation == (1, 1) and conv.groups == 1
    channels = conv.in_channels, conv.out_channels
    return (
        is_3x3
        and padding.padding == (1, 1, 1, 1)
        and conv.padding == (0, 0)
        and min(channels) >= LEAST_CHANNELS
        and all(count % _CHANNELS_STEP == 0 for count in channels)
        and x.shape[2] % TILE == x.shape[3] % TILE == 0
        and x.shape[0] * x.shape[2] * x.shape[3] >= LEAST_TILES * TILE**2
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        # What is translated stays bit for bit what it was.
        and torch.is_grad_enabled()
    )


def reflected_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 3x3 convolution of what is padded by a mirrored border of 1.

    Args:
        x: [B, C, H, W]; H and W multiples of 4.
        weight: [D, C, 3, 3].
        bias: [D], or None.

    Returns:
        [B, D, H, W] in the order of channels last.
    """
    y: Tensor = _ReflectedConv.apply(x, weight, bias)
    return y


@contextlib.contextmanager
def workspace() -> Iterator[None]:
    """Within, and in this thread, everything transformed lies in the same memory again and again.

    It is ten times the size of the features of one picture and given back at the end. Taken and freed each time, it
    would leave holes between what is remembered for the backward pass, and a step held almost twice as much memory.
    """
    before, _held.rooms = _held.rooms, {}
    try:
        yield
    finally:
        _held.rooms = before


class _Held(threading.local):
    rooms: dict[str, Tensor] | None = None


_held = _Held()


def _room(name: str, like: Tensor, *shape: int) -> Tensor:
    """An empty tensor of this shape. In a workspace, the one of this name, which then holds something else."""
    if _held.rooms is None:
        return like.new_empty(shape)
    size = math.prod(shape)
    room = _held.rooms.get(name)
    if room is None or room.numel() < size or room.dtype != like.dtype:
        room = _held.rooms[name] = like.new_empty(size)
    return room[:size].view(shape)


class _ReflectedConv(torch.autograd.Function):
    """Remembers the features as they were before they were padded, and nothing that is transformed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        pictures, _, height, width = x.shape
        down, across, channels = height // TILE, width // TILE, len(weight)
        product = _product("product", _features(x), _weights(weight).transpose(1, 2))
        tiles = _transformed("tiles", _transforms(x.dtype).result, product)
        y = x.new_empty(pictures, down, TILE, across, TILE, channels)
        in_place = tiles.view(TILE, TILE, pictures, down, across, channels).permute(2, 3, 0, 4, 1, 5)
        torch.add(in_place, x.new_zeros(()) if bias is None else bias, out=y)
        return y.view(pictures, height, width, channels).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        pictures, in_channels, height, width = x.shape
        down, across, channels = height // TILE, width // TILE, len(weight)
        transforms = _transforms(x.dtype)
        tiles = _room("tiles", x, TILE, TILE, pictures, down, across, channels)
        of_pixels = gradient.permute(0, 2, 3, 1).reshape(pictures, down, TILE, across, TILE, channels)
        tiles.copy_(of_pixels.permute(2, 4, 0, 1, 3, 5))
        of_product = _transformed("product", transforms.result.T, tiles.view(TILE**2, -1, channels))
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_features = _product("features", of_product, _weights(weight))
            of_tiles = _transformed("tiles", transforms.features.T, of_features)
            of_x = _folded(of_tiles.view(6, 6, pictures, down, across, in_channels))
        if ctx.needs_input_grad[1]:
            of_weights = _product("weights", of_product.transpose(1, 2), _features(x))
            places = transforms.weights.T @ of_weights.flatten(1)
            of_weight = torch.empty_like(weight).copy_(places.view(3, 3, channels, in_channels).permute(2, 3, 0, 1))
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias


def _features(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [36, tiles, C]: 6x6 pixels around each 4x4, transformed."""
    pictures, channels, height, width = x.shape
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect").permute(0, 2, 3, 1)
    tiles = _room("tiles", x, 6, 6, pictures, height // TILE, width // TILE, channels)
    tiles.copy_(padded.unfold(1, 6, TILE).unfold(2, 6, TILE).permute(4, 5, 0, 1, 2, 3))
    return _transformed("features", _transforms(x.dtype).features, tiles.view(36, -1, channels))


def _weights(weight: Tensor) -> Tensor:
    """[D, C, 3, 3] -> [36, D, C]."""
    places = weight.permute(2, 3, 0, 1).reshape(9, *weight.shape[:2])
    return _transformed("weights", _transforms(weight.dtype).weights, places)


def _transformed(name: str, transform: Tensor, places: Tensor) -> Tensor:
    """[m, n] by [n, tiles, C] -> [m, tiles, C], in the room of this name."""
    rows, columns = places.shape[1:]
    result = _room(name, places, len(transform), rows * columns)
    return torch.mm(transform, places.flatten(1), out=result).view(-1, rows, columns)


def _product(name: str, first: Tensor, second: Tensor) -> Tensor:
    """[36, m, n] by [36, n, k] -> [36, m, k], in the room of this name."""
    return torch.bmm(first, second, out=_room(name, first, len(first), first.shape[1], second.shape[2]))


def _folded(tiles: Tensor) -> Tensor:
    """The gradients of all 6x6 pixels around each 4x4, [6, 6, B, H/4, W/4, C] -> of the picture, [B, C, H, W]."""
    _, _, pictures, down, across, channels = tiles.shape
    height, width = TILE * down, TILE * across
    whole = tiles.new_zeros(pictures, down + 1, TILE, across + 1, TILE, channels)
    tiles = tiles.permute(2, 3, 0, 4, 1, 5)
    whole[:, :down, :, :across] = tiles[:, :, :TILE, :, :TILE]
    # A tile reaches two pixels into the next.
    whole[:, 1:, :2, :across] += tiles[:, :, TILE:, :, :TILE]
    whole[:, :down, :, 1:, :2] += tiles[:, :, :TILE, :, TILE:]
    whole[:, 1:, :2, 1:, :2] += tiles[:, :, TILE:, :, TILE:]
    whole = whole.view(pictures, height + TILE, width + TILE, channels)
    # The mirrored border belongs to the second rows and columns from the edges.
    whole[:, 2] += whole[:, 0]
    whole[:, height - 1] += whole[:, height + 1]
    whole[:, :, 2] += whole[:, :, 0]
    whole[:, :, width - 1] += whole[:, :, width + 1]
    return whole[:, 1 : height + 1, 1 : width + 1].contiguous().permute(0, 3, 1, 2)


class _Transforms:
    """The matrices of both dimensions at once.

    Attributes:
        features: [36, 36].
        weights: [36, 9].
        result: [16, 36].
    """

    def __init__(self, dtype: torch.dtype) -> None:
        points = np.array(_POINTS)
        features, weights, result = np.zeros((6, 6)), np.zeros((6, 3)), np.zeros((4, 6))
        for place, point in enumerate(points):
            others = np.delete(points, place)
            features[place, :5] = np.poly(others)[::-1]
            weights[place] = point ** np.arange(3) / np.prod(point - others)
            result[:, place] = point ** np.arange(4)
        features[5], weights[5, 2], result[3, 5] = np.poly(points)[::-1], 1, 1
        self.features, self.weights, self.result = (
            torch.from_numpy(np.kron(one, one)).to(dtype) for one in (features, weights, result)
        )


@cache
def _transforms(dtype: torch.dtype) -> _Transforms:
    return _Transforms(dtype)
