"""The start: the window first, then its pages, then torch.

Whatever is imported here keeps the window waiting: nothing of the pages, no numpy, no Pillow.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QSocketNotifier, Signal
from PySide6.QtWidgets import QApplication

from cyclegan_desktop.main_window import MainWindow
from cyclegan_desktop.preload import in_background
from cyclegan_desktop.qt_probe import explained
from cyclegan_desktop.settings import APP_NAME, Settings

if TYPE_CHECKING:
    from cyclegan_desktop.app import App
    from cyclegan_desktop.logs import Log

logger = logging.getLogger(__name__)


def make_application() -> QApplication:
    """The one QApplication, set up."""
    qapp = _start_qt()
    _dress(qapp)
    return qapp


def _start_qt() -> QApplication:
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        qapp = existing
    else:
        with explained():
            qapp = QApplication([APP_NAME])
    if os.name == "posix":
        import locale

        # Qt takes over the user's locale, in which C libraries may write 0,5 into files.
        locale.setlocale(locale.LC_NUMERIC, "C")
    qapp.setApplicationName(APP_NAME)
    qapp.setDesktopFileName("cyclegan-desktop")
    # The window may stay for a failure to be read, and then closing is not the end.
    qapp.setQuitOnLastWindowClosed(False)
    return qapp


def _dress(qapp: QApplication) -> None:
    from cyclegan_desktop.icons import icon
    from cyclegan_desktop.style import apply_style

    qapp.setWindowIcon(icon("app"))
    apply_style(qapp)


def build_app(settings: Settings | None = None, window: MainWindow | None = None) -> App:
    """The app, ready to be shown, with a QApplication if there is none yet.

    Args:
        settings: None takes those in the system's place for them.
        window: It gets the pages; None makes one.
    """
    from cyclegan_desktop.app import App

    make_application()
    return App(settings or Settings.load(), window)


def run(
    paths: Sequence[Path] = (),
    *,
    settings: Settings | None = None,
    begin: Callable[[App], object] | None = None,
) -> int:
    """Run the app until its window is closed.

    Args:
        paths: Files and folders to open.
        settings: None takes those in the system's place for them.
        begin: Called with the app once it is whole.

    Returns:
        The exit code of the process.
    """
    qapp = _start_qt()
    settings = settings or Settings.load()
    window = MainWindow(settings)
    window.closed.connect(qapp.quit)
    furnisher = _Furnisher(qapp, window, settings, paths, begin)
    # Only now: until the window is drawn, in the system's colours, nothing else is done.
    window.painted.connect(furnisher.start)
    window.show()
    code = qapp.exec()
    furnisher.close()
    return code


class _Furnisher(QObject):
    """Loads what the pages are made of while the window is there already, and then makes the app of both.

    Signals:
        loaded: It is loaded, or this exception came instead; from the thread that loads to the window's.
    """

    loaded = Signal(object)

    def __init__(
        self,
        qapp: QApplication,
        window: MainWindow,
        settings: Settings,
        paths: Sequence[Path],
        begin: Callable[[App], object] | None,
    ) -> None:
        super().__init__()
        self._qapp = qapp
        self._window = window
        self._settings = settings
        self._paths = list(paths)
        self._begin = begin
        self._app: App | None = None
        self._log: Log | None = None
        self._signals: _Signals | None = None
        self.loaded.connect(self._furnish)

    def start(self) -> None:
        """Begin to load, and show meanwhile what needs no pages."""
        from cyclegan_desktop.logs import Log

        self._log = Log()
        self._signals = _Signals(self._window)
        in_background(self._load)
        _dress(self._qapp)
        self._window.add_sidebar()

    def close(self) -> None:
        """Signals, exceptions and Qt's messages are Python's and Qt's own again."""
        if self._signals is not None:
            self._signals.close()
        if self._app is not None:
            self._app.errors.uninstall()
        if self._log is not None:
            self._log.close()

    def _load(self) -> None:
        try:
            import_module("cyclegan_desktop.app")
        except Exception as error:
            self.loaded.emit(error)
        else:
            self.loaded.emit(None)

    def _furnish(self, error: Exception | None) -> None:
        if not self._window.isVisible():
            return  # Closed before it had anything to show.
        try:
            if error is not None:
                raise error
            self._app = app = build_app(self._settings, self._window)
        except Exception:
            # Nobody may see a terminal.
            logger.critical("The app could not start", exc_info=True)
            _show_failure()
            QApplication.exit(1)
            return
        app.errors.install()
        app.show()
        if self._log is not None:
            self._log.name_versions()
        if self._paths:
            app.open_paths(self._paths)
        if self._begin is not None:
            self._begin(app)


def _show_failure() -> None:
    import traceback

    from cyclegan_desktop.error_dialog import ErrorDialog

    ErrorDialog(traceback.format_exc()).exec()


class _Signals(QObject):
    """Ctrl-C and SIGTERM close the window like the user does, saving what runs, without asking.

    Python runs its own signal handlers between two of its instructions, and in Qt's event loop there are none. So the
    signal wakes the loop through a socket.
    """

    def __init__(self, window: MainWindow) -> None:
        import socket

        super().__init__(window)
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self._old_descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._old_handlers = {
            number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)
        }
        self._notifier = QSocketNotifier(self._reader.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._wake)
        self._window = window

    def close(self) -> None:
        """Handle signals as before."""
        self._notifier.setEnabled(False)
        signal.set_wakeup_fd(self._old_descriptor)
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def _wake(self) -> None:
        self._reader.recv(1024)
        self._window.stop_and_close()
