"""Exceptions that nobody expected: logged, and shown with all that a report needs, whichever thread they come from."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from types import TracebackType

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget
from shiboken6 import isValid

from cyclegan_desktop.logs import log_folder
from cyclegan_desktop.style import L, M, S
from cyclegan_desktop.widgets import button, plain_label
from engine import __version__

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 10.0
"""How long the same exception is only logged after its dialog was closed: it may come with every frame."""


class ErrorDialog(QDialog):
    """Says that something unexpected happened, with the details to copy."""

    def __init__(self, details: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("error_dialog")
        self.setWindowTitle(self.tr("Something unexpected happened"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(720, 420)
        self._more = 0

        title = plain_label(self.tr("Something unexpected happened"), role="title")
        text = plain_label(
            self.tr(
                "This is a fault of the app, not yours. Work that is saved is safe, and you can usually go on. "
                "The details below help whoever mends it; they are in the log as well: {folder}"
            ).format(folder=log_folder()),
            wrap=True,
        )
        self._count = plain_label(role="muted", wrap=True)
        self._count.hide()
        self._details = QPlainTextEdit(f"CycleGAN Desktop {__version__}\n{details}")
        self._details.setObjectName("error_details")
        self._details.setReadOnly(True)
        self._details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)

        copy = button(self.tr("&Copy the details"), "copy")
        copy.setObjectName("copy_details")
        copy.clicked.connect(self._copy)
        close = button(self.tr("Close"), primary=True)
        close.setObjectName("close_error")
        close.setDefault(True)
        close.clicked.connect(self.accept)
        buttons = QHBoxLayout()
        buttons.setSpacing(S)
        buttons.addWidget(copy)
        buttons.addStretch()
        buttons.addWidget(close)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(M)
        for widget in (title, text, self._count):
            layout.addWidget(widget)
        layout.addWidget(self._details, 1)
        layout.addLayout(buttons)

    def count_another(self) -> None:
        """Another exception came while this one is shown."""
        self._more += 1
        self._count.setText(self.tr("{n} more since then; they are in the log.").format(n=self._more))
        self._count.show()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._details.toPlainText())


class ErrorReporter(QObject):
    """Catches every exception that would otherwise vanish, and shows one dialog at a time.

    Signals:
        caught: The text of an exception; it crosses from any thread to the one that may show windows.
    """

    caught = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.dialog: ErrorDialog | None = None
        self._shown = ""
        self._closed_at = 0.0
        # Queued always: a dialog must not open in the middle of whatever has just failed.
        self.caught.connect(self._show, Qt.ConnectionType.QueuedConnection)

    def install(self) -> None:
        """Catch from now on what no one else catches, in every thread."""
        sys.excepthook = self._catch
        threading.excepthook = self._catch_in_thread

    def uninstall(self) -> None:
        """Leave exceptions to Python again: there is no window any more to show them in."""
        sys.excepthook = sys.__excepthook__
        threading.excepthook = threading.__excepthook__

    def _catch(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            QApplication.exit(130)
            return
        details = "".join(traceback.format_exception(kind, error, trace))
        logger.critical("An exception nobody expected\n%s", details)
        self.caught.emit(details)

    def _catch_in_thread(self, arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not issubclass(arguments.exc_type, SystemExit):
            self._catch(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)

    def _show(self, details: str) -> None:
        # The window that it belongs to may have closed and taken it along.
        if self.dialog is not None and isValid(self.dialog):
            self.dialog.count_another()
            return
        if details == self._shown and time.monotonic() - self._closed_at < _QUIET_SECONDS:
            return
        self._shown = details
        self.dialog = ErrorDialog(details, QApplication.activeWindow())
        self.dialog.finished.connect(self._forget)
        self.dialog.open()

    def _forget(self) -> None:
        self.dialog = None
        self._closed_at = time.monotonic()
