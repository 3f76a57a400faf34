"""Looking at a folder of pictures that a person has chosen, in steps between which it can be stopped."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from engine.data.folders import (
    Domains,
    FolderContent,
    FolderScan,
    check_training_folders,
    find_domains,
    gather,
    require_folder,
    walk_folder,
)
from engine.data.images import read_thumbnail
from engine.errors import PictureError
from engine.events import Picture

THUMBNAILS = 8
_REPORT_SECONDS = 0.1
_LARGEST_THUMBNAIL_BYTES = 50_000_000
_SIZE_AT_END = re.compile(r"[\W_]*\d*(?:px)?$")
_PAIR = re.compile(r"(.*[^\W\d_])(?:2|[_\- ]to[_\- ]|[_\- ](?:and|vs)[_\- ])([^\W\d_].*)", re.IGNORECASE)
_NO_NAME = re.compile(r"(?:train|test)?[_\- ]*[AB]?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PicturesFound:
    """How many pictures were found so far."""

    count: int


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One of the pictures, small: [H, W, 3] uint8."""

    picture: Picture


Look: TypeAlias = PicturesFound | Domains | FolderScan | Thumbnail


def look_at(folder: Path, thumbnail_side: int) -> Iterator[Look]:
    """What a folder holds: either `Domains` alone, or a `FolderScan` and some thumbnails.

    Args:
        folder: The folder.
        thumbnail_side: Size of the thumbnails, in pixels.

    Raises:
        DataError: There is no such folder, or it cannot be read.
    """
    require_folder(folder)
    domains = find_domains(folder)
    if domains is not None:
        yield domains
        return
    contents: list[FolderContent] = []
    count, due = 0, 0.0
    for content in walk_folder(folder):
        contents.append(content)
        count += len(content.pictures)
        if time.monotonic() >= due:
            due = time.monotonic() + _REPORT_SECONDS
            yield PicturesFound(count)
    scan = gather(folder, iter(contents))
    yield scan
    yield from _thumbnails(scan.pictures, thumbnail_side)


def check_folders(folder_A: Path, folder_B: Path, run: Path) -> Iterator[tuple[FolderScan, FolderScan]]:
    """`check_training_folders` as work for a thread."""
    yield check_training_folders(folder_A, folder_B, run)


def suggest_names(folder_A: Path | None, folder_B: Path | None) -> tuple[str, str]:
    """Names of the two domains taken from their folders: "apple2orange/trainA" gives "Apple"; "" where none fits."""
    names = [_readable(folder.name) if folder is not None else "" for folder in (folder_A, folder_B)]
    if folder_A is not None and folder_B is not None and folder_A.parent == folder_B.parent and not any(names):
        pair = _PAIR.fullmatch(_SIZE_AT_END.sub("", folder_A.parent.name))
        if pair is not None:
            names = [_readable(part) for part in pair.groups()]
    if names[0].casefold() == names[1].casefold():
        return "", ""
    return names[0], names[1]


def _thumbnails(pictures: tuple[Path, ...], side: int) -> Iterator[Thumbnail]:
    """Small pictures from all over the list; those that cannot be read are passed over."""
    shown = 0
    for path in _spread(pictures):
        if shown == THUMBNAILS:
            return
        with contextlib.suppress(PictureError, MemoryError, OSError):
            if path.stat().st_size <= _LARGEST_THUMBNAIL_BYTES:
                thumbnail = Thumbnail(read_thumbnail(path, side))
                shown += 1
                yield thumbnail


def _spread(pictures: tuple[Path, ...]) -> list[Path]:
    """Twice as many as are shown, since some may be damaged: every n-th, and then those half way between."""
    stride = max(1, len(pictures) // THUMBNAILS)
    first = pictures[::stride][:THUMBNAILS]
    second = pictures[stride // 2 :: stride][:THUMBNAILS]
    return list(dict.fromkeys([*first, *second]))


def _readable(name: str) -> str:
    """A folder's name as the name of a domain, or "" if it says nothing, such as "trainA"."""
    if _NO_NAME.fullmatch(name):
        return ""
    words = " ".join(re.split(r"[\W_]+", name)).strip()
    return (words[:1].upper() + words[1:])[:60]
