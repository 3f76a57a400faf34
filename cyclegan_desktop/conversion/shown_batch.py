"""What the Convert page says of the batch that is shown: its state, its progress, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject

from cyclegan_desktop.conversion.batch_queue import BatchQueue
from cyclegan_desktop.conversion.batches import Batch, BatchState
from cyclegan_desktop.conversion.file_list import FileState
from cyclegan_desktop.conversion.page import ConversionPage, PageState
from cyclegan_desktop.conversion.queue_panel import BatchLine
from cyclegan_desktop.conversion.reporting import Reporting
from cyclegan_desktop.conversion.size_advice import SizeAdvice
from engine.events import ConvertEvent, Notice, Preparing

_PANEL_SECONDS: Final = 0.5


class ShownBatch(QObject):
    """Tells the page how things are; it changes nothing about a batch."""

    def __init__(
        self,
        page: ConversionPage,
        queue: BatchQueue,
        report: Reporting,
        *,
        is_looking: Callable[[Batch], bool],
        is_empty: Callable[[Batch], bool],
        parent: QObject | None = None,
    ) -> None:
        """What tells the page.

        Args:
            page: The page.
            queue: All batches.
            report: Who writes reports.
            is_looking: Whether pictures are still looked for, for a batch.
            is_empty: Whether there is nothing to a batch.
            parent: Its owner.
        """
        super().__init__(parent)
        self._page = page
        self._queue = queue
        self._report = report
        self._is_looking = is_looking
        self._is_empty = is_empty
        self._advice = SizeAdvice(page.options, self)
        self._listed_at = 0.0
        self._space_text = ""
        self._says_model_gone = False

    def refresh(self, batch: Batch) -> None:
        """Show what there is, where it goes, and what can be done with it."""
        page, files, to = self._page, batch.files, batch.output_folder
        state = self._state_of(batch)
        page.set_state(state)
        page.set_count(len(files), batch.other_file_count, is_inviting=not batch.has_something)
        page.set_marked_count(files.marked_count)
        page.options.set_output(to, chosen=batch.chosen_output is not None)
        page.options.clear_output_problem()
        self._space_text = batch.space_text
        page.set_space_message(batch.space_text)
        is_over = not batch.is_under_way
        page.set_failed_count(files.count(FileState.FAILED), can_retry=is_over)
        page.set_can_open_output(
            state not in ("running", "stopping", "pausing") and batch.results is not None and batch.results.is_dir()
        )
        page.set_can_report(is_over and batch.job is not None and not self._report.is_running)
        page.set_can_begin_anew(not self._is_empty(batch))
        if is_over:
            self._advise(batch)
        if batch.is_model_gone and is_over:
            self.show_model_gone(batch)
        elif self._says_model_gone:
            page.options.clear_model_problem()
            self._says_model_gone = False
        if state in ("running", "pausing", "stopping", "paused"):
            self._show_progress(batch)
        elif state in ("waiting", "held"):
            running = self._queue.running
            is_behind_watch = running is not None and running.is_watching
            page.set_waiting(is_held=state == "held", is_behind_watch=is_behind_watch)
        else:
            has_something = batch.has_something or self._is_looking(batch)
            page.set_can_convert(state == "looking" or (batch.wished_model is not None and has_something))
            self._show_what_to_do(batch, to)

    def refresh_list(self, batch: Batch) -> None:
        """Show all batches, this one as the one that is shown."""
        self._listed_at = time.monotonic()
        batches = self._queue.batches
        if batch not in batches:
            return  # Between two steps of showing another one.
        lines = [_line_of(each) for each in batches]
        self._page.queue.set_batches(lines, batches.index(batch), can_remove=batch is not self._queue.running)
        self._page.set_can_begin_anew(not self._is_empty(batch))

    def refresh_list_now_and_then(self, batch: Batch) -> None:
        """The same, if that was not done lately."""
        if time.monotonic() - self._listed_at > _PANEL_SECONDS:
            self.refresh_list(batch)

    def follow(self, batch: Batch) -> None:
        """Show how far this batch is, which runs."""
        self._show_progress(batch)
        self._page.set_failed_count(batch.files.count(FileState.FAILED), can_retry=False)
        self._page.set_count(len(batch.files), batch.other_file_count, is_inviting=False)

    def tell(self, batch: Batch, event: ConvertEvent) -> None:
        """Say what the engine says about this batch, as far as that does not wait for the next look at it."""
        if isinstance(event, Preparing) and not batch.is_planned:
            self._page.set_preparing(event.text, event.done, event.total)
        elif isinstance(event, Notice):
            self._page.show_notice(event.text)
        if batch.space_text != self._space_text:
            self._space_text = batch.space_text
            self._page.set_space_message(batch.space_text)

    def show_model_gone(self, batch: Batch) -> None:
        """Say that the model chosen for a batch is not there."""
        model = batch.wished_model
        words = self.tr("The model {0} is not there, or damaged: connect its disk, or choose another model.")
        self._says_model_gone = model is not None
        if model is not None:
            self._page.show_problem(words.format(model), "model")

    def output_is_fine(self, batch: Batch, to: Path) -> bool:
        """Whether results can go there; otherwise a sentence stands beside the field."""
        if not to.is_absolute():
            self._page.options.show_not_whole_path()
            return False
        root = batch.root_around(to)
        if root is not None:
            self._page.options.show_output_inside(root)
        return root is None

    def close(self) -> None:
        """Measure no more sizes of pictures."""
        self._advice.close()

    def _state_of(self, batch: Batch) -> PageState:
        if batch is self._queue.running:
            leaving = self._queue.leaving
            return "pausing" if leaving == "pause" else "stopping" if leaving == "cancel" else "running"
        if batch.state is BatchState.WAITING:
            return "held" if self._queue.running is None else "waiting"
        if batch.state is BatchState.PAUSED:
            return "paused"
        return "looking" if batch.start_wanted else "idle"

    def _show_progress(self, batch: Batch) -> None:
        if batch.is_watching:
            self._page.set_watching(batch.progress)
        elif batch.is_planned or (batch.state is BatchState.PAUSED and batch.progress.tried):
            self._page.set_progress(batch.progress)
        elif batch.state is BatchState.PAUSED:
            self._page.set_paused()
        elif batch.preparing is not None:
            self._page.set_preparing(batch.preparing.text, batch.preparing.done, batch.preparing.total)
        else:
            self._page.set_starting()

    def _show_what_to_do(self, batch: Batch, to: Path | None) -> None:
        is_fine = batch.model is not None and to is not None and self.output_is_fine(batch, to)
        if self._is_looking(batch):
            self._page.set_scanning(len(batch.files))
        elif batch.shows_summary:
            self._page.set_summary(batch.progress)
        elif is_fine and batch.model is not None and to is not None:
            self._page.set_ready(len(batch.to_do(batch.made_with_now(batch.model, to))))
        else:
            self._page.set_ready(0)

    def _advise(self, batch: Batch) -> None:
        if not self._is_looking(batch):
            self._advice.look([row.path for row in batch.files.rows], batch.model, batch.direction)


def _line_of(batch: Batch) -> BatchLine:
    name, text = batch.name, "" if batch.failure is None else batch.failure.message
    if batch.job is None or batch.state is BatchState.DRAFT:
        return BatchLine(name, batch.state, 0, 0, len(batch.files), text)
    progress = batch.progress
    return BatchLine(
        name, batch.state, progress.tried, progress.failed, progress.total, text, is_watching=batch.is_watching
    )
