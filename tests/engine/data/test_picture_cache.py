from __future__ import annotations

import errno
import io
import subprocess
import sys
import tempfile
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.data import picture_cache
from engine.data.picture_cache import CacheRoom, PictureCache, free_disk_room
from engine.data.preprocess import DecodedPicture

Usage = namedtuple("Usage", "total used free")

Make = Callable[..., PictureCache]

SLOW = 1.0
FAST = 0.0


def picture(number: int, *, deep: bool = False) -> DecodedPicture:
    random = np.random.default_rng(number)
    shape = (3, 4 + number, 5)
    return random.random(shape, dtype=np.float32) * 255 if deep else random.integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(autouse=True)
def much_space(monkeypatch: pytest.MonkeyPatch) -> None:
    free_space(monkeypatch, 10**12)


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes caches that are closed in the end."""
    made: list[PictureCache] = []
    yield lambda *room: made.append(PictureCache(CacheRoom(*room))) or made[-1]  # type: ignore[func-returns-value]
    for cache in made:
        cache.close()


def free_space(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(picture_cache.shutil, "disk_usage", lambda folder: Usage(10**12, 0, free))


def same(one: DecodedPicture | None, other: DecodedPicture) -> bool:
    return one is not None and one.dtype == other.dtype and np.array_equal(one, other)


def test_memory_comes_first_and_the_disk_takes_the_rest(make: Make, tmp_path: Path) -> None:
    pictures = [picture(number, deep=number % 2 == 1) for number in range(8)]
    cache = make(pictures[0].nbytes + pictures[1].nbytes, 10**6, tmp_path)
    for number, one in enumerate(pictures):
        cache.keep(number, one, seconds=SLOW)
    assert cache.get(0) is pictures[0] and cache.get(1) is pictures[1]
    assert all(same(cache.get(number), one) for number, one in reversed(list(enumerate(pictures))))
    assert cache.get(8) is None


def test_what_is_read_fast_is_not_kept_on_disk(make: Make, tmp_path: Path) -> None:
    cache = make(0, 10**6, tmp_path)
    cache.keep(0, picture(0), seconds=FAST)
    assert cache.get(0) is None


def test_the_disk_takes_no_more_than_it_is_allowed(make: Make, tmp_path: Path) -> None:
    cache = make(0, picture(0).nbytes + picture(2).nbytes, tmp_path)
    for number in range(3):
        cache.keep(number, picture(number), seconds=SLOW)
    assert [cache.get(number) is None for number in range(3)] == [False, False, True]


def test_room_is_left_for_checkpoints(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = picture_cache.DISK_RESERVE_BYTES
    free_space(monkeypatch, reserve + 1000)
    assert free_disk_room(tmp_path) == 500
    free_space(monkeypatch, reserve - 1)
    assert free_disk_room(tmp_path) == 0
    # Others have filled the disk since the beginning.
    cache = make(0, 10**6, tmp_path)
    cache.keep(0, picture(0), seconds=SLOW)
    assert cache.get(0) is None


def test_a_folder_that_is_not_there_has_no_room(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> Usage:
        raise FileNotFoundError

    monkeypatch.setattr(picture_cache.shutil, "disk_usage", fail)
    assert free_disk_room(tmp_path) == 0
    cache = make(0, 10**6, tmp_path / "gone")
    cache.keep(0, picture(0), seconds=SLOW)
    assert cache.get(0) is None


class FullFile(io.FileIO):
    """Takes 50 bytes of the third picture."""

    taken = 0

    def write(self, data: bytes) -> int:
        most = picture(0).nbytes + picture(1).nbytes + 50
        if self.taken >= most:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = super().write(memoryview(data)[: most - self.taken])
        self.taken += written
        return written


def test_a_disk_that_becomes_full_keeps_what_it_has(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: FullFile(tmp_path / "file", "w+"))
    cache = make(0, 10**6, tmp_path)
    for number in range(5):
        cache.keep(number, picture(number), seconds=SLOW)
    assert [number for number in range(5) if cache.get(number) is not None] == [0, 1]
    assert all(same(cache.get(number), picture(number)) for number in range(2))


class FailingFile(io.FileIO):
    def readinto(self, buffer: memoryview) -> int:
        raise OSError(errno.EIO, "Input/output error")


class ShortFile(io.FileIO):
    def readinto(self, buffer: memoryview) -> int:
        return 0


@pytest.mark.parametrize("kind", [FailingFile, ShortFile])
def test_a_disk_that_does_not_give_back_is_not_asked_again(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[io.FileIO]
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: kind(tmp_path / "file", "w+"))
    cache = make(picture(0).nbytes, 10**6, tmp_path)
    for number in range(3):
        cache.keep(number, picture(number), seconds=SLOW)
    assert cache.get(1) is None and cache.get(2) is None
    cache.keep(1, picture(1), seconds=SLOW)
    assert cache.get(1) is None
    assert same(cache.get(0), picture(0))


def test_a_closed_cache_keeps_nothing(make: Make, tmp_path: Path) -> None:
    cache = make(100, 10**6, tmp_path)
    for number in range(3):
        cache.keep(number, picture(number), seconds=SLOW)
    cache.close()
    cache.keep(4, picture(4), seconds=SLOW)
    assert all(cache.get(number) is None for number in range(5))
    cache.close()


def test_threads_disturb_one_another_never(make: Make, tmp_path: Path) -> None:
    cache = make(2000, 10**6, tmp_path)
    pictures = [picture(number) for number in range(30)]
    wrong: list[int] = []

    def work(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(30, size=300).tolist():
            kept = cache.get(number)
            if kept is None:
                cache.keep(number, pictures[number], seconds=SLOW)
            elif not same(kept, pictures[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(sys.platform == "win32", reason="there, an open file has a name")
def test_nothing_is_to_be_seen_while_pictures_are_kept(make: Make, tmp_path: Path) -> None:
    cache = make(0, 10**6, tmp_path)
    cache.keep(0, picture(0), seconds=SLOW)
    assert same(cache.get(0), picture(0))
    assert not list(tmp_path.iterdir())


def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time, numpy as np\n"
        "from pathlib import Path\n"
        "from engine.data import picture_cache as module\n"
        "module.DISK_RESERVE_BYTES = 0\n"
        "cache = module.PictureCache(module.CacheRoom(0, 10**6, Path(sys.argv[1])))\n"
        "cache.keep(0, np.ones((3, 8, 8), np.uint8), seconds=1.0)\n"
        "print(cache.get(0) is not None, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        process.kill()
    assert not list(tmp_path.iterdir())
