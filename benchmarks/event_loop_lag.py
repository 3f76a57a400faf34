"""How long the window's event loop keeps someone waiting while a training runs and plots in it.

    python benchmarks/event_loop_lag.py [--seconds 40]

A timer asks to be called every 5 ms; its lag is how much later it is called. The first seconds, in which torch is
imported, are told apart. Needs a display, or QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from cyclegan_desktop.app import build_app
from cyclegan_desktop.resource_files import resources_folder
from cyclegan_desktop.settings import Settings
from engine.config import preset_config
from engine.events import StepReport

_PERIOD = 0.005


def main() -> int:
    """Train on the sample for a while and print the lags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0, help="time of training that is measured")
    seconds = parser.parse_args().seconds
    before: list[float] = []
    during: list[float] = []
    lags = before
    steps = 0
    with tempfile.TemporaryDirectory() as folder:
        app = build_app(Settings.load(Path(folder) / "settings.json"))
        sample = resources_folder() / "sample"
        config = preset_config(
            "quick",
            folder_A=sample / "trainA",
            folder_B=sample / "trainB",
            run=Path(folder) / "run",
            name_A="Summer",
            name_B="Winter",
        )
        last = time.perf_counter()

        def tick() -> None:
            nonlocal last
            now = time.perf_counter()
            lags.append(now - last - _PERIOD)
            last = now

        def follow(event: object) -> None:
            nonlocal lags, steps
            if isinstance(event, StepReport):
                steps = event.step
                if lags is before:
                    lags = during
                    QTimer.singleShot(int(seconds * 1000), app.training.stop)

        timer = QTimer(interval=round(_PERIOD * 1000), timerType=Qt.TimerType.PreciseTimer)
        timer.timeout.connect(tick)
        app.training.event.connect(follow)
        app.training.ended.connect(QApplication.quit)
        app.show()
        timer.start()
        app.training.start(config)
        QApplication.exec()
        timer.stop()
    for name, values in (("until the first step", before), (f"{steps} steps", during)):
        values.sort()
        p50, p99 = (1000 * values[int(share * (len(values) - 1))] for share in (0.5, 0.99))
        print(f"{name}: median {p50:.1f} ms, p99 {p99:.1f} ms, longest {1000 * values[-1]:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
