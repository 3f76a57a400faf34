"""The one thread class: it iterates an engine generator and reports by signals."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QThread, Signal

from engine.errors import EngineError, OutOfMemoryError
from engine.remedies import Remedy

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why work ended early.

    Attributes:
        message: A sentence fit for a dialog.
        field: The setting beside which the sentence belongs, or "".
        details: The traceback of a bug, or "" for an `EngineError`, which explains itself.
        remedies: What can be done about it, the best first.
    """

    message: str
    field: str
    details: str
    remedies: tuple[Remedy, ...] = ()


class EngineThread(QThread):
    """Iterates an engine generator, emits its events, and ends in exactly one of done, stopped, failed.

    `start_work` is called within the thread, so that the first import of torch never blocks the window. Only this
    thread advances and closes the generator; everyone else sets flags that it reads between events.

    Signals:
        event: One engine event.
        done: The generator ended by itself.
        stopped: `stop` was asked for, and the generator was closed (a training has saved itself).
        failed: `Failure`.
    """

    event = Signal(object)  # type: ignore[assignment]  # Hides QObject.event, which nobody calls from Python.
    done = Signal()
    stopped = Signal()
    failed = Signal(object)

    def __init__(self, start_work: Callable[[], Iterator[object]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._start_work = start_work
        self._stop_asked = threading.Event()
        self._going_on = threading.Event()
        self._going_on.set()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was asked for."""
        return self._stop_asked.is_set()

    def pause(self) -> None:
        """Ask for no further event until `go_on`."""
        self._going_on.clear()

    def go_on(self) -> None:
        """End a pause."""
        self._going_on.set()

    def stop(self) -> None:
        """Close the generator as soon as the step under way is finished, also during a pause."""
        self._stop_asked.set()
        self._going_on.set()

    def close(self) -> None:
        """Stop, wait until it has stopped, and deliver to the parent what was still on its way.

        What comes after the parent's views are gone would find them deleted.
        """
        self.stop()
        self.wait()
        parent = self.parent()
        if parent is not None:
            QCoreApplication.sendPostedEvents(parent, QEvent.Type.MetaCall)

    def run(self) -> None:
        """Iterate the work. Called by Qt in the new thread; use `start`."""
        try:
            ended = self._iterate()
        except EngineError as error:
            # The user's to mend, and told where the user is looking.
            logger.info("Work failed: %s", error)
            remedies = error.remedies if isinstance(error, OutOfMemoryError) else ()
            self.failed.emit(Failure(str(error), getattr(error, "field", ""), "", remedies))
        except BaseException as error:  # The one broad except: a thread that dies in silence helps nobody.
            logger.exception("Work failed unexpectedly")
            self.failed.emit(Failure(_unexpected(error), "", _traceback(error)))
        else:
            (self.done if ended else self.stopped).emit()

    def _iterate(self) -> bool:
        """Whether the generator came to its own end."""
        work = self._start_work()
        for event in work:
            self.event.emit(event)
            del event  # A pause may be long: hold on to no pictures.
            self._going_on.wait()
            if self._stop_asked.is_set():
                close = getattr(work, "close", None)
                if close is not None:
                    close()
                return False
        return True


def _unexpected(error: BaseException) -> str:
    return f"Something unexpected happened: {error or type(error).__name__}."


def _traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
