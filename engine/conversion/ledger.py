"""What a folder of results remembers: which result was made of which picture, with which model and settings.

The ledger is one hidden file in the output folder, to which lines are only ever appended. A line says what a result is
*before* it gets its name, so that a kill at any moment leaves no result that is not known, and none is made twice.
Needs no torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import itertools
import json
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any

from engine.config import ConvertJob, IfExists
from engine.errors import DataError
from engine.files import disk_sentence, move_over, move_to_free_name, numbered

if TYPE_CHECKING:
    from filelock import BaseFileLock

LEDGER_NAME = ".cyclegan-conversion.jsonl"
LOCK_NAME = ".cyclegan-conversion.lock"

# To be counted up when the same model and settings would give other results than before.
_CONTENT_VERSION = 1

# A power cut forgets the lines of the last second; results that it keeps nevertheless are made once more.
_SYNC_SECONDS = 1.0

# Two paths of 4,096 bytes, each written as six characters, and the rest. A longer line is none of ours.
_LONGEST_LINE = 65_536
_USUAL_LINE = 1024

_SESSION = re.compile(r"[0-9a-f]{12}")
_TEMPORARY = re.compile(r"\.cyclegan-([0-9a-f]{12})\.part-[0-9]+")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells whether a file is still the same.

    Attributes:
        size: In bytes.
        mtime_ns: When it was last changed, in nanoseconds since 1970.
        sha256: Of its content, 64 hexadecimal digits.
    """

    size: int
    mtime_ns: int
    sha256: str


def fingerprint(path: Path) -> Fingerprint:
    """Read a file whole and take its fingerprint.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        digest = hashlib.file_digest(file, "sha256")
    return Fingerprint(before.st_size, before.st_mtime_ns, digest.hexdigest())


def settings_key(job: ConvertJob, model_sha256: str, *, by_openvino: bool = False) -> str:
    """A hash over all that the content and the name of a result depend on, beside its source.

    Not over where and how fast it is computed, nor over what is done with files that exist; nor over the values of
    {date} and {index}, which differ each time. But one batch is not half PyTorch's and half OpenVINO's, whose bf16
    differs by a level of 255 on average.

    Args:
        job: The job.
        model_sha256: Hash of the model file's content.
        by_openvino: Whether OpenVINO converts.
    """
    values = [
        _CONTENT_VERSION,
        model_sha256,
        job.direction,
        job.format,
        job.quality,
        job.lossless,
        job.chroma,
        job.frames,
        job.resize,
        job.name,
        job.precision,
        *(["openvino"] if by_openvino else []),
    ]
    return hashlib.sha256(json.dumps(values).encode("ascii")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One result, made or meant to be made. `target` is relative to the output folder, with "/"."""

    source: str
    source_print: Fingerprint
    target: str
    result_print: Fingerprint
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownResult:
    """A result that was made before: where it is, and what it could not keep."""

    target: Path
    notes: tuple[str, ...]


