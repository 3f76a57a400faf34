"""Work in processes comes back whole, and whatever a process does, it ends in time and takes nothing with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

from engine.data import workers
from engine.data.workers import NoWorkerError, WorkerDiedError, Workers, WorkerTimeoutError
from engine.errors import ConfigError, PictureError

LINUX_ONLY = pytest.mark.skipif(not Path("/proc/self").exists(), reason="asks /proc about other processes")

# What runs in the processes is found by its module's name, which that of a test need not have there.
HELPERS = """
import os, sys, threading, time
from pathlib import Path
import numpy as np
from engine.errors import ConfigError, PictureError

def add(a, b): return a + b
def sleep(seconds): time.sleep(seconds); return "woke"
def leave(code): os._exit(code)
def crash():
    import ctypes
    ctypes.string_at(0)
def exit_politely(): sys.exit(3)
def refuse(words): raise PictureError(words)
def refuse_a_field(): raise ConfigError("quality", "too much")
def bug(): return {}["missing"]
def strange():
    class Strange(Exception): pass
    raise Strange("cannot be pickled")
def disk(): raise OSError(28, "No space left on device", "/there")
def shout():
    print("to the terminal", flush=True); print("to the terminal", file=sys.stderr, flush=True)
    os.write(1, b"straight to it"); os.write(2, b"straight to it"); return os.getpid()
def no_lambda(): return lambda: 1
def ceiling():
    from PIL import Image
    return Image.MAX_IMAGE_PIXELS
def torch_is_there(): return "torch" in sys.modules
def grow(size):
    global kept
    kept = np.ones(size, np.uint8)
    return os.getpid()
def busy_until(path, seconds):
    Path(path).write_text(str(os.getpid())); time.sleep(seconds)
