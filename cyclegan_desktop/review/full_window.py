"""A comparison over the whole screen, on a dark ground."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeyEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from cyclegan_desktop.style import ACCENT, DARK, S


class FullWindow(QWidget):
    """A window without a frame for one widget, which goes back to where it came from when Esc closes the window.

    Signals:
        closed: The widget is to be taken back.
    """

    closed = Signal()

    def __init__(self, contents: QWidget, parent: QWidget) -> None:
        # A window of its parent, so that it ends with it and does not keep the app running.
        super().__init__(parent, Qt.WindowType.Window | Qt.WindowType.FramelessWindowHint)
        self.setObjectName("full_window")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(_style_sheet())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(S, S, S, S)
        layout.addWidget(contents)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc closes it."""
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Give the widget back."""
        self.closed.emit()
        super().closeEvent(event)


def _style_sheet() -> str:
    """The dark colours whatever the scheme is: a bright frame would change how a picture looks."""
    return f"""
#full_window {{ background: {DARK.picture}; }}
QLabel {{ color: {DARK.text}; }}
QLabel[role="muted"] {{ color: {DARK.muted}; }}
QLabel[role="error"] {{ color: {DARK.danger}; }}
QToolButton {{ color: {DARK.text}; }}
QToolButton:hover {{ background: {DARK.hover}; }}
QToolButton:pressed {{ background: {DARK.border}; }}
QToolButton:checked {{ background: {DARK.accent_soft}; }}
QToolButton:focus {{ border-color: {ACCENT}; }}
QToolButton:disabled {{ color: {DARK.disabled}; }}
"""
