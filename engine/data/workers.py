"""A few processes that do what may hang, crash or grow fat: a thread cannot be ended, a process can. Imports no torch.

They are started with Python's interpreter and talk through their standard input and output. Unlike those of
`multiprocessing` they never import the program that started them, so that any program may use them, also one without
`if __name__ == "__main__"`, and they leave no helper process behind. Why not its pool: it has no time limit that ends
the work, and waits for ever for a result that died with its process.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

_T = TypeVar("_T")
_Part = bytes | memoryview

WORKER_ARGUMENT = "--picture-worker"
"""What a frozen app, which cannot be asked to run a line of Python, is called with to be a worker: its entry calls
`serve_if_asked` before anything else."""

_SERVE = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "import json, sys; sys.path[:] = json.loads(sys.argv[1])\n"
    "from engine.data.workers import serve; serve(sys.argv[2])"
)

# A cold disk, a virus scanner and a busy machine together; a task's own time is counted from when it begins.
_START_SECONDS = 120.0
_WATCH_SECONDS = 0.1
# A process that outlives its program, at work in a library that lets no other thread run, ends itself after this more.
_GRACE_SECONDS = 30.0
# Memory that a process may keep after a task. A fresh one has 60 MB with Pillow and its plugins.
_MOST_KEPT_BYTES = 300_000_000

_HEADER = struct.Struct("<QQ")
_BEGUN, _RESULT, _ERROR, _LAST_RESULT = range(4)


class WorkerTimeoutError(Exception):
    """A task took longer than it may. Its process was killed."""


class WorkerDiedError(Exception):
    """The process of a task has crashed, or was killed by the system for its memory."""


class NoWorkerError(Exception):
    """No process could be started for a task, which is no fault of the task's."""


