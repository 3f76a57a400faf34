"""How long the loss plot takes for a frame of a training with a million points.

    python benchmarks/plot_million.py [--points 1000000]

With 5,000 marks and two other runs of as many points beside it, frames are drawn while points come, while the view is
moved and zoomed and while the smoothing slider moves. A frame is finding the points and painting them into a picture of
900 x 600 pixels. On a machine that has other work too, the time of the processor tells more than that of the clock.
Needs a display, or QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PySide6.QtWidgets import QApplication

from cyclegan_desktop.start import make_application
from cyclegan_desktop.training.loss_history import LossHistory
from cyclegan_desktop.training.loss_plot import LossPlot
from cyclegan_desktop.training.marks import PlotMark
from cyclegan_desktop.training.other_runs import OtherRun
from engine.events import LOSS_NAMES, Losses


def main() -> int:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    points = parser.parse_args().points
    make_application()
    plot = LossPlot()
    plot.resize(900, 600)
    plot.show()
    QApplication.processEvents()
    history = LossHistory()

    values = _made_up(points, 0)
    losses = [Losses(*map(float, column)) for column in values[:, :20_000].T]
    began = time.perf_counter()
    for step in range(points):
        history.append(step, losses[step % len(losses)])
    took = time.perf_counter() - began
    print(f"append {points:,} points, one by one: {1e6 * took / points:.1f} us a point")
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), values[:, : min(points, 200_000)])
        began = time.perf_counter()
        read = LossHistory.read(Path(folder))
        took = time.perf_counter() - began
        print(f"read losses.csv: {took * points / len(read):.1f} s for {points:,} rows, measured on {len(read):,}")

    plot.set_history(history)
    plot.set_marks(PlotMark(step, "saved") for step in range(0, points, max(1, points // 5000)))
    frames = _Frames(plot)
    frames.time("one run: points come", 40, lambda n: plot.append(points + n, losses[n]))
    others = []
    for number in range(2):
        other = LossHistory()
        other.extend(np.arange(points), _made_up(points, number + 1))
        others.append(OtherRun(Path(str(number)), f"run {number}", other))
    plot.set_others(others)
    frames.time("three runs: points come", 40, lambda n: plot.append(points + 40 + n, losses[n]))
    frames.time("three runs: moved", 60, lambda n: _show(plot, points * n / 100, points * (n / 100 + 0.3)))
    frames.time("three runs: zoomed", 60, lambda n: _show(plot, 0.4 * points, points * (0.4 + 0.6 * 0.85**n)))
    plot.fit()
    slider = plot._slider
    frames.time("three runs: smoothed", 20, lambda n: slider.setValue(700 + 10 * n))
    plot._log.setChecked(True)
    frames.time("three runs, logarithmic: points come", 20, lambda n: plot.append(points + 80 + n, losses[n]))
    return 0


class _Frames:
    """Draws frames and prints how long they took."""

    def __init__(self, plot: LossPlot) -> None:
        self._plot = plot
        self._draw()

    def time(self, name: str, count: int, change: Callable[[int], object]) -> None:
        times, busy = [], []
        for number in range(count):
            change(number)
            # What the plot would draw by itself a little later.
            self._plot._timer.stop()
            QApplication.processEvents()
            began, began_busy = time.perf_counter(), time.process_time()
            self._draw()
            times.append(1000 * (time.perf_counter() - began))
            busy.append(1000 * (time.process_time() - began_busy))
        print(
            f"{name}: median {np.median(times):.0f} ms, worst {max(times):.0f} ms"
            f" (of the processor: median {np.median(busy):.0f} ms, worst {max(busy):.0f} ms)"
        )

    def _draw(self) -> None:
        self._plot._redraw()
        self._plot.grab()


def _show(plot: LossPlot, first: float, last: float) -> None:
    plot._leave_following()
    plot._canvas.show_range(first, last, 0, 4)


def _made_up(points: int, seed: int) -> np.ndarray:
    """[8, points], noise about curves that fall."""
    random = np.random.default_rng(seed)
    falling = 0.3 + 2.0 * np.exp(-np.linspace(0, 5, points))
    return falling * np.linspace(0.3, 1.2, len(LOSS_NAMES))[:, None] * random.uniform(0.6, 1.4, (8, points))


def _write(folder: Path, values: np.ndarray) -> None:
    with (folder / "losses.csv").open("w", encoding="ascii") as file:
        file.write(",".join(("step", "epoch", "seconds", "lr", *LOSS_NAMES)) + "\n")
        for step, row in enumerate(values.T):
            file.write(f"{step},1,{step / 4:.2f},0.0002," + ",".join(f"{value:.6g}" for value in row) + "\n")


if __name__ == "__main__":
    sys.exit(main())
