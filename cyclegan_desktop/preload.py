"""Loads the pages and torch behind the window's back: it is there at once, and the first training begins at once."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import get_args

logger = logging.getLogger(__name__)

# The last is imported by the first optimizer, which takes as long as torch itself.
_MODULES = ("engine.conversion.converter", "engine.training.trainer", "torch._dynamo")


_threads: list[threading.Thread] = []


def in_background(work: Callable[[], None]) -> None:
    """Begin to import something, in a thread that keeps nobody from leaving."""
    thread = threading.Thread(target=work, name="preload", daemon=True)
    _threads.append(thread)
    thread.start()


def load_pages() -> None:
    """Import all that the pages are made of."""
    importlib.import_module("cyclegan_desktop.app")
    from engine.config import OutputFormat
    from engine.data.writing import can_write

    # Pillow loads its parts for all kinds of files when it is first asked, which the Convert page does.
    for format in get_args(OutputFormat):
        can_write(format)


def load_plots() -> None:
    """Import pyqtgraph and what draws with it."""
    importlib.import_module("cyclegan_desktop.training.plots")


@cache
def preload_engine() -> None:
    """Begin to import what training and converting need. A second call does nothing."""
    in_background(_import_engine)


def leave(code: int) -> int:
    """The exit code, once Python may shut down.

    Shutting down in the middle of importing torch can crash, so in that case the process ends here and at once. By
    then everything is saved.
    """
    if any(thread.is_alive() for thread in _threads):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # None in a Windows app without a console.
                stream.flush()
        os._exit(code)
    return code


def _import_engine() -> None:
    start = time.monotonic()
    try:
        with _no_collections():
            _load_libraries()
            for name in _MODULES:
                importlib.import_module(name)
    except Exception:  # Whoever starts the first work gets it again, and shows it.
        logger.exception("The engine could not be loaded beforehand")
    else:
        logger.info("The engine was loaded in %.1f s", time.monotonic() - start)


@contextmanager
def _no_collections() -> Iterator[None]:
    """Look for no garbage meanwhile, and never again among what is there at the end.

    An import makes hundreds of thousands of objects that stay. Each look at all of them would keep the window waiting
    for up to 0.2 s, now and whenever a training makes garbage later.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _load_libraries() -> None:
    """Load torch's libraries, some GB with CUDA, while Python runs on in the window's thread.

    `import torch` would hold Python's lock meanwhile, but not on Windows; a function called through ctypes never does.
    Where this fails, torch loads them itself, or says better what is wrong.
    """
    import ctypes
    import importlib.util

    spec = importlib.util.find_spec("torch")
    if sys.platform != "linux" or spec is None or spec.origin is None:
        return
    libraries = Path(spec.origin).parent / "lib"
    load = ctypes.CDLL(None).dlopen
    load.argtypes, load.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    with _torch_kept_waiting():
        # As torch does it: the first finds the others and lets them be found.
        for name, flags in (
            ("libtorch_global_deps.so", os.RTLD_NOW | os.RTLD_GLOBAL),
            ("libtorch_python.so", os.RTLD_NOW),
        ):
            if not load(os.fsencode(libraries / name), flags):
                return


@contextmanager
def _torch_kept_waiting() -> Iterator[None]:
    """Other threads that import torch meanwhile wait for this to end.

    A thread that loaded the same libraries itself would wait for them with Python's lock in its hand, and with it the
    window.
    """
    finder = _WaitingFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        finder.is_over.set()


class _WaitingFinder(MetaPathFinder):
    """Finds torch as always, but not to be loaded before its time."""

    def __init__(self) -> None:
        self.is_over = threading.Event()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Leave all but torch to the other finders."""
        if fullname != "torch":
            return None
        # To wait here would keep all imports of all threads waiting.
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _WaitingLoader(spec.loader, self.is_over)
        return spec


class _WaitingLoader(Loader):
    """Waits, and then leaves everything to the module's own loader."""

    def __init__(self, own: Loader, is_over: threading.Event) -> None:
        self._own = own
        self._is_over = is_over

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Wait for the time to load it; the module's own loader goes on from here."""
        self._is_over.wait()
        spec.loader = self._own
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Never called: the module's own loader does this. An import asks whether it is there."""
        raise NotImplementedError
