"""Samples: fixed pictures, translated and translated back, so that a person sees what the training has learnt."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine.config import Direction
from engine.data.images import read_pixels
from engine.device import autocast
from engine.errors import PictureError
from engine.events import Picture, Sample
from engine.files import write_atomically
from engine.model.cyclegan import CycleGAN
from engine.model.picture_tensors import to_picture, to_tensor

MOST_SAMPLES = 4
"""Pictures shown a side."""

_LEAST_SIDE = 128
_GAP = 4


@dataclass(frozen=True, slots=True)
class FixedPicture:
    """A picture shown as a sample: [S, S, 3] uint8, its middle square scaled to S."""

    direction: Direction
    source: Path
    pixels: Picture


def read_fixed_pictures(direction: Direction, paths: Sequence[Path], size: int) -> list[FixedPicture]:
    """The first few pictures that can be read, cropped to their middle square.

    Args:
        direction: The direction in which they will be translated.
        paths: Candidates, in order of preference.
        size: The training size in pixels; pictures are shown at this size, or at 128 px if that is more, since a
            person cannot judge smaller ones.
    """
    side = max(size, _LEAST_SIDE)
    found: list[FixedPicture] = []
    for path in paths:
        if len(found) == MOST_SAMPLES:
            break
        try:
            pixels = read_pixels(path)
        except PictureError:
            continue
        found.append(FixedPicture(direction, path, _middle_square(pixels, side)))
    return found


def draw_samples(model: CycleGAN, pictures: Sequence[FixedPicture]) -> tuple[Sample, ...]:
    """Translate the pictures and translate them back, with the generators as they are now."""
    return tuple(_draw(model, picture) for picture in pictures)


def write_sheet(path: Path, samples: Sequence[Sample]) -> None:
    """Store samples of one direction as a PNG: a row a picture, with original, translated and back again.

    Raises:
        OSError: No space, no permission, the folder has gone.
    """
    rows = [np.concatenate(_spaced([s.original, s.translated, s.back], axis=1), axis=1) for s in samples]
    sheet = Image.fromarray(np.concatenate(_spaced(rows, axis=0), axis=0))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=1)
    write_atomically(path, buffer.getvalue())


@torch.inference_mode()
def _draw(model: CycleGAN, picture: FixedPicture) -> Sample:
    there, back = (model.G_AB, model.G_BA) if picture.direction == "a2b" else (model.G_BA, model.G_AB)
    real = to_tensor(picture.pixels, model.device)
    with autocast(model.device, model.precision):
        fake = there(real)
        rec = back(fake)
    return Sample(picture.direction, picture.source, picture.pixels, to_picture(fake), to_picture(rec))


def _middle_square(pixels: Picture, side: int) -> Picture:
    height, width, _ = pixels.shape
    length = min(height, width)
    left, top = (width - length) // 2, (height - length) // 2
    square = Image.fromarray(pixels).crop((left, top, left + length, top + length))
    return np.asarray(square.resize((side, side), Image.Resampling.LANCZOS))


def _spaced(pictures: list[Picture], axis: int) -> list[Picture]:
    """The pictures with a white gap between them along `axis`."""
    spaced = [pictures[0]]
    for picture in pictures[1:]:
        shape = list(picture.shape)
        shape[axis] = _GAP
        spaced += [np.full(shape, 255, np.uint8), picture]
    return spaced
