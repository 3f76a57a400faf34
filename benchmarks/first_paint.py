"""How long the app's window takes until it is drawn, against a bare PySide6 window of the same size.

    python benchmarks/first_paint.py [--rounds 11] [--json]

Each is a process of its own, in turns, from its start until it has drawn its window: the whole command
`cyclegan-desktop` against a QMainWindow with nothing in it. "Page" is until what the first page says is drawn as well,
"whole" until all pages are made. All of Python's byte code is there, as after an installation. Needs a display, or
QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent

_BARE = """
import os, sys, time
from PySide6.QtCore import QEvent, QTimer
from PySide6.QtWidgets import QApplication, QMainWindow
class Window(QMainWindow):
    is_drawn = False
    def event(self, event):
        done = super().event(event)
        if event.type() == QEvent.Type.Paint and not self.is_drawn:
            self.is_drawn = True
            QTimer.singleShot(0, self.tell)
        return done
    def tell(self):
        print(time.time(), flush=True)
        os._exit(0)
application = QApplication([])
window = Window()
window.resize(1240, 680)
window.show()
application.exec()
"""

_APP = """
import os, time
from cyclegan_desktop.qt_probe import import_qt
import_qt()
from cyclegan_desktop import main_window
class Window(main_window.MainWindow):
    def __init__(self, settings):
        super().__init__(settings)
        self.moments = []
        for signal in (self.painted, self.welcomed, self.furnished):
            signal.connect(self.tell)
    def tell(self):
        self.moments.append(time.time())
        if len(self.moments) == 3:
            print(*self.moments, flush=True)
            os._exit(0)
main_window.MainWindow = Window
from cyclegan_desktop.__main__ import main
main([])
"""


def main() -> int:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    figures = measure(options.rounds)
    if options.json:
        print(json.dumps(figures))
        return 0
    print(f"bare window {figures['bare_ms']:.0f} ms, ours {figures['first_ms']:.0f} ms: {figures['ratio']:.2f} times")
    print(f"page {figures['page_ms']:.0f} ms: {figures['page_ratio']:.2f} times the bare window")
    print(f"whole {figures['whole_ms']:.0f} ms: {figures['whole_ratio']:.2f} times the bare window")
    return 0


def measure(rounds: int = 11) -> dict[str, Any]:
    """Medians in milliseconds: the bare window, ours, ours with its first page and with all pages; and their ratios."""
    bare: list[float] = []
    first: list[float] = []
    page: list[float] = []
    whole: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        places = ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
        environment = {
            **os.environ,
            **dict.fromkeys(places, folder),
            "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]),
            "PYTHONPYCACHEPREFIX": str(Path(folder) / "byte-code"),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(rounds + 1):
            (bare_seconds,) = _moments(_BARE, environment)
            first_seconds, page_seconds, whole_seconds = _moments(_APP, environment)
            if number:  # The first round has only written the byte code.
                bare.append(bare_seconds)
                first.append(first_seconds)
                page.append(page_seconds)
                whole.append(whole_seconds)
    bare_ms, first_ms, page_ms, whole_ms = (1000 * statistics.median(times) for times in (bare, first, page, whole))
    return {
        "bare_ms": bare_ms,
        "first_ms": first_ms,
        "page_ms": page_ms,
        "whole_ms": whole_ms,
        "ratio": first_ms / bare_ms,
        "page_ratio": page_ms / bare_ms,
        "whole_ratio": whole_ms / bare_ms,
        "rounds": rounds,
    }


def _moments(code: str, environment: dict[str, str]) -> list[float]:
    start = time.time()
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True, timeout=120, text=True
    ).stdout
    return [float(word) - start for word in told.split()]


if __name__ == "__main__":
    sys.exit(main())
