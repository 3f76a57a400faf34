from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QSize
from PySide6.QtGui import QImage

from cyclegan_desktop.review.picture_loader import SCREEN_SIDE, LoadedPicture, PairLoader, PictureCache
from cyclegan_desktop.review.shown_picture import ShownPicture, read_shown
from engine.data.workers import Workers


def crash(_path: Path, _longest: int) -> ShownPicture:
    os._exit(3)


def hang(_path: Path, _longest: int) -> ShownPicture:
    time.sleep(600)
    raise AssertionError("It was not ended.")


class CountingPool:
    """Threads that count what is read."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(2)
        self.read: list[Path] = []

    def submit(self, function, path: Path, longest: int) -> Future:
        self.read.append(path)
        return self._executor.submit(function, path, longest)

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)


@pytest.fixture
def pool():
    made = CountingPool()
    yield made
    made.close()


@pytest.fixture
def make_loader(qapp):
    made: list[PairLoader] = []

    def make(**arguments: object) -> PairLoader:
        loader = PairLoader(**arguments)
        made.append(loader)
        return loader

    yield make
    for loader in made:
        loader.forget()
        loader.wait()


def picture(side: int = 100) -> LoadedPicture:
    return LoadedPicture(QImage(side, side, QImage.Format.Format_RGB888), QSize(side, side))


def saved(folder: Path, name: str, colour: str = "red", size: tuple[int, int] = (40, 20)) -> Path:
    Image.new("RGB", size, colour).save(folder / name)
    return folder / name


def loaded(qtbot, loader: PairLoader, *paths: Path) -> tuple[list[LoadedPicture | None], str]:
    with qtbot.waitSignal(loader.loaded) as signal:
        ticket = loader.load(paths)
    assert signal.args[0] == ticket
    return signal.args[1], signal.args[2]


# What is read


def test_a_picture_comes_with_the_size_of_its_file(tmp_path: Path):
    shown = read_shown(saved(tmp_path, "wide.jpg", size=(6000, 30)), 600)
    assert shown.pixels.shape == (3, 600, 3)
    assert shown.size == (6000, 30)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_the_size_is_that_of_the_upright_picture(tmp_path: Path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (3000, 1000)).save(tmp_path / f"lying.{suffix}", exif=exif)
    shown = read_shown(tmp_path / f"lying.{suffix}", 300)
    assert shown.pixels.shape == (300, 100, 3)
    assert shown.size == (1000, 3000)


def test_pictures_are_read_in_processes_of_their_own(make_loader, qtbot, tmp_path: Path):
    pictures, problem = loaded(qtbot, make_loader(), saved(tmp_path, "a.png"), saved(tmp_path, "b.png", "blue"))
    assert problem == ""
    assert [one.image.pixelColor(3, 3).name() for one in pictures] == ["#ff0000", "#0000ff"]


@pytest.mark.parametrize(("read", "words"), [(crash, "crashed"), (hang, "takes longer")])
def test_a_decoder_that_crashes_or_hangs_costs_only_its_picture(make_loader, qtbot, tmp_path: Path, read, words):
    with Workers(1, 0.5) as workers:
        loader = make_loader(read=read, pool=workers)
        pictures, problem = loaded(qtbot, loader, tmp_path / "odd.png")
        assert pictures == [None]
        assert problem.startswith("odd.png")
        assert words in problem
        loader._read = read_shown
        (one,), problem = loaded(qtbot, loader, saved(tmp_path, "good.png"))
        assert one is not None and problem == ""


# The pictures used last


def test_the_cache_keeps_no_more_than_its_limit_and_forgets_the_oldest():
    cache = PictureCache(limit=3 * picture().image.sizeInBytes())
    for number in range(3):
        cache.put(Path(str(number)), 1, picture())
    assert cache.get(Path("0"), 1) is not None
    cache.put(Path("3"), 1, picture())
    assert [cache.get(Path(str(number)), 1) is not None for number in range(4)] == [True, False, True, True]
    for number in range(1000):
        cache.put(Path(str(number)), 1, picture(50 + number % 60))
        assert cache.used <= 3 * picture().image.sizeInBytes()


def test_a_picture_too_large_for_the_cache_is_not_kept():
    cache = PictureCache(limit=1000)
    cache.put(Path("large"), 1, picture())
    assert cache.used == 0


def test_a_picture_is_read_once_while_its_file_stays_the_same(make_loader, qtbot, pool, tmp_path: Path):
    loader = make_loader(pool=pool)
    path = saved(tmp_path, "a.png")
    loaded(qtbot, loader, path)
    loaded(qtbot, loader, path)
    assert pool.read == [path]
    saved(tmp_path, "a.png", "blue")
    os.utime(path, ns=(1, 1))
    (one,), _ = loaded(qtbot, loader, path)
    assert one.image.pixelColor(3, 3).name() == "#0000ff"


def test_the_next_pair_is_there_before_it_is_asked_for(make_loader, qtbot, pool, tmp_path: Path):
    loader = make_loader(pool=pool)
    paths = [saved(tmp_path, f"{number}.png") for number in range(4)]
    loaded(qtbot, loader, *paths[:2])
    loader.prefetch(paths[:2], paths[2:])
    loader.wait()
    assert pool.read == paths
    pictures, _ = loaded(qtbot, loader, *paths[2:])
    assert all(pictures)
    assert pool.read == paths


def test_what_is_being_prefetched_is_not_read_twice(make_loader, qtbot, pool, tmp_path: Path):
    begun, go = threading.Event(), threading.Event()

    def read(path: Path, longest: int) -> ShownPicture:
        begun.set()
        assert go.wait(20)
        return read_shown(path, longest)

    loader = make_loader(read=read, pool=pool)
    path = saved(tmp_path, "next.png")
    loader.prefetch([], [path])
    assert begun.wait(20)
    with qtbot.waitSignal(loader.loaded) as signal:
        loader.load([path])
        go.set()
    assert signal.args[1][0] is not None
    loader.wait()
    assert pool.read == [path]


def test_pictures_stepped_past_are_not_read_unless_they_are_begun(make_loader, qtbot, pool, tmp_path: Path):
    begun, go = threading.Event(), threading.Event()

    def read(path: Path, longest: int) -> ShownPicture:
        if len(pool.read) == 2:
            begun.set()
        assert go.wait(20)
        return read_shown(path, longest)

    loader = make_loader(read=read, pool=pool)
    paths = [saved(tmp_path, f"{number}.png") for number in range(20)]
    loader.load(paths[:2])
    assert begun.wait(20)
    for path in paths[2:-1]:
        loader.load([path])
    with qtbot.waitSignal(loader.loaded) as signal:
        loader.load(paths[-1:])
        go.set()
    assert signal.args[1][0] is not None
    assert sorted(pool.read) == sorted([*paths[:2], paths[-1]])
    loader.wait()
    # What had begun was not for nothing.
    pictures, _ = loaded(qtbot, loader, *paths[:2])
    assert all(pictures)
    assert len(pool.read) == 3


def test_all_pixels_of_pictures_stepped_past_keep_the_next_one_waiting_no_longer(make_loader, qtbot, pool):
    begun, go = threading.Event(), threading.Event()

    def read(_path: Path, longest: int) -> ShownPicture:
        if longest != SCREEN_SIDE:
            begun.set()
            assert go.wait(20)
        return ShownPicture(np.zeros((2, 4, 3), np.uint8), (4, 2))

    loader = make_loader(read=read, pool=pool)
    loader.load_full([(Path("first"), QSize(8000, 6000))])
    assert begun.wait(20)
    loader.load_full([(Path("second"), QSize(8000, 6000))])
    (one,), _ = loaded(qtbot, loader, Path("third"))
    assert one is not None
    go.set()


def test_a_pool_that_was_closed_reads_nothing(make_loader, tmp_path: Path, caplog):
    workers = Workers(1, 5)
    workers.close()
    loader = make_loader(pool=workers)
    loader.load([saved(tmp_path, "a.png")])
    loader.wait()
    assert loader.cache.used == 0
    assert not caplog.records


def test_closing_the_pool_ends_what_is_being_read(make_loader, qtbot):
    workers = Workers(1, 60)
    loader = make_loader(read=hang, pool=workers)
    loader.load([Path("first"), Path("second")])
    qtbot.waitUntil(lambda: len(loader._under_way) == 2)
    workers.close()
    loader.wait()
    qtbot.waitUntil(lambda: not loader._under_way)


def test_all_pixels_are_read_up_to_a_ceiling(make_loader, qtbot, pool):
    asked: list[int] = []

    def read(_path: Path, longest: int) -> ShownPicture:
        asked.append(longest)
        return ShownPicture(np.zeros((2, 4, 3), np.uint8), (4, 2))

    loader = make_loader(read=read, pool=pool)
    for size in (QSize(8000, 6000), QSize(40_000, 10_000)):
        with qtbot.waitSignal(loader.full_loaded):
            loader.load_full([(Path("huge.png"), size)])
    assert asked == [8000, 20_000]
    assert loader.cache.used == 0


def test_nothing_is_kept_of_a_thousand_steps_but_what_the_cache_may_hold(make_loader, qtbot, pool):
    side = SCREEN_SIDE // 8

    def read(_path: Path, _longest: int) -> ShownPicture:
        return ShownPicture(np.zeros((side, side, 3), np.uint8), (side, side))

    loader = make_loader(read=read, pool=pool)
    loader.cache = PictureCache(limit=10 * side * side * 3)
    for number in range(200):
        loaded(qtbot, loader, Path(f"{number}-before"), Path(f"{number}-after"))
    qtbot.waitUntil(lambda: not loader._under_way)
    assert loader.cache.used <= 10 * side * side * 3


def test_closing_cancels_what_is_read_and_nothing_more_is_begun(make_loader, tmp_path, qtbot):
    executor = ThreadPoolExecutor(2)
    begun, go = threading.Event(), threading.Event()

    def slow(_path: Path, _longest: int) -> ShownPicture:
        begun.set()
        go.wait()
        return ShownPicture(np.zeros((2, 2, 3), np.uint8), (2, 2))

    loader = make_loader(read=slow, pool=executor)
    came: list[int] = []
    loader.loaded.connect(lambda ticket, _pictures, _problem: came.append(ticket))
    loader.prefetch([tmp_path / "a.png"], [tmp_path / "b.png"])
    assert begun.wait(20)
    loader.close()  # Although the picture is still being read.
    assert not go.is_set()
    loader.load([tmp_path / "c.png"])
    loader.wait()
    go.set()
    executor.shutdown()
    qtbot.wait(20)
    assert came == []


_DESTROYED = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from PySide6.QtWidgets import QApplication
import shiboken6
from cyclegan_desktop.review.compare import Comparison

app = QApplication([])
begun, go = threading.Event(), threading.Event()
def slow(path, longest):
    begun.set()
    go.wait()
    raise ValueError("never shown")
pool = ThreadPoolExecutor(2)
comparison = Comparison(read=slow, pool=pool)
comparison._loader.prefetch([Path("a.png")], [Path("b.png")])
assert begun.wait(20)
shiboken6.delete(comparison)
go.set()
pool.shutdown()
print("gone")
"""


def test_destroying_the_comparison_while_it_reads_ahead_does_not_hang():
    done = subprocess.run([sys.executable, "-c", _DESTROYED], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["gone"], done.stderr
