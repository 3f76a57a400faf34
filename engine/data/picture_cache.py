"""Decoded pictures at hand: in memory as far as they fit, the others in a file that vanishes with the process."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.preprocess import DecodedPicture

DISK_RESERVE_BYTES = 4_000_000_000
"""Left free on the disk: for checkpoints, moments and other programs."""

# What a disk gives back in a fraction of a millisecond, the slowest in some. What is read anew as fast needs no file:
# small JPEGs would only become ten times as large there.
_WORTH_SECONDS = 0.005
_BYTES_BETWEEN_LOOKS = 64_000_000


@dataclass(frozen=True, slots=True)
class CacheRoom:
    """Where decoded pictures may stay.

    Attributes:
        memory: Bytes in memory.
        disk: Bytes in a file.
        folder: Where that file lies, without a name; None for no file.
    """

    memory: int
    disk: int = 0
    folder: Path | None = None

    def part(self, count: int, total: int) -> CacheRoom:
        """The part of so many pictures of all."""
        return CacheRoom(self.memory * count // total, self.disk * count // total, self.folder)


def free_disk_room(folder: Path) -> int:
    """Bytes that a file of pictures may take on the disk of a folder: half of what is free beyond the reserve."""
    try:
        return max(0, shutil.disk_usage(folder).free - DISK_RESERVE_BYTES) // 2
    except OSError:
        return 0


def is_worth_a_file(seconds: float) -> bool:
    """Whether a picture that takes so long to read is faster had from a file of decoded ones."""
    return seconds >= _WORTH_SECONDS


class PictureCache:
    """Pictures by number. Any thread may call anything at any time.

    A disk that is full, slow to answer or gone costs time and nothing else: what cannot be kept is not.
    """

    def __init__(self, room: CacheRoom) -> None:
        """Keep nothing yet; the file is made when it is first needed."""
        self._folder = room.folder
        self._lock = threading.Lock()
        self._in_memory: dict[int, DecodedPicture] = {}
        # Place in the file, shape and type.
        self._in_file: dict[int, tuple[int, tuple[int, ...], np.dtype[Any]]] = {}
        self._memory_left = room.memory
        self._disk_left = room.disk
        self._file: io.FileIO | None = None
        self._end = 0
        self._next_look = 0

    def get(self, number: int) -> DecodedPicture | None:
        """A picture that was kept, not to be written to; None if it was not."""
        with self._lock:
            picture = self._in_memory.get(number)
            if picture is None and number in self._in_file:
                picture = self._read(*self._in_file[number])
            return picture

    def keep(self, number: int, picture: DecodedPicture, *, seconds: float) -> None:
        """Keep a picture if there is room for it; `seconds` is how long reading it from its own file has taken."""
        with self._lock:
            if number in self._in_memory or number in self._in_file:
                return
            if picture.nbytes <= self._memory_left:
                self._memory_left -= picture.nbytes
                self._in_memory[number] = picture
            elif self._folder is not None and picture.nbytes <= self._disk_left and is_worth_a_file(seconds):
                self._write(number, picture, self._folder)

    def give_back_disk(self) -> bool:
        """Give up what is on disk for good; returns whether that has freed any."""
        with self._lock:
            had_file = bool(self._in_file)
            self._give_up_file()
            return had_file

    def close(self) -> None:
        """Give back memory and disk, and keep nothing from now on."""
        with self._lock:
            self._give_up_file()
            self._in_memory.clear()
            self._memory_left = 0

    def _write(self, number: int, picture: DecodedPicture, folder: Path) -> None:
        try:
            if self._end >= self._next_look:
                # Others write on this disk, too.
                if shutil.disk_usage(folder).free < DISK_RESERVE_BYTES:
                    self._disk_left = 0
                    return
                self._next_look = self._end + _BYTES_BETWEEN_LOOKS
            if self._file is None:
                # Not a map into memory: that would count as this process's memory, and a full disk would kill it.
                self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
            self._file.seek(self._end)
            left = np.ascontiguousarray(picture).reshape(-1).view(np.uint8).data
            while len(left):
                left = left[self._file.write(left) :]
        except OSError:
            self._disk_left = 0
        else:
            self._in_file[number] = (self._end, picture.shape, picture.dtype)
            self._end += picture.nbytes
            self._disk_left -= picture.nbytes

    def _read(self, start: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DecodedPicture | None:
        assert self._file is not None
        pixels = np.empty(math.prod(shape) * dtype.itemsize, np.uint8)
        left = pixels.data
        try:
            self._file.seek(start)
            while len(left):
                count = self._file.readinto(left)
                if not count:
                    raise EOFError
                left = left[count:]
        except (OSError, EOFError):
            self._give_up_file()
            return None
        picture: DecodedPicture = pixels.view(dtype).reshape(shape)
        return picture

    def _give_up_file(self) -> None:
        self._in_file.clear()
        self._disk_left = 0
        if self._file is not None:
            # What a failing disk says last is of no use any more.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
