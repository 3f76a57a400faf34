"""Loads the pages and torch behind the window's back: it is there at once, and the first training begins at once."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

# The last is imported by the first optimizer, which takes as long as torch itself.
_MODULES = ("engine.conversion.converter", "engine.training.trainer", "torch._dynamo")


_threads: list[threading.Thread] = []


def in_background(work: Callable[[], None]) -> None:
    """Begin to import something, in a thread that keeps nobody from leaving."""
    thread = threading.Thread(target=work, name="preload", daemon=True)
    _threads.append(thread)
    thread.start()


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
    # As torch does it: the first finds the others and lets them be found.
    for name, flags in (("libtorch_global_deps.so", os.RTLD_NOW | os.RTLD_GLOBAL), ("libtorch_python.so", os.RTLD_NOW)):
        if not load(os.fsencode(libraries / name), flags):
            return