class Ledger:
    """The ledger of an output folder, for one conversion. Use `Ledger.open` as a context manager.

    Threads may share it.
    """

    def __init__(
        self, folder: Path, settings: str, other: str, file: int, lock: BaseFileLock | None, *, exclusive: bool
    ) -> None:
        """Use `Ledger.open`."""
        self._folder = folder
        self._settings = settings
        self._other = other
        self._file = file
        self._lock = lock
        self._exclusive = exclusive
        self._session = secrets.token_hex(6)
        self._has_begun = False
        self._numbers = itertools.count(1)
        self._mutex = threading.RLock()
        self._line_is_torn = False
        self._synced = time.monotonic()
        # Where in the file the lines about a picture begin: of 100,000 pictures the lines themselves are 40 MB.
        self._places: dict[str, tuple[int, ...]] = {}
        self._others: set[str] = set()
        self._moved_places: dict[int, tuple[int, ...]] | None = None
        self._dead: dict[str, _Entry | None] = {}

    @classmethod
    def open(cls, folder: Path, settings: str, *, other: str = "", exclusive: bool = True) -> Ledger:
        """Open the ledger of an output folder, or begin one.

        Args:
            folder: The output folder, which is there.
            settings: The `settings_key` of the conversion; results of others are not looked at.
            other: The `settings_key` of the same conversion by another program, for `made_otherwise`.
            exclusive: Whether no other conversion may write into the folder meanwhile, and what dead ones have left is
                removed. Of several processes that share the work one is exclusive, and the others open the ledger
                after it has.

        Raises:
            DataError: With the field "to": another conversion writes into the folder, or it cannot be used.
        """
        file = -1
        lock: BaseFileLock | None = None
        try:
            file = _open_file(folder / LEDGER_NAME)
            lock = _acquire_lock(folder) if exclusive else None
            ledger = cls(folder, settings, other, file, lock, exclusive=exclusive)
            ledger._load()
            if exclusive:
                ledger._remove_remains()
        except BaseException as error:
            if lock is not None:
                _release_lock(lock)
            if file >= 0:
                os.close(file)
            if isinstance(error, OSError):
                path = folder / LEDGER_NAME
                raise DataError(disk_sentence(error, path if os.path.lexists(path) else folder), field="to") from error
            raise
        return ledger

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporaries of this conversion and let others write into the folder. Never raises."""
        with self._mutex:
            if self._file < 0:
                return
            with contextlib.suppress(OSError):
                if self._has_begun:
                    self._dead[self._session] = None
                # Once more: a worker of a killed conversion may have lived on for a moment.
                self._remove_remains()
                for session in self._dead:
                    self._append({"ended": session})
            with contextlib.suppress(OSError):
                os.fsync(self._file)
            with contextlib.suppress(OSError):
                is_empty = os.fstat(self._file).st_size == 0
                if is_empty and self._exclusive and os.name != "nt":
                    (self._folder / LEDGER_NAME).unlink()
            os.close(self._file)
            self._file = -1
            if self._lock is not None:
                _release_lock(self._lock)

    def result_of(self, source: Path) -> KnownResult | None:
        """The result that was made of a picture with these settings, if both are still as they were then.

        Size and time tell; where only the time differs, as on another disk, the content does. A picture that is not
        known by its path, but whose like was at a path that is gone now, has been moved together with its folders.
        Never raises.
        """
        with self._mutex:
            places = self._places.get(_key(source))
            entries = self._entries_of_moved(source) if places is None else [self._entry_at(place) for place in places]
            for entry in reversed(entries):
                if entry is None:
                    continue
                target = self._folder / entry.target
                found = _present_print(source, entry.source_print)
                result = None if found is None else _present_print(target, entry.result_print)
                if found is None or result is None:
                    continue
                renewed = dataclasses.replace(entry, source=_absolute(source), source_print=found, result_print=result)
                if renewed != entry:
                    # So that nothing needs to be read whole next time.
                    with contextlib.suppress(OSError):
                        self._remember(renewed.source, self._append(self._line_of(renewed)))
                return KnownResult(target, entry.notes)
        return None

    def made_otherwise(self, sources: Iterable[Path]) -> int:
        """How many of these pictures the other program has converted, and this one has not, when it was opened."""
        with self._mutex:
            only_others = self._others - self._places.keys()
            return sum(_key(source) in only_others for source in sources) if only_others else 0

    def temporary_for(self, folder: Path) -> Path:
        """A free, hidden name in a folder of results, for a result that is not finished.

        What a kill leaves of it is removed when the next conversion into this output folder begins.

        Raises:
            OSError: The ledger cannot be written.
        """
        with self._mutex:
            if not self._has_begun:
                # On the disk before the first temporary is.
                self._append({"begun": self._session}, sync=True)
                self._has_begun = True
            return folder / f".cyclegan-{self._session}.part-{next(self._numbers)}"

    def publish(
        self,
        source: Path,
        source_print: Fingerprint,
        result_print: Fingerprint,
        temporary: Path,
        target: Path,
        *,
        if_exists: IfExists,
        may_replace: Callable[[Path], bool],
        notes: Sequence[str] = (),
    ) -> Path | None:
        """Give a finished result its name, written down first.

        Args:
            source: The picture.
            source_print: Of the picture as it was read.
            result_print: Of `temporary`, which is on the disk already.
            temporary: The result under a name of `temporary_for`, in the folder of `target`.
            target: The wished name.
            if_exists: What to do where it is taken: take "name (1)" and so on, give up, or replace what is there.
            may_replace: Whether a file may be replaced; where not, the next name is taken.
            notes: What the result could not keep.

        Returns:
            Where the result is; None where the name is taken and it was given up, `temporary` too.

        Raises:
            OSError: The disk is full, refuses the name and so on. `temporary` is still there for another try.
        """
        with self._mutex:
            number = -1
            while True:
                number += 1
                candidate = numbered(target, number)
                if os.path.lexists(candidate):
                    if if_exists == "skip":
                        temporary.unlink()
                        return None
                    if if_exists == "rename" or not may_replace(candidate) or candidate.is_dir():
                        continue
                place = Path(_absolute(candidate)).relative_to(_absolute(self._folder))
                entry = _Entry(_absolute(source), source_print, place.as_posix(), result_print, tuple(notes))
                place_in_file = self._append(self._line_of(entry))
                try:
                    if if_exists == "overwrite" and os.path.lexists(candidate):
                        move_over(temporary, candidate)
                    else:
                        move_to_free_name(temporary, candidate)
                except FileExistsError:
                    # Another program has taken it this very moment.
                    if if_exists == "skip":
                        temporary.unlink()
                        return None
                    continue
                self._remember(entry.source, place_in_file)
                return candidate

    # Reading

    def _load(self) -> None:
        last: dict[str, int] = {}
        for place, line in _lines(self._folder / LEDGER_NAME):
            values = _parsed(line)
            match values:
                case {"result": _, "source": str(source), "settings": settings, "session": str(session)}:
                    if settings == self._settings:
                        self._remember(source, place)
                    elif settings == self._other:
                        self._others.add(os.path.normcase(source))
                    if session in last:
                        last[session] = place
                case {"begun": str(session)} if _SESSION.fullmatch(session):
                    last[session] = -1
                case {"ended": str(session)}:
                    last.pop(session, None)
            self._line_is_torn = not line.endswith(b"\n")
        if self._exclusive:
            self._dead = {session: None if place < 0 else self._entry_at(place) for session, place in last.items()}

    def _remember(self, source: str, place: int) -> None:
        key = os.path.normcase(source)
        self._places[key] = (*self._places.get(key, ()), place)

    def _entry_at(self, place: int) -> _Entry | None:
        """The entry whose line begins there; None if it makes no sense."""
        try:
            # Writing is always at the end, wherever reading has been.
            os.lseek(self._file, place, os.SEEK_SET)
            line = os.read(self._file, _USUAL_LINE)
            if b"\n" not in line:
                line += os.read(self._file, _LONGEST_LINE)
        except OSError:
            return None
        return _entry_from(_parsed(line.partition(b"\n")[0]))

    def _entries_of_moved(self, source: Path) -> list[_Entry | None]:
        """Entries of a picture of the same name, size and subfolder whose own path is gone."""
        if not self._places:
            return []
        if self._moved_places is None:
            self._moved_places = {}
            for place in itertools.chain.from_iterable(self._places.values()):
                entry = self._entry_at(place)
                if entry is not None:
                    folder = PurePosixPath(entry.target).parent
                    key = hash((Path(entry.source).name, entry.source_print.size, folder))
                    self._moved_places[key] = (*self._moved_places.get(key, ()), place)
        try:
            size = source.stat().st_size
        except OSError:
            return []
        parents = Path(_absolute(source)).parts[1:-1]
        found: list[_Entry | None] = []
        for start in range(len(parents) + 1):
            key = hash((source.name, size, PurePosixPath(*parents[start:])))
            found += [self._entry_at(place) for place in self._moved_places.get(key, ())]
        return [entry for entry in found if entry is not None and not os.path.lexists(entry.source)]

    # Writing

    def _line_of(self, entry: _Entry) -> dict[str, Any]:
        line = {
            "result": entry.target,
            "is": _values(entry.result_print),
            "source": entry.source,
            "was": _values(entry.source_print),
            "settings": self._settings,
            "session": self._session,
        }
        return line | ({"notes": entry.notes} if entry.notes else {})

    def _append(self, values: dict[str, Any], *, sync: bool = False) -> int:
        """Add a line in one piece: several processes may do so.

        Returns:
            Where in the file it begins.

        Raises:
            OSError: It could not be written whole; the next line begins anew.
        """
        line = json.dumps(values, separators=(",", ":")).encode("ascii") + b"\n"
        if self._line_is_torn:
            line = b"\n" + line
        written = os.write(self._file, line)
        self._line_is_torn = written < len(line)
        if self._line_is_torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
        if sync or time.monotonic() - self._synced >= _SYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()
        return os.lseek(self._file, 0, os.SEEK_CUR) - len(line.lstrip(b"\n"))

    def _remove_remains(self) -> None:
        """Remove what dead conversions, and this one, have left unfinished."""
        if not self._dead:
            return
        for entry in self._dead.values():
            # Without hard links a name is taken by an empty file first; a kill may have left it so.
            if entry is not None and entry.result_print.size > 0:
                target = self._folder / entry.target
                with contextlib.suppress(OSError):
                    status = target.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
                        target.unlink()
        for folder, _, names in os.walk(self._folder):
            for name in names:
                match = _TEMPORARY.fullmatch(name)
                if match is not None and match[1] in self._dead:
                    with contextlib.suppress(OSError):
                        os.unlink(os.path.join(folder, name))  # noqa: PTH108, PTH118


def _open_file(path: Path) -> int:
    """The ledger, to be appended to and read.

    Raises:
        OSError: It cannot be opened.
        DataError: Something else has its name.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    file = os.open(path, flags, 0o666)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise DataError(f"{path} is no plain file. Remove it, or choose another output folder.", field="to")