class Workers:
    """A pool of processes, started with the first task or by `start`; as a context manager it is closed at the end.

    Their standard output and error lead nowhere, Ctrl-C does not reach them, and they end with the program that made
    them, however that ends. One that has crashed, taken too long or grown fat is replaced by a fresh one.

    Args:
        count: How many.
        time_limit: Seconds that a task may take.
        one_thread: Whether numerical libraries there keep to one thread each, as many processes should that read
            pictures; False leaves them what they have in this process.
        ready_for: The module of the functions that they will be given, which they import at once; "" for when they are
            given one.
    """

    def __init__(self, count: int, time_limit: float, *, one_thread: bool = True, ready_for: str = "") -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Any], list[_Part]] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._new_slot = partial(_Slot, self._tasks, self._closing, time_limit, one_thread, ready_for)
        self._slots = [self._new_slot() for _ in range(count)]
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the processes, which get ready meanwhile; does not wait for them."""
        with self._starting:
            if self._threads or self._closing.is_set():
                return
            self._threads = [threading.Thread(target=slot.run, daemon=True) for slot in self._slots]
            self._threads.append(threading.Thread(target=self._watch, daemon=True))
            for thread in self._threads:
                thread.start()

    def grow(self, count: int) -> None:
        """Have so many processes from now on, if there are fewer."""
        with self._starting:
            more = [] if self._closing.is_set() else [self._new_slot() for _ in range(count - len(self._slots))]
            self._slots = [*self._slots, *more]
            if self._threads:
                threads = [threading.Thread(target=slot.run, daemon=True) for slot in more]
                self._threads += threads
                for thread in threads:
                    thread.start()

    def submit(self, function: Callable[..., _T], *args: Any) -> Future[_T]:
        """Have a function of a module called in one of the processes.

        Arrays cross without being copied into a pickle. Canceling the future drops the result but not the work.

        Args:
            function: Found by its module and name there.
            args: Anything that can be pickled.

        Returns:
            Raises what the function raised; `WorkerTimeoutError` if it took longer than the time limit;
            `WorkerDiedError` if its process ended, for example since the memory ran out; `NoWorkerError` if none
            could be started.

        Raises:
            RuntimeError: The pool is closed.
        """
        if self._closing.is_set():
            raise RuntimeError("the workers are closed")
        self.start()
        future: Future[_T] = Future()
        self._tasks.put((future, _pickled((function, args))))
        return future

    def close(self) -> None:
        """Kill the processes at once, whatever they are doing, and cancel what is not done."""
        with self._starting:
            self._closing.set()
        for slot in self._slots:
            slot.kill()
        for _ in self._slots:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        with contextlib.suppress(queue.Empty):
            while True:
                task = self._tasks.get_nowait()
                if task is not None:
                    task[0].cancel()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _watch(self) -> None:
        while not self._closing.wait(_WATCH_SECONDS):
            for slot in self._slots:
                slot.kill_if_late()


class _Slot:
    """One place in the pool: a process, and the thread that talks with it."""

    def __init__(
        self,
        tasks: queue.SimpleQueue[tuple[Future[Any], list[_Part]] | None],
        closing: threading.Event,
        time_limit: float,
        one_thread: bool,
        ready_for: str,
    ) -> None:
        self._tasks = tasks
        self._closing = closing
        self._time_limit = time_limit
        self._one_thread = one_thread
        self._ready_for = ready_for
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = float("inf")
        self._is_late = False
        self._has_begun = False

    def run(self) -> None:
        """Do tasks until the pool is closed."""
        try:
            while not self._closing.is_set():
                with contextlib.suppress(OSError):  # Said again, and told, with the next task.
                    self._ready_process()
                task = self._tasks.get()
                if task is not None:
                    self._do(*task)
        finally:
            self._end_process()

    def kill(self) -> None:
        """Kill the process, from any thread."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def kill_if_late(self) -> None:
        """Kill a process whose task has taken too long."""
        with self._lock:
            if time.monotonic() > self._deadline and self._process is not None:
                self._deadline = float("inf")
                self._is_late = True
                self._process.kill()

    def _do(self, future: Future[Any], task: list[_Part], *, is_last_try: bool = False) -> None:
        if future.cancelled():
            return
        try:
            kind, answer = self._ask(task)
        except (OSError, EOFError) as error:
            was_late = self._is_late
            code = self._end_process()
            if self._closing.is_set():
                future.cancel()
                return
            if not (self._has_begun or was_late or is_last_try):
                # Killed before, and only now gone: it is not the task that has done it.
                self._do(future, task, is_last_try=True)
                return
            _settle(future, error=_late(self._time_limit) if was_late else _dead(code, error))
            return
        except Exception as error:  # What arrived cannot be unpickled: a fault of the task's, not of the pool's.
            self._end_process()
            _settle(future, error=error)
            return
        if kind == _ERROR:
            _settle(future, error=answer)
        else:
            _settle(future, result=answer)
        if kind == _LAST_RESULT or self._is_late:  # Late by a hair: killed with its answer already here.
            self._end_process()

    def _ask(self, task: list[_Part]) -> tuple[int, Any]:
        """The kind of answer and the answer.

        Raises:
            OSError, EOFError: The process has ended, or cannot be started.
        """
        process = self._ready_process()
        assert process.stdin is not None and process.stdout is not None
        with self._lock:
            self._is_late = False
            self._deadline = time.monotonic() + _START_SECONDS
        self._has_begun = False
        try:
            _send(process.stdin, _BEGUN, [json.dumps(self._time_limit).encode(), *task])
            kind, parts = _receive(process.stdout)
            if kind == _BEGUN:
                self._has_begun = True
                with self._lock:
                    self._deadline = time.monotonic() + self._time_limit
                kind, parts = _receive(process.stdout)
            return kind, _unpickled(parts)
        finally:
            with self._lock:
                self._deadline = float("inf")

    def _ready_process(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._process is not None and self._process.poll() is not None:  # Killed while it had nothing to do.
                self._release(self._process)
                self._process = None
            if self._process is None:
                if self._closing.is_set():
                    raise EOFError
                self._process = _start_process(self._ready_for, one_thread=self._one_thread)
            return self._process

    def _end_process(self) -> int | None:
        """End the process and wait for it; its exit code, None if there was none."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return None
        # One that has ended already keeps its own exit code.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05 if process.poll() is None else 0)
        process.kill()
        self._release(process)
        return process.wait()

    @staticmethod
    def _release(process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


def _start_process(ready_for: str, *, one_thread: bool) -> subprocess.Popen[bytes]:
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")} if one_thread else {}
    if getattr(sys, "frozen", False):
        command = [sys.executable, WORKER_ARGUMENT, ready_for]
    else:
        # -P: a file json.py in the current folder would be imported otherwise.
        path = [str(Path(place).absolute()) if place else str(Path.cwd()) for place in sys.path]
        command = [sys.executable, "-P", "-c", _SERVE, json.dumps(path), ready_for]
    return subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **threads},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _late(seconds: float) -> WorkerTimeoutError:
    return WorkerTimeoutError(f"It took longer than {seconds:g} s.")


def _dead(code: int | None, error: Exception) -> WorkerDiedError | NoWorkerError:
    if code is None:
        return NoWorkerError(f"No process could be started: {error}.")
    if code < 0:
        with contextlib.suppress(ValueError):
            return WorkerDiedError(f"Its process was ended by the signal {signal.Signals(-code).name}.")
    return WorkerDiedError(f"Its process ended with the code {code}.")


def _settle(future: Future[Any], *, result: Any = None, error: BaseException | None = None) -> None:
    with contextlib.suppress(InvalidStateError):  # Canceled by its owner in this moment.
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


# In the processes


def serve_if_asked() -> None:
    """Be a worker, and do not return, if this program was started as one: the first thing that a frozen app does."""
    if sys.argv[1:2] == [WORKER_ARGUMENT]:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        serve(*sys.argv[2:3])


def serve(ready_for: str = "") -> None:
    """Do tasks from the standard input until it is closed. Never returns.

    Args:
        ready_for: A module to import before; "" for none.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # The size ceiling of a job is ours, and told in a sentence.
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    # A windowed app has no sys.stderr, where the traceback of a process that ends itself would go.
    unread = os.fdopen(nowhere, "w")
    tasks: queue.SimpleQueue[list[_Part]] = queue.SimpleQueue()
    threading.Thread(target=_read_tasks, args=(requests, tasks), daemon=True).start()
    if ready_for:
        with contextlib.suppress(Exception):  # Said by the first task, which needs it.
            import_module(ready_for)
    while True:
        limit, *parts = tasks.get()
        try:
            function, args = _unpickled(parts)
            del parts
            _send(answers, _BEGUN, [])
            faulthandler.dump_traceback_later(json.loads(bytes(limit)) + _GRACE_SECONDS, exit=True, file=unread)
            answer, kind = _pickled(function(*args)), _RESULT
            del function, args
        except BaseException as error:
            answer, kind = _pickled_error(error), _ERROR
        faulthandler.cancel_dump_traceback_later()
        size = sum(len(part) for part in answer)
        is_fat = kind == _RESULT and _kept_bytes() - size > _MOST_KEPT_BYTES
        _send(answers, _LAST_RESULT if is_fat else kind, answer)
        del answer


def _read_tasks(requests: BinaryIO, tasks: queue.SimpleQueue[list[_Part]]) -> None:
    """In a thread of its own, so that the end of the program ends this process also while it is at work."""
    try:
        while True:
            tasks.put(_receive(requests)[1])
    except BaseException:
        os._exit(0)


def _kept_bytes() -> int:
    """Memory of this process, where the system tells it at no cost; 0 elsewhere."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def _pickled_error(error: BaseException) -> list[_Part]:
    """An error as it is, with where it came from as its note; one that cannot be pickled in its words."""
    where = "".join(traceback.format_exception(error))
    told = error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
    told.__traceback__ = told.__context__ = told.__cause__ = None
    told.add_note(f"In a worker process:\n{where}")
    try:
        parts = _pickled(told)
        _unpickled(parts)
    except Exception:
        return _pickled(RuntimeError(f"{type(error).__name__}: {error}"))
    return parts


# What crosses: the number of a kind and of parts, the size of each part, and the parts, of which the first is a pickle


def _pickled(value: Any) -> list[_Part]:
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return [pickled, *(buffer.raw() for buffer in buffers)]


def _unpickled(parts: list[_Part]) -> Any:
    return pickle.loads(parts[0], buffers=parts[1:])


def _send(pipe: Any, kind: int, parts: list[_Part]) -> None:
    """Write a message.

    Raises:
        OSError: The other side has gone.
    """
    sizes = struct.pack(f"<{len(parts)}Q", *(len(part) for part in parts))
    small = b"".join([_HEADER.pack(kind, len(parts)), sizes])
    for part in (small, *parts):
        rest = memoryview(part)
        while len(rest):
            rest = rest[pipe.write(rest) :]


def _receive(pipe: Any) -> tuple[int, list[_Part]]:
    """The next message: its kind and its parts.

    Raises:
        EOFError: The other side has gone.
    """
    kind, count = _HEADER.unpack(_read(pipe, _HEADER.size))
    sizes = struct.unpack(f"<{count}Q", _read(pipe, 8 * count))
    return kind, [_read(pipe, size) for size in sizes]


def _read(pipe: Any, size: int) -> memoryview:
    import numpy as np  # Here, so that a program's entry can ask `serve_if_asked` at no cost.

    # numpy's memory, unlike a bytearray's, is not filled with zeros first.
    part = np.empty(size, np.uint8).data
    rest = part
    while len(rest):
        got = pipe.readinto(rest)
        if not got:
            raise EOFError
        rest = rest[got:]
    return part
