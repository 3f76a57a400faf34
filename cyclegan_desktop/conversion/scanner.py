"""Looks for pictures in the background, one batch of files and folders after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from PySide6.QtCore import QObject, Signal

from cyclegan_desktop.conversion.sources import SourceEvent
from cyclegan_desktop.engine_thread import EngineThread

LookForPictures: TypeAlias = Callable[[Sequence[Path]], Iterator[SourceEvent]]


class Scanner(QObject):
    """Owns the thread that looks through folders.

    Signals:
        found: A `SourceEvent`.
        failed: `Failure`: something that nobody expected.
        ended: Everything added so far is looked through.
    """

    found = Signal(object)
    failed = Signal(object)
    ended = Signal()

    def __init__(self, look: LookForPictures, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._queue: list[Path] = []
        self._thread: EngineThread | None = None
        self._wanted = True

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be looked through."""
        return self._thread is not None

    def add(self, paths: Sequence[Path]) -> None:
        """Look through these, too."""
        self._queue += paths
        self._start_next()

    def forget(self) -> None:
        """Want nothing of what was added; `ended` follows if something was under way."""
        self._queue.clear()
        self._wanted = False
        if self._thread is not None:
            self._thread.stop()

    def close(self) -> None:
        """Stop; no signal comes after this."""
        self.forget()
        if self._thread is not None:
            self._thread.close()

    def _start_next(self) -> None:
        if self._thread is not None or not self._queue:
            return
        paths, self._queue = self._queue, []
        self._wanted = True
        self._thread = EngineThread(lambda: self._look(paths), self)
        self._thread.event.connect(self._on_event)
        self._thread.failed.connect(self.failed)
        self._thread.finished.connect(self._on_finished)
        self._thread.start()

    def _on_event(self, event: SourceEvent) -> None:
        if self._wanted:
            self.found.emit(event)

    def _on_finished(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.wait()
        thread.deleteLater()
        self._start_next()
        if self._thread is None:
            self.ended.emit()
