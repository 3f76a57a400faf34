"""The engine's pictures as Qt's images."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QImage

from engine.events import Picture


def image_of(picture: Picture) -> QImage:
    """A picture [H, W, 3] uint8 as an image of H x W, in any thread. The pixels are copied."""
    pixels = np.ascontiguousarray(picture)
    height, width, channels = pixels.shape
    if channels != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"A picture is [H, W, 3] uint8, not {list(pixels.shape)} {pixels.dtype}.")
    # A copy, since QImage only borrows the array's memory.
    return QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
