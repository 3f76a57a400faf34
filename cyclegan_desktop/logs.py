"""The log: a few rotating files where this system keeps logs, with what Qt says and how a crash came about."""

from __future__ import annotations

import faulthandler
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

import platformdirs
from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler, qVersion

from cyclegan_desktop.settings import APP_NAME

logger = logging.getLogger(__name__)

_MAX_BYTES = 1_000_000
_OLD_FILES = 4

_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


def log_folder() -> Path:
    """Where the log files are."""
    return platformdirs.user_log_path(APP_NAME, appauthor=False)


class Log:
    """Writes the log from when it is made until it is closed.

    A folder that cannot be written to costs the log, not the start.
    """

    def __init__(self) -> None:
        self._handler: RotatingFileHandler | None = None
        self._crashes: TextIO | None = None
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        try:
            folder = log_folder()
            folder.mkdir(parents=True, exist_ok=True)
            self._handler = RotatingFileHandler(
                folder / "cyclegan-desktop.log",
                maxBytes=_MAX_BYTES,
                backupCount=_OLD_FILES,
                encoding="utf-8",
                # Names of files need not be valid text.
                errors="backslashreplace",
            )
            # Open all the time: a crash has no time to open a file.
            self._crashes = (folder / "crash.log").open("a", encoding="utf-8")
        except OSError as error:
            self.close()
            logger.warning("No log is written: %s", error)
            return
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(self._handler)
        faulthandler.enable(self._crashes)
        qInstallMessageHandler(_log_qt_message)

    def name_versions(self) -> None:
        """Write what runs here, which takes a moment to find out."""
        import platform

        from engine import __version__

        python = platform.python_version()
        logger.info("%s %s, Python %s, Qt %s, %s", APP_NAME, __version__, python, qVersion(), platform.platform())

    def close(self) -> None:
        """Write no more, and give Qt its own message handler back: ours cannot be called once Python shuts down."""
        if self._handler is None:
            return
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        self._handler = None
        if self._crashes is not None:
            qInstallMessageHandler(None)
            faulthandler.disable()
            self._crashes.close()
            self._crashes = None


def _log_qt_message(kind: QtMsgType, context: QMessageLogContext, message: str) -> None:
    logging.getLogger("qt").log(_LEVELS.get(kind, logging.WARNING), message)
