"""Work in a thread, one piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PySide6.QtCore import QObject, Signal

from cyclegan_desktop.engine_thread import EngineThread, Failure


class OneWork(QObject):
    """Runs one piece of work at a time, and tells how it ended once its thread is gone: then the next may begin.

    Signals:
        reported: An event of the work.
        ended: The work is over: its `Failure`, or None.
    """

    reported = Signal(object)
    ended = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread: EngineThread | None = None
        self._failure: Failure | None = None

    @property
    def is_running(self) -> bool:
        """Whether its end is still to be told."""
        return self._thread is not None

    def start(self, work: Callable[[], Iterator[object]]) -> None:
        """Run this; nothing else may be running."""
        assert self._thread is None
        self._failure = None
        self._thread = EngineThread(work, self)
        self._thread.event.connect(self.reported)
        self._thread.failed.connect(self._keep_failure)
        self._thread.finished.connect(self._conclude)
        self._thread.start()

    def stop(self) -> None:
        """Stop what runs after the step under way; `ended` follows."""
        if self._thread is not None:
            self._thread.stop()

    def close(self) -> None:
        """Stop and wait for what runs; it has ended, and has said so, when this returns."""
        if self._thread is not None:
            self._thread.close()

    def _keep_failure(self, failure: Failure) -> None:
        self._failure = failure

    def _conclude(self) -> None:
        assert self._thread is not None
        self._thread.deleteLater()
        self._thread = None
        self.ended.emit(self._failure)
