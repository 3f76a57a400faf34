"""The list of pictures to convert: one model, one table, no widget for any row."""

from __future__ import annotations

import bisect
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor, QFocusEvent, QIcon, QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from cyclegan_desktop.conversion.job_choices import JobChoices
from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_text
from cyclegan_desktop.style import ACCENT, DANGER, SUCCESS, WARNING, XS, colours
from cyclegan_desktop.widgets import plain_tooltip
from engine.config import Direction

NAME, STATE, NOTES = range(3)
"""The columns."""

_STATE_COLUMN: Final = 108
_LEAST_COLUMN: Final = 48
_UPDATE_MS: Final = 100
"""Time between two updates of the view, in milliseconds: a fast GPU reports thousands of pictures a second."""

_MOST_SPANS: Final = 8
"""Gaps up to which rows are taken out one span at a time, which keeps the view where it is; more are one reset."""

_ROOT: Final = QModelIndex()


class FileState(Enum):
    """How far a picture has come."""

    PENDING = auto()
    IN_PROGRESS = auto()
    DONE = auto()
    FAILED = auto()
    SKIPPED = auto()
    CANCELED = auto()

    # There is one object of each, and Enum's own, of its name, costs more than all else when 100,000 are counted.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class MadeWith:
    """What a result depends on: with all of it the same, it would come out the same.

    Attributes:
        model: The model file.
        model_time: When that file was written, in nanoseconds since 1970: a training rewrites it.
        direction: The direction.
        to: The output folder.
        choices: What else was chosen, as far as pixels or names depend on it.
        captions: What the picture and its result show, such as Apples and Oranges.
    """

    model: Path
    model_time: int
    direction: Direction
    to: Path
    choices: JobChoices
    captions: tuple[str, str]


@dataclass(slots=True)
class FileRow:
    """One picture of the list.

    Attributes:
        path: The picture.
        root: The folder with which it was added, None if it was added by itself.
        state: How far it has come.
        text: The reason of a failure or for being skipped, or what a result could not keep.
        target: The result, once it is written.
        made_with: What made the result, so that it is not made twice.
        seconds: Time that the result took.
        engine: What translated it, such as "OpenVINO"; "" if that is not known.
        marked: Whether the user has marked it, to be made again in another way.
    """

    path: Path
    root: Path | None
    state: FileState = FileState.PENDING
    text: str = ""
    target: Path | None = None
    made_with: MadeWith | None = None
    seconds: float = 0.0
    engine: str = ""
    marked: bool = False


