"""Which row of the batch has its pictures on the right: the newest result, until the user chooses one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject

from cyclegan_desktop.conversion.batches import Batch
from cyclegan_desktop.conversion.file_list import FileState
from cyclegan_desktop.conversion.page import ConversionPage

_FOLLOW_SECONDS: Final = 1.0


class ShownRow(QObject):
    """Leads from the list of the batch that is shown to before and after, and back."""

    def __init__(self, page: ConversionPage, batch: Batch, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._page = page
        self._batch = batch
        self._shown: tuple[Path, FileState, Path | None, bool] | None = None
        self._selecting = False
        self._followed_at = 0.0
        page.list.show_files(batch.files)
        page.row_selected.connect(self._row_selected)
        page.failed_only_changed.connect(self._show_failed_only)
        page.mark_requested.connect(self.mark)

    def show_batch(self, batch: Batch) -> None:
        """List the rows of another batch, with the one chosen that was."""
        self._batch = batch
        self._selecting = True
        self._page.list.show_files(batch.files)
        self._page.set_failed_only(batch.files.is_failed_only)
        self._page.list.select(batch.selected)
        self._selecting = False

    def follow(self, *, at_once: bool = False) -> None:
        """Show the newest result now and then, until the user chooses a row."""
        batch, now = self._batch, time.monotonic()
        if not batch.follows or batch.newest < 0 or not (at_once or now - self._followed_at > _FOLLOW_SECONDS):
            return
        self._followed_at = now
        self._selecting = True
        self._page.list.select(batch.newest)
        self._selecting = False

    def refresh(self, *, anew: bool = False) -> None:
        """Show the selected row as it is now.

        Args:
            anew: Also if it is as it was: its captions may have changed.
        """
        if anew:
            self._shown = None
        batch = self._batch
        number = batch.selected
        if not 0 <= number < len(batch.files):
            self._shown = None
            self._page.show_row(None, "", ("", ""))
            return
        row = batch.files.rows[number]
        now = (row.path, row.state, row.target, row.marked)
        if now != self._shown:
            self._shown = now
            captions = row.made_with.captions if row.made_with else batch.captions
            self._page.show_row(row, batch.files.shown_name(number), captions)
            self._page.comparison.set_neighbours(self._pair_beside(number, -1), self._pair_beside(number, 1))

    def mark(self, numbers: list[int]) -> None:
        """Mark rows, or take the marks away if all of these have one."""
        files = self._batch.files
        marked = not all(files.rows[number].marked for number in numbers)
        for number in numbers:
            files.set_marked(number, marked)
        self._page.set_marked_count(files.marked_count)
        self.refresh()

    def _row_selected(self, number: int) -> None:
        if not self._selecting:
            self._batch.follows = False
            self._batch.selected = number
        elif number >= 0:
            self._batch.selected = number
        self.refresh()

    def _pair_beside(self, number: int, step: int) -> tuple[Path, Path | None] | None:
        files = self._batch.files
        place = files.place_of(number)
        if place is None or not 0 <= place + step < files.rowCount():
            return None
        row = files.rows[files.number_at(place + step)]
        return row.path, row.target

    def _show_failed_only(self, failed_only: bool) -> None:
        files, chosen = self._batch.files, self._batch.selected
        files.set_failed_only(failed_only)
        if files.place_of(chosen) is not None:
            self._page.list.select(chosen)
        elif files.rowCount():
            self._page.list.select(files.number_at(0))
