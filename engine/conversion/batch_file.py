"""A picture of a batch on its way from its source to its result."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from engine.conversion.file_work import Decoded, NotWritten, TooLargeNow, Written
from engine.conversion.plan import Task
from engine.events import Converted, FileFailed, FileSkipped


@dataclass(slots=True, eq=False)
class BatchFile:
    """A picture on its way.

    Attributes:
        index: Its place in the events.
        task: What is to be done.
        outcome: What became of it, where that is known already.
        decoding: Its decoding, once that has begun.
        decoded: What came of that, its pixels translated in time.
        translating: The translation, once it waits for its turn; the seconds that it took, and by what.
        writing: The encoding and writing of its result, once that has begun.
        temporary: The result's temporary file.
        spilled: The file of its frames, if there are several.
        seconds: Time spent on it.
        engine: What translated it.
        tries: How often it has met a full disk.
        tries_with_room: How often that was during its translation and there was some room nevertheless.
        needed: Bytes that it did not find room for then.
    """

    index: int
    task: Task
    outcome: Converted | FileFailed | FileSkipped | None = None
    decoding: Future[Decoded | TooLargeNow] | None = None
    decoded: Decoded | None = None
    translating: Future[tuple[float, str]] | None = None
    writing: Future[Written | NotWritten] | None = None
    temporary: Path | None = None
    spilled: Path | None = None
    seconds: float = 0.0
    engine: str = "PyTorch"
    tries: int = 0
    tries_with_room: int = 0
    needed: int = 0

    @property
    def name(self) -> str:
        """Its name, for sentences."""
        return self.task.source.name

    @property
    def is_ready(self) -> bool:
        """Whether its outcome can be told at once."""
        return self.outcome is not None or (self.writing is not None and self.writing.done())
