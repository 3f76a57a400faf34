"""A sentence that stands in the page with buttons for what can be done about it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import ACCENT, XS, M, S
from cyclegan_desktop.widgets import button, plain_label


class Offer(QFrame):
    """One sentence at a time; hidden without one. Each of its buttons also takes it away.

    Signals:
        dismissed: The user has closed it without a choice.
    """

    dismissed = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setProperty("card", True)
        sign = QLabel()
        sign.setPixmap(icon("info", colour=QColor(ACCENT)).pixmap(QSize(20, 20)))
        self._words = plain_label(wrap=True)
        self._words.setObjectName(f"{name}_words")
        self._buttons: list[QPushButton] = []
        self._close = QToolButton()
        self._close.setObjectName(f"{name}_close")
        self._close.setIcon(icon("close"))
        self._close.setToolTip(self.tr("Not now"))
        self._close.setAccessibleName(self.tr("Not now"))
        self._close.clicked.connect(self._dismiss)
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(M, XS, XS, XS)
        self._layout.setSpacing(S)
        self._layout.addWidget(sign)
        self._layout.addWidget(self._words, 1)
        self._layout.addWidget(self._close)
        self.hide()

    @property
    def text(self) -> str:
        """What is offered, "" for nothing."""
        return self._words.text()

    def make(self, text: str, *choices: tuple[str, Callable[[], None]]) -> None:
        """Offer something.

        Args:
            text: One or more whole sentences.
            choices: The words of each button and what it does.
        """
        self.take_back()
        self._words.setText(shown_paragraph(text))
        for place, (words, act) in enumerate(choices):
            made = button(words)
            made.setObjectName(f"{self.objectName()}_{place}")
            made.clicked.connect(lambda _checked=False, act=act: self._choose(act))
            self._layout.insertWidget(self._layout.count() - 1, made)
            self._buttons.append(made)
        self.show()

    def take_back(self) -> None:
        """Offer nothing."""
        for made in self._buttons:
            self._layout.removeWidget(made)
            made.hide()
            made.setObjectName("")  # Until it is gone, another may have come by that name.
            made.deleteLater()
        self._buttons.clear()
        self._words.clear()
        self.hide()

    def _dismiss(self) -> None:
        self.take_back()
        self.dismissed.emit()

    def _choose(self, act: Callable[[], None]) -> None:
        self.take_back()
        act()
