"""The axes that every plot is drawn on, and its pens. Importing this module loads pyqtgraph."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QIcon, QKeyEvent, QPainter, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QSizePolicy, QToolButton, QToolTip, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.training.curve_history import Values
from cyclegan_desktop.training.marks import SYMBOL, MarkList, PlacedMark, draw_marks, mark_at
from cyclegan_desktop.widgets import plain_tooltip

AXIS_WIDTH = 48
_FEW_STEPS = 9


@dataclass(frozen=True, slots=True)
class Level:
    """A line across the plot, with its name upon it.

    Attributes:
        value: Where; on a log scale its decimal logarithm.
        name: A few words.
        colour: Of the line and of its name.
        style: How it is broken.
        is_right: Whether the name stands at the right end instead of the left.
    """

    value: float
    name: str
    colour: QColor
    style: Qt.PenStyle = Qt.PenStyle.DashLine
    is_right: bool = False


class Canvas(pg.PlotWidget):  # type: ignore[misc]
    """The axes: zoomed by wheel, drag and keys; marks and levels are drawn upon the curves.

    Attributes:
        paint_seconds: How long the last drawing took.

    Signals:
        zoomed: The user has moved or zoomed the view.
        fit_asked: The user has asked for the whole curve.
    """

    zoomed = Signal()
    fit_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        # Its menus, which nobody sees, would take half of the time to make it.
        super().__init__(parent, enableMenu=False)
        self.paint_seconds = 0.0
        self._is_dark = False
        self._marks: MarkList | None = None
        self._mark_kinds: tuple[str, ...] = ()
        self._levels: tuple[Level, ...] = ()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 140)
        self.hideButtons()
        # pyqtgraph keeps the background; the levels are drawn in it and move with the range.
        self.setCacheMode(self.CacheModeFlag.CacheNone)
        self._view = self.getViewBox()
        # Every range is set by us: finding it out from sixteen curves at each redraw would cost more than drawing.
        self._view.disableAutoRange()
        self._view.setDefaultPadding(0)
        self._view.sigRangeChangedManually.connect(self.zoomed)
        self.showGrid(y=True, alpha=0.2)
        bottom = self.getAxis("bottom")
        for axis in (bottom, self.getAxis("left")):
            # No third level of ticks: drawn five times a second, lines cost more than they tell.
            axis.setStyle(maxTickLevel=1)
        bottom.enableAutoSIPrefix(False)
        bottom.setLabel(self.tr("Steps"))
        # A fixed width keeps the curves in place while the numbers beside them change.
        self.getAxis("left").setWidth(AXIS_WIDTH)
        # Room for half a symbol at the newest step.
        self.plotItem.setContentsMargins(0, 2, SYMBOL, 0)
        self._view.sigXRangeChanged.connect(self._number_whole_steps)
        self.show_range(0, 1, 0, 1)

    # What is drawn upon the curves

    def set_marks(self, marks: MarkList, kinds: Sequence[str]) -> None:
        """Draw the marks of these kinds."""
        self._marks, self._mark_kinds = marks, tuple(kinds)
        self.viewport().update()

    def set_levels(self, levels: Iterable[Level]) -> None:
        """Draw these lines across."""
        self._levels = tuple(levels)
        self.viewport().update()

    def placed_marks(self) -> list[PlacedMark]:
        """The symbols that are in view now."""
        if self._marks is None:
            return []
        view = self._view.sceneBoundingRect()
        first, last = self.step_range()
        scale = view.width() / max(last - first, 1e-9)
        return self._marks.placed(self._mark_kinds, lambda steps: (steps - first) * scale, view.width())

    def drawBackground(self, painter: QPainter, rect: QRectF) -> None:
        """Draw the levels, in pixels: the curves go over them and their names."""
        super().drawBackground(painter, rect)
        view = self._view.sceneBoundingRect()
        painter.save()
        for level in self._levels:
            self._draw_level(painter, view, level)
        painter.restore()

    def drawForeground(self, painter: QPainter, rect: QRectF) -> None:
        """Draw the marks, in pixels."""
        view = self._view.sceneBoundingRect()
        painter.save()
        # Half a symbol may stand over the edge.
        painter.setClipRect(view.adjusted(-SYMBOL / 2, 0, SYMBOL, SYMBOL / 2))
        draw_marks(painter, view, self.placed_marks(), is_dark=self._is_dark)
        painter.restore()

    def _draw_level(self, painter: QPainter, view: QRectF, level: Level) -> None:
        y = self._view.mapViewToScene(QPointF(0, level.value)).y()
        if not view.top() <= y <= view.bottom():
            return
        pen = QPen(level.colour, 1.5, level.style)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(pen)
        painter.drawLine(QPointF(view.left(), y), QPointF(view.right(), y))
        metrics = painter.fontMetrics()
        width, height = metrics.horizontalAdvance(level.name), metrics.height()
        left = view.right() - width - 6 if level.is_right else view.left() + 6
        # Above its line, or below where there is no room above.
        top = y - height - 1 if y - height - 1 > view.top() else y + 2
        painter.drawText(QRectF(left, top, width + 1, height), Qt.AlignmentFlag.AlignCenter, level.name)

    def viewportEvent(self, event: QEvent) -> bool:
        """Tell in a tooltip what the mark under the pointer is."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            text = self.tip_at(QPointF(event.pos()))
            if text:
                QToolTip.showText(event.globalPos(), plain_tooltip(text), self)
            else:
                QToolTip.hideText()
                event.ignore()
            return True
        return bool(super().viewportEvent(event))

    def tip_at(self, place: QPointF) -> str:
        """What is said about this place, in pixels of the viewport; "" if nothing."""
        mark = mark_at(self._view.sceneBoundingRect(), self.placed_marks(), self.mapToScene(place.toPoint()))
        return mark.sentence if mark is not None else ""

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw, and note how long it takes."""
        began = time.monotonic()
        super().paintEvent(event)
        self.paint_seconds = time.monotonic() - began

    # The axes

    def set_log_scale(self, on: bool) -> None:
        """Label the vertical axis for values (`on` False) or for their decimal logarithms."""
        self.getAxis("left").setLogMode(on)

    def _number_whole_steps(self) -> None:
        """There is no step 1.2, not even where only a few steps are in view."""
        first, last = self.step_range()
        if last - first < _FEW_STEPS:
            self.getAxis("bottom").setTickSpacing(1, 1)
        else:
            self.getAxis("bottom").setTickSpacing()

    def name_steps(self, on: bool) -> None:
        """Write below the horizontal axis what it counts, or leave it out."""
        self.getAxis("bottom").showLabel(on)

    def set_colours(self, background: QColor, text: QColor) -> None:
        """Draw on this background with axes in a softened `text` colour."""
        self._is_dark = background.lightness() < 128
        self.setBackground(background)
        for side in ("bottom", "left"):
            axis = self.getAxis(side)
            axis.setPen(pen(mixed(text, background, 0.35), 1.0))
            axis.setTextPen(pen(mixed(text, background, 0.75), 1.0))

    def step_range(self) -> tuple[float, float]:
        """The first and the last step in view."""
        first, last = self._view.viewRange()[0]
        return float(first), float(last)

    def value_range(self) -> tuple[float, float]:
        """The lowest and the highest value in view; decimal logarithms on a log scale."""
        low, high = self._view.viewRange()[1]
        return float(low), float(high)

    def show_range(self, first: float, last: float, low: float, high: float, *, air: float = 0.05) -> None:
        """Show the steps `first` to `last` and the values `low` to `high`, with this share of their range as air."""
        if air:
            above = air * (high - low) or 0.5
            below = 0.05 * (high - low) if low < 0 or self.getAxis("left").logMode else 0.0
            low, high = low - below, high + above
        self._view.setRange(xRange=(first, last), yRange=(low, high), padding=0)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Zoom with + and -, move with the arrows, show everything with Home."""
        moves = {
            Qt.Key.Key_Left: (-0.1, 0.0),
            Qt.Key.Key_Right: (0.1, 0.0),
            Qt.Key.Key_Up: (0.0, 0.1),
            Qt.Key.Key_Down: (0.0, -0.1),
        }
        scales = {Qt.Key.Key_Plus: 0.8, Qt.Key.Key_Equal: 0.8, Qt.Key.Key_Minus: 1.25}
        key = Qt.Key(event.key())
        if key in moves:
            (left, right), (low, high) = self._view.viewRange()
            across, up = moves[key]
            self._view.translateBy(x=across * (right - left), y=up * (high - low))
            self.zoomed.emit()
        elif key in scales:
            self._view.scaleBy((scales[key], scales[key]))
            self.zoomed.emit()
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_0):
            self.fit_asked.emit()
        else:
            super().keyPressEvent(event)


