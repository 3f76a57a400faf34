"""The batches in their order, and the one thread that converts them, one after the other."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeAlias

from PySide6.QtCore import QObject, Signal

from cyclegan_desktop.conversion.batches import Batch, BatchState
from cyclegan_desktop.conversion.file_list import FileState
from cyclegan_desktop.engine_thread import EngineThread, Failure
from engine.config import ConvertJob
from engine.events import ConvertEvent, FileSkipped

logger = logging.getLogger(__name__)

Convert: TypeAlias = Callable[[ConvertJob], Iterator[ConvertEvent]]

Leaving: TypeAlias = Literal["", "pause", "cancel"]
"""What the batch that runs is about to do, as soon as the work lets it."""

_MOST_AT_ONCE: Final = 200
_HELD_SECONDS: Final = 0.05
_MOST_ON_THEIR_WAY: Final = 100
_PATIENCE_SECONDS: Final = 0.5
_REST_SECONDS: Final = 0.005

_OUTCOMES: Final[dict[BatchState, str]] = {
    BatchState.DONE: "done",
    BatchState.FAILED: "failed",
    BatchState.STOPPED: "stopped",
    BatchState.PAUSED: "paused",
}


class BatchQueue(QObject):
    """All batches, drafts included, in order; and the thread in which the first one that waits is converted.

    While the batch that ran is paused nothing begins by itself: whoever pauses wants the machine for something else.

    Signals:
        listed: A batch came, went or moved.
        changed: The state of a batch, or what it is about to do. The batch.
        reported: An event of the engine: the batch and the event.
        ended: A conversion has ended: the batch, and "done", "failed", "stopped" or "paused".
        busy_changed: Whether a conversion is under way.
        emptied: The last batch has ended by itself, and none waits.
    """

    listed = Signal()
    changed = Signal(object)
    reported = Signal(object, object)
    ended = Signal(object, str)
    busy_changed = Signal(bool)
    emptied = Signal()

    def __init__(self, convert: Convert, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._convert = convert
        self._batches: list[Batch] = []
        self._running: Batch | None = None
        self._thread: EngineThread | None = None
        self._flow = _Flow()
        self._leaving: Leaving = ""
        self._outcome = BatchState.DONE
        self._held_by: Batch | None = None
        self._is_closing = False

    @property
    def batches(self) -> tuple[Batch, ...]:
        """Every batch, in order."""
        return tuple(self._batches)

    @property
    def running(self) -> Batch | None:
        """The batch that is being converted."""
        return self._running

    @property
    def leaving(self) -> Leaving:
        """What the running batch is about to do."""
        return self._leaving

    @property
    def is_held(self) -> bool:
        """Whether those that wait go on waiting, since the one that ran was paused."""
        return self._held_by is not None and self._held_by.state is BatchState.PAUSED

    def add(self, batch: Batch) -> None:
        """Take a batch in, last."""
        self._batches.append(batch)
        self.listed.emit()

    def remove(self, batch: Batch) -> None:
        """Take a batch out that does not run."""
        if batch is self._running or batch not in self._batches:
            return
        self._batches.remove(batch)
        if batch is self._held_by:
            self._held_by = None
        self.listed.emit()
        self._go_on()

    def can_move(self, batch: Batch, places: int) -> bool:
        """Whether a batch can go some places down (up, if negative): where it would change nothing, it cannot."""
        return batch in self._batches and 0 <= self._batches.index(batch) + places < len(self._batches)

    def move(self, batch: Batch, places: int) -> None:
        """Move a batch some places down, or up if negative: those that wait are converted in order."""
        if not self.can_move(batch, places):
            return
        place = self._batches.index(batch)
        self._batches.insert(place + places, self._batches.pop(place))
        self.listed.emit()

    def enqueue(self, batch: Batch) -> None:
        """Convert a batch that is prepared, at once if nothing runs."""
        batch.state = BatchState.WAITING
        self.changed.emit(batch)
        if self._running is None:
            self._start(batch)

    def pause(self, batch: Batch) -> None:
        """Stop and free the memory, until `resume`. One that waits is passed over.

        The picture under way is made anew then.
        """
        if batch is self._running:
            self._held_by = batch
            self._leave("pause")
        elif batch.state is BatchState.WAITING:
            batch.state = BatchState.PAUSED
            self.changed.emit(batch)

    def resume(self, batch: Batch) -> None:
        """Go on with a batch that pauses, or begin with one that waits although nothing runs."""
        if batch.state is BatchState.PAUSED:
            batch.prepare_to_go_on()
            self.enqueue(batch)
        elif batch.state is BatchState.WAITING and self._running is None:
            self._start(batch)

    def cancel(self, batch: Batch) -> None:
        """End a batch; what is not converted of it is canceled. One that has not begun is a draft again."""
        if batch is self._running:
            self._leave("cancel")
        elif batch.state in (BatchState.WAITING, BatchState.PAUSED):
            has_begun = batch.progress.tried > 0
            if has_begun:
                batch.settle(FileState.CANCELED)
                batch.shows_summary = True
            batch.state = BatchState.STOPPED if has_begun else BatchState.DRAFT
            self.changed.emit(batch)
            self._go_on()

    def hold(self) -> None:
        """Pause what runs, and begin nothing: the window is closing."""
        self._is_closing = True
        if self._running is not None:
            self._held_by = self._running
            self._leave("pause")

    def close(self) -> None:
        """Stop what runs and wait for it; no signal comes after this."""
        self.blockSignals(True)
        self._is_closing = True
        self._leaving = "pause"
        if self._thread is not None:
            self._thread.close()

    def _go_on(self) -> None:
        """Begin with the next, if nothing runs and nothing holds it."""
        if self._running is None and (following := self._next()) is not None:
            self._start(following)

    def _leave(self, how: Leaving) -> None:
        assert self._thread is not None and self._running is not None
        self._leaving = how
        self._thread.stop()
        self.changed.emit(self._running)

    def _start(self, batch: Batch) -> None:
        job = batch.job
        assert job is not None and self._thread is None
        was_busy = self._running is not None
        self._held_by = None
        self._is_closing = False  # Whoever begins something stays.
        self._leaving = ""
        self._outcome = BatchState.DONE
        self._running = batch
        batch.state = BatchState.RUNNING
        flow = self._flow = _Flow()
        thread = EngineThread(lambda: flow.of(self._convert(job)), self)
        thread.event.connect(self._on_events)
        thread.stopped.connect(self._on_stopped)
        thread.failed.connect(self._on_failed)
        thread.finished.connect(self._on_finished)
        self._thread = thread
        thread.start()
        self.changed.emit(batch)
        if not was_busy:
            self.busy_changed.emit(True)

    def _on_events(self, events: tuple[ConvertEvent, ...]) -> None:
        batch = self._running
        self._flow.take()
        if batch is None:
            return
        for event in events:
            batch.follow(event)
            self.reported.emit(batch, event)

    def _on_stopped(self) -> None:
        self._outcome = BatchState.PAUSED if self._leaving == "pause" else BatchState.STOPPED

    def _on_failed(self, failure: Failure) -> None:
        self._outcome = BatchState.FAILED
        if self._running is not None:
            self._running.failure = failure

    def _on_finished(self) -> None:
        thread, self._thread = self._thread, None
        batch = self._running
        if thread is None or batch is None:
            return
        thread.wait()
        thread.deleteLater()
        leaving, self._leaving = self._leaving, ""
        if self._outcome is BatchState.STOPPED and batch.is_watching:
            self._outcome = BatchState.DONE  # Nothing but stopping ends it.
        batch.settle(FileState.CANCELED if self._outcome is BatchState.STOPPED else FileState.PENDING)
        batch.state = self._outcome
        batch.shows_summary = True
        how = _OUTCOMES[self._outcome]
        logger.info("Conversion %s: %s", how, batch.progress)
        following = self._next()
        if following is not None and leaving == "pause":
            # It ended by itself before it could pause; but nothing is to run now.
            following.state = BatchState.PAUSED
            self._held_by = following
            self.changed.emit(following)
            following = None
        if following is not None:
            self._start(following)
        else:
            self._running = None
        self.changed.emit(batch)
        if following is None:
            self.busy_changed.emit(False)
        self.ended.emit(batch, how)
        if self._running is None and self._outcome is not BatchState.PAUSED:
            self.emptied.emit()

    def _next(self) -> Batch | None:
        if self.is_held or self._is_closing:
            return None
        return next((batch for batch in self._batches if batch.state is BatchState.WAITING), None)


class _Flow:
    """The engine's events on their way to the window, never more than it can take.

    What is there already is skipped at tens of thousands a second. One by one these would keep the window busy for
    seconds, with everything else waiting behind them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on_their_way = 0

    def take(self) -> None:
        """Some events have arrived."""
        with self._lock:
            self._on_their_way -= 1

    def of(self, work: Iterator[ConvertEvent]) -> Iterator[tuple[ConvertEvent, ...]]:
        """The events in order: skipped pictures some at a time, everything else at once. Called in the thread."""
        held: list[ConvertEvent] = []
        since = 0.0
        try:
            for event in work:
                if not held:
                    since = time.monotonic()
                held.append(event)
                many = isinstance(event, FileSkipped)
                if many and len(held) < _MOST_AT_ONCE and time.monotonic() - since < _HELD_SECONDS:
                    continue
                events, held = tuple(held), []
                yield self._sent(events)
        except Exception:
            if held:
                yield self._sent(tuple(held))
            raise
        else:
            if held:
                yield self._sent(tuple(held))
        finally:
            close = getattr(work, "close", None)
            if close is not None:
                close()
            _free_memory()

    def _sent(self, events: tuple[ConvertEvent, ...]) -> tuple[ConvertEvent, ...]:
        if self._on_their_way >= _MOST_ON_THEIR_WAY:
            # Until all have arrived, and a moment for what else the window has to do; but a window may also be closing.
            patience = time.monotonic() + _PATIENCE_SECONDS
            while self._on_their_way and time.monotonic() < patience:
                time.sleep(_REST_SECONDS)
            time.sleep(_REST_SECONDS)
        with self._lock:
            self._on_their_way += 1
        return events


def _free_memory() -> None:
    """Give back what the graphics card keeps for more of the same work."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    elif torch is not None and torch.backends.mps.is_available():
        torch.mps.empty_cache()
