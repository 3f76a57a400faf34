"""What covers the window with a few words."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from cyclegan_desktop.style import ACCENT, RADIUS, XS, L, colours


class Curtain(QWidget):
    """Covers the window with a few words; the mouse does not notice it."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.setObjectName("curtain")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._title = self._text = ""
        self._is_target = False
        self.hide()

    def show_words(self, title: str, text: str, *, is_target: bool = False) -> None:
        """Cover the window with these words; `is_target` draws the frame of a place to drop things."""
        self._title, self._text, self._is_target = title, text, is_target
        self.setGeometry(self._window.rect())
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw a veil, a frame and the words."""
        scheme = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(scheme.window)
        veil.setAlpha(242)
        painter.fillRect(self.rect(), veil)
        if self._is_target:
            painter.setPen(QPen(QColor(ACCENT), 2.5, Qt.PenStyle.DashLine))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(L, L, -L, -L), RADIUS, RADIUS)
        title = QFont(self.font())
        title.setPointSizeF(title.pointSizeF() * 1.8)
        title.setWeight(QFont.Weight.DemiBold)
        middle = QRectF(self.rect())
        painter.setPen(QColor(scheme.accent_text))
        painter.setFont(title)
        upper = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom
        painter.drawText(QRectF(0, 0, middle.width(), middle.height() / 2 - XS), upper, self._title)
        painter.setPen(QColor(scheme.muted))
        painter.setFont(self.font())
        lower = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
        painter.drawText(QRectF(0, middle.height() / 2 + XS, middle.width(), middle.height() / 2), lower, self._text)
        painter.end()
