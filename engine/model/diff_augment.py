"""Pictures changed at random on their way to a discriminator, differentiably (DiffAugment, Zhao et al. 2020)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.randomness import Stream, random_at

_SHIFT_SHARE = 1 / 8
_HOLE_SHARE = 1 / 2


def diff_augment(pictures: Tensor, seed: int, first_number: int) -> Tensor:
    """Recolour, shift and partly hide each picture: the policy "color, translation, cutout" of Zhao et al. 2020.

    A discriminator that sees real and generated pictures only so cannot learn few real ones by heart, and the
    generator does not learn the changes either, since its pictures undergo them too. The choices are a function of
    (seed, number of the picture), made on the CPU: every device makes the same ones.

    Args:
        pictures: [B, C, H, W] in [-1, 1], with 1 or 3 channels, real or generated.
        seed: The training's seed.
        first_number: Number of the first of them, counted over the whole training.

    Returns:
        [B, C, H, W]; the recoloured may leave [-1, 1], what is shifted in or hidden is 0. Its gradient flows to the
        pictures.
    """
    return torch.cat(
        [
            _augment(picture[None], random_at(seed, Stream.DIFF_AUGMENT, first_number + i))
            for i, picture in enumerate(pictures)
        ]
    )


def _augment(picture: Tensor, random: np.random.Generator) -> Tensor:
    return _hide(_shift(_recolour(picture, random), random), random)


def _recolour(picture: Tensor, random: np.random.Generator) -> Tensor:
    """Brightness by up to 0.5 either way, saturation times 0 to 2, contrast times 0.5 to 1.5."""
    brightness, saturation, contrast = random.uniform((-0.5, 0.0, 0.5), (0.5, 2.0, 1.5)).tolist()
    brighter = picture + brightness
    grey = brighter.mean(1, keepdim=True)
    saturated = grey + saturation * (brighter - grey)
    middle = saturated.mean((1, 2, 3), keepdim=True)
    recoloured: Tensor = middle + contrast * (saturated - middle)
    return recoloured


def _shift(picture: Tensor, random: np.random.Generator) -> Tensor:
    """By whole pixels, up to an eighth of each side either way."""
    most = np.array([_rounded(side * _SHIFT_SHARE) for side in picture.shape[2:]])
    down, right = random.integers(-most, most + 1).tolist()
    return F.pad(picture, (right, -right, down, -down))


def _hide(picture: Tensor, random: np.random.Generator) -> Tensor:
    """A rectangle of half of each side, its middle anywhere in the picture."""
    slices = []
    for side in picture.shape[2:]:
        length = _rounded(side * _HOLE_SHARE)
        start = int(random.integers(0, side + 1 - length % 2)) - length // 2
        slices.append(slice(max(0, start), start + length))
    hole = torch.ones_like(picture[:, :1])
    hole[..., slices[0], slices[1]] = 0
    return picture * hole


def _rounded(length: float) -> int:
    return int(length + 0.5)
