"""Finding pictures in folders, and checking the two folders of a training. Needs neither torch nor Pillow."""

from __future__ import annotations

import errno
import functools
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import DataError
from engine.files import disk_sentence, require_writable

# fmt: off
PICTURE_SUFFIXES: frozenset[str] = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".dib",
    ".gif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".dds", ".pcx",
    ".sgi", ".psd", ".qoi", ".heic", ".heif", ".hif",
})
"""Endings that make a file in a folder a picture; lower case, with the dot."""

VIDEO_SUFFIXES: frozenset[str] = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".flv", ".ogv",
    ".vob", ".mxf",
})
# fmt: on
"""Endings of videos, which are not converted; lower case, with the dot."""

_JUNK = frozenset({"thumbs.db", "desktop.ini", ".ds_store", "__macosx"})
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class FolderScan:
    """What a folder holds, subfolders included.

    Attributes:
        folder: The folder.
        pictures: Its pictures in natural order (2 before 10), each below `folder`.
        other_files: Number of files that are no pictures. Hidden files and what systems strew in are not counted.
        unreadable_folders: Subfolders that could not be looked into.
    """

    folder: Path
    pictures: tuple[Path, ...]
    other_files: int
    unreadable_folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Domains:
    """The folders of one data set in the usual layout: trainA, trainB and perhaps testA, testB."""

    train_A: Path
    train_B: Path
    test_A: Path | None
    test_B: Path | None


@dataclass(frozen=True, slots=True)
class FolderContent:
    """What one folder holds itself, without its subfolders.

    Attributes:
        folder: The folder.
        pictures: Its pictures, in no order.
        other_files: Number of other files.
        readable: False if it could not be looked into.
    """

    folder: Path
    pictures: tuple[Path, ...]
    other_files: int
    readable: bool = True


def scan_folder(folder: Path, *, field: str = "") -> FolderScan:
    """Look for pictures in a folder and its subfolders. Links are followed, each folder is entered once.

    Args:
        folder: Where to look.
        field: The setting beside which an error belongs.

    Raises:
        DataError: It is not there, no folder, or cannot be read.
    """
    require_folder(folder, field=field)
    return gather(folder, walk_folder(folder))


def walk_folder(folder: Path) -> Iterator[FolderContent]:
    """The folder and its subfolders one by one, for who wants to stop or show progress in between.

    Never raises: what cannot be looked into is given as not readable.
    """
    entered: set[str] = set()
    waiting = deque([folder])
    while waiting:
        current = waiting.popleft()
        place = os.path.realpath(current)
        if place in entered:
            continue
        entered.add(place)
        pictures: list[Path] = []
        folders: list[Path] = []
        links: list[Path] = []
        other_files = 0
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if _is_hidden(entry):
                        continue
                    path = current / entry.name
                    if _is_folder(entry):
                        (links if entry.is_symlink() else folders).append(path)
                    elif path.suffix.lower() in PICTURE_SUFFIXES and _is_file(entry):
                        pictures.append(path)
                    else:
                        other_files += 1
        except OSError:
            yield FolderContent(current, (), 0, readable=False)
            continue
        # Real folders first: what is reachable both ways counts where it really is.
        waiting.extendleft(sorted(folders, key=natural_key, reverse=True))
        waiting.extend(sorted(links, key=natural_key))
        yield FolderContent(current, tuple(pictures), other_files)


def other_files_in(folder: Path) -> list[Path]:
    """The files of a folder itself that are no pictures by their names, hidden ones and what systems strew in aside."""
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if not _is_hidden(entry)
                and not _is_folder(entry)
                and not (Path(entry.name).suffix.lower() in PICTURE_SUFFIXES and _is_file(entry))
            ]
    except OSError:
        return []
    return sorted((folder / name for name in names), key=natural_key)


def gather(folder: Path, contents: Iterator[FolderContent]) -> FolderScan:
    """What `walk_folder(folder)` found, as one scan."""
    pictures: list[Path] = []
    other_files = 0
    unreadable: list[Path] = []
    for content in contents:
        pictures.extend(content.pictures)
        other_files += content.other_files
        if not content.readable:
            unreadable.append(content.folder)
    return FolderScan(folder, tuple(sorted(pictures, key=natural_key)), other_files, tuple(unreadable))


def video_sentence(path: Path) -> str:
    """What to say of a video that was given in place of a picture."""
    return (
        f"{path.name} is a video, and pictures are what can be converted here. Save its frames as PNG with a video "
        "program, convert their folder, and put the results together again there."
    )


def natural_key(path: Path) -> tuple[object, ...]:
    """Sorts paths as people do: 2 before 10, capitals beside small letters; equal ones by their exact text."""
    return ([_pieces(part) for part in path.parts], str(path))


# The folders of many pictures are the same few, again and again.
@functools.lru_cache(maxsize=1000)
def _pieces(part: str) -> list[int | str]:
    return [int(piece) if piece.isdecimal() else piece for piece in _DIGITS.split(part.casefold())]


def find_domains(root: Path) -> Domains | None:
    """The folders trainA and trainB (in any case) in `root`, or None if it does not hold both.

    A test folder without pictures counts as absent.
    """
    found: dict[str, Path] = {}
    try:
        children = sorted(root.iterdir())
        for child in children:
            if child.is_dir():
                found.setdefault(child.name.lower(), child)
    except OSError:
        return None
    if "traina" not in found or "trainb" not in found:
        return None
    test_A, test_B = (found.get(name) for name in ("testa", "testb"))
    return Domains(
        train_A=found["traina"],
        train_B=found["trainb"],
        test_A=test_A if test_A is not None and _holds_pictures(test_A) else None,
        test_B=test_B if test_B is not None and _holds_pictures(test_B) else None,
    )


