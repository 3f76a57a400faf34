"""A picture read for the screen. Imports no Qt: it is called in worker processes, which need none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.data.images import read_size, read_thumbnail
from engine.errors import PictureError
from engine.events import Picture


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture as it is shown.

    Attributes:
        pixels: [H, W, 3] uint8, upright, in sRGB, on white where it is transparent; maybe scaled down.
        size: Width and height of the whole picture in pixels, upright.
    """

    pixels: Picture
    size: tuple[int, int]


def read_shown(path: Path, longest: int) -> ShownPicture:
    """The picture in a file, scaled down to at most `longest` pixels a side.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It does not fit into memory.
    """
    pixels = read_thumbnail(path, longest)
    height, width = pixels.shape[:2]
    if max(height, width) < longest:
        return ShownPicture(pixels, (width, height))
    try:
        size = read_size(path)
    except PictureError:  # Taken away in this moment.
        size = width, height
    # A file may be stored lying and shown standing.
    if (size[0] < size[1]) != (width < height):
        size = size[1], size[0]
    return ShownPicture(pixels, size)
