"""What is known of one file of pictures, and its frames: what reading gives and writing takes. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""[H, W, 3] or [H, W]: uint8 in 0..255, or uint16 in 0..65535 of a file with more than 256 levels."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a file: the only one, a page, or a frame of an animation, which has all of its canvas.

    Attributes:
        pixels: [H, W, 3], sRGB, upright. Not blended with anything, except that wholly transparent pixels, whose hidden
            colour can be any rubbish, are white.
        alpha: [H, W] of the same type as `pixels`, its largest value for opaque; None if all of it is opaque.
        icc_profile: The RGB colour profile to give back to the result, None for sRGB without a profile.
        dpi: Pixels an inch across and down, None if the file does not say.
        milliseconds: How long it is shown; 0 for a still picture or a page.
        depth: Bits a channel that were read of the file, 8 or 16. The pixels may be finer, never coarser: uint16 of an
            8-bit file where the way from its colour profile into sRGB and back would cost more than a level.
        notes: What could not be kept of it, a short sentence each.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    milliseconds: float = 0.0
    depth: int = 8
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What a file holds beside its pixels.

    Attributes:
        path: The file.
        format: Pillow's name of the format, such as "JPEG".
        size: Width and height of the first frame in pixels, upright.
        frame_count: Frames that are to be converted.
        is_animated: Whether the frames follow one another in time; pages do not.
        loops: How often an animation is shown; 0 for ever.
        exif: The EXIF data as found, with its "Exif" heading, b"" for none. Its orientation is already applied.
        xmp: The XMP packet as found, b"" for none.
        comment: A comment beside EXIF and XMP, as JPEG, PNG and GIF have, b"" for none; mostly UTF-8.
        notes: What could not be kept, a short sentence each.
    """

    path: Path
    format: str
    size: tuple[int, int]
    frame_count: int = 1
    is_animated: bool = False
    loops: int = 0
    exif: bytes = b""
    xmp: bytes = b""
    comment: bytes = b""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A result, ready to be written.

    Attributes:
        data: The whole file.
        suffix: The ending that fits it, with its dot: the source's own if that is one of the format's.
        notes: What could not be kept in writing, a short sentence each.
    """

    data: bytes
    suffix: str
    notes: tuple[str, ...]
