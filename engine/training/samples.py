"""Samples: fixed pictures, translated and translated back, so that a person sees what the training has learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine.config import Direction, TrainConfig
from engine.data.images import read_pixels
from engine.device import autocast
from engine.errors import PictureError
from engine.events import Picture, Sample
from engine.model.cyclegan import CycleGAN
from engine.model.picture_tensors import to_picture, to_tensor
from engine.training.sheets import MOST_SAMPLES

_LEAST_SIDE = 128


@dataclass(frozen=True, slots=True)
class FixedPicture:
    """A picture shown as a sample: [H, W, 3] uint8, its middle at the scale and in the shape that is trained on."""

    direction: Direction
    source: Path
    pixels: Picture


def read_fixed_pictures(direction: Direction, paths: Sequence[Path], config: TrainConfig) -> list[FixedPicture]:
    """The first few pictures that can be read, cropped to their middle.

    Args:
        direction: The direction in which they will be translated.
        paths: Candidates, in order of preference.
        config: The training: its crops' shape is the samples', enlarged to 128 px or more where it has fewer, since a
            person cannot judge smaller ones.
    """
    found: list[FixedPicture] = []
    for path in paths:
        if len(found) == MOST_SAMPLES:
            break
        try:
            pixels = read_pixels(path)
        except PictureError:
            continue
        found.append(FixedPicture(direction, path, _middle(pixels, config)))
    return found


def draw_samples(model: CycleGAN, pictures: Sequence[FixedPicture]) -> tuple[Sample, ...]:
    """Translate the pictures and translate them back, with the generators as they are now."""
    return tuple(_draw(model, picture) for picture in pictures)


def _draw(model: CycleGAN, picture: FixedPicture) -> Sample:
    generators = model.generators_for_use
    other: Direction = "b2a" if picture.direction == "a2b" else "a2b"
    grey = model.config.grey_A if picture.direction == "a2b" else model.config.grey_B
    with torch.inference_mode(), autocast(model.device, model.precision):
        real = to_tensor(picture.pixels, model.device, grey=grey)
        fake = generators[picture.direction](real)
        rec = generators[other](fake)
        return Sample(picture.direction, picture.source, to_picture(real), to_picture(fake), to_picture(rec))


def _middle(pixels: Picture, config: TrainConfig) -> Picture:
    """As `middle`, enlarged to 128 px or more."""
    return middle(pixels, config, times=math.ceil(_LEAST_SIDE / min(config.crop_size)))


def middle(pixels: Picture, config: TrainConfig, *, times: int = 1) -> Picture:
    """The middle of a picture, as the training's preprocessing scales it where it scales all pictures alike.

    Args:
        pixels: [H, W, 3].
        config: The training, whose crops' shape it gets.
        times: How often as large as those it becomes.
    """
    height, width = (times * side for side in config.crop_size)
    picture = Image.fromarray(pixels)
    scale = max(height / picture.height, width / picture.width)
    if config.preprocess in ("crop", "none"):
        scale = max(scale, 1.0)
    elif config.preprocess in ("scale_width", "scale_width_and_crop"):
        scale = max(scale, config.load_size / picture.width)
    left, top = (int((whole - part / scale) / 2) for whole, part in ((picture.width, width), (picture.height, height)))
    right, bottom = min(picture.width, left + width / scale), min(picture.height, top + height / scale)
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS, box=(left, top, right, bottom)))
