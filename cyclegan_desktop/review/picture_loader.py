"""Reads pairs of pictures for the screen: in processes that may crash or hang, with the next pair ready beforehand."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from PySide6.QtCore import QObject, QRunnable, QSize, QThreadPool, Signal
from PySide6.QtGui import QImage

from cyclegan_desktop.picture_image import image_of
from cyclegan_desktop.review.shown_picture import ShownPicture, read_shown
from engine.data.workers import WorkerDiedError, Workers, WorkerTimeoutError
from engine.errors import EngineError

logger = logging.getLogger(__name__)

SCREEN_SIDE: Final = 2560
"""Longest side read for the screen, in pixels: enough for a window, small beside a 100 MP photo."""

_MOST_PIXELS: Final = 100_000_000
"""Pixels to which a larger picture is scaled down when all of it is wanted: 300 MB."""

_CACHE_BYTES: Final = 200_000_000
"""Memory for pictures at the size of a screen: some eight pairs of photographs."""

_SECONDS: Final = 90.0
"""Time for one picture, after which its process is killed: 100 MP take 6 s of an idle processor, and converting takes
most of it."""

_AT_ONCE: Final = 2
"""Pictures read at once: two, so that one that takes long does not keep the next one waiting."""

_POLL_SECONDS: Final = 0.02

ReadShown: TypeAlias = Callable[[Path, int], ShownPicture]
"""Reads a picture, scaled down to at most so many pixels a side."""


class Pool(Protocol):
    """What calls a function elsewhere: `Workers`, or an executor of threads."""

    def submit(self, function: ReadShown, path: Path, longest: int, /) -> Future[ShownPicture]:
        """Call it with these two; the future has what it returns or raises."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedPicture:
    """A picture for the view.

    Attributes:
        image: The picture, maybe scaled down.
        size: Width and height of the file in pixels.
    """

    image: QImage
    size: QSize


