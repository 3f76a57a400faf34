"""Looking for pictures in what was dropped, as work for a thread of its own."""

from __future__ import annotations

import heapq
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from engine.data.folders import PICTURE_SUFFIXES, require_folder, walk_folder
from engine.errors import DataError
from engine.files import disk_sentence

_CHUNK: Final = 2_000
"""Most pictures handed over at once: what the list takes in without a pause that anyone feels."""

_SORTED_AT_ONCE: Final = 1_000
_REST_SECONDS: Final = 0.004
_DIGITS: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Found:
    """Pictures to add to the list.

    Attributes:
        pictures: Absolute paths, in natural order within each folder.
        root: The dropped folder they lie in, None for pictures dropped by themselves.
    """

    pictures: tuple[Path, ...]
    root: Path | None


@dataclass(frozen=True, slots=True)
class FolderDone:
    """A dropped folder has been looked through.

    Attributes:
        root: The folder.
        pictures: How many pictures it holds, subfolders included.
        other_files: How many other files it holds.
        unreadable: Subfolders that could not be looked into.
    """

    root: Path
    pictures: int
    other_files: int
    unreadable: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class NotThere:
    """Something dropped cannot be used. `reason` is a whole sentence, or "" if there simply is no such file."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class NoPictures:
    """Files dropped by themselves whose names are not those of pictures."""

    files: tuple[Path, ...]


SourceEvent: TypeAlias = Found | FolderDone | NotThere | NoPictures


def look_for_pictures(paths: Sequence[Path]) -> Iterator[SourceEvent]:
    """Everything to convert in files and folders, subfolders included.

    The ending decides what is a picture: others are counted in a folder, and named if they were given by themselves.

    Args:
        paths: Files and folders, in the order in which they are to be listed.
    """
    single: list[Path] = []
    others: list[Path] = []
    for path in paths:
        path = Path(os.path.abspath(path))  # noqa: PTH100  # resolve() follows links, to names that nobody dropped.
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            yield NotThere(path, "")
        except OSError as error:
            yield NotThere(path, disk_sentence(error, path))
        else:
            if is_folder:
                yield from _found(single, None)
                single = []
                yield from _look_into(path)
            elif path.suffix.lower() in PICTURE_SUFFIXES:
                single.append(path)
            else:
                others.append(path)
    yield from _found(single, None)
    if others:
        yield NoPictures(tuple(others))


def _look_into(root: Path) -> Iterator[SourceEvent]:
    try:
        require_folder(root)
    except DataError as error:
        yield NotThere(root, str(error))
        return
    count = other_files = 0
    unreadable: list[Path] = []
    for content in walk_folder(root):
        count += len(content.pictures)
        other_files += content.other_files
        if not content.readable:
            unreadable.append(content.folder)
        yield from _found(_sorted(content.pictures), root)
    yield FolderDone(root, count, other_files, tuple(unreadable))


def _found(pictures: Iterable[Path], root: Path | None) -> Iterator[Found]:
    waiting = (picture for picture in pictures if str(picture))  # A path keeps its text: the list will ask for it.
    while piece := tuple(islice(waiting, _CHUNK)):
        yield Found(piece, root)


def _sorted(pictures: Sequence[Path]) -> Iterator[Path]:
    """The pictures of one folder in natural order: 2 before 10.

    The window needs the interpreter some hundred times to draw a list. One sort of 100,000 would keep it waiting for
    seconds, so this is done in pieces, with rests.
    """
    pieces: list[list[tuple[str, Path]]] = []
    for start in range(0, len(pictures), _SORTED_AT_ONCE):
        pieces.append(sorted((_natural(path), path) for path in pictures[start : start + _SORTED_AT_ONCE]))
        time.sleep(_REST_SECONDS)
    for place, (_, path) in enumerate(heapq.merge(*pieces)):
        yield path
        if place % _SORTED_AT_ONCE == _SORTED_AT_ONCE - 1:
            time.sleep(_REST_SECONDS)


def _natural(path: Path) -> str:
    """Sorts by name as `natural_key` does by path, at a tenth of the cost: all lie in one folder."""
    return _DIGITS.sub(lambda digits: digits[0].zfill(20), path.name.casefold())
