"""Messages that stand in the page until they are dismissed: nobody is stopped by them."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import ACCENT, DANGER, XS, M, S
from cyclegan_desktop.widgets import button, plain_label

_MOST = 3


class MessageArea(QWidget):
    """The newest few messages, each with a button that dismisses it. Without any it takes no room."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("messages")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(S)
        self._messages: list[_Message] = []
        self.hide()

    @property
    def texts(self) -> list[str]:
        """What is shown, oldest first."""
        return [message.text for message in self._messages]

    def add(self, text: str, *, is_error: bool = False, details: str = "", below: QWidget | None = None) -> None:
        """Show a message.

        Args:
            text: Whole sentences; shown as typed.
            is_error: Whether work has failed.
            details: What a report about a bug needs; a button copies it.
            below: What stands below the words, such as buttons that mend it. It goes with the message.
        """
        if any(message.text == text for message in self._messages):
            if below is None:
                return
            # The same again, with buttons that belong to this time.
            self.take_back(text)
        message = _Message(text, is_error=is_error, details=details, below=below)
        message.close_button.clicked.connect(self._dismiss_sender)
        self._messages.append(message)
        self._layout.addWidget(message)
        message.show()
        while len(self._messages) > _MOST:
            self._dismiss(self._messages[0])
        self.show()

    def take_back(self, text: str) -> None:
        """Dismiss the message of this text, if it is still there."""
        for message in list(self._messages):
            if message.text == text:
                self._dismiss(message)

    def clear(self) -> None:
        """Dismiss every message."""
        for message in list(self._messages):
            self._dismiss(message)

    def _dismiss_sender(self) -> None:
        for message in list(self._messages):
            if message.close_button is self.sender():
                self._dismiss(message)

    def _dismiss(self, message: _Message) -> None:
        self._messages.remove(message)
        self._layout.removeWidget(message)
        message.hide()
        message.deleteLater()
        self.setVisible(bool(self._messages))


class _Message(QFrame):
    def __init__(self, text: str, *, is_error: bool, details: str, below: QWidget | None) -> None:
        super().__init__()
        self.text = text
        self._details = details
        self.setProperty("card", True)
        self.setObjectName("error_message" if is_error else "message")
        picture = QLabel()
        colour = QColor(DANGER if is_error else ACCENT)
        picture.setPixmap(icon("error" if is_error else "info", colour=colour).pixmap(QSize(20, 20)))
        words = plain_label(shown_paragraph(text), role="error" if is_error else "body", wrap=True)
        words.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.close_button = QToolButton()
        self.close_button.setObjectName("dismiss_message")
        self.close_button.setIcon(icon("close"))
        self.close_button.setToolTip(self.tr("Dismiss"))
        self.close_button.setAccessibleName(self.tr("Dismiss this message"))
        self.close_button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

        column = QVBoxLayout(self)
        column.setContentsMargins(M, XS, XS, XS)
        column.setSpacing(XS)
        layout = QHBoxLayout()
        layout.setSpacing(S)
        column.addLayout(layout)
        if below is not None:
            column.addWidget(below)
        layout.addWidget(picture)
        layout.addWidget(words, 1)
        if details:
            copy = button(self.tr("Copy &details"), "copy")
            copy.setObjectName("copy_details")
            copy.clicked.connect(self._copy)
            layout.addWidget(copy)
        layout.addWidget(self.close_button)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(f"{self.text}\n\n{self._details}")
