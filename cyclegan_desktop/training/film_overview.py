"""All fixed pictures at one moment of a training: original, translated and back again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from cyclegan_desktop.picture_image import image_of
from cyclegan_desktop.style import ACCENT, XS, L, S
from cyclegan_desktop.widgets import ElidedLabel
from engine.config import Direction
from engine.events import Sample

KINDS = 3
"""Pictures of a sample: original, translated, back again."""


@dataclass(frozen=True, slots=True)
class _Arrangement:
    """How the samples fill the room.

    Attributes:
        cell: Side of a picture.
        samples_across: Whether samples stand side by side (their three pictures below each other) or below each other.
        blocks_across: Whether the two directions stand side by side.
    """

    cell: int
    samples_across: bool
    blocks_across: bool


class Overview(QWidget):
    """Every sample of one moment, a block a direction, as large as the room allows.

    Signals:
        chosen: The sample of this number was clicked.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._buttons: list[SampleButton] = []
        self._headings: list[tuple[Direction, ElidedLabel, list[ElidedLabel]]] = []

    def minimumSizeHint(self) -> QSize:
        """Room in which something can be recognised."""
        return QSize(320, 220)

    def show_samples(self, samples: tuple[Sample, ...], names: dict[str, str]) -> None:
        """Show these; the buttons stay as long as the pictures are the same, and with them the focus."""
        directions = [d for d in ("a2b", "b2a") if any(sample.direction == d for sample in samples)]
        shown = [(item.sample.direction, item.sample.source) for item in self._buttons]
        if shown != [(sample.direction, sample.source) for sample in samples]:
            self._rebuild(samples, cast("list[Direction]", directions))
        kinds = kind_names(self)
        for direction, heading, captions in self._headings:
            heading.setText(names[direction])
            for caption, kind in zip(captions, kinds, strict=True):
                caption.setText(kind)
        for item, sample in zip(self._buttons, samples, strict=True):
            item.show_sample(sample, names[sample.direction])
        self._arrange()

    def focus(self, index: int) -> None:
        """Give the focus back to the sample that was shown alone."""
        if index < len(self._buttons):
            self._buttons[index].setFocus()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fill the new room."""
        super().resizeEvent(event)
        self._arrange()

    def _rebuild(self, samples: tuple[Sample, ...], directions: list[Direction]) -> None:
        for widget in [*self._buttons, *(part for _, h, c in self._headings for part in (h, *c))]:
            widget.deleteLater()
        self._buttons = []
        for index, sample in enumerate(samples):
            item = SampleButton(self, sample, index)
            item.picked.connect(self.chosen)
            item.show()
            self._buttons.append(item)
        self._headings = []
        for direction in directions:
            heading = ElidedLabel(role="heading")
            captions = [ElidedLabel(role="muted") for _ in range(KINDS)]
            for label in (heading, *captions):
                label.setParent(self)
                label.show()
            self._headings.append((direction, heading, captions))

    def _arrange(self) -> None:
        """Place everything so that the pictures are as large as possible."""
        if not self._headings:
            return
        counts = [sum(b.sample.direction == d for b in self._buttons) for d, _, _ in self._headings]
        best = max(
            (self._fitted(max(counts), samples_across, blocks_across)
             for samples_across in (True, False) for blocks_across in (True, False)),
            key=lambda arrangement: arrangement.cell,
        )  # fmt: skip
        top = left = 0
        for direction, heading, captions in self._headings:
            size = self._block(best, max(counts))
            self._place_block(direction, heading, captions, QRect(QPoint(left, top), size), best)
            if best.blocks_across:
                left += size.width() + L
            else:
                top += size.height() + S

    def _fitted(self, count: int, samples_across: bool, blocks_across: bool) -> _Arrangement:
        """The arrangement of that kind with the largest pictures."""
        blocks = len(self._headings)
        width = (self.width() - (blocks - 1) * L) // blocks if blocks_across else self.width()
        height = self.height() if blocks_across else (self.height() - (blocks - 1) * S) // blocks
        probe = self._block(_Arrangement(0, samples_across, blocks_across), count)
        columns, rows = (count, KINDS) if samples_across else (KINDS, count)
        cell = min((width - probe.width()) // columns, (height - probe.height()) // rows)
        return _Arrangement(max(16, cell), samples_across, blocks_across)

    def _block(self, arrangement: _Arrangement, count: int) -> QSize:
        """Size of a block with everything around its pictures."""
        line = self.fontMetrics().height() + XS
        columns, rows = (count, KINDS) if arrangement.samples_across else (KINDS, count)
        beside, above = (self._caption_width(), line) if arrangement.samples_across else (0, 2 * line)
        return QSize(
            beside + columns * arrangement.cell + (columns - 1) * XS,
            above + XS + rows * arrangement.cell + (rows - 1) * XS,
        )

    def _place_block(
        self,
        direction: Direction,
        heading: ElidedLabel,
        captions: list[ElidedLabel],
        room: QRect,
        arrangement: _Arrangement,
    ) -> None:
        line = self.fontMetrics().height() + XS
        stride = arrangement.cell + XS
        heading.setGeometry(room.left(), room.top(), room.width(), line)
        mine = [item for item in self._buttons if item.sample.direction == direction]
        if arrangement.samples_across:
            first = QPoint(room.left() + self._caption_width(), room.top() + line + XS)
            for row, caption in enumerate(captions):
                caption.setGeometry(room.left(), first.y() + row * stride, self._caption_width() - S, arrangement.cell)
            for column, item in enumerate(mine):
                item.place(first + QPoint(column * stride, 0), arrangement.cell, Qt.Orientation.Vertical)
        else:
            first = QPoint(room.left(), room.top() + 2 * line + XS)
            for column, caption in enumerate(captions):
                caption.setGeometry(first.x() + column * stride, room.top() + line, arrangement.cell, line)
            for row, item in enumerate(mine):
                item.place(first + QPoint(0, row * stride), arrangement.cell, Qt.Orientation.Horizontal)

    def _caption_width(self) -> int:
        metrics = self.fontMetrics()
        return max(metrics.horizontalAdvance(kind) for kind in kind_names(self)) + L


class SampleButton(QAbstractButton):
    """The three pictures of one sample in a row.

    Signals:
        picked: It was clicked; its number.
    """

    picked = Signal(int)

    def __init__(self, parent: QWidget, sample: Sample, index: int) -> None:
        super().__init__(parent)
        self.sample = sample
        self._index = index
        self._images: list[QImage] = []
        self._pixmaps: list[QPixmap] = []
        self._cell = 16
        self._orientation = Qt.Orientation.Vertical
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.clicked.connect(self._pick)

    def show_sample(self, sample: Sample, direction_name: str) -> None:
        """Show this moment of the sample."""
        self.sample = sample
        self._images = images_of(sample)
        self._pixmaps = []
        self.setAccessibleName(
            self.tr("{direction}, {file}: original, translated, back again").format(
                direction=direction_name, file=sample.source.name
            )
        )
        self.update()

    def place(self, corner: QPoint, cell: int, orientation: Qt.Orientation) -> None:
        """Take a place with pictures of side `cell`."""
        length = KINDS * cell + (KINDS - 1) * XS
        size = QSize(length, cell) if orientation == Qt.Orientation.Horizontal else QSize(cell, length)
        self.setGeometry(QRect(corner, size))
        if (cell, orientation) != (self._cell, self._orientation):
            self._cell, self._orientation = cell, orientation
            self._pixmaps = []
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the pictures, framed under the pointer and with the focus."""
        ratio = self.devicePixelRatioF()
        if not self._pixmaps or self._pixmaps[0].devicePixelRatio() != ratio:
            self._pixmaps = [scaled_pixmap(image, QSize(self._cell, self._cell), ratio) for image in self._images]
        painter = QPainter(self)
        stride = self._cell + XS
        for index, pixmap in enumerate(self._pixmaps):
            corner = (
                QPoint(index * stride, 0)
                if self._orientation == Qt.Orientation.Horizontal
                else QPoint(0, index * stride)
            )
            painter.drawPixmap(corner, pixmap)
        if self.hasFocus() or self.underMouse():
            painter.setPen(QPen(QColor(ACCENT), 2 if self.hasFocus() else 1))
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))

    def _pick(self) -> None:
        self.picked.emit(self._index)


def kind_names(widget: QWidget) -> tuple[str, str, str]:
    """What the three pictures of a sample are called."""
    return widget.tr("Original"), widget.tr("Translated"), widget.tr("Back again")


def images_of(sample: Sample) -> list[QImage]:
    """The three pictures of a sample, in their own size."""
    return [image_of(picture) for picture in (sample.original, sample.translated, sample.back)]


def scaled_pixmap(image: QImage, size: QSize, ratio: float) -> QPixmap:
    """An image scaled smoothly into `size`, in as many pixels as a screen of that ratio has there."""
    scaled = image.scaled(size * ratio, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
    scaled.setDevicePixelRatio(ratio)
    return QPixmap.fromImage(scaled)
