"""Nothing is printed and no warning escapes while a picture is read."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator

# Pillow logs some damage as errors, and Python prints what no handler takes. An app that has handlers still gets it.
for _library in ("PIL", "tifffile"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


class _PillowWarnings:
    """Counts who wants Pillow's warnings silenced: `warnings.catch_warnings` alone mixes up threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._saved = warnings.catch_warnings()

    @contextlib.contextmanager
    def silenced(self) -> Iterator[None]:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
                warnings.filterwarnings("ignore", module=r"engine\.data\.")
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._saved.__exit__(None, None, None)


quiet = _PillowWarnings().silenced
"""A context without warnings of what reads pictures."""

_stderr_lock = threading.Lock()


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Lead file descriptor 2 nowhere: while it decodes, libtiff writes its complaints straight to it."""
    with _stderr_lock:
        try:
            saved = os.dup(2)
        except OSError:  # A windowed app may have none.
            yield
            return
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
