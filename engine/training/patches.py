"""Sliced Wasserstein distance between the patches of two sets of pictures (Karras et al. 2018, Sec. 5).

Each set is split into the scales of a Laplacian pyramid. At each scale 7x7 patches are taken at random places, their
channels normalised, and both sets of patches projected onto the same random directions: in one dimension the
Wasserstein distance is the mean difference of the sorted values.

Unlike there, both sets are normalised by the mean and standard deviation of the *real* one. Each by its own would take
out what differs in colour and contrast, which is most of what translating between two domains is about; see
`docs/decisions/0011-*`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.randomness import Stream, random_at

PATCH = 7
_LEAST_SIDE = 16

# Patches a scale. They are spread evenly over the pictures of a set, so that sets of any size compare.
_PATCHES = 8192
_DIRECTIONS = 128
_TIMES = 1000.0
_KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


@dataclass(frozen=True, slots=True)
class _Scale:
    """What real pictures have at one scale: [1, C, 1, 1] each, and [directions, patches] sorted along the patches."""

    mean: Tensor
    deviation: Tensor
    projected: Tensor


class PatchDistance:
    """The distance of sets of pictures from a set of real ones, which is looked at once."""

    def __init__(self, real: Tensor, seed: int) -> None:
        """Look at the real pictures.

        Args:
            real: [N, C, H, W] float32 in [-1, 1]; N at least 1, H and W at least 16.
            seed: Decides places and directions: with the same seed, the same pictures have the same distance.
        """
        self._seed = seed
        self._scales: list[_Scale] = []
        for number, level in enumerate(_pyramid(real)):
            patches = self._patches(level, number)
            mean = patches.mean((0, 2, 3), keepdim=True)
            deviation = patches.std((0, 2, 3), keepdim=True).clamp_min(1e-4)
            self._scales.append(_Scale(mean, deviation, self._project((patches - mean) / deviation, number)))

    def to(self, pictures: Tensor) -> tuple[float, ...]:
        """How far pictures are from the real ones, times 1,000, the finest scale first.

        Args:
            pictures: [N, C, H, W] float32 in [-1, 1], of the real ones' C, H and W.
        """
        distances = []
        for number, (level, real) in enumerate(zip(_pyramid(pictures), self._scales, strict=True)):
            patches = (self._patches(level, number) - real.mean) / real.deviation
            distances.append((self._project(patches, number) - real.projected).abs().mean())
        return tuple((_TIMES * torch.stack(distances)).tolist())

    def _patches(self, level: Tensor, number: int) -> Tensor:
        """[N, C, H, W] -> [patches, C, 7, 7], from places that depend on the seed, the scale and the size alone."""
        count, _, height, width = level.shape
        random = random_at(self._seed, Stream.PATCHES, number)
        tops, lefts = (random.integers(side - PATCH + 1, size=_PATCHES) for side in (height, width))
        every = level.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
        places = (torch.from_numpy(each).to(level.device) for each in (np.arange(_PATCHES) % count, tops, lefts))
        picture, top, left = places
        return every[picture, :, top, left]

    def _project(self, patches: Tensor, number: int) -> Tensor:
        """[patches, C, 7, 7] -> [directions, patches], each direction's values in rising order."""
        flat = patches.flatten(1)
        random = random_at(self._seed, Stream.PROJECTIONS, number)
        directions = random.standard_normal((flat.shape[1], _DIRECTIONS))
        directions /= np.linalg.norm(directions, axis=0)
        values = torch.from_numpy(directions.astype(np.float32).T).to(flat.device) @ flat.T
        if values.device.type != "cpu":
            return values.sort(-1).values
        # Twenty times as fast as torch's on one thread.
        return torch.from_numpy(np.sort(values.numpy(), axis=-1))


def scales_of(height: int, width: int) -> tuple[int, ...]:
    """The shorter side of pictures of this size at each scale, in pixels, halved down to 16 or more."""
    sides = [min(height, width)]
    while (sides[-1] + 1) // 2 >= _LEAST_SIDE:
        sides.append((sides[-1] + 1) // 2)
    return tuple(sides)


def _pyramid(pictures: Tensor) -> list[Tensor]:
    """The Laplacian pyramid, the finest level first (Burt and Adelson 1983); the last holds what remains."""
    levels = []
    for _ in scales_of(*pictures.shape[-2:])[1:]:
        smaller = _blurred(pictures)[..., ::2, ::2]
        spread = torch.zeros_like(pictures)
        spread[..., ::2, ::2] = smaller
        levels.append(pictures - 4 * _blurred(spread))
        pictures = smaller
    return [*levels, pictures]


def _blurred(pictures: Tensor) -> Tensor:
    kernel = torch.tensor(_KERNEL, dtype=pictures.dtype, device=pictures.device)
    channels = pictures.shape[1]
    padded = F.pad(pictures, (2, 2, 2, 2), mode="reflect")
    rows = F.conv2d(padded, kernel.view(1, 1, 5, 1).expand(channels, 1, 5, 1), groups=channels)
    return F.conv2d(rows, kernel.view(1, 1, 1, 5).expand(channels, 1, 1, 5), groups=channels)
