"""Sheets: the samples of one moment and one direction as a PNG that says what it shows. Imports no torch."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.config import Direction
from engine.events import Picture, Sample
from engine.files import write_atomically

MOST_SAMPLES = 4
"""Pictures shown a side."""

_GAP = 4
# A text chunk of this keyword holds JSON: {"sources": ["apple.jpg", ...]}, a row each.
_KEYWORD = "cyclegan-desktop samples"


def stored_name(path: Path, folder: Path) -> str:
    """How a picture is named in files of a run: relative to its folder, so that both can be moved, else absolute."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def sheet_pixels(samples: Sequence[Sample]) -> Picture:
    """A row a sample, at least one and all of one shape: original, translated and back again, with white between."""
    rows = [np.concatenate(_spaced([s.original, s.translated, s.back], axis=1), axis=1) for s in samples]
    return np.concatenate(_spaced(rows, axis=0), axis=0)


def write_sheet(path: Path, samples: Sequence[Sample], folder: Path) -> None:
    """Store samples of one direction as a PNG: a row a picture, with original, translated and back again.

    Args:
        path: The sheet; replaced if it exists.
        samples: At least one, all of one shape.
        folder: Pictures in it are named relative to it, others absolutely.

    Raises:
        OSError: No space, no permission, the folder has gone.
    """
    sheet = Image.fromarray(sheet_pixels(samples))
    text = PngInfo()
    text.add_text(_KEYWORD, json.dumps({"sources": [stored_name(s.source, folder) for s in samples]}))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=1, pnginfo=text)
    write_atomically(path, buffer.getvalue())


def read_sheet(
    path: Path, folder: Path, *, supposed: Sequence[Path] = (), crop_size: tuple[int, int] = (1, 1)
) -> tuple[Sample, ...]:
    """The samples that `write_sheet` stored.

    Args:
        path: The sheet.
        folder: What names in it are relative to.
        supposed: What a sheet of the first release shows, which does not say it: these, as many as it has rows.
        crop_size: Height and width of the training's crops, which have the shape of those rows.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged, or nobody says what it shows.
    """
    # Pillow finds damage in many ways.
    try:
        with Image.open(path) as image:
            image.load()
            words = image.info.get(_KEYWORD)
            sheet = np.asarray(image.convert("RGB"))
    except (SyntaxError, EOFError, zlib.error, struct.error, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is damaged") from error
    width = (sheet.shape[1] + _GAP) // 3 - _GAP
    told = _parse(words, folder)
    if told is None:
        rows = (sheet.shape[0] + _GAP) / (width * crop_size[0] / crop_size[1] + _GAP)
        told = tuple(supposed[: max(1, round(rows))])
    if not told:
        raise ValueError(f"{path} does not say which pictures it shows")
    height = (sheet.shape[0] + _GAP) // len(told) - _GAP
    if sheet.shape[:2] != (len(told) * (height + _GAP) - _GAP, 3 * (width + _GAP) - _GAP) or min(height, width) < 1:
        raise ValueError(f"{path} does not hold {len(told)} pictures")
    samples = []
    for row, source in enumerate(told):
        top = row * (height + _GAP)
        parts = [sheet[top : top + height, left : left + width] for left in range(0, sheet.shape[1], width + _GAP)]
        original, translated, back = (np.ascontiguousarray(part) for part in parts)
        samples.append(Sample(direction_of(path), source, original, translated, back))
    return tuple(samples)


def direction_of(path: Path) -> Direction:
    """The direction of a sheet, by its name."""
    return "b2a" if path.stem.endswith("_b2a") else "a2b"


def _parse(words: object, folder: Path) -> tuple[Path, ...] | None:
    """What a sheet says that it shows; None where it says nothing that can be understood."""
    if isinstance(words, str):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return tuple(folder / name for name in json.loads(words)["sources"])
    return None


def _spaced(pictures: list[Picture], axis: int) -> list[Picture]:
    """The pictures with a white gap between them along `axis`."""
    spaced = [pictures[0]]
    for picture in pictures[1:]:
        shape = list(picture.shape)
        shape[axis] = _GAP
        spaced += [np.full(shape, 255, np.uint8), picture]
    return spaced
