"""What a batch does when the disk of its results is full, or refuses something."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Generator as Work
from pathlib import Path

from engine.conversion.batch_file import BatchFile
from engine.conversion.result_names import REFUSED_NAME
from engine.conversion.space import RESERVE_BYTES, free_bytes
from engine.conversion.waiting import pause
from engine.errors import DataError
from engine.events import ConvertEvent, FileFailed, Preparing, WaitingForSpace
from engine.files import disk_sentence, is_folder, require_writable
from engine.words import bytes_words

# Three in a row are no accident: every further picture would be translated for nothing.
_MOST_DISK_FAILURES = 3

# What disks say to one place: while the output folder itself can be used these say nothing about its disk.
_ONE_PLACE = REFUSED_NAME | {
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP,
}  # fmt: skip

# What a picture's translation finds no room for, though there is some, is no matter of waiting.
_MOST_TRIES_WITH_ROOM = 2

_SPACE_SECONDS = 1.0
# A quota does not tell how much is left of it: it is tried now and then.
_QUOTA_SECONDS = 10.0


class DiskTrouble:
    """The trouble that a batch has had with the disk of its results.

    Attributes:
        failures: Pictures in a row that failed because of the output folder itself.
        reason: Why the last of them did, a sentence.

    Args:
        to: The output folder.
    """

    def __init__(self, to: Path) -> None:
        self.failures = 0
        self.reason = ""
        self._to = to
        self._has_told_full = False

    def is_over(self) -> None:
        """A result was written."""
        self.failures = 0
        self._has_told_full = False

    def require_hope(self) -> None:
        """See that it is worth while to go on.

        Raises:
            DataError: Too many pictures have failed in a row (field "to").
        """
        if self.failures >= _MOST_DISK_FAILURES:
            raise DataError(f"The conversion stopped. {self.reason}", field="to")

    def failed(self, file: BatchFile, folder: Path, error: OSError) -> FileFailed:
        """One place that the disk refuses fails its picture; trouble with the output folder itself is counted."""
        source, to = file.task.source, self._to
        problem = _problem_with(to)
        if problem is None and error.errno in _ONE_PLACE:
            return FileFailed(file.index, source, _place_sentence(error, folder, to))
        self.failures += 1
        self.reason = disk_sentence(problem or error, to)
        return FileFailed(file.index, source, self.reason)

    def find_room(self, file: BatchFile, error: OSError, heartbeat: Preparing) -> Work[ConvertEvent, None, None]:
        """Wait until a picture whose translation met a full disk can be tried again; fail it if it fills the disk."""
        to = self._to
        free = free_bytes(to)
        if free < RESERVE_BYTES:
            yield from self.wait_for_space(file, heartbeat)
        else:
            file.tries_with_room += 1
            needed = getattr(error, "needed", 0)
            if needed > free - RESERVE_BYTES or file.tries_with_room >= _MOST_TRIES_WITH_ROOM:
                wants = f"needs {bytes_words(needed)}" if needed else "needs more"
                file.outcome = FileFailed(
                    file.index,
                    file.task.source,
                    f"{file.name} {wants} on the disk of {to} while it is translated, where {bytes_words(free)} are "
                    "free. Choose a smaller size (--resize), or an output folder on a disk with more room.",
                )

    def wait_for_space(self, file: BatchFile, heartbeat: Preparing) -> Work[ConvertEvent, None, None]:
        """Wait until a picture whose result found no room can be tried again."""
        file.tries += 1
        needed = file.needed + RESERVE_BYTES
        to = self._to
        if file.tries == 1 and free_bytes(to) >= needed:
            return  # There has come room meanwhile, such as while another result waited for it.
        if not self._has_told_full:
            self._has_told_full = True
            yield WaitingForSpace(
                to,
                f"There is no space left on the disk of {to}. Free {bytes_words(needed)} or more there; the conversion "
                "then goes on by itself.",
            )
        started = time.monotonic()
        was_short = False
        while True:
            yield from pause(_SPACE_SECONDS, heartbeat)
            if free_bytes(to) < needed:
                was_short = True
            elif was_short or time.monotonic() - started >= _QUOTA_SECONDS:
                return


def _problem_with(folder: Path) -> OSError | None:
    """Why nothing can be written into a folder; None if it can."""
    try:
        if not folder.is_dir():
            return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
        require_writable(folder)
    except OSError as error:
        return error
    return None


def _place_sentence(error: OSError, folder: Path, to: Path) -> str:
    """What is wrong with one place in the output folder, by name."""
    for place in (*reversed(folder.relative_to(to).parents), folder.relative_to(to)):
        if os.path.lexists(to / place) and not is_folder(to / place):
            return (
                f"{to / place} is a file, where a folder for results belongs. Rename it, or choose another output "
                "folder."
            )
    named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else folder
    # Of a temporary file, whose own name says nothing to anybody.
    place = named if named.is_relative_to(to) and not named.name.startswith(".cyclegan-") else folder
    return disk_sentence(error, place)