class FileListModel(QAbstractTableModel):
    """The pictures, in the order in which they were added. A picture is in it once.

    Rows are counted in two ways: by their number in the list, which everybody outside uses, and by their place in the
    view, which differs while only the failures are shown. Changes of state reach the view about ten times a second.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[FileRow] = []
        self._numbers: dict[str, int] = {}
        self._counts: Counter[FileState] = Counter()
        self._roots: Counter[Path] = Counter()
        self._failed: list[int] | None = None  # Numbers of the rows in view while only failures are, ascending.
        self._changed: set[int] = set()
        self._marked: set[int] = set()
        self._icons = {
            FileState.PENDING: icon("clock", colour=QColor("#8a93a0")),
            FileState.IN_PROGRESS: icon("convert", colour=QColor(ACCENT)),
            FileState.DONE: icon("check", colour=QColor(SUCCESS)),
            FileState.FAILED: icon("error", colour=QColor(DANGER)),
            FileState.SKIPPED: icon("skip", colour=QColor("#8a93a0")),
            FileState.CANCELED: icon("stop", colour=QColor("#8a93a0")),
        }
        self._mark_icon = icon("mark", colour=QColor(WARNING))
        self._note_icon = icon("info", colour=QColor(WARNING))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_UPDATE_MS)
        self._timer.timeout.connect(self.update_view)

    # What the list holds

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Sequence[FileRow]:
        """Every row, in order. Change them through this class only."""
        return self._rows

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders that rows were added with, in the order in which they came."""
        return tuple(self._roots)

    def count(self, state: FileState) -> int:
        """How many pictures are in this state."""
        return self._counts[state]

    @property
    def is_failed_only(self) -> bool:
        """Whether only the pictures that failed are shown."""
        return self._failed is not None

    @property
    def marked_count(self) -> int:
        """How many pictures are marked."""
        return len(self._marked)

    def marked_numbers(self) -> list[int]:
        """Numbers of the marked rows, ascending."""
        return sorted(self._marked)

    def number_of(self, path: Path) -> int | None:
        """The number of the row of a picture, None if it is not in the list."""
        return self._numbers.get(_key(path))

    def shown_name(self, number: int) -> str:
        """The name of a picture below the folder it was added with."""
        row = self._rows[number]
        if row.root is None:
            return shown_text(row.path.name)
        above = row.root if len(self._roots) == 1 else row.root.parent
        return shown_text(str(row.path)[len(str(above)) :].lstrip("/" + os.sep) or row.path.name)

    # Changing it

    def add(self, paths: Iterable[Path], root: Path | None) -> int:
        """Add pictures found in folder `root` (None for single ones); those already there are left out.

        Returns:
            How many were new.
        """
        new: list[FileRow] = []
        for path in paths:
            key = _key(path)
            if key not in self._numbers:
                self._numbers[key] = len(self._rows) + len(new)
                new.append(FileRow(path, root))
        if not new:
            return 0
        first = len(self._rows)
        in_view = self._failed is None
        if in_view:
            self.beginInsertRows(_ROOT, first, first + len(new) - 1)
        self._rows.extend(new)
        self._counts[FileState.PENDING] += len(new)
        roots_before = len(self._roots)
        if root is not None:
            self._roots[root] += len(new)
        if in_view:
            self.endInsertRows()
        if first and roots_before == 1 != len(self._roots):
            self._mark_all()  # Names now begin with their folder's.
        return len(new)

    def remove(self, numbers: Iterable[int]) -> None:
        """Take rows out of the list; the files stay where they are."""
        gone = sorted(set(numbers))
        spans = spans_of(gone)
        if self._failed is None and len(spans) <= _MOST_SPANS:
            for first, last in reversed(spans):
                self.beginRemoveRows(_ROOT, first, last)
                del self._rows[first : last + 1]
                self._recount()
                self.endRemoveRows()
        elif gone:
            self.beginResetModel()
            left_out = set(gone)
            self._rows = [row for number, row in enumerate(self._rows) if number not in left_out]
            self._recount()
            self.endResetModel()

    def clear(self) -> None:
        """Empty the list."""
        self.remove(range(len(self._rows)))

    def set_state(
        self,
        number: int,
        state: FileState,
        text: str = "",
        target: Path | None = None,
        made_with: MadeWith | None = None,
        seconds: float = 0.0,
        engine: str = "",
    ) -> None:
        """Put a picture into a state; the view follows with the next update.

        Args:
            number: The row.
            state: The new state.
            text: The reason of a failure or for being skipped, or what a result could not keep.
            target: The result.
            made_with: What made the result.
            seconds: Time that the result took.
            engine: What translated it.
        """
        row = self._rows[number]
        self._counts[row.state] -= 1
        self._counts[state] += 1
        row.state, row.text, row.target, row.made_with = state, text, target, made_with
        row.seconds, row.engine = seconds, engine
        self._note_change(number)

    def set_marked(self, number: int, marked: bool) -> None:
        """Mark a picture, or take its mark away."""
        self._rows[number].marked = marked
        if marked:
            self._marked.add(number)
        else:
            self._marked.discard(number)
        self._note_change(number)

    def _note_change(self, number: int) -> None:
        self._changed.add(number)
        if not self._timer.isActive():
            self._timer.start()

    def set_failed_only(self, failed_only: bool) -> None:
        """Show only the pictures that failed, or all."""
        if failed_only == (self._failed is not None):
            return
        self.beginResetModel()
        self._failed = self._failed_numbers() if failed_only else None
        self.endResetModel()

    def update_view(self) -> None:
        """Tell the view of every change since the last time; called by a timer."""
        self._timer.stop()
        changed, self._changed = self._changed, set()
        if not changed:
            return
        if self._failed is not None:
            self._update_failed(changed)
        elif self._rows:
            last = min(max(changed), len(self._rows) - 1)
            self.dataChanged.emit(self.index(min(changed), NAME), self.index(last, NOTES))

    def _update_failed(self, changed: set[int]) -> None:
        assert self._failed is not None
        shown = set(self._failed)
        now_failed = {number for number in changed if self._rows[number].state is FileState.FAILED}
        if (changed - now_failed) & shown:
            self.beginResetModel()
            self._failed = self._failed_numbers()
            self.endResetModel()
            return
        for number in sorted(now_failed - shown):
            place = bisect.bisect(self._failed, number)
            self.beginInsertRows(_ROOT, place, place)
            self._failed.insert(place, number)
            self.endInsertRows()

    def _failed_numbers(self) -> list[int]:
        return [number for number, row in enumerate(self._rows) if row.state is FileState.FAILED]

    def _recount(self) -> None:
        self._numbers = {_key(row.path): number for number, row in enumerate(self._rows)}
        self._counts = Counter(row.state for row in self._rows)
        self._roots = Counter(row.root for row in self._rows if row.root is not None)
        self._marked = {number for number, row in enumerate(self._rows) if row.marked}
        self._changed.clear()
        if self._failed is not None:
            self._failed = self._failed_numbers()

    def _mark_all(self) -> None:
        self._changed.update((0, len(self._rows) - 1))
        self._timer.start()

    # What the view asks

    def number_at(self, place: int) -> int:
        """The number of the row at a place of the view."""
        return place if self._failed is None else self._failed[place]

    def place_of(self, number: int) -> int | None:
        """The place in the view of a row, None if it is not shown."""
        if self._failed is None:
            return number if 0 <= number < len(self._rows) else None
        place = bisect.bisect_left(self._failed, number)
        return place if place < len(self._failed) and self._failed[place] == number else None

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _ROOT) -> int:
        """How many rows are shown."""
        if parent.isValid():
            return 0
        return len(self._rows) if self._failed is None else len(self._failed)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = _ROOT) -> int:
        """Name, state, notes."""
        return 0 if parent.isValid() else 3

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The names of the columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return (self.tr("Picture"), self.tr("State"), self.tr("Notes"))[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, icon, tooltip and colour of a cell."""
        if not index.isValid():
            return None
        number = self.number_at(index.row())
        row, column = self._rows[number], index.column()
        match role:
            case Qt.ItemDataRole.DisplayRole:
                if column == NAME:
                    return self.shown_name(number)
                # Beside its name a sentence about a picture need not begin with it.
                return (
                    self.state_text(row.state)
                    if column == STATE
                    else shown_text(row.text.removeprefix(f"{row.path.name} "))
                )
            case Qt.ItemDataRole.ToolTipRole:
                if column == NAME:
                    path = str(row.path)
                    return plain_tooltip(self.tr("{0} (marked)").format(path) if row.marked else path)
                return plain_tooltip(row.text)
            case Qt.ItemDataRole.DecorationRole:
                if column == NAME:
                    return self._mark_icon if row.marked else None
                return self._icon_of(row) if column == STATE else None
            case Qt.ItemDataRole.ForegroundRole if column == STATE and row.state is FileState.FAILED:
                return QColor(colours().danger)
            case _:
                return None

    def state_text(self, state: FileState) -> str:
        """A state in words."""
        match state:
            case FileState.PENDING:
                return self.tr("Pending")
            case FileState.IN_PROGRESS:
                return self.tr("In progress")
            case FileState.DONE:
                return self.tr("Done")
            case FileState.FAILED:
                return self.tr("Failed")
            case FileState.SKIPPED:
                return self.tr("Skipped")
            case FileState.CANCELED:
                return self.tr("Canceled")

    def _icon_of(self, row: FileRow) -> QIcon:
        return self._note_icon if row.state is FileState.DONE and row.text else self._icons[row.state]


class FileList(QTableView):
    """The table of pictures.

    Signals:
        row_selected: Number of the row that became the current one, -1 for none.
        remove_requested: Numbers of the rows to take out (Del).
        mark_requested: Numbers of the rows to mark, or to take the marks from if all are marked (M).
    """

    row_selected = Signal(int)
    remove_requested = Signal(list)
    mark_requested = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("file_list")
        self.setAccessibleName(self.tr("Pictures to convert"))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setIconSize(QSize(16, 16))
        self.setStyleSheet(f"QTableView::item {{ padding-left: {XS}px; }}")  # In line with the headings.
        self._elide_middle = _ElideMiddle(self)
        self.setItemDelegateForColumn(NAME, self._elide_middle)

        vertical = self.verticalHeader()
        vertical.hide()
        # Rows of one height: nothing is measured, however many there are.
        vertical.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        vertical.setDefaultSectionSize(self.fontMetrics().height() + 12)
        horizontal = self.horizontalHeader()
        horizontal.setHighlightSections(False)
        horizontal.setMinimumSectionSize(_LEAST_COLUMN)

        self._files = FileListModel(self)
        self._connect()

    @property
    def files(self) -> FileListModel:
        """The pictures."""
        return self._files

    def show_files(self, files: FileListModel) -> None:
        """Show other pictures from the first one on, with no row chosen."""
        if files is self._files:
            return
        self._files.rowsRemoved.disconnect(self._choose_next)
        self._files.modelReset.disconnect(self._report_reset)
        self._files = files
        self._connect()
        self.scrollToTop()
        self._report_reset()

    def _connect(self) -> None:
        old = self.selectionModel()
        self.setModel(self._files)
        if old is not None:
            old.deleteLater()  # Qt leaves it to whoever sets a model.
        self.selectionModel().currentRowChanged.connect(self._report_current)
        self._files.rowsRemoved.connect(self._choose_next)
        # A reset leaves no current row, which Qt does not report.
        self._files.modelReset.connect(self._report_reset)
        # A header without a model has no columns.
        self.horizontalHeader().setSectionResizeMode(NOTES, QHeaderView.ResizeMode.Stretch)
        self._share_width()

    def selected_numbers(self) -> list[int]:
        """Numbers of the selected rows."""
        selection = self.selectionModel().selection()  # Spans of rows: an index for each of 100,000 is too many.
        spans = [selection.at(place) for place in range(selection.count())]
        places = {place for span in spans for place in range(span.top(), span.bottom() + 1)}
        return [self._files.number_at(place) for place in sorted(places)]

    def select(self, number: int) -> None:
        """Make a row the current one and bring it into sight."""
        place = self._files.place_of(number)
        if place is None:
            return
        index = self._files.index(place, NAME)
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.selectionModel().setCurrentIndex(index, flags)
        self.scrollTo(index)

    def step(self, rows: int) -> None:
        """Go some rows down (or up, if negative)."""
        count = self._files.rowCount()
        if count:
            place = min(max(self.currentIndex().row() + rows, 0), count - 1)
            self.select(self._files.number_at(place))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the width between names and notes."""
        super().resizeEvent(event)
        self._share_width()

    def _share_width(self) -> None:
        width = self.viewport().width()
        self.horizontalHeader().resizeSection(STATE, _STATE_COLUMN)
        most = width - _STATE_COLUMN - _LEAST_COLUMN
        self.horizontalHeader().resizeSection(NAME, min(max(120, width * 2 // 5), most))

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Choose the first row for whoever comes by key or mouse; not where the page only parks the focus here."""
        if event.reason() != Qt.FocusReason.OtherFocusReason or self.currentIndex().isValid():
            super().focusInEvent(event)

    def moveCursor(self, cursorAction: QAbstractItemView.CursorAction, modifiers: Qt.KeyboardModifier) -> QModelIndex:
        """Home and End go to the first and the last row; those of a table stay in their row."""
        ends = {QAbstractItemView.CursorAction.MoveHome: 0, QAbstractItemView.CursorAction.MoveEnd: -1}
        if cursorAction in ends and (count := self._files.rowCount()):
            return self._files.index(ends[cursorAction] % count, NAME)
        return super().moveCursor(cursorAction, modifiers)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Del removes the selected rows, M marks them."""
        if event.matches(QKeySequence.StandardKey.Delete) or event.key() == Qt.Key.Key_Backspace:
            if numbers := self.selected_numbers():
                self.remove_requested.emit(numbers)
            return
        if event.key() == Qt.Key.Key_M and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            # Otherwise the letter would look for a name that begins with it.
            if numbers := self.selected_numbers():
                self.mark_requested.emit(numbers)
            return
        super().keyPressEvent(event)

    def _choose_next(self, _parent: QModelIndex, first: int) -> None:
        """Go on with the row below those taken out; and it has a new number, which Qt does not report."""
        place = min(first, self._files.rowCount() - 1)
        if place >= 0:
            self.select(self._files.number_at(place))
        self._report_current(self.currentIndex())

    def _report_reset(self) -> None:
        self._report_current(self.currentIndex())

    def _report_current(self, current: QModelIndex) -> None:
        self.row_selected.emit(self._files.number_at(current.row()) if current.isValid() else -1)


class _ElideMiddle(QStyledItemDelegate):
    """Leaves out the middle of long names: their ends tell them apart."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideMiddle


def _key(path: Path) -> str:
    return os.path.normcase(path)


def spans_of(numbers: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as spans (first, last) without gaps."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return spans
