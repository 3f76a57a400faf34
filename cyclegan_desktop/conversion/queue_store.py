"""Conversions that are not finished, kept on disk for the next start of the app.

An index, small enough to be written every few seconds, says what there is and how far it was. Beside it each batch has
a file with its pictures, written once. What is done is not kept here: the ledger in the output folder knows it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast, get_args

from filelock import FileLock, Timeout

from cyclegan_desktop.conversion.job_choices import JobChoices
from cyclegan_desktop.conversion.sources import Found
from engine.config import Direction
from engine.files import write_atomically

logger = logging.getLogger(__name__)

VERSION: Final = 1
_INDEX: Final = "unfinished.json"
_LOCK: Final = "unfinished.lock"
_AT_ONCE: Final = 1_000
_REST_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True)
class SavedBatch:
    """A conversion that was not finished.

    Attributes:
        key: Its name in the store.
        name: What the user knows it by.
        model: The model file.
        direction: The direction.
        output: The output folder.
        is_output_chosen: Whether that was chosen by hand, rather than proposed.
        choices: Everything else that was chosen.
        folders: The folders that were added, and how many files of each are no pictures.
        done: Pictures that were over and done with, when last asked.
        converted: Those of them that it has converted itself.
        made_before: Places of pictures whose results were there before, as spans (first, last).
        total: All pictures of it.
    """

    key: str
    name: str
    model: Path
    direction: Direction
    output: Path
    is_output_chosen: bool
    choices: JobChoices
    folders: tuple[tuple[Path, int], ...]
    done: int
    converted: int
    made_before: tuple[tuple[int, int], ...]
    total: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "key": self.key,
            "name": self.name,
            "model": str(self.model),
            "direction": self.direction,
            "output": str(self.output),
            "is_output_chosen": self.is_output_chosen,
            "choices": self.choices.to_json(),
            "folders": [[str(folder), other_files] for folder, other_files in self.folders],
            "done": self.done,
            "converted": self.converted,
            "made_before": [list(span) for span in self.made_before],
            "total": self.total,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SavedBatch:
        """What `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        key, direction = str(values["key"]), values["direction"]
        if not key.isalnum() or direction not in get_args(Direction):
            raise ValueError(f"{key!r} or {direction!r} is none of ours")
        return cls(
            key=key,
            name=str(values["name"]),
            model=_path(values["model"]),
            direction=cast("Direction", direction),
            output=_path(values["output"]),
            is_output_chosen=bool(values["is_output_chosen"]),
            choices=JobChoices.from_json(values["choices"]),
            folders=tuple((_path(folder), int(other_files)) for folder, other_files in values["folders"]),
            done=int(values["done"]),
            converted=int(values["converted"]),
            made_before=tuple((int(first), int(last)) for first, last in values["made_before"]),
            total=int(values["total"]),
        )


class QueueStore:
    """A folder of unfinished conversions. Whatever the disk says, nothing is raised: it is logged.

    Writing happens in a thread of its own, in the order asked for. A second app at the same time neither sees nor keeps
    anything: what the first one converts is not unfinished.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: FileLock | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="queue-store")
        self._index: Sequence[SavedBatch] = ()
        self._is_due = threading.Event()
        self._last: Future[None] | None = None
        self._kept_aside: Path | None = None

    @property
    def kept_aside(self) -> Path | None:
        """Where `load` has put a damaged index, None if it was fine."""
        return self._kept_aside

    def load(self) -> list[SavedBatch]:
        """What was not finished. From now on nobody else uses the folder."""
        index = self._folder / _INDEX
        if not self._acquire():
            return []
        try:
            values = json.loads(index.read_text(encoding="ascii"))
            if values["version"] != VERSION:
                raise ValueError(f"version {values['version']}, and this app knows {VERSION}")
            saved = [SavedBatch.from_json(item) for item in values["batches"]]
        except FileNotFoundError:
            saved = []
        except (OSError, ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
            logger.warning("The unfinished conversions in %s cannot be used: %r", index, error)
            self._keep_aside(index)
            return []
        here = [item for item in saved if self._file(item.key).is_file()]
        self._remove_others({item.key for item in here})
        self._index = here
        return here

    def files_of(self, saved: SavedBatch) -> Iterator[Found]:
        """The pictures of a batch, as work for a thread.

        Raises:
            OSError: Its file cannot be read.
            ValueError: Its file is damaged.
        """
        with self._file(saved.key).open(encoding="ascii") as lines:
            for line in lines:
                values = json.loads(line)
                root = None if values["root"] is None else _path(values["root"])
                yield Found(tuple(_path(name) if root is None else root / name for name in values["files"]), root)
                time.sleep(_REST_SECONDS)  # The window takes these in meanwhile.

    def new_key(self) -> str:
        """A name for a batch that has none yet."""
        return secrets.token_hex(8)

    def save_files(self, key: str, pictures: Sequence[Path], roots: Sequence[Path | None]) -> None:
        """Keep the pictures of a batch, and the folder that each was added with."""
        self._do(lambda: self._write_files(key, pictures, roots))

    def save_index(self, batches: Sequence[SavedBatch]) -> None:
        """Keep what there is, and how far it is. Files of batches that are no longer there are removed."""
        if batches == self._index:
            return
        gone = {item.key for item in self._index} - {item.key for item in batches}
        self._index = tuple(batches)
        self._do(lambda: self._write_index(tuple(batches), gone))

    def wait(self) -> None:
        """Wait until everything is written."""
        if self._last is not None:
            self._last.result()

    def close(self) -> None:
        """Write what is still to be written, and let others use the folder."""
        self._writer.shutdown()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _do(self, write: Callable[[], None]) -> None:
        if self._lock is None:
            return

        def work() -> None:
            try:
                write()
            except OSError as error:
                logger.warning("The unfinished conversions could not be kept in %s: %s", self._folder, error)

        with contextlib.suppress(RuntimeError):  # Closed: the last state is on the disk already.
            self._last = self._writer.submit(work)

    def _write_files(self, key: str, pictures: Sequence[Path], roots: Sequence[Path | None]) -> None:
        # In pieces, with rests: one dump of 100,000 names would hold the interpreter, and with it the window.
        lines: list[str] = []
        for root, names in _pieces(zip(pictures, roots, strict=True)):
            lines.append(json.dumps({"root": None if root is None else str(root), "files": names}) + "\n")
            time.sleep(_REST_SECONDS)
        write_atomically(self._file(key), "".join(lines).encode("ascii"))

    def _write_index(self, batches: Sequence[SavedBatch], gone: Iterable[str]) -> None:
        index = self._folder / _INDEX
        if batches:
            values = {"version": VERSION, "batches": [item.to_json() for item in batches]}
            write_atomically(index, (json.dumps(values, indent=1) + "\n").encode("ascii"))
        else:
            index.unlink(missing_ok=True)
        for key in gone:
            self._file(key).unlink(missing_ok=True)

    def _acquire(self) -> bool:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / _LOCK)
            lock.acquire(timeout=0)
        except (OSError, Timeout) as error:
            logger.info("Conversions are not kept for the next start: %s", error)
            return False
        self._lock = lock
        return True

    def _keep_aside(self, index: Path) -> None:
        aside = index.with_name(f"{index.stem}.damaged-{secrets.token_hex(4)}")
        try:
            aside.mkdir()
            for file in (index, *self._folder.glob("*.jsonl")):
                shutil.move(file, aside / file.name)
        except OSError as error:
            logger.warning("%s could not be kept as %s: %s", index, aside, error)
        self._kept_aside = aside

    def _remove_others(self, keys: set[str]) -> None:
        """Files of batches that no index names: left by a kill between two writes."""
        for file in self._folder.glob("*.jsonl"):
            if file.stem not in keys:
                with contextlib.suppress(OSError):
                    file.unlink()

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.jsonl"


def _pieces(files: Iterable[tuple[Path, Path | None]]) -> Iterator[tuple[Path | None, list[str]]]:
    """The files in order, some of one folder at a time, named below that folder."""
    names: list[str] = []
    current: Path | None = None
    above = ""
    for path, root in files:
        if names and (root is not current or len(names) == _AT_ONCE):
            yield current, names
            names = []
        if not names:
            current, above = root, "" if root is None else os.path.join(root, "")  # noqa: PTH118  # With its slash.
        text = str(path)
        names.append(text.removeprefix(above))
    if names:
        yield current, names


def _path(value: object) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{value!r} is no path.")
    return Path(value)
