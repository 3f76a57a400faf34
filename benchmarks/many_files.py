"""How the Convert page takes 100,000 pictures: from the drop to the last row, scrolling, a queued and a resumed batch.

    python benchmarks/many_files.py [--count 100000]

The pictures are empty files, and what converts them only says so: this measures the window. A timer asks to be called
every 5 ms; a pause is how much later it is called. Needs a display, or QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from PySide6.QtCore import QEventLoop, Qt, QTimer

from cyclegan_desktop.conversion.controller import ConversionController
from cyclegan_desktop.conversion.page import ConversionPage
from cyclegan_desktop.resource_files import resources_folder
from cyclegan_desktop.settings import Settings
from cyclegan_desktop.start import make_application
from engine.config import ConvertJob
from engine.events import Converted, ConvertEvent, ConvertFinished, ConvertingFile, ConvertPlanned, FileSkipped

_PERIOD = 0.005
_FILES_A_FOLDER = 10_000
_A_SECOND = 1_000
_CONVERTING_SECONDS = 10.0
_DONE: dict[str, int] = {}


class Pauses:
    """How long the event loop keeps someone waiting."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._longest = 0.0
        self._timer = QTimer(interval=round(_PERIOD * 1000), timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def longest(self) -> float:
        """The longest pause in milliseconds since the last call."""
        self._tick()
        longest, self._longest = self._longest, 0.0
        return 1000 * longest

    def _tick(self) -> None:
        now = time.perf_counter()
        self._longest = max(self._longest, now - self._last - _PERIOD)
        self._last = now


def wait_until(is_true: Callable[[], bool]) -> float:
    """Run the event loop until something is so; the seconds that took."""
    loop = QEventLoop()
    timer = QTimer(interval=1)
    timer.timeout.connect(lambda: loop.quit() if is_true() else None)
    started = time.perf_counter()
    timer.start()
    loop.exec()
    timer.stop()
    return time.perf_counter() - started


def convert(job: ConvertJob) -> Iterator[ConvertEvent]:
    """Say that every picture is converted, as a very fast GPU would; what was done before is skipped at full speed."""
    yield ConvertPlanned(job.sources, 0, job.to, "none", "fp32")
    started = time.perf_counter()
    for index, source in enumerate(job.sources):
        if index < _DONE.get(job.direction, 0):
            yield FileSkipped(index, source, job.to / source.name, True, "It was converted before.")
            continue
        yield ConvertingFile(index, source)
        yield Converted(index, source, job.to / source.name, (), 0.0)
        _DONE[job.direction] = index + 1
        ahead = index / _A_SECOND - (time.perf_counter() - started)
        if ahead > 0.01:
            time.sleep(ahead)
    yield ConvertFinished(len(job.sources), 0, 0, 0, job.to, 1.0)


def make_files(folder: Path, count: int) -> None:
    """So many empty pictures, in folders of 10,000."""
    for number in range(count):
        if number % _FILES_A_FOLDER == 0:
            below = folder / f"{number // _FILES_A_FOLDER:03d}"
            below.mkdir(parents=True)
        (below / f"IMG_{number}.png").touch()


def measure(count: int, folder: Path) -> None:
    """Print all measurements."""
    photos = folder / "Photos"
    make_files(photos, count)
    settings = Settings.load(folder / "settings.json")
    settings.library = [resources_folder() / "starter.safetensors"]
    page = ConversionPage()
    page.resize(1180, 660)
    controller = ConversionController(page, settings, convert=convert, parent=page)
    page.show()
    wait_until(page.isVisible)
    pauses = Pauses()
    quiet = time.perf_counter() + 1
    wait_until(lambda: time.perf_counter() > quiet)
    pauses.longest()

    files = page.list.files
    started = time.perf_counter()
    controller.add_sources([photos])
    wait_until(lambda: len(files) > 0)
    first = time.perf_counter() - started
    wait_until(lambda: len(files) == count)
    rows = time.perf_counter() - started
    wait_until(lambda: not controller.is_looking)
    print(f"drop: first rows after {first:.2f} s, all {count:,} after {rows:.2f} s, pause {pauses.longest():.0f} ms")

    bar = page.list.verticalScrollBar()
    frames: list[float] = []
    for place in range(100):
        before = time.perf_counter()
        bar.setValue(place * bar.maximum() // 99)
        page.list.viewport().repaint()
        frames.append(time.perf_counter() - before)
    print(f"scrolling through all: {1000 * max(frames):.1f} ms for the slowest frame")
    pauses.longest()

    started = time.perf_counter()
    controller.start()
    pressed = time.perf_counter() - started
    wait_until(lambda: time.perf_counter() - started > _CONVERTING_SECONDS)
    print(
        f"converting at {_A_SECOND:,} a second: {1000 * pressed:.0f} ms for pressing the button, "
        f"pause {pauses.longest():.0f} ms"
    )
    controller.pause()
    wait_until(lambda: not controller.is_busy)
    print(f"pausing: pause {pauses.longest():.0f} ms")
    _DONE["a2b"] = count
    pauses.longest()
    started = time.perf_counter()
    controller.resume()
    wait_until(lambda: not controller.is_busy)
    print(f"going on, with all done: {time.perf_counter() - started:.1f} s, pause {pauses.longest():.0f} ms")
    controller.set_direction("b2a")
    print(f"another direction: pause {pauses.longest():.0f} ms")
    controller.start()
    wait_until(lambda: controller.batch.is_planned)
    controller.pause()
    wait_until(lambda: not controller.is_busy)
    controller.close()

    again_page = ConversionPage()
    started = time.perf_counter()
    again = ConversionController(again_page, settings, convert=convert, parent=again_page)
    print(f"the next start: {1000 * (time.perf_counter() - started):.0f} ms with a batch to offer")
    again_page.show()
    pauses.longest()
    started = time.perf_counter()
    again.resume_unfinished()
    wait_until(lambda: len(again.batch.files) == count and again.is_busy)
    print(f"resuming it: {time.perf_counter() - started:.1f} s, pause {pauses.longest():.0f} ms")
    again.pause()
    wait_until(lambda: not again.is_busy)
    again.close()
    for made in (page, again_page):
        made.close()


def measure_memory(count: int) -> None:
    """Print what a row takes."""
    from cyclegan_desktop.conversion.file_list import FileListModel

    files = FileListModel()
    root = Path("/Photos")
    tracemalloc.start()
    for start in range(0, count, 1000):
        below = root / str(start // _FILES_A_FOLDER)
        files.add([below / f"IMG_{number}.png" for number in range(start, start + 1000)], root)
    print(f"memory: {tracemalloc.get_traced_memory()[0] / count:.0f} bytes a row")
    tracemalloc.stop()


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="pictures")
    count = parser.parse_args().count
    make_application()
    with tempfile.TemporaryDirectory() as folder:
        measure(count, Path(folder))
    measure_memory(count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
