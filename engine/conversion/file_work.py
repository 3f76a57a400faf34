"""What worker processes do for a conversion: from a file to its frames, and from frames to a file. Imports no torch."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engine.config import Frames, OutputSettings
from engine.conversion.ledger import Fingerprint, fingerprint
from engine.conversion.space import RESERVE_BYTES, free_bytes
from engine.data.images import opened_source, scaled_frame, scaled_size
from engine.data.source_file import Frame, Pixels, SourceFile
from engine.data.writing import encode_frames
from engine.errors import PictureError
from engine.files import disk_sentence, write_new
from engine.words import bytes_words

DECODING_BYTES_PER_PIXEL = 30
"""Memory of a picture while it is decoded, converted in colour and turned upright: 15 of 8 bits, 29 of 16."""

# Of a frame on the disk: 8 bits with alpha.
_USUAL_BYTES_PER_PIXEL = 4

MOST_SIZES_OF_FRAMES = 20
"""All frames of a file together may be so many times as large as a single picture: a tiny GIF can hold thousands."""

_NOTHING = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a frame's pixels are in the file, its alpha behind them."""

    offset: int
    shape: tuple[int, ...]
    dtype: str
    has_alpha: bool


class FrameStack:
    """The frames of one file: a single one in memory, several in a file of which one is in memory at a time.

    A stack crosses between processes; what is in the file does not.

    Args:
        file: Where to keep several frames; made when there are some. Its maker removes it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._frames: list[Frame] = []
        self._places: list[_Place] = []

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return (self.get(number) for number in range(len(self)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be kept of the frames, each sentence once."""
        return tuple(dict.fromkeys(note for frame in self._frames for note in frame.notes))

    def keep(self, frame: Frame) -> None:
        """Have this frame in memory and no other."""
        self._frames = [frame]

    def append(self, frame: Frame) -> None:
        """Put a further frame into the file.

        Raises:
            OSError: The disk is full and so on.
        """
        # So that a full disk is met here and not, without a word, when the file is read.
        with self.file.open("ab") as file:
            place = _Place(file.tell(), frame.pixels.shape, frame.pixels.dtype.str, frame.alpha is not None)
            for array in (frame.pixels, frame.alpha):
                if array is not None:
                    file.write(np.ascontiguousarray(array).data)
        self._places.append(place)
        self._frames.append(
            dataclasses.replace(frame, pixels=_NOTHING, alpha=None if frame.alpha is None else _NOTHING[..., 0])
        )

    def get(self, number: int) -> Frame:
        """The frame of this number, from 0.

        Raises:
            OSError: The file cannot be read.
        """
        frame = self._frames[number]
        if not self._places:
            return frame
        place = self._places[number]
        with self.file.open("rb") as file:
            file.seek(place.offset)
            pixels = _read(file, place.shape, place.dtype)
            alpha = _read(file, place.shape[:2], place.dtype) if place.has_alpha else None
        return dataclasses.replace(frame, pixels=pixels, alpha=alpha)

    def replace(self, number: int, pixels: Pixels) -> None:
        """Give a frame other pixels of the same shape and type.

        Raises:
            OSError: The file cannot be written to.
        """
        if not self._places:
            self._frames[number] = dataclasses.replace(self._frames[number], pixels=pixels)
            return
        place = self._places[number]
        assert (pixels.shape, pixels.dtype.str) == (place.shape, place.dtype)
        with self.file.open("r+b") as file:
            file.seek(place.offset)
            file.write(np.ascontiguousarray(pixels).data)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that is read.

    Attributes:
        source: What is known of its file.
        source_print: Of the file as it was read.
        frames: Its frames.
        seconds: Time it took.
    """

    source: SourceFile
    source_print: Fingerprint
    frames: FrameStack
    seconds: float


@dataclass(frozen=True, slots=True)
class TooLargeNow:
    """A picture that was not decoded since it would take more memory, or room on the disk, than was allowed.

    Attributes:
        size: Its width and height in pixels.
    """

    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Written:
    """A result on the disk, under its temporary name.

    Attributes:
        suffix: The ending that fits it.
        notes: What could not be kept in writing.
        result_print: Of the file.
        seconds: Time it took.
    """

    suffix: str
    notes: tuple[str, ...]
    result_print: Fingerprint
    seconds: float


@dataclass(frozen=True, slots=True)
class NotWritten:
    """A result that the disk refused; nothing of it is left there.

    Attributes:
        error: What the system said.
        size: Bytes of the result.
    """

    error: OSError
    size: int


def decode(
    path: Path, frames: Frames, max_megapixels: int, longest: int | None, most_bytes: float | None, file: Path
) -> Decoded | TooLargeNow:
    """Read a picture.

    Args:
        path: The picture.
        frames: "all" or "first".
        max_megapixels: Larger ones are refused.
        longest: Scale longer sides down to so many pixels; None for no scaling.
        most_bytes: Memory that decoding one frame may take, and room on the disk that several may; None for any.
        file: For its frames where there are several.

    Raises:
        PictureError: It cannot be read, has more frames than there is room for, or is being changed; a sentence.
        MemoryError: The memory ran out.
        OSError: `file` cannot be written.
    """
    started = time.perf_counter()
    for _ in range(2):
        before = _state(path)
        with opened_source(path, frames=frames, max_megapixels=max_megapixels) as (source, found):
            if most_bytes is not None and _foreseen_bytes(source, longest) > most_bytes:
                return TooLargeNow(source.size)
            try:
                source_print = fingerprint(path)
            except OSError as error:
                raise PictureError(disk_sentence(error, path)) from error
            stack = FrameStack(file)
            scaled = (scaled_frame(frame, longest) if longest else frame for frame in found)
            if source.frame_count == 1:
                for frame in scaled:
                    stack.keep(frame)
            else:
                _spill(scaled, source, stack, max_megapixels)
            # By path, as the fingerprint: while the file is open its name may have been given to another one.
            if _state(path) == before:
                return Decoded(source, source_print, stack, time.perf_counter() - started)
        file.unlink(missing_ok=True)
    raise PictureError(f"{path.name} is being changed by another program. Convert it when that is done.")


def _spill(frames: Iterator[Frame], source: SourceFile, stack: FrameStack, max_megapixels: int) -> None:
    """Put the frames into the stack's file, if there is room for all of them.

    Raises:
        PictureError: There is not, or they are more than a file may have; a sentence.
        OSError: The disk is full and so on.
    """
    name, count, folder = source.path.name, source.frame_count, stack.file.parent
    remedy = "Convert its first frame only (--frames first), choose a smaller size"
    pixels = 0
    for number, frame in enumerate(frames):
        height, width = frame.pixels.shape[:2]
        pixels += height * width
        # Pages may differ in size, of which the first one gives an idea only.
        foreseen = count * height * width if number == 0 else pixels
        if foreseen > MOST_SIZES_OF_FRAMES * max_megapixels * 1_000_000:
            raise PictureError(
                f"{name} is too large: its {count} frames of {width} x {height} pixels are more than "
                f"{MOST_SIZES_OF_FRAMES * max_megapixels} million pixels together. {remedy}, or allow larger pictures "
                "(--max-megapixels)."
            )
        if number == 0:
            needed = count * (frame.pixels.nbytes + (0 if frame.alpha is None else frame.alpha.nbytes))
            free = free_bytes(folder)
            if free < RESERVE_BYTES:  # Nothing can be written at all, and that is waited for.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(stack.file))
            if needed > free - RESERVE_BYTES:
                raise PictureError(
                    f"{name} has {count} frames of {width} x {height} pixels, which need {bytes_words(needed)} on the "
                    f"disk of {folder} while they are translated; {bytes_words(max(0, free - RESERVE_BYTES))} can be "
                    f"used there. {remedy}, or an output folder on a disk with more room."
                )
        stack.append(frame)


def _foreseen_bytes(source: SourceFile, longest: int | None) -> int:
    """Memory that decoding a frame takes, or room for all frames on the disk, whichever is more."""
    width, height = source.size
    memory = DECODING_BYTES_PER_PIXEL * width * height
    if source.frame_count == 1:
        return memory
    kept = scaled_size(source.size, longest) if longest else source.size
    return max(memory, _USUAL_BYTES_PER_PIXEL * source.frame_count * kept[0] * kept[1])


def _state(path: Path) -> tuple[int, ...] | None:
    """What tells whether a path still leads to the same file and that is unchanged."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def write(frames: FrameStack, source: SourceFile, output: OutputSettings, temporary: Path) -> Written | NotWritten:
    """Encode a result and write it to a new file, which is on the disk when this returns.

    Raises:
        PictureError: It cannot be encoded; a sentence.
        MemoryError: The memory ran out.
        OSError: The file of `frames` cannot be read.
    """
    started = time.perf_counter()
    encoded = encode_frames(frames, source, output)
    try:
        write_new(temporary, encoded.data, sync=True)
        changed = temporary.stat().st_mtime_ns
    except OSError as error:
        return NotWritten(error, len(encoded.data))
    result_print = Fingerprint(len(encoded.data), changed, hashlib.sha256(encoded.data).hexdigest())
    return Written(encoded.suffix, encoded.notes, result_print, time.perf_counter() - started)


def _read(file: BinaryIO, shape: tuple[int, ...], dtype: str) -> Pixels:
    array: Pixels = np.empty(shape, dtype)
    file.readinto(array.reshape(-1).view(np.uint8))  # type: ignore[attr-defined]
    return array
