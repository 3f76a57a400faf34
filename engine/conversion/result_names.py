"""Which name and folder each result of a batch gets: no two the same, and never that of a source.

Names are given one after the other, so that they do not depend on who is ready first.
"""

from __future__ import annotations

import errno
import unicodedata
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from engine.config import ConvertJob
from engine.conversion.batch_file import BatchFile
from engine.conversion.file_work import Decoded, Written
from engine.conversion.ledger import Ledger
from engine.conversion.model_file import ModelInfo, model_name
from engine.conversion.naming import result_name, safe_name
from engine.conversion.plan import Task, key_of
from engine.files import numbered

# What disks say to a name that they do not like, rather than to a place.
REFUSED_NAME = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG})


class ResultNames:
    """The names of a batch's results.

    Args:
        job: The job.
        info: The story of its model.
        ledger: Of the output folder; it gives results their names.
        sources: All pictures of the job, those of other processes, too.
    """

    def __init__(self, job: ConvertJob, info: ModelInfo, ledger: Ledger, sources: Sequence[Path]) -> None:
        self._job = job
        self._info = info
        self._ledger = ledger
        self._today = date.today()
        # By the key of a result: that of the source that has it, or will.
        self._claimed: dict[str, str] = {}
        # By the key of a result without regard to case and accents: where such are, and their sources' keys.
        self._published: dict[str, list[tuple[Path, str]]] = {}
        # Folders of which the disk refuses the name, and those that are there instead.
        self._safe_folders: dict[Path, Path] = {}
        self._source_paths = list(sources)
        self._sources: set[object] | None = None

    def add_sources(self, sources: Sequence[Path]) -> None:
        """More pictures, which no result may replace."""
        self._source_paths.extend(sources)
        self._sources = None

    def name_of(self, task: Task, suffix: str) -> str:
        """The name of a result that its disk has not been asked about yet."""
        return result_name(
            self._job.name,
            source=task.source,
            suffix=suffix,
            direction=self._info.direction_name(self._job.direction),
            model=model_name(self._job.model),
            date=self._today,
            index=task.number,
        )

    def folder_of(self, task: Task) -> Path:
        """The folder of a result, as far as is known by a name that its disk takes."""
        return self._safe_folders.get(task.folder, task.folder)

    def made_folder(self, task: Task) -> Path:
        """The folder of a result, by a name that its disk takes.

        Raises:
            OSError: It cannot be made.
        """
        folder, to = self.folder_of(task), self._job.to
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            safe = to.joinpath(*(safe_name(part) for part in folder.relative_to(to).parts))
            if error.errno not in REFUSED_NAME or safe == folder:
                raise
            safe.mkdir(parents=True, exist_ok=True)
            self._safe_folders[folder] = folder = safe
        return folder

    def publish(self, file: BatchFile, written: Written, wished: Path) -> tuple[Path, Path | None]:
        """The name that was asked for, and the one that the result now has, None where that was taken.

        Raises:
            OSError: The disk refused it.
        """
        assert file.temporary is not None and file.decoded is not None
        me = key_of(file.task.source)

        def attempt(name: str) -> tuple[Path, Path | None]:
            assert file.temporary is not None and file.decoded is not None
            target = wished.with_name(name)
            if self._job.if_exists == "skip":
                target = self.unclaimed(target, me)
            final = self._ledger.publish(
                file.task.source,
                file.decoded.source_print,
                written.result_print,
                file.temporary,
                target,
                if_exists=self._job.if_exists,
                may_replace=lambda candidate: self._may_replace(candidate, me),
                notes=losses(file.decoded, written),
            )
            return target, final

        try:
            return attempt(wished.name)
        except OSError as error:
            safe = safe_name(wished.name)
            if error.errno not in REFUSED_NAME or safe == wished.name:
                raise
        return attempt(safe)

    def _may_replace(self, candidate: Path, me: str) -> bool:
        """Whether a file is neither a picture of this batch nor the result of another one."""
        if self._is_claimed(candidate, me):
            return False
        key = key_of(candidate)
        if self._sources is None:
            statuses = (_identity(path) for path in self._source_paths)
            self._sources = {*(key_of(path) for path in self._source_paths), *statuses}
        # By another path, or another name: a link of either kind.
        return key not in self._sources and _identity(candidate) not in self._sources

    def claim(self, target: Path, source: Path) -> None:
        """Note the name of a result, or what it will be, unless another picture of this batch has it."""
        if self._job.if_exists != "rename":  # A taken name is never asked about then.
            self._claimed.setdefault(key_of(target), key_of(source))

    def note_published(self, result: Path, source: Path) -> None:
        """Note a result that is there by now."""
        if self._job.if_exists != "rename":
            self._published.setdefault(_folded(result), []).append((result, key_of(source)))

    def _is_claimed(self, target: Path, me: str) -> bool:
        """Whether a name is that of another picture's result, also where the disk takes two names for the same."""
        if self._claimed.get(key_of(target), me) != me:
            return True
        alike = self._published.get(_folded(target), ())
        return any(source != me and is_same(target, result) for result, source in alike)

    def unclaimed(self, wished: Path, me: str) -> Path:
        """The wished name of a result, or a numbered one, that no other picture of this batch has."""
        target, number = wished, 0
        while self._is_claimed(target, me):
            number += 1
            target = numbered(wished, number)
        return target


def _identity(path: Path) -> tuple[int, int] | None:
    """What is the same for all names of a file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file that is there."""
    identity = _identity(one)
    return identity is not None and identity == _identity(other)


def _folded(path: Path) -> str:
    """The same for all names that some disk takes for one: it knows no case, or writes accents its own way."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", key_of(path)).casefold())


def losses(decoded: Decoded, written: Written) -> list[str]:
    """What a result could not keep, each said once."""
    return list(dict.fromkeys([*decoded.source.notes, *decoded.frames.notes, *written.notes]))


def name_notes(wished: Path, final: Path) -> list[str]:
    """What is to be said of a name that the disk did not take."""
    safe = Path(safe_name(wished.name))
    if safe.name == wished.name or not final.name.startswith(safe.stem):
        return []
    return [f"Saved as {final.name}: its disk refuses the name {wished.name}."]
