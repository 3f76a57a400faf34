"""The start: the window first, then what its first page says, then its pages, then plots and torch.

Whatever is imported here keeps the window waiting: nothing of the pages, no numpy, no Pillow.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QSocketNotifier, QTimer, Signal
from PySide6.QtWidgets import QApplication

from cyclegan_desktop.first_colour import use_first_colour
from cyclegan_desktop.main_window import MainWindow
from cyclegan_desktop.preload import in_background, load_pages, load_plots, preload_engine
from cyclegan_desktop.qt_probe import explained
from cyclegan_desktop.settings import APP_NAME, Settings

if TYPE_CHECKING:
    from cyclegan_desktop.app import App, Pages
    from cyclegan_desktop.logs import Log

logger = logging.getLogger(__name__)

_BREATH_MILLISECONDS = 2


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


def build_app(settings: Settings | None = None, window: MainWindow | None = None, pages: Pages | None = None) -> App:
    """The app, ready to be shown, with a QApplication if there is none yet.

    Args:
        settings: None takes those in the system's place for them.
        window: It gets the pages; None makes one.
        pages: They; None makes them.
    """
    from cyclegan_desktop.app import App

    if pages is None:
        make_application()
    return App(settings or Settings.load(), window, pages)


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
    use_first_colour(qapp)
    window = MainWindow(settings)
    window.closed.connect(qapp.quit)
    furnisher = _Furnisher(qapp, window, settings, paths, begin)
    # Only now: until the window is drawn, in one colour, nothing else is done.
    window.painted.connect(furnisher.start)
    window.show()
    code = qapp.exec()
    furnisher.close()
    return code


class _Furnisher(QObject):
    """Loads what the pages are made of while the window is there already, and then makes the app of both.

    Signals:
        loaded: What was asked for is imported, or this exception came instead; from the thread that imports.
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
        self._is_training_wanted = False
        self._steps = self._furnish()
        self.loaded.connect(self._take_step)
        window.welcomed.connect(self._take_step)
        window.training_wanted.connect(self._want_training)

    def start(self) -> None:
        """Show at once what needs no pages, then load those."""
        _dress(self._qapp)
        QTimer.singleShot(_BREATH_MILLISECONDS, self._greet)

    def _greet(self) -> None:
        if self._paths:
            # Which page they are for is not known yet.
            self._window.add_sidebar()
            QTimer.singleShot(_BREATH_MILLISECONDS, self._take_step)
        else:
            self._window.show_welcome()

    def close(self) -> None:
        """Signals, exceptions and Qt's messages are Python's and Qt's own again."""
        if self._signals is not None:
            self._signals.close()
        if self._app is not None:
            self._app.errors.uninstall()
        if self._log is not None:
            self._log.close()

    def _furnish(self) -> Generator[Callable[[], None] | None, None, None]:
        """Make everything, step by step. In between the thread is left to the window's user.

        Each step is short, and nothing else is imported meanwhile that would make it longer: what a step yields is done
        in another thread before the next one.
        """
        from cyclegan_desktop.logs import Log

        self._log = Log()
        self._signals = _Signals(self._window)
        yield load_pages
        from cyclegan_desktop.app import make_pages

        making = make_pages()
        while True:
            try:
                next(making)
            except StopIteration as made:
                pages: Pages = made.value
                break
            yield None
        yield None
        self._app = app = build_app(self._settings, self._window, pages)
        app.errors.install()
        app.show()
        if self._paths:
            app.open_paths(self._paths)
        if self._is_training_wanted:
            app.training.new_training()
        yield self._log.name_versions
        yield load_plots
        for _ in app.training.make_plots():
            yield None
        # The last plot is drawn before anything else begins.
        yield None
        preload_engine()
        yield None
        if self._begin is not None:
            self._begin(app)

    def _take_step(self, error: Exception | None = None) -> None:
        if not self._window.isVisible():
            return  # Closed before it had anything to show.
        try:
            awaited = self._steps.throw(error) if error is not None else next(self._steps)
        except StopIteration:
            return
        except Exception:
            # Nobody may see a terminal.
            logger.critical("The app could not start", exc_info=True)
            _show_failure()
            QApplication.exit(1)
            return
        if awaited is not None:
            in_background(partial(self._load, awaited))
        else:
            # A timer of 0 would be called again and again, before anything else that waits.
            QTimer.singleShot(_BREATH_MILLISECONDS, self._take_step)

    def _load(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self.loaded.emit(error)
        else:
            self.loaded.emit(None)

    def _want_training(self) -> None:
        self._is_training_wanted = True


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
