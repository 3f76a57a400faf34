"""Loads torch behind the window's back, so that the first training starts at once."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from functools import cache

logger = logging.getLogger(__name__)


def preload_engine() -> None:
    """Begin to import what training and converting need, in a thread. A second call does nothing."""
    if _thread().ident is None:
        _thread().start()


def leave(code: int) -> int:
    """The exit code, once Python may shut down.

    Shutting down in the middle of importing torch can crash, so in that case the process ends here and at once. By
    then everything is saved.
    """
    if _thread().is_alive():
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # None in a Windows app without a console.
                stream.flush()
        os._exit(code)
    return code


@cache
def _thread() -> threading.Thread:
    return threading.Thread(target=_import_engine, name="preload", daemon=True)


def _import_engine() -> None:
    start = time.monotonic()
    try:
        import engine.conversion.converter
        import engine.training.trainer  # noqa: F401
    except Exception:  # Whoever starts the first work gets it again, and shows it.
        logger.exception("The engine could not be loaded beforehand")
    else:
        logger.info("The engine was loaded in %.1f s", time.monotonic() - start)
