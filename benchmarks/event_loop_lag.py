"""How long the window's event loop keeps someone waiting while the app loads, trains and plots, and converts.

    python benchmarks/event_loop_lag.py [--seconds 40] [--preset quick] [--threads 2] [--where] [--json]

A timer asks to be called every 5 ms, from the window's first paint on; its lag is how much later it is called.
`--threads` has the networks of the training use so many. `--where` prints what the window's thread was doing in the
longest lags; looking costs a little itself. Needs a display, or QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cyclegan_desktop.qt_probe import import_qt

import_qt()  # As the app does it: PySide6's own import takes longer.

from PySide6.QtCore import QObject, Qt, QTimer  # noqa: E402

import engine  # noqa: E402
from engine.config import PRESETS, TrainConfig, preset_config  # noqa: E402
from engine.events import StepReport, TrainEvent, TrainStarted  # noqa: E402

_PERIOD = 0.005
_WORTH_TELLING = 0.04
_DEPTH = 9
_PHASES = ("until the first step", "training", "converting")


def main() -> int:
    """Train on the sample for a while, convert it, and print the lags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0, help="time of training that is measured")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="quick")
    parser.add_argument("--threads", type=int, help="of the networks; as the training chooses, if not given")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--where", action="store_true", help="print where the longest lags were")
    options = parser.parse_args()
    figures = measure(options.seconds, options.preset, options.threads, where=options.where)
    if options.json:
        print(json.dumps(figures))
        return 0
    print(f"{figures['steps']} steps with {figures['threads']} threads")
    for phase in _PHASES:
        lag = figures[phase]
        print(
            f"{phase}: median {lag['median_ms']:.1f} ms, p99 {lag['p99_ms']:.1f} ms, longest {lag['longest_ms']:.0f} ms"
        )
    return 0


def measure(
    seconds: float, preset: str = "quick", threads: int | None = None, *, where: bool = False
) -> dict[str, Any]:
    """The lags of each phase in milliseconds, with the steps taken and the threads they took.

    Args:
        seconds: Time of training, from its first report.
        preset: Its preset.
        threads: Of its networks; None leaves it to the training.
        where: Print where the longest lags were.
    """
    used: list[int] = []
    train = engine.train

    def train_so(config: TrainConfig) -> Iterator[TrainEvent]:
        for event in train(config):
            if isinstance(event, TrainStarted):
                import torch

                # It counts for the thread that calls it, which is this one.
                torch.set_num_threads(threads or torch.get_num_threads())
                used.append(torch.get_num_threads())
            yield event

    engine.train = train_so
    from cyclegan_desktop import main_window, start
    from cyclegan_desktop.resource_files import resources_folder
    from cyclegan_desktop.settings import Settings

    sample = resources_folder() / "sample"
    watches: list[_Watch] = []
    with tempfile.TemporaryDirectory() as folder:
        # Away from the user's own log and list of models.
        os.environ.update(HOME=folder, XDG_STATE_HOME=folder, XDG_CONFIG_HOME=folder)
        config = preset_config(
            preset,
            folder_A=sample / "trainA",
            folder_B=sample / "trainB",
            run=Path(folder) / "run",
            name_A="Summer",
            name_B="Winter",
        )

        class Window(main_window.MainWindow):
            def __init__(self, settings: Settings) -> None:
                super().__init__(settings)
                watches.append(_Watch(self, where=where))
                self.painted.connect(watches[0].start)

        def begin(app: Any) -> None:
            watches[0].lead(app, config, sample / "testA", Path(folder) / "results", seconds)

        start.MainWindow = Window  # type: ignore[misc]
        start.run([], settings=Settings.load(Path(folder) / "settings.json"), begin=begin)
    figures: dict[str, Any] = {"steps": watches[0].steps, "threads": used[0], "preset": preset}
    for phase in _PHASES:
        figures[phase] = _figures(watches[0].lags[phase])
    return figures


class _Watch(QObject):
    """Leads through the phases and writes down how late the timer is."""

    def __init__(self, window: QObject, *, where: bool) -> None:
        super().__init__(window)
        self.steps = 0
        self.lags: defaultdict[str, list[float]] = defaultdict(list)
        self._phase = _PHASES[0]
        self._last = 0.0
        self._timer = QTimer(self, interval=round(_PERIOD * 1000), timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._look = Look() if where else None

    def start(self) -> None:
        """Begin to measure."""
        self._last = time.perf_counter()
        self._timer.start()
        if self._look is not None:
            self._look.start()

    def lead(self, app: Any, config: TrainConfig, pictures: Path, results: Path, seconds: float) -> None:
        """Train and convert."""
        self._app, self._run = app, config.run
        self._pictures, self._results = pictures, results
        self._seconds = seconds
        app.training.event.connect(self._follow)
        app.training.ended.connect(self._convert)
        app.conversion.ended.connect(lambda _how: app.window.close())
        QTimer.singleShot(0, lambda: app.training.start(config))

    def _tick(self) -> None:
        now = time.perf_counter()
        lag = now - self._last - _PERIOD
        self.lags[self._phase].append(lag)
        self._last = now
        if self._look is not None:
            self._look.note(lag, self._phase)

    def _follow(self, event: object) -> None:
        if isinstance(event, StepReport):
            self.steps = event.step
            if self._phase != _PHASES[1]:
                self._phase = _PHASES[1]
                QTimer.singleShot(int(self._seconds * 1000), self._app.training.stop)

    def _convert(self) -> None:
        self._phase = _PHASES[2]
        self._app.convert_with(self._run)
        conversion = self._app.conversion
        conversion.set_output_folder(self._results)
        conversion.add_sources([self._pictures])
        conversion.start()


class Look(threading.Thread):
    """Looks at the window's thread, and prints what it was doing whenever it was late."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._watched = threading.get_ident()
        self._seen: list[str] = []

    def run(self) -> None:
        """Look every few milliseconds."""
        while True:
            time.sleep(0.01)
            frame = sys._current_frames().get(self._watched)
            if frame is None:
                return
            # No more than this, and no file is read meanwhile: the frames belong to a thread that may run on.
            places = []
            while frame is not None and len(places) < _DEPTH:
                places.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
                frame = frame.f_back
            self._seen.append(" < ".join(places))

    def note(self, lag: float, phase: str) -> None:
        """The thread is back after so many seconds."""
        seen, self._seen = self._seen, []
        if lag > _WORTH_TELLING:
            print(f"{phase}: {1000 * lag:.0f} ms", *dict.fromkeys(seen), sep="\n    ")


def _figures(lags: list[float]) -> dict[str, float]:
    lags = sorted(1000 * lag for lag in lags)
    median, p99 = (lags[int(share * (len(lags) - 1))] for share in (0.5, 0.99))
    return {"median_ms": median, "p99_ms": p99, "longest_ms": lags[-1]}


if __name__ == "__main__":
    sys.exit(main())