def read_line(): return sys.stdin is None or os.read(0, 1)
def halves(a): return a[: len(a) // 2], a[len(a) // 2 :]
"""


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    (tmp_path / "worker_helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(tmp_path)
    import worker_helpers

    yield worker_helpers
    del sys.modules["worker_helpers"]


@pytest.fixture
def pool(helpers: object) -> Iterator[Workers]:
    with Workers(1, 60) as workers:
        yield workers


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint16).reshape(2, 4, 3),
        np.zeros((0, 5, 3), np.uint8),
        np.arange(60, dtype=np.float32).reshape(3, 4, 5)[:, ::2, ::-1],
        np.random.default_rng(0).integers(0, 255, (1000, 1100, 3), dtype=np.uint8),
    ],
    ids=["16 bits", "empty", "not contiguous", "larger than a pipe"],
)
def test_arrays_come_back_as_they_went_and_can_be_written_to(pool: Workers, helpers: object, array: np.ndarray) -> None:
    first, second = pool.submit(helpers.halves, array).result()
    assert np.array_equal(np.concatenate([first, second]), array)
    assert first.dtype == array.dtype
    first[...] = 0


def test_many_tasks_over_several_processes_each_get_their_own_answer(helpers: object) -> None:
    with Workers(3, 60) as pool:
        futures = [pool.submit(helpers.add, number, 1) for number in range(300)]
        assert [future.result() for future in futures] == list(range(1, 301))


def test_what_a_function_raises_is_raised_with_its_words_and_fields(pool: Workers, helpers: object) -> None:
    with pytest.raises(PictureError) as refusal:
        pool.submit(helpers.refuse, "a.png is bad.").result()
    assert str(refusal.value) == "a.png is bad."
    with pytest.raises(KeyError, match="missing") as failure:
        pool.submit(helpers.bug).result()
    assert "in bug" in "".join(failure.value.__notes__)
    with pytest.raises(OSError) as disk:
        pool.submit(helpers.disk).result()
    assert (disk.value.errno, disk.value.filename) == (28, "/there")


def test_what_cannot_cross_is_an_error_in_words_and_the_process_lives_on(pool: Workers, helpers: object) -> None:
    pid = pool.submit(os.getpid).result()
    with pytest.raises(RuntimeError, match="Strange: cannot be pickled"):
        pool.submit(helpers.strange).result()
    with pytest.raises(Exception, match="lambda"):
        pool.submit(helpers.no_lambda).result()
    with pytest.raises((ConfigError, RuntimeError), match="too much"):
        pool.submit(helpers.refuse_a_field).result()
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        pool.submit(helpers.exit_politely).result()
    assert pool.submit(os.getpid).result() == pid


@pytest.mark.parametrize("way", ["leave", "crash", "kill"])
def test_a_process_that_dies_fails_its_task_alone_and_is_replaced(
    pool: Workers, helpers: object, way: str, tmp_path: Path
) -> None:
    pid = pool.submit(os.getpid).result()
    if way == "kill":
        future = pool.submit(helpers.busy_until, tmp_path / "pid", 60)
        # One that dies before it has begun is tried again.
        wait_until((tmp_path / "pid").exists)
        os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    else:
        future = pool.submit(helpers.leave, 7) if way == "leave" else pool.submit(helpers.crash)
    waiting = pool.submit(helpers.add, 1, 2)
    words = {"leave": "code 7", "crash": "SIGSEGV|code", "kill": "SIGKILL|code"}
    with pytest.raises(WorkerDiedError, match=words[way]):
        future.result()
    assert waiting.result() == 3
    assert pool.submit(os.getpid).result() != pid


@LINUX_ONLY
def test_a_process_killed_while_it_has_nothing_to_do_costs_no_task(pool: Workers, helpers: object) -> None:
    pid = pool.submit(os.getpid).result()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))
    assert pool.submit(helpers.add, 1, 2).result() == 3


@LINUX_ONLY
def test_the_time_limit_ends_the_process_and_counts_no_waiting(helpers: object, tmp_path: Path) -> None:
    with Workers(1, 3.0) as pool:
        slow = pool.submit(helpers.busy_until, tmp_path / "pid", 600)
        waiting = [pool.submit(helpers.sleep, 0.1) for _ in range(4)]
        with pytest.raises(WorkerTimeoutError, match="longer than 3 s"):
            slow.result()
        assert not is_alive(int((tmp_path / "pid").read_text()))
        # By now each has waited for as long as a task may take.
        assert [future.result() for future in waiting] == ["woke"] * 4


def test_nothing_is_written_to_the_terminal_and_nothing_read_from_it(
    pool: Workers, helpers: object, capfd: pytest.CaptureFixture[str]
) -> None:
    assert pool.submit(helpers.shout).result() == pool.submit(os.getpid).result()
    assert pool.submit(helpers.read_line).result() == b""
    assert capfd.readouterr() == ("", "")


def test_the_processes_know_no_torch_and_no_ceiling_of_pillow(pool: Workers, helpers: object) -> None:
    assert pool.submit(helpers.torch_is_there).result() is False
    assert pool.submit(helpers.ceiling).result() is None
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
    assert [pool.submit(os.getenv, name).result() for name in names] == ["1", "1"]


@LINUX_ONLY
def test_a_process_that_has_grown_fat_is_replaced(
    pool: Workers, helpers: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = pool.submit(helpers.grow, 1000).result()
    assert pool.submit(os.getpid).result() == pid
    assert pool.submit(helpers.grow, workers._MOST_KEPT_BYTES).result() == pid
    assert pool.submit(os.getpid).result() != pid


@LINUX_ONLY
def test_closing_kills_at_once_and_leaves_nothing_behind(helpers: object, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    pool = Workers(2, 600)
    busy = [pool.submit(helpers.busy_until, tmp_path / name, 600) for name in "ab"]
    waiting = pool.submit(helpers.add, 1, 2)
    wait_until(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in "ab"))
    pool.close()
    assert not any(is_alive(int((tmp_path / name).read_text())) for name in "ab")
    for future in (*busy, waiting):
        with pytest.raises(CancelledError):
            future.result()
    assert set(threading.enumerate()) <= before
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(helpers.add, 1, 2)


def test_a_pool_that_did_nothing_has_started_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_start_process", lambda: pytest.fail("a process was started"))
    with Workers(2, 60):
        pass


def test_a_canceled_task_is_dropped_and_the_next_one_done(pool: Workers, helpers: object) -> None:
    busy = pool.submit(helpers.sleep, 0.5)
    dropped, kept = pool.submit(helpers.add, 1, 2), pool.submit(helpers.add, 3, 4)
    assert dropped.cancel() and busy.cancel()
    assert kept.result() == 7


def test_processes_that_cannot_be_started_fail_their_tasks(monkeypatch: pytest.MonkeyPatch, helpers: object) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with Workers(1, 60) as pool, pytest.raises(NoWorkerError, match="could be started"):
        pool.submit(helpers.add, 1, 2).result()


PROGRAM = """
import os, sys, time
from engine.data.workers import Workers
pool = Workers(2, 600)
print(pool.submit(os.getpid).result(), flush=True)
busy = [pool.submit(time.sleep, 600) for _ in range(2)]
print("busy", flush=True)
time.sleep(600)
"""


@LINUX_ONLY
def test_the_processes_end_when_their_program_is_killed(tmp_path: Path) -> None:
    """Written without a guard: a program is never run again by its workers."""
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(Path(workers.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py"], stdout=subprocess.PIPE, text=True, env=environment
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline().strip().isdecimal()
        assert program.stdout.readline() == "busy\n"
        children = [int(pid) for pid in Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()]
        children += [
            int(pid)
            for task in Path(f"/proc/{program.pid}/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]
        assert len(set(children)) == 2
        program.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in children))


@LINUX_ONLY
def test_ctrl_c_does_not_reach_the_processes(pool: Workers, helpers: object) -> None:
    pid = pool.submit(os.getpid).result()
    future = pool.submit(helpers.sleep, 0.5)
    time.sleep(0.1)
    os.kill(pid, signal.SIGINT)
    assert future.result() == "woke"


def test_a_file_in_the_current_folder_is_not_taken_for_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helpers: object
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "json.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with Workers(1, 60) as pool:
        assert pool.submit(helpers.add, 1, 2).result() == 3


def test_a_frozen_app_serves_when_it_is_asked_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The app's program stands in for the interpreter."""
    app = tmp_path / "app"
    root = json.dumps(str(Path(workers.__file__).parents[2]))
    app.write_text(
        f"#!{sys.executable}\nimport sys; sys.path.insert(0, {root})\n"
        "from engine.data.workers import serve_if_asked\nserve_if_asked()\nsys.exit('the app itself')\n"
    )
    app.chmod(0o700)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(app))
    if sys.platform == "win32":
        pytest.skip("a script is no program there")
    with Workers(1, 60) as pool:
        assert pool.submit(os.path.basename, "a/b").result() == "b"


def test_a_pool_can_grow_while_it_is_at_work(helpers: object) -> None:
    with Workers(1, 60) as pool:
        slow = pool.submit(helpers.sleep, 60)
        pool.grow(2)
        pool.grow(1)
        assert pool.submit(helpers.add, 1, 2).result() == 3
        assert not slow.done()


def test_what_a_process_is_to_be_ready_for_is_there_before_its_first_task(helpers: object) -> None:
    with Workers(1, 60, ready_for="worker_helpers") as pool:
        assert pool.submit(eval, "'worker_helpers' in __import__('sys').modules").result()


def test_what_it_cannot_be_ready_for_is_told_by_the_task_that_needs_it(helpers: object) -> None:
    with Workers(1, 60, ready_for="no_such_module") as pool:
        assert pool.submit(helpers.add, 1, 2).result() == 3
