"""All moments of a training side by side, to be scrubbed through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QSlider, QToolTip, QWidget

from cyclegan_desktop.style import ACCENT, XS, colours
from cyclegan_desktop.training.film_words import moment_words
from engine.events import Moment

_KNOB: Final = 7.0
_STAR: Final = 5.0
_MODEL: Final = 5.0
_HEIGHT: Final = 34
_GROOVE: Final = 17.0

_STAR_POINTS: Final = (
    (0.0, -1.0), (0.25, -0.33), (0.95, -0.31), (0.4, 0.13), (0.59, 0.81),
    (0.0, 0.42), (-0.59, 0.81), (-0.4, 0.13), (-0.95, -0.31), (-0.25, -0.33),
)  # fmt: skip


class FilmTimeline(QSlider):
    """A slider whose value is the place of a moment among all, from 0.

    Moments stand equally far apart, whatever their steps: most are kept of what is newest. Above the line a star
    stands for one that is kept for good, below it a square for one that has its model, and a flag for the one that
    others are compared with.

    Keys: the arrows go from moment to moment, Page Up and Page Down ten at a time, Home and End to the first and the
    newest. The wheel moves it only while it has the focus.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setObjectName("film_timeline")
        self.setAccessibleName(self.tr("Moments of the training"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setSingleStep(1)
        self.setPageStep(10)
        self._moments: tuple[Moment, ...] = ()
        self._pinned: int | None = None
        self.valueChanged.connect(self._describe)
        self.set_moments((), 0)

    @property
    def moments(self) -> tuple[Moment, ...]:
        """All that can be gone to, in the order of their steps."""
        return self._moments

    def set_moments(self, moments: Sequence[Moment], place: int) -> None:
        """Show these and stand at one of them; `valueChanged` is not emitted."""
        self._moments = tuple(moments)
        was_blocked = self.blockSignals(True)
        self.setRange(0, max(0, len(self._moments) - 1))
        self.setValue(place)
        self.blockSignals(was_blocked)
        self.setEnabled(len(self._moments) > 1)
        self._describe()
        self.update()

    def set_pinned(self, step: int | None) -> None:
        """Mark the moment that others are compared with, None for none."""
        self._pinned = step
        self._describe()
        self.update()

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(240, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Room in which a knob can be moved."""
        return QSize(80, _HEIGHT)

    # What happens

    def event(self, event: QEvent) -> bool:
        """Tell about the moment under the pointer."""
        if isinstance(event, QHelpEvent) and self._moments:
            place = self._place_at(event.pos().x())
            words = moment_words(self._moments[place])
            QToolTip.showText(event.globalPos(), words, self)
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the moment that was clicked, and follow the pointer from there."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(True)
            self.setValue(self._place_at(event.position().x()))
            event.accept()
        else:
            event.ignore()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer while its button is held."""
        if self.isSliderDown():
            self.setValue(self._place_at(event.position().x()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Stay."""
        self.setSliderDown(False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left is always earlier and right later; keys that mean nothing here go on to the film."""
        if event.modifiers() & ~(Qt.KeyboardModifier.KeypadModifier | Qt.KeyboardModifier.ShiftModifier):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the page unless the timeline has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def _place_at(self, x: float) -> int:
        last = max(1, self.maximum())
        share = (x - _KNOB - 1) / max(1.0, self.width() - 2 * (_KNOB + 1))
        return round(min(max(share, 0.0), 1.0) * last)

    def _x_of(self, place: int) -> float:
        return _KNOB + 1 + place / max(1, self.maximum()) * (self.width() - 2 * (_KNOB + 1))

    def _describe(self) -> None:
        if self._moments:
            self.setAccessibleDescription(moment_words(self._moments[min(self.value(), len(self._moments) - 1)]))
        else:
            self.setAccessibleDescription(self.tr("No moments yet"))

    # Drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the line, the marks and the knob."""
        scheme = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left, right = self._x_of(0), self.width() - _KNOB - 1
        knob = self._x_of(self.value())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(scheme.border))
        painter.drawRoundedRect(QRectF(left, _GROOVE - 2, right - left, 4), 2, 2)
        if self.isEnabled():
            painter.setBrush(QColor(ACCENT))
            painter.drawRoundedRect(QRectF(left, _GROOVE - 2, knob - left, 4), 2, 2)
        for place, moment in enumerate(self._moments):
            x = self._x_of(place)
            self._draw_tick(painter, x)
            if moment.model is not None:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(scheme.accent_text))
                painter.drawRect(QRectF(x - _MODEL / 2, _GROOVE + 8.5, _MODEL, _MODEL))
            if moment.is_starred:
                _draw_star(painter, QPointF(x, _STAR + 0.5), QColor(scheme.warning))
            if moment.step == self._pinned:
                self._draw_flag(painter, x)
        painter.setPen(QPen(QColor(ACCENT if self.isEnabled() else scheme.outline), 2))
        painter.setBrush(QColor(ACCENT if self.hasFocus() else scheme.surface))
        painter.drawEllipse(QPointF(knob, _GROOVE), _KNOB - 1, _KNOB - 1)

    def _draw_tick(self, painter: QPainter, x: float) -> None:
        # Closer than this they would be a grey bar.
        if self.width() / max(1, self.maximum()) >= 2 * XS:
            painter.setPen(QPen(QColor(colours().outline), 1))
            painter.drawLine(QPointF(x, _GROOVE + 4), QPointF(x, _GROOVE + 7))

    def _draw_flag(self, painter: QPainter, x: float) -> None:
        colour = QColor(colours().text)
        painter.setPen(QPen(colour, 1.5))
        painter.drawLine(QPointF(x, 1), QPointF(x, _GROOVE))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        way = -1 if x > self.width() - 12 else 1
        painter.drawPolygon(QPolygonF([QPointF(x, 1), QPointF(x + way * 8, 4), QPointF(x, 7)]))


def _draw_star(painter: QPainter, middle: QPointF, colour: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawPolygon(QPolygonF([middle + QPointF(x, y) * _STAR for x, y in _STAR_POINTS]))
