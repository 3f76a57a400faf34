"""One fixed picture at one moment of a training, large."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from cyclegan_desktop.style import XS, S, colours
from cyclegan_desktop.training.film_overview import KINDS, images_of, kind_names, scaled_pixmap
from cyclegan_desktop.widgets import ElidedLabel, button
from engine.events import Sample


class Single(QWidget):
    """One sample, large.

    Signals:
        closed: Back to all samples.
        moved: To the next (1) or the previous (-1) sample.
    """

    closed = Signal()
    moved = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("single_sample")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._images: list[QImage] = []
        self._title = ElidedLabel()
        back = button(self.tr("All samples"))
        back.setObjectName("all_samples")
        back.setToolTip(self.tr("Back to all samples (Esc)"))
        back.clicked.connect(self.closed)
        previous, following = button("", "arrow-left"), button("", "arrow-right")
        previous.setAccessibleName(self.tr("Previous sample"))
        previous.setToolTip(self.tr("Previous sample (Left)"))
        previous.clicked.connect(self._go_back)
        following.setAccessibleName(self.tr("Next sample"))
        following.setToolTip(self.tr("Next sample (Right)"))
        following.clicked.connect(self._go_on)
        self._canvas = _Triple()
        row = QHBoxLayout()
        row.setSpacing(S)
        row.addWidget(back)
        row.addWidget(self._title, 1)
        row.addWidget(previous)
        row.addWidget(following)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addLayout(row)
        layout.addWidget(self._canvas, 1)

    def show_sample(self, sample: Sample, direction_name: str) -> None:
        """Show this one."""
        title = f"{direction_name}: {sample.source.name}"
        self._title.setText(title)
        self.setAccessibleName(title)
        self._canvas.show_images(images_of(sample))

    def show_missing(self, title: str) -> None:
        """Show nothing under this title: the moment does not show the picture."""
        self._title.setText(title)
        self.setAccessibleName(title)
        self._canvas.show_images([])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc closes, the arrows move."""
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        elif event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.moved.emit(1 if event.key() == Qt.Key.Key_Right else -1)
        else:
            super().keyPressEvent(event)

    def _go_back(self) -> None:
        self.moved.emit(-1)

    def _go_on(self) -> None:
        self.moved.emit(1)


class _Triple(QWidget):
    """Original, translated and back again, each under its caption, in one to three columns."""

    def __init__(self) -> None:
        super().__init__()
        self._images: list[QImage] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_images(self, images: list[QImage]) -> None:
        """Show these three."""
        self._images = images
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw them as large as the room allows."""
        if not self._images:
            return
        painter = QPainter(self)
        line = self.fontMetrics().height() + XS

        def side(columns: int) -> int:
            rows = -(-KINDS // columns)
            return min((self.width() - (columns - 1) * S) // columns, (self.height() - (rows - 1) * S) // rows - line)

        # In a row they are easier to compare than if the third stands below, which has to be well larger then.
        columns = max((3, 2, 1), key=lambda columns: side(columns) * (1.25 if columns == KINDS else 1))
        cell = max(1, side(columns))
        rows = -(-KINDS // columns)
        left = (self.width() - columns * (cell + S) + S) // 2
        top = max(0, (self.height() - rows * (cell + line + S) + S) // 2)
        painter.setPen(QColor(colours().muted))
        for index, (image, caption) in enumerate(zip(self._images, kind_names(self), strict=True)):
            x, y = left + (index % columns) * (cell + S), top + (index // columns) * (cell + line + S)
            painter.drawText(QRect(x, y, cell, line), Qt.AlignmentFlag.AlignLeft, caption)
            painter.drawPixmap(QPoint(x, y + line), scaled_pixmap(image, QSize(cell, cell), self.devicePixelRatioF()))