def _acquire_lock(folder: Path) -> BaseFileLock | None:
    """Lock the folder; None on a disk that knows no locks.

    Raises:
        DataError: Another conversion holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DataError(
            f"Another window or command is converting into {folder}. Wait until it is done, stop it, or choose "
            "another output folder.",
            field="to",
        ) from error
    except (OSError, NotImplementedError):
        return None
    return lock


def _release_lock(lock: BaseFileLock) -> None:
    """Windows removes no open file, and elsewhere nobody else may take the file in between."""
    path = Path(lock.lock_file)
    if os.name != "nt":
        with contextlib.suppress(OSError):
            path.unlink()
    lock.release()
    if os.name == "nt":
        with contextlib.suppress(OSError):
            path.unlink()


def _present_print(path: Path, expected: Fingerprint) -> Fingerprint | None:
    """The fingerprint of a file now, if it holds what it held then."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != expected.size:
            return None
        if status.st_mtime_ns == expected.mtime_ns:
            return expected
        now = fingerprint(path)
    except (OSError, ValueError):
        return None
    return now if now.sha256 == expected.sha256 else None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines and where they begin. The last one may be torn, and the file may not be ours at all."""
    place = 0
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(_LONGEST_LINE), b""):
            yield place, line
            place += len(line)


def _parsed(line: bytes) -> dict[str, Any]:
    """What a line says; nothing where it makes no sense."""
    try:
        values = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _entry_from(values: dict[str, Any]) -> _Entry | None:
    match values:
        case {"source": str(source), "result": str(target), "was": was, "is": now}:
            source_print, result_print = _print_from(was), _print_from(now)
            if source_print is not None and result_print is not None and _is_inside(target):
                notes = values.get("notes", ())
                whole = isinstance(notes, list) and all(isinstance(note, str) for note in notes)
                return _Entry(source, source_print, target, result_print, tuple(notes) if whole else ())
    return None


def _is_inside(target: str) -> bool:
    """Whether a path leads nowhere but into the output folder, which only a doctored ledger's does not."""
    try:
        os.fsencode(target)
    except UnicodeError:
        return False
    # A colon or a backslash lead elsewhere on Windows only.
    refused = "\0:\\" if os.name == "nt" else "\0"
    return not (target.startswith("/") or ".." in target.split("/") or any(sign in target for sign in refused))


def _print_from(values: object) -> Fingerprint | None:
    match values:
        case [int(size), int(mtime_ns), str(sha256)]:
            return Fingerprint(size, mtime_ns, sha256)
    return None


def _values(file_print: Fingerprint) -> list[int | str]:
    return [file_print.size, file_print.mtime_ns, file_print.sha256]


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100


def _key(path: Path) -> str:
    return os.path.normcase(_absolute(path))
