"""Tells someone who is elsewhere that work is done: once, and without stopping anybody."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from cyclegan_desktop.plain_text import shown_text

_SHOWN_MS = 10_000


class Notifier(QObject):
    """A message of the system where it has them; else the window's place in the task bar asks to be looked at."""

    def __init__(
        self,
        window: Callable[[], QWidget],
        parent: QObject | None = None,
        *,
        has_sound: Callable[[], bool] | None = None,
    ) -> None:
        """Make one.

        Args:
            window: Gives the window that the user may be looking at.
            parent: Its owner.
            has_sound: Whether the user wants to hear it as well, asked each time; None for never.
        """
        super().__init__(parent)
        self._has_sound = has_sound
        self._window = window
        self._tray: QSystemTrayIcon | None = None

    def tell(self, title: str, text: str) -> None:
        """Say something, unless the user is looking at the window.

        Args:
            title: A few words.
            text: A sentence.
        """
        window = self._window()
        if window.isActiveWindow():
            return
        QApplication.alert(window)
        if self._has_sound is not None and self._has_sound():
            QApplication.beep()
        if not (QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages()):
            return
        if self._tray is None:
            self._tray = QSystemTrayIcon(QApplication.windowIcon(), self)
            self._tray.messageClicked.connect(self._raise_window)
        self._tray.show()  # Only an icon that is shown can show a message.
        self._tray.showMessage(shown_text(title), shown_text(text), QApplication.windowIcon(), _SHOWN_MS)
        QTimer.singleShot(_SHOWN_MS, self._tray, self._tray.hide)

    def _raise_window(self) -> None:
        window = self._window()
        window.raise_()
        window.activateWindow()
