"""What came of an export, in one line of the Models page."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QToolButton

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import ACCENT, SUCCESS, M, S
from cyclegan_desktop.widgets import button, plain_label


class ExportOutcome(QFrame):
    """One line about an export: under way, or what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("export_outcome")
        self.setProperty("card", True)
        self.path: Path | None = None
        self._picture = QLabel()
        self._text = plain_label(wrap=True)
        self._text.setObjectName("export_text")
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self._busy = QProgressBar()
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setFixedWidth(120)
        self.reveal = button(self.tr("Show in folder"), "reveal")
        self.reveal.setObjectName("export_reveal")
        self._close = QToolButton()
        self._close.setObjectName("dismiss_export")
        self._close.setIcon(icon("close"))
        self._close.setToolTip(self.tr("Dismiss"))
        self._close.setAccessibleName(self.tr("Dismiss this message"))
        self._close.clicked.connect(self.hide)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(M, S, S, S)
        layout.setSpacing(S)
        layout.addWidget(self._picture)
        layout.addWidget(self._text, 1)
        for widget in (self._busy, self.reveal, self._close):
            layout.addWidget(widget)
        self.hide()

    def show_busy(self, text: str) -> None:
        """Say what is being written; "" takes the line away."""
        self._show(text, "save", None)
        self.setVisible(bool(text))

    def show_done(self, text: str, path: Path) -> None:
        """Say what was written, and where."""
        self._show(text, "check", path)

    def _show(self, text: str, picture: str, path: Path | None) -> None:
        self.path = path
        colour = QColor(ACCENT if path is None else SUCCESS)
        self._picture.setPixmap(icon(picture, colour=colour).pixmap(QSize(20, 20)))
        self._text.setText(shown_paragraph(text))
        self._busy.setVisible(path is None)
        self.reveal.setVisible(path is not None)
        self._close.setVisible(path is not None)
        self.show()
