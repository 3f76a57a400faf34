"""The report on a batch: which folder it goes to, and that it is written or why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from PySide6.QtCore import QObject, Signal

from cyclegan_desktop.conversion.batches import Batch
from cyclegan_desktop.conversion.file_list import FileState
from cyclegan_desktop.conversion.page import ConversionPage
from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.one_work import OneWork
from engine.conversion.report import PAGE_NAME, ReportRow, RowState
from engine.events import Preparing

WriteReport: TypeAlias = Callable[[Sequence[ReportRow], Path, str], Iterator[Preparing]]

_STATES: Final[dict[FileState, RowState]] = {
    FileState.PENDING: "Pending",
    FileState.IN_PROGRESS: "Pending",
    FileState.DONE: "Done",
    FileState.FAILED: "Failed",
    FileState.SKIPPED: "Skipped",
    FileState.CANCELED: "Canceled",
}


class Reporting(QObject):
    """Has one report at a time written, in a thread.

    Signals:
        ended: It is written, or could not be; the page may offer another one, before it says so.
    """

    ended = Signal()

    def __init__(self, page: ConversionPage, write_report: WriteReport, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._page = page
        self._write_report = write_report
        self._work = OneWork(self)
        self._to: Path | None = None
        self._work.reported.connect(lambda event: page.set_preparing(event.text, event.done, event.total))
        self._work.ended.connect(self._on_ended)

    @property
    def is_running(self) -> bool:
        """Whether one is being written."""
        return self._work.is_running

    def ask(self, batch: Batch) -> None:
        """Ask for the folder of a report on this batch."""
        if batch.results is not None and not self._work.is_running:
            self._page.pick_report(batch.results)

    def write(self, batch: Batch, to: Path) -> None:
        """Write what became of a batch into a new folder."""
        if self._work.is_running:
            return
        rows = [
            ReportRow(row.path, _STATES[row.state], row.target, row.text, row.seconds, row.engine)
            for row in batch.files.rows
        ]
        self._page.clear_messages()
        self._to = to
        self._page.set_can_report(False)
        title = batch.name
        self._work.start(lambda: self._write_report(rows, to, title))

    def close(self) -> None:
        """Stop and wait for what is being written."""
        self._work.close()

    def _on_ended(self, failure: Failure | None) -> None:
        to, self._to = self._to, None
        self.ended.emit()
        if failure is not None:
            self._page.show_problem(failure.message, "", failure.details)
        elif to is not None:
            self._page.offer_report(to / PAGE_NAME, to)
