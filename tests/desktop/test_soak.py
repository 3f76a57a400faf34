"""PySide6 6.12.0 on Python 3.11 loses a reference to True at each emit and to None at each void call, and aborts."""

from __future__ import annotations

import subprocess
import sys

_SOAK = """
import sys
from PySide6.QtCore import QThread, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QApplication, QWidget
from cyclegan_desktop.engine_thread import EngineThread

EVENTS = 25_000

class Plot(QWidget):
    painted = 0
    def paintEvent(self, event):
        painter = QPainter(self)
        painter.drawLine(0, self.painted % 100, 100, 0)
        painter.end()
        Plot.painted += 1

class Page(QWidget):
    state = Signal(bool)
    seen = switched = 0
    def take(self, event):
        self.seen += 1
        self.state.emit(True)
        if self.seen % 25 == 0:
            plot.repaint()
    def switch(self, on):
        assert on is True
        self.switched += 1

app = QApplication([])
plot, page = Plot(), Page()
plot.resize(100, 100)
plot.show()
while not Plot.painted:  # Before the window is on screen, repaint paints nothing.
    app.processEvents()
page.state.connect(page.switch)

def work():
    for number in range(EVENTS):
        yield (number, True, None)

thread = EngineThread(work)
thread.event.connect(page.take)
thread.finished.connect(app.quit)
thread.start()
app.exec()
thread.wait()
assert page.seen == page.switched == EVENTS, (page.seen, page.switched)
assert Plot.painted >= EVENTS // 25
print('alive')
"""


def test_fifty_thousand_emits_with_repaints_between_them_are_survived():
    soak = subprocess.run([sys.executable, "-c", _SOAK], capture_output=True, text=True, timeout=300, check=False)
    assert (soak.returncode, soak.stdout) == (0, "alive\n"), soak.stderr