class Curve(pg.PlotCurveItem):  # type: ignore[misc]
    """A curve that takes the whole view for its bounds, which saves a look at every value at each redraw."""

    def __init__(self, *, is_smooth: bool = False) -> None:
        # skipFiniteCheck: only values that we have checked are handed over.
        super().__init__(antialias=is_smooth, skipFiniteCheck=True)
        if is_smooth:
            self.setZValue(1)

    def boundingRect(self) -> QRectF:
        """What is in view."""
        return self.viewRect() or QRectF()

    def show_points(self, steps: Values, values: Values) -> None:
        """Draw through these points, with a gap at each value that is not finite."""
        self.setData(steps, values, connect="all" if np.isfinite(values).all() else "finite")


def logarithms(values: Values) -> Values:
    """Decimal logarithms; NaN, so a gap, where there is none."""
    return np.log10(values, out=np.full_like(values, np.nan), where=values > 0)


def pen(colour: QColor, width: float, dashes: Sequence[float] = ()) -> QPen:
    """A pen of `width` pixels; `dashes` are lengths of lines and gaps in turn, in widths."""
    made = QPen(colour, width)
    made.setCosmetic(True)
    if dashes:
        made.setDashPattern(list(dashes))
        made.setCapStyle(Qt.PenCapStyle.FlatCap)
    return made


def mixed(colour: QColor, background: QColor, share: float) -> QColor:
    """`share` of a colour over a background."""
    return QColor.fromRgbF(
        share * colour.redF() + (1 - share) * background.redF(),
        share * colour.greenF() + (1 - share) * background.greenF(),
        share * colour.blueF() + (1 - share) * background.blueF(),
    )


def line_icon(colour: QColor, dashes: Sequence[float] = ()) -> QIcon:
    """A short piece of a curve, for a legend."""
    pixmap = QPixmap(96, 48)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    made: Any = QPen(colour, 12)
    made.setCapStyle(Qt.PenCapStyle.FlatCap)
    if dashes:
        made.setDashPattern([0.6 * length for length in dashes])
    painter.setPen(made)
    painter.drawLine(0, 24, 96, 24)
    painter.end()
    return QIcon(pixmap)


def tool_button(icon_name: str, tip: str) -> QToolButton:
    """A small button with an icon only."""
    made = QToolButton()
    made.setIcon(icon(icon_name))
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return made