def check_training_folders(folder_A: Path, folder_B: Path, run: Path) -> tuple[FolderScan, FolderScan]:
    """Look into both folders of a training and see that it can be written where it is to live.

    Args:
        folder_A: Pictures of domain A.
        folder_B: Pictures of domain B.
        run: Folder of the new training; not there yet, or empty.

    Raises:
        DataError: With the field folder_A, folder_B or run, and a sentence that says what to do.
    """
    require_two_folders(folder_A, folder_B)
    scans = _scan_domain(folder_A, "folder_A"), _scan_domain(folder_B, "folder_B")
    _check_run_folder(run, (folder_A, folder_B))
    return scans


def require_two_folders(folder_A: Path, folder_B: Path) -> None:
    """See that two folders are there, that they are two, and that none lies in the other.

    Raises:
        DataError: With the field folder_A or folder_B, and a sentence that says what to do.
    """
    require_folder(folder_A, field="folder_A")
    require_folder(folder_B, field="folder_B")
    if folder_A.samefile(folder_B):
        raise DataError(
            f"Both sides are the same folder, {folder_B}. Choose a folder of different pictures for each side.",
            field="folder_B",
        )
    for inner, outer in ((folder_A, folder_B), (folder_B, folder_A)):
        if is_within(inner, outer):
            raise DataError(
                f"{inner} lies inside {outer}, so its pictures would count for both sides. "
                "Choose two separate folders.",
                field="folder_B",
            )


def require_folder(folder: Path, *, field: str = "") -> None:
    """See that a folder is there and can be looked into.

    Raises:
        DataError: With `field` and a sentence that says what to do.
    """
    try:
        with os.scandir(folder):
            pass
    except OSError as error:
        if error.errno == errno.ENOTDIR and os.path.lexists(folder):
            message = f"{folder} is a file, not a folder. Choose the folder it lies in."
        elif isinstance(error, FileNotFoundError | NotADirectoryError):
            message = f"There is no folder {folder}. Check its name, and that its disk is connected."
        else:
            message = disk_sentence(error, folder)
        raise DataError(message, field=field) from error
    except ValueError as error:  # A null character in the name.
        raise DataError(f"{str(folder)!r} is no name of a folder. Check it.", field=field) from error


def is_within(path: Path, folder: Path) -> bool:
    """Whether `path` is `folder` or lies in it, links and spelling in capitals seen through.

    `path` need not exist yet; nothing lies in a folder that does not exist.
    """
    real = Path(os.path.realpath(path))
    for place in (real, *real.parents):
        try:
            if place.samefile(folder):
                return True
        except OSError:
            continue
    return False


def _scan_domain(folder: Path, field: str) -> FolderScan:
    scan = scan_folder(folder, field=field)
    if len(scan.pictures) >= 2:
        return scan
    if scan.pictures:
        message = (
            f"{folder} holds only one picture. A training needs at least two on each side; "
            "a few hundred give good results."
        )
    elif scan.other_files:
        files = "one file that is no picture" if scan.other_files == 1 else f"{scan.other_files} files, no pictures"
        message = f"{folder} holds {files}. Choose a folder of pictures, such as JPEG, PNG, WebP or TIFF."
    elif scan.unreadable_folders:
        message = (
            f"No pictures could be found in {folder}: {scan.unreadable_folders[0]} cannot be read. "
            "Change its permissions, or choose another folder."
        )
    else:
        message = f"{folder} is empty. Choose a folder of pictures, such as JPEG, PNG, WebP or TIFF."
    raise DataError(message, field=field)


def _check_run_folder(run: Path, picture_folders: tuple[Path, Path]) -> None:
    for folder in picture_folders:
        if is_within(run, folder):
            raise DataError(
                f"The training would be written into {folder}, among the pictures it learns from. "
                "Choose another place for it.",
                field="run",
            )
    try:
        present = {child.name.lower() for child in run.iterdir()} - _JUNK
    except FileNotFoundError:
        present = set()
    except NotADirectoryError as error:
        raise DataError(
            f"{run} cannot be a folder, since a file of that name is there. Choose another name.", field="run"
        ) from error
    except OSError as error:
        raise DataError(disk_sentence(error, run), field="run") from error
    if "config.json" in present:
        raise DataError(
            f"{run} already holds a training. Go on with it (Resume on the Models page, or "
            f'cyclegan train --resume "{run}"), or choose a new folder.',
            field="run",
        )
    if present:
        raise DataError(f"{run} is not empty. Choose a new folder or an empty one for the training.", field="run")
    try:
        require_writable(run)
    except OSError as error:
        raise DataError(disk_sentence(error, run), field="run") from error


def _holds_pictures(folder: Path) -> bool:
    return any(content.pictures for content in walk_folder(folder))


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name.lower() in _JUNK:
        return True
    if os.name != "nt":
        return False
    try:
        attributes: int = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    except OSError:
        return False
    return bool(attributes & (stat.FILE_ATTRIBUTE_HIDDEN | stat.FILE_ATTRIBUTE_SYSTEM))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a plain file: opening a named pipe would wait for ever."""
    try:
        return entry.is_file()
    except OSError:
        return False
