"""Writing files so that a crash, a full disk or a second program never leaves half of one or costs another."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")

# Virus scanners and indexers hold a new file for a moment: access denied, sharing violation, lock violation.
_WINDOWS_BUSY = frozenset({5, 32, 33})
_WINDOWS_PATIENCE_SECONDS = 2.5

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_PERMISSION = frozenset({errno.EACCES, errno.EPERM})
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ESTALE})
# FAT and exFAT, some network disks and some sandboxes know no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_WINDOWS_DISK_FULL = frozenset({39, 112})

_LONGEST_NAME_BYTES = 255


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that at every moment either the old or the whole new content is there.

    The folder must exist. After the return the data is on the disk, as far as the system tells the truth.

    Raises:
        OSError: The disk is full, the folder is not there or not writable, and so on; `path` is as it was. Make a
            sentence of it with `disk_sentence`.
    """
    temporary = temporary_beside(path)
    try:
        write_new(temporary, data, sync=True)
        move_over(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def temporary_beside(target: Path) -> Path:
    """A free, hidden name in the folder of `target`, ".NAME.part-" and eight random characters.

    What is left of it after a kill is recognised by this name, and `scan_folder` passes over it.
    """
    # Cut short: a name may have 255 bytes, and 40 characters have at most 160.
    return target.with_name(f".{target.name[:40]}.part-{os.urandom(4).hex()}")


def write_new(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write a file that must not exist yet; what was written of it is removed when that fails.

    Args:
        path: The new file, in a folder that exists.
        data: Its content.
        sync: Whether to wait until the disk has it.

    Raises:
        FileExistsError: There is such a file.
        OSError: The disk is full and so on.
    """
    with path.open("xb") as file:
        try:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        except BaseException:
            # Closed first, since Windows removes no open file; closing may fail once more on a full disk.
            with contextlib.suppress(OSError):
                file.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise


def publish_new(temporary: Path, target: Path) -> Path:
    """Move a finished file to `target`, or to "name (1).ext", "name (2).ext" and so on where that is taken.

    Nothing is ever overwritten, also when another program writes into the folder at the same moment.

    Args:
        temporary: The finished file, in the folder of `target`.
        target: The wished name.

    Returns:
        The path at which the file now is.

    Raises:
        OSError: The folder is not there, not writable and so on; `temporary` may still be there.
    """
    number = 0
    while True:
        candidate = numbered(target, number)
        try:
            move_to_free_name(temporary, candidate)
        except FileExistsError:
            number += 1
        else:
            return candidate


def numbered(target: Path, number: int) -> Path:
    """`target` for 0, else "name (number).ext", the name cut short where it would become too long."""
    if number == 0:
        return target
    stem, ending = target.stem, f" ({number}){target.suffix}"
    while stem and len(os.fsencode(stem + ending)) > _LONGEST_NAME_BYTES:
        stem = stem[:-1]
    return target.with_name(stem + ending)


def move_to_free_name(temporary: Path, target: Path) -> None:
    """Move a file to a name that must be free.

    Where the disk knows no hard links, a kill in the middle may leave an empty file of that name beside `temporary`.

    Args:
        temporary: The file.
        target: Its new name, in the same folder.

    Raises:
        FileExistsError: The name is taken.
        OSError: The folder is not there, not writable, refuses such a name and so on.
    """
    if os.name == "nt":
        _patiently(lambda: temporary.rename(target))  # Windows refuses a taken name by itself.
        return
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Take the name with an empty file, which only one can make, and replace that.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                target.unlink()
            raise
    else:
        temporary.unlink()


def set_aside(path: Path) -> Path:
    """Give a damaged file another name, since somebody may be able to read it; its new path.

    Raises:
        OSError: As `move_to_free_name`, but for names that are taken.
    """
    number = 0
    while True:
        target = numbered(path.with_suffix(f".damaged{path.suffix}"), number)
        try:
            move_to_free_name(path, target)
        except FileExistsError:
            number += 1
        else:
            return target


def move_over(temporary: Path, target: Path) -> None:
    """Move a file to a name, in place of what is there: at every moment there is either the old file or the new one.

    Raises:
        OSError: A folder has that name, another program has the file open, and so on.
    """
    _patiently(lambda: temporary.replace(target))


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False also where the system does not tell, such as behind a locked one."""
    try:
        return path.is_dir()
    except OSError:
        return False


def require_writable(folder: Path) -> None:
    """Find out whether files can be made in `folder`, or in the nearest folder above it that exists.

    Asks by making a nameless file: permission bits say nothing about read-only disks, Windows or root.

    Raises:
        OSError: They cannot; see `disk_sentence`.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing))
    with tempfile.TemporaryFile(dir=existing):
        pass


def disk_sentence(error: OSError, path: Path) -> str:
    """What went wrong with a file or folder and what to do, as sentences for a dialog.

    Args:
        error: What the system said.
        path: The file or folder concerned, named in the sentence.
    """
    windows_code = getattr(error, "winerror", None)
    if error.errno in _NO_SPACE or windows_code in _WINDOWS_DISK_FULL:
        return (
            f"There is no space left on the disk of {path}. Free some space there, or choose a folder on another disk."
        )
    if error.errno == errno.EROFS:
        return f"{path} is on a disk that can only be read. Choose a folder on another disk."
    if error.errno in _NO_PERMISSION:
        return (
            f"There is no permission to use {path}, or another program has it open. "
            "Change its permissions, close the other program, or choose another folder."
        )
    if isinstance(error, FileExistsError):
        return f"{path} is already there. Choose another name or folder."
    if error.errno in _NOT_THERE:
        return f"{path} is not there, or no longer. Check that its disk is connected, or choose another folder."
    if error.errno == errno.ENAMETOOLONG:
        return f"The name of {path} is too long for this disk. Choose a shorter name or another folder."
    reason = error.strerror or str(error) or type(error).__name__
    return f"{path} cannot be used: {reason}. Check the disk, or choose another folder."


def _patiently(act: Callable[[], _Result]) -> _Result:
    """Act, and on Windows try again for 2.5 s while another program holds the file."""
    deadline = time.monotonic() + _WINDOWS_PATIENCE_SECONDS
    while True:
        try:
            return act()
        except OSError as error:
            busy = getattr(error, "winerror", None) in _WINDOWS_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
        time.sleep(0.05)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself last, where the system can: some file systems refuse, and Windows has no such call."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
