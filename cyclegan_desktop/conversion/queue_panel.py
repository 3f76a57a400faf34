"""All batches in a few lines: what they are called, how far they are, and in which order they are converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRectF,
    QSignalBlocker,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence, QMouseEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QToolButton,
    QWidget,
)

from cyclegan_desktop.conversion.batches import BatchState
from cyclegan_desktop.icons import icon
from cyclegan_desktop.style import ACCENT, DANGER, SUCCESS, WARNING, XS, S, colours
from cyclegan_desktop.widgets import plain_tooltip

NAME, STATE, PROGRESS = range(3)
"""The columns."""

_STATE_COLUMN: Final = 116
_MOST_LINES: Final = 3
_BAR_HEIGHT: Final = 3
_GREY: Final = "#8a93a0"
_ROOT: Final = QModelIndex()

_ICONS: Final[dict[BatchState, tuple[str, str]]] = {
    BatchState.DRAFT: ("picture", _GREY),
    BatchState.WAITING: ("clock", _GREY),
    BatchState.RUNNING: ("convert", ACCENT),
    BatchState.PAUSED: ("pause", WARNING),
    BatchState.DONE: ("check", SUCCESS),
    BatchState.STOPPED: ("stop", _GREY),
    BatchState.FAILED: ("error", DANGER),
}


@dataclass(frozen=True, slots=True)
class BatchLine:
    """What the panel says of a batch.

    Attributes:
        name: What it is called.
        state: How far it has come.
        tried: Pictures that are over and done with.
        failed: Those of them that failed.
        total: All its pictures.
        text: Why it failed, or "".
        is_watching: Whether everything is converted, and it waits for new pictures.
    """

    name: str
    state: BatchState
    tried: int
    failed: int
    total: int
    text: str = ""
    is_watching: bool = False


class BatchTable(QAbstractTableModel):
    """The batches, in order."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lines: tuple[BatchLine, ...] = ()
        self._icons = {state: icon(name, colour=QColor(colour)) for state, (name, colour) in _ICONS.items()}

    @property
    def lines(self) -> Sequence[BatchLine]:
        """What is shown."""
        return self._lines

    def set_lines(self, lines: Sequence[BatchLine]) -> None:
        """Show other lines; only what differs is drawn anew."""
        before, now = self._lines, tuple(lines)
        if len(before) != len(now):
            self.beginResetModel()
            self._lines = now
            self.endResetModel()
            return
        self._lines = now
        for place, (old, new) in enumerate(zip(before, now, strict=True)):
            if old != new:
                self.dataChanged.emit(self.index(place, NAME), self.index(place, PROGRESS))

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _ROOT) -> int:
        """How many batches there are."""
        return 0 if parent.isValid() else len(self._lines)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = _ROOT) -> int:
        """Name, state, progress."""
        return 0 if parent.isValid() else 3

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, icon, tooltip and colour of a cell."""
        if not index.isValid():
            return None
        line, column = self._lines[index.row()], index.column()
        match role:
            case Qt.ItemDataRole.DisplayRole:
                state = self.tr("Watching") if line.is_watching else self.state_text(line.state)
                return (line.name, state, self._progress_text(line))[column]
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(line.text or line.name)
            case Qt.ItemDataRole.DecorationRole if column == STATE:
                return self._icons[line.state]
            case Qt.ItemDataRole.ForegroundRole if column == STATE and line.state is BatchState.FAILED:
                return QColor(colours().danger)
            case Qt.ItemDataRole.UserRole if column == PROGRESS:
                is_part = line.state in (BatchState.RUNNING, BatchState.PAUSED, BatchState.STOPPED) and line.total
                is_part = is_part and not line.is_watching
                return line.tried / line.total if is_part else None
            case _:
                return None

    def state_text(self, state: BatchState) -> str:
        """A state in words."""
        match state:
            case BatchState.DRAFT:
                return self.tr("Not started")
            case BatchState.WAITING:
                return self.tr("Waiting")
            case BatchState.RUNNING:
                return self.tr("Converting")
            case BatchState.PAUSED:
                return self.tr("Paused")
            case BatchState.DONE:
                return self.tr("Done")
            case BatchState.STOPPED:
                return self.tr("Canceled")
            case BatchState.FAILED:
                return self.tr("Failed")

    def _progress_text(self, line: BatchLine) -> str:
        if line.state in (BatchState.DRAFT, BatchState.WAITING) and not line.tried:
            if not line.total:
                return ""
            return self.tr("1 picture") if line.total == 1 else self.tr("{0} pictures").format(f"{line.total:,}")
        if line.is_watching:
            text = self.tr("{0} done").format(f"{line.tried:,}")
        else:
            text = self.tr("{0} of {1}").format(f"{line.tried:,}", f"{line.total:,}")
        return self.tr("{0}, {1} failed").format(text, f"{line.failed:,}") if line.failed else text


class QueuePanel(QWidget):
    """The batches. Choosing one shows it on the page, whose buttons are about it then.

    Signals:
        batch_chosen: Place of the batch to show.
        move_asked: Place of a batch, and how many places it is to go down (up, if negative).
        remove_asked: Place of a batch to take off the list.
        new_asked: A new batch.
    """

    batch_chosen = Signal(int)
    move_asked = Signal(int, int)
    remove_asked = Signal(int)
    new_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("queue_panel")
        self._table = BatchTable(self)
        self._view = _BatchView()
        self._view.setModel(self._table)
        self._view.set_columns()
        self._view.selectionModel().currentRowChanged.connect(self._current_changed)
        self._view.move_asked.connect(self._move)
        self._view.remove_asked.connect(self._remove)

        self._up = _tool("queue_up", "arrow-up", self.tr("Convert earlier (Alt+Up)"))
        self._up.clicked.connect(lambda: self._move(-1))
        self._down = _tool("queue_down", "arrow-down", self.tr("Convert later (Alt+Down)"))
        self._down.clicked.connect(lambda: self._move(1))
        self._remove_button = _tool("queue_remove", "trash", self.tr("Take off this list (Del); no file is deleted"))
        self._remove_button.clicked.connect(self._remove)
        new = _tool("queue_new", "batch", self.tr("New batch (Ctrl+N)"))
        new.clicked.connect(self.new_asked)
        tools = QGridLayout()
        tools.setSpacing(XS)
        for place, tool in enumerate((self._up, new, self._down, self._remove_button)):
            tools.addWidget(tool, *divmod(place, 2))
        tools.setRowStretch(2, 1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addWidget(self._view, 1)
        layout.addLayout(tools)
        self.hide()

    @property
    def lines(self) -> Sequence[BatchLine]:
        """What is shown."""
        return self._table.lines

    def set_batches(self, lines: Sequence[BatchLine], current: int, *, can_remove: bool) -> None:
        """Show the batches.

        Args:
            lines: In order.
            current: Place of the one that the page shows.
            can_remove: Whether that one can be taken off the list.
        """
        with QSignalBlocker(self):
            self._table.set_lines(lines)
            index = self._table.index(current, NAME)
            if self._view.currentIndex().row() != current:
                flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
                self._view.selectionModel().setCurrentIndex(index, flags)
                self._view.scrollTo(index)
        self._view.fit(min(len(lines), _MOST_LINES))
        self._up.setEnabled(current > 0)
        self._down.setEnabled(current < len(lines) - 1)
        self._remove_button.setEnabled(can_remove)
        self.setVisible(len(lines) > 1)

    def _current_changed(self, current: QModelIndex) -> None:
        if current.isValid():
            flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
            self._view.selectionModel().select(current, flags)
            self.batch_chosen.emit(current.row())

    def _move(self, places: int) -> None:
        place = self._view.currentIndex().row()
        if 0 <= place + places < len(self.lines):
            self.move_asked.emit(place, places)

    def _remove(self) -> None:
        if self._remove_button.isEnabled() and self._view.currentIndex().isValid():
            self.remove_asked.emit(self._view.currentIndex().row())


class _BatchView(QTableView):
    """The table of batches, with the keys that change their order."""

    move_asked = Signal(int)
    remove_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("queue_list")
        self.setAccessibleName(self.tr("Batches"))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setIconSize(QSize(16, 16))
        self.setStyleSheet(f"QTableView::item {{ padding-left: {XS}px; }}")
        self.horizontalHeader().hide()
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 12)
        self._bars = _ProgressBars(self)
        self.setItemDelegateForColumn(PROGRESS, self._bars)

    def set_columns(self) -> None:
        """Share the width; a header has columns only once there is a model."""
        header = self.horizontalHeader()
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in ((STATE, _STATE_COLUMN), (PROGRESS, self.fontMetrics().averageCharWidth() * 30)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, width)

    def fit(self, lines: int) -> None:
        """Be as high as so many lines."""
        self.setFixedHeight(max(lines, 2) * self.verticalHeader().defaultSectionSize() + 2 * self.frameWidth())

    def selectionCommand(
        self, index: QModelIndex | QPersistentModelIndex, event: QEvent | None = None
    ) -> QItemSelectionModel.SelectionFlag:
        """Leave it to the current line to be the selected one.

        Choosing a line may take another off the list while the mouse button is still being pressed, and Qt would select
        what lies under the mouse then.
        """
        if isinstance(event, QMouseEvent):
            return QItemSelectionModel.SelectionFlag.NoUpdate
        return super().selectionCommand(index, event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Choose nothing by moving the mouse: what lies under it may not be what was pressed."""
        if event.buttons() == Qt.MouseButton.NoButton:
            super().mouseMoveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Alt with an arrow moves the batch, Del takes it off the list."""
        if event.modifiers() & Qt.KeyboardModifier.AltModifier and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.move_asked.emit(-1 if event.key() == Qt.Key.Key_Up else 1)
        elif event.matches(QKeySequence.StandardKey.Delete):
            self.remove_asked.emit()
        else:
            super().keyPressEvent(event)


class _ProgressBars(QStyledItemDelegate):
    """A thin bar under the numbers of a batch that has begun and not ended."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().paint(painter, option, index)
        share = index.data(Qt.ItemDataRole.UserRole)
        if share is None:
            return
        groove = QRectF(option.rect).adjusted(S, 0, -S, 0)
        groove.setTop(groove.bottom() - _BAR_HEIGHT)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours().border))
        painter.drawRoundedRect(groove, _BAR_HEIGHT / 2, _BAR_HEIGHT / 2)
        groove.setWidth(groove.width() * min(max(share, 0.0), 1.0))
        painter.setBrush(QColor(ACCENT))
        painter.drawRoundedRect(groove, _BAR_HEIGHT / 2, _BAR_HEIGHT / 2)
        painter.restore()


def _tool(name: str, icon_name: str, tip: str) -> QToolButton:
    made = QToolButton()
    made.setObjectName(name)
    made.setIcon(icon(icon_name))
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    return made
