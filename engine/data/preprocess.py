"""A file to a picture to train on: resizing, grey, cropping, mirroring."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from engine.config import TrainConfig
from engine.data.images import read_deep_pixels

DecodedPicture: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""[C, H, W]: uint8, or float32 in 0..255 with fractions of a picture with more than 8 bits."""

# Weights of red, green and blue (ITU-R BT.601) in units of 1/65536, as Pillow has them.
_LUMA = (19595, 38470, 7471)
# No training has smaller pictures: the residual blocks reflect at the border of a quarter of them.
_LEAST = 32


def training_size(height: int, width: int, config: TrainConfig, *, jitter: bool = True) -> tuple[int, int]:
    """Height and width to which a picture is resized before it is cropped, in pixels.

    The reference's modes, each with sides of whole pictures rounded to what the generators take. Where the reference
    fails, with "crop" and pictures smaller than the crop, these are enlarged just enough, their aspect kept.

    Args:
        height: The picture's own height.
        width: Its own width.
        config: The training.
        jitter: False for an epoch without: a picture that would be cropped has the crop's size at once.
    """
    crop_height, crop_width = config.crop_size
    if config.preprocess == "none":
        return _whole(height, config), _whole(width, config)
    if config.preprocess == "scale_width":
        scaled = int(max(config.load_size * height / width, crop_height))
        return _whole(scaled, config), _whole(config.load_size, config)
    if not jitter:
        return crop_height, crop_width
    if config.preprocess == "resize_and_crop":
        return config.load_size, round(config.load_size * crop_width / crop_height)
    if config.preprocess == "scale_width_and_crop":
        return int(max(config.load_size * height / width, crop_height)), config.load_size
    scale = max(crop_height / height, crop_width / width, 1.0)
    return max(crop_height, round(scale * height)), max(crop_width, round(scale * width))


def read_resized(path: Path, config: TrainConfig, *, grey: bool, jitter: bool = True) -> Tensor:
    """A file as [C, H, W], resized with bicubic filtering to its `training_size`; one channel if `grey`, else three.

    Returns:
        uint8 of pictures with 8 bits a channel, resized by Pillow as the reference does; float32 in 0..255 with
        fractions of those with more.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It does not fit into memory.
    """
    pixels = read_deep_pixels(path)
    size = list(training_size(pixels.shape[0], pixels.shape[1], config, jitter=jitter))
    resized: Tensor
    if pixels.dtype == np.uint8:
        picture = Image.fromarray(pixels)
        picture = transforms.resize(picture.convert("L") if grey else picture, size, InterpolationMode.BICUBIC)
        resized = transforms.pil_to_tensor(picture)
        return resized
    deep = torch.from_numpy(pixels).permute(2, 0, 1)
    if grey:
        deep = (torch.tensor(_LUMA)[:, None, None] / 65536 * deep).sum(0, keepdim=True)
    resized = transforms.resize(deep, size, InterpolationMode.BICUBIC, antialias=True)
    # Bicubic filtering overshoots at edges, where Pillow clips.
    return resized.clamp(0, 255).contiguous()


def crop_and_flip(picture: DecodedPicture, config: TrainConfig, random: np.random.Generator) -> DecodedPicture:
    """[C, H, W] of any type -> a view of the part of it that is trained on.

    It is the crop at a random place, or all of the picture where the mode has no crop; mirrored with probability 1/2
    if the training does so.
    """
    height, width = picture.shape[-2:]
    if "crop" in config.preprocess:
        crop_height, crop_width = config.crop_size
        top = int(random.integers(height - crop_height + 1))
        left = int(random.integers(width - crop_width + 1))
        picture = picture[..., top : top + crop_height, left : left + crop_width]
    return picture[..., ::-1] if config.flip and random.random() < 0.5 else picture


def _whole(side: int, config: TrainConfig) -> int:
    """The side of a picture trained on whole: what generators and discriminators can take."""
    multiple = config.architecture.multiple
    least = max(_LEAST, 3 * 2**config.discriminator_layers) if config.discriminator == "patch" else _LEAST
    return multiple * max(round(side / multiple), math.ceil(least / multiple))