class PictureCache:
    """The pictures used last, as many as fit into `limit` bytes. A file that has changed since is not in it."""

    def __init__(self, limit: int = _CACHE_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._pictures: OrderedDict[Path, tuple[object, LoadedPicture]] = OrderedDict()
        self._used = 0

    @property
    def used(self) -> int:
        """Bytes of the pictures in it."""
        return self._used

    def get(self, path: Path, stamp: object) -> LoadedPicture | None:
        """The picture of a file whose time and size are still `stamp`."""
        with self._lock:
            found = self._pictures.get(path)
            if found is None or found[0] != stamp:
                return None
            self._pictures.move_to_end(path)
            return found[1]

    def put(self, path: Path, stamp: object, picture: LoadedPicture) -> None:
        """Keep a picture; those not used for longest give way."""
        with self._lock:
            self._forget(path)
            self._pictures[path] = stamp, picture
            self._used += picture.image.sizeInBytes()
            while self._used > self._limit:
                self._forget(next(iter(self._pictures)))

    def _forget(self, path: Path) -> None:
        old = self._pictures.pop(path, None)
        if old is not None:
            self._used -= old[1].image.sizeInBytes()


class PairLoader(QObject):
    """Reads pictures in the background, at first scaled down to what a screen can show.

    Signals:
        loaded: The ticket that `load` gave, a list of `LoadedPicture` (None for what could not be read), and a sentence
            about the first that could not be read, or "".
        full_loaded: The same for `load_full`.
    """

    loaded = Signal(int, list, str)
    full_loaded = Signal(int, list, str)

    def __init__(self, read: ReadShown = read_shown, pool: Pool | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._read = read
        workers: Workers | None = None
        if pool is None:
            pool = workers = Workers(_AT_ONCE, _SECONDS)
        self._pool = pool
        self.cache = PictureCache()
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(_AT_ONCE)
        # One only for all pixels, which take long: else those of pictures stepped past would keep the next one waiting.
        self._full_slot = threading.Semaphore(1)
        self._under_way: dict[tuple[Path, int], Future[LoadedPicture]] = {}
        self._newest = self._newest_full = 0
        # What to go on reading, though it may have been asked for by another ticket: the next pair, or the one before.
        self._wanted: frozenset[Path] = frozenset()
        self._wanted_full: frozenset[Path] = frozenset()
        # They wait only, also for a disk that does not answer.
        self._threads, self._ahead = QThreadPool(), QThreadPool()
        self._threads.setMaxThreadCount(4)
        self._ahead.setMaxThreadCount(1)
        self._end = _End(workers, self._threads, self._ahead)
        self.destroyed.connect(self._end.come)

    def load(self, paths: Sequence[Path]) -> int:
        """Read pictures for the screen; `loaded` follows unless another call comes first.

        Returns:
            The ticket by which to know them.
        """
        self.forget()
        self._wanted = frozenset(paths)
        ticket = self._newest
        self._end.start(self._threads, lambda: self._load(ticket, list(paths)))
        return ticket

    def load_full(self, pictures: Sequence[tuple[Path, QSize]]) -> int:
        """Read all pixels of pictures whose sizes are known; `full_loaded` follows unless another call comes first.

        Returns:
            The ticket by which to know them.
        """
        self.forget_full()
        self._wanted_full = frozenset(path for path, _ in pictures)
        ticket = self._newest_full
        self._end.start(self._threads, lambda: self._load_full(ticket, list(pictures)))
        return ticket

    def prefetch(self, shown: Iterable[Path], ahead: Iterable[Path]) -> None:
        """Read pictures that may be wanted next, one after the other, beside those that are shown."""
        paths = list(ahead)
        self._wanted = frozenset([*shown, *paths])
        ticket = self._newest
        self._end.start(self._ahead, lambda: self._prefetch(ticket, paths))

    def forget(self) -> None:
        """Want nothing of what is being read."""
        self._newest += 1
        self._wanted = frozenset()
        self.forget_full()

    def forget_full(self) -> None:
        """Want no more than what a screen shows."""
        self._newest_full += 1
        self._wanted_full = frozenset()

    def close(self) -> None:
        """Want nothing from now on, and wait until nothing is waited for."""
        self.forget()
        self._end.come()

    def wait(self) -> None:
        """Wait until nothing is being read."""
        self._threads.waitForDone()
        self._ahead.waitForDone()

    # In threads

    def _load(self, ticket: int, paths: list[Path]) -> None:
        pictures, problem = self._read_all(
            [(path, SCREEN_SIDE) for path in paths], lambda path: ticket == self._newest or path in self._wanted
        )
        if ticket == self._newest:
            with suppress(RuntimeError):  # The window may be gone by now.
                self.loaded.emit(ticket, pictures, problem)

    def _load_full(self, ticket: int, wanted: list[tuple[Path, QSize]]) -> None:
        pictures: list[LoadedPicture | None] = []
        problem = ""
        # One after the other: decoding 100 MP takes 2 GB.
        for path, size in wanted:
            one, sentence = self._read_all([(path, _full_side(size))], lambda path: path in self._wanted_full)
            pictures += one
            problem = problem or sentence
        if ticket == self._newest_full:
            with suppress(RuntimeError):
                self.full_loaded.emit(ticket, pictures, problem)

    def _prefetch(self, ticket: int, paths: list[Path]) -> None:
        for path in paths:
            if ticket != self._newest:
                return
            # What is wrong with it is told when it is shown.
            self._read_all([(path, SCREEN_SIDE)], lambda path: path in self._wanted)

    def _read_all(
        self, wanted: list[tuple[Path, int]], is_wanted: Callable[[Path], bool]
    ) -> tuple[list[LoadedPicture | None], str]:
        """The pictures, side by side in the pool; None for what cannot be read or is no longer wanted."""

        def is_still_wanted(path: Path) -> bool:
            return not self._end.has_come and is_wanted(path)

        begun = [self._begin(path, longest, is_still_wanted) for path, longest in wanted]
        pictures: list[LoadedPicture | None] = []
        problem = ""
        for (path, _), future in zip(wanted, begun, strict=True):
            picture: LoadedPicture | None = None
            try:
                if isinstance(future, LoadedPicture):
                    picture = future
                elif future is not None and _is_done(future, partial(is_still_wanted, path)):
                    picture = future.result()
            except CancelledError:  # The pool was closed: the window has gone.
                pass
            except Exception as error:  # Whatever a decoder raises, the window stays.
                if not isinstance(error, EngineError):
                    logger.warning("Could not show %s: %r", path, error)
                problem = problem or _sentence(path, error)
            pictures.append(picture)
        return pictures, problem

    def _begin(
        self, path: Path, longest: int, is_wanted: Callable[[Path], bool]
    ) -> LoadedPicture | Future[LoadedPicture] | None:
        """The picture from the cache, or what will have it; None if it is wanted no longer.

        No more is begun than is done at once: so what is stepped past keeps nothing waiting, and what has begun is
        never for nothing.
        """
        stamp = _stamp(path)
        while True:
            if longest == SCREEN_SIDE and (cached := self.cache.get(path, stamp)) is not None:
                return cached
            with self._lock:
                future = self._under_way.get((path, longest))
                is_new = future is None and is_wanted(path) and self._take_slot(longest)
                if is_new:
                    future = self._under_way[path, longest] = Future()
            if is_new and future is not None:
                self._submit(path, longest, stamp, future)
            if future is not None or not is_wanted(path):
                return future
            time.sleep(_POLL_SECONDS)

    def _take_slot(self, longest: int) -> bool:
        if longest != SCREEN_SIDE and not self._full_slot.acquire(blocking=False):
            return False
        if self._slots.acquire(blocking=False):
            return True
        if longest != SCREEN_SIDE:
            self._full_slot.release()
        return False

    def _give_slot(self, longest: int) -> None:
        self._slots.release()
        if longest != SCREEN_SIDE:
            self._full_slot.release()

    def _submit(self, path: Path, longest: int, stamp: object, loaded: Future[LoadedPicture]) -> None:
        """Have a picture read; `loaded` gets it, and the cache if it is for the screen."""

        def finish(read: Future[ShownPicture]) -> None:
            try:
                shown = read.result()
                picture = LoadedPicture(image_of(shown.pixels), QSize(*shown.size))
                if longest == SCREEN_SIDE and stamp is not None:
                    self.cache.put(path, stamp, picture)
                loaded.set_result(picture)
            except Exception as error:
                loaded.set_exception(error)
            finally:
                with self._lock:
                    del self._under_way[path, longest]
                self._give_slot(longest)

        try:
            read = self._pool.submit(self._read, path, longest)
        except RuntimeError:  # The pool was closed.
            read = Future()
            read.set_exception(CancelledError())
        read.add_done_callback(finish)


def _is_done(future: Future[LoadedPicture], is_wanted: Callable[[], bool]) -> bool:
    """Wait for a picture; False if it is wanted no longer."""
    while not wait([future], _POLL_SECONDS).done:
        if not is_wanted():
            return False
    return True


def _full_side(size: QSize) -> int:
    """The longest side to read all pixels with, or as many as memory may hold."""
    share = math.sqrt(min(1.0, _MOST_PIXELS / max(1, size.width() * size.height())))
    # Not the number that means a picture for the screen; a smaller picture comes as it is.
    return max(math.floor(max(size.width(), size.height()) * share), SCREEN_SIDE + 1)


def _stamp(path: Path) -> object:
    """What changes when the file does; None if there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # Reading it has the sentence.
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _sentence(path: Path, error: Exception) -> str:
    match error:
        case EngineError():
            return str(error)
        case WorkerTimeoutError():
            return f"{path.name} takes longer than {_SECONDS:g} s to open, so it is not shown."
        case WorkerDiedError():
            return (
                f"{path.name} cannot be shown: the decoder crashed, or took more memory than there is. "
                "Copy it again from its source, or close other programs."
            )
        case MemoryError():
            return f"There is too little memory to show {path.name}. Close other programs and try again."
    return str(error) or type(error).__name__


class _End:
    """Ends the reading, also where nobody has said so before Qt destroys the loader.

    The destructor of a `QThreadPool` would wait with Python's lock in its hands, for threads that need it.
    """

    def __init__(self, workers: Workers | None, *pools: QThreadPool) -> None:
        self._workers = workers
        self._pools = pools
        self.has_come = False

    def start(self, pool: QThreadPool, work: Callable[[], None]) -> None:
        """Do this in a thread of one of the pools, unless the end has come."""
        if not self.has_come:
            pool.start(_Task(work))

    def come(self) -> None:
        """Cancel what is being read, and wait for the threads."""
        self.has_come = True
        if self._workers is not None:
            self._workers.close()
        for pool in self._pools:
            with suppress(RuntimeError):  # At the end of the process Qt may have destroyed it already.
                pool.waitForDone()


class _Task(QRunnable):
    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self._work = work

    def run(self) -> None:
        self._work()
