"""Work in threads beside the training: looking at folders, measuring."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PySide6.QtCore import QCoreApplication, QObject, Signal

from cyclegan_desktop.engine_thread import EngineThread

_PATIENCE_MILLISECONDS = 10_000


class ThreadKeeper(QObject):
    """Holds threads until they have ended: a QThread that is dropped while it runs aborts the process.

    It outlives those who start the threads, such as a dialog that is closed while a step is being measured.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._threads: list[EngineThread] = []
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.stop_all)

    @property
    def running(self) -> list[EngineThread]:
        """The threads at work now, also those that were asked to stop."""
        return [thread for thread in self._threads if thread.isRunning()]

    def start(self, thread: EngineThread) -> None:
        """Start a thread and keep it until it has ended."""
        self._threads = [*self.running, thread]
        thread.finished.connect(self._forget_ended)
        thread.start()

    def stop_all(self) -> None:
        """Stop every thread and wait for it."""
        for thread in self.running:
            thread.stop()
        for thread in self.running:
            thread.wait(_PATIENCE_MILLISECONDS)
        self._forget_ended()

    def _forget_ended(self) -> None:
        self._threads = self.running


class LatestWork(QObject):
    """Work in a thread of which only the latest counts: starting it anew drops the one before, unheard.

    Signals:
        reported: An event of the latest work.
        done: It has ended by itself.
        failed: `Failure`.
    """

    reported = Signal(object)
    done = Signal()
    failed = Signal(object)

    def __init__(self, keeper: ThreadKeeper, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._keeper = keeper
        self._thread: EngineThread | None = None

    @property
    def is_running(self) -> bool:
        """Whether an end is still to be told."""
        return self._thread is not None

    def start(self, work: Callable[[], Iterator[object]]) -> None:
        """Run this in place of whatever runs now."""
        self.drop()
        self._thread = EngineThread(work)
        self._thread.event.connect(self._pass_event)
        self._thread.done.connect(self._pass_done)
        self._thread.failed.connect(self._pass_failure)
        self._keeper.start(self._thread)

    def drop(self) -> None:
        """Stop the work, and hear no more of it."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    # What an earlier thread has still sent is told apart by its sender.

    def _pass_event(self, event: object) -> None:
        if self.sender() is self._thread:
            self.reported.emit(event)

    def _pass_done(self) -> None:
        if self.sender() is self._thread:
            self._thread = None
            self.done.emit()

    def _pass_failure(self, failure: object) -> None:
        if self.sender() is self._thread:
            self._thread = None
            self.failed.emit(failure)
