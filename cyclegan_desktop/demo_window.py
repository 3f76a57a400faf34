"""The demonstration in the app's own window, off-screen or before the user's eyes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from cyclegan_desktop.app import App
from cyclegan_desktop.demo import DIRECTIONS, Narrator, Places, say
from cyclegan_desktop.settings import Settings
from cyclegan_desktop.start import run
from engine.events import Converted, ConvertEvent, FileFailed, SamplesDrawn, TrainEvent

_STAY_SECONDS: Final = 20
# A comparison is read and drawn in the background before a picture of the window is taken.
_LOOK_MS: Final = 2500


def show_demo(places: Places) -> int:
    """Run the app, and let it do the main job by itself.

    Returns:
        0 if all of it was done, or the user closed the window before; 1 if something failed.
    """
    guides: list[_Guide] = []

    def begin(app: App) -> None:
        guides.append(_Guide(app, places))
        guides[0].begin()

    with tempfile.TemporaryDirectory() as remembered:
        # The user's own settings and list of models stay as they are.
        settings = Settings.load(Path(remembered) / "settings.json")
        settings.runs_folder = places.folder
        code = run([], settings=settings, begin=begin)
    return code or int(guides[0].has_failed)


class _Guide(QObject):
    """Leads through training, both conversions, and what they look like."""

    def __init__(self, app: App, places: Places) -> None:
        super().__init__(app)
        self.has_failed = False
        self._app = app
        self._places = places
        self._narrator = Narrator()
        self._to_convert = list(DIRECTIONS)
        self._converted = 0
        self._seconds_left = _STAY_SECONDS
        self._countdown = QTimer(self, interval=1000)
        self._countdown.timeout.connect(self._count_down)
        self._is_on_screen = QGuiApplication.platformName() != "offscreen"

    def begin(self) -> None:
        """Start the training as soon as the window is drawn."""
        self._app.training.event.connect(self._follow_training)
        self._app.training.ended.connect(self._trained)
        self._app.conversion.event.connect(self._follow_conversion)
        self._app.conversion.ended.connect(self._conversion_ended)
        self._tell("Demonstration, 1 of 3: training on the sample")
        QTimer.singleShot(0, lambda: self._app.training.start(self._places.config))

    def _follow_training(self, event: TrainEvent) -> None:
        self._narrator.follow(event)
        if isinstance(event, SamplesDrawn) and event.step > 0:
            # The last one taken before the end shows a training in full swing.
            self._take_picture("1 training.png")

    def _trained(self, how: str) -> None:
        if how == "done":
            self._convert_next()
        else:
            self._fail("The training did not finish", how)

    def _convert_next(self) -> None:
        direction, name = self._to_convert[0]
        self._tell(f"Demonstration, {len(DIRECTIONS) + 2 - len(self._to_convert)} of 3: {name}")
        self._app.convert_with(self._places.config.run)
        conversion = self._app.conversion
        conversion.clear()
        conversion.set_direction(direction)
        conversion.set_output_folder(self._places.results(direction))
        conversion.add_sources([self._places.sources[direction]])
        self._converted = 0
        conversion.start()

    def _follow_conversion(self, event: ConvertEvent) -> None:
        if isinstance(event, Converted):
            self._converted += 1
        elif isinstance(event, FileFailed):
            self.has_failed = True
            say(f"  {event.source.name}: {event.reason}")

    def _conversion_ended(self, how: str) -> None:
        if how != "done":
            self._fail("The conversion did not finish", how)
            return
        direction, name = self._to_convert.pop(0)
        say(f"{name}: {self._converted} pictures in {self._places.results(direction)}")
        self._app.conversion.show_comparison(0)
        self._after_a_look(lambda: self._compared(name))

    def _compared(self, name: str) -> None:
        self._take_picture(f"{3 - len(self._to_convert)} {name}.png")
        if self._to_convert:
            self._convert_next()
        else:
            self._finish()

    def _finish(self) -> None:
        say(f"Done. Converted pictures and pictures of the window are in {self._places.folder}")
        if not self._is_on_screen:
            self._app.window.close()
            return
        application = QApplication.instance()
        assert application is not None
        application.installEventFilter(self)
        self._countdown.start()
        self._count_down()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Someone who clicks or types is looking: the window stays."""
        if event.type() in (QEvent.Type.MouseButtonPress, QEvent.Type.KeyPress) and event.spontaneous():
            self._stay()
        return False

    def _count_down(self) -> None:
        if self._seconds_left == 0:
            self._countdown.stop()
            self._app.window.close()
            return
        self._tell(
            f"The demonstration is over; its pictures are in {self._places.folder}. This window closes in "
            f"{self._seconds_left} s: click it to look around."
        )
        self._seconds_left -= 1

    def _stay(self) -> None:
        self._countdown.stop()
        application = QApplication.instance()
        assert application is not None
        application.removeEventFilter(self)
        self._tell(f"The demonstration is over; its pictures are in {self._places.folder}.")

    def _fail(self, what: str, how: str) -> None:
        if how == "stopped":
            # The user has stopped it, and goes on alone.
            self._app.window.statusBar().hide()
            if not self._is_on_screen:
                self._app.window.close()
            return
        self.has_failed = True
        say(f"{what}; the log says why.")
        if not self._is_on_screen:
            self._app.window.close()

    def _after_a_look(self, act: Callable[[], None]) -> None:
        QTimer.singleShot(_LOOK_MS, self, act)

    def _take_picture(self, name: str) -> None:
        self._app.window.grab().save(str(self._places.folder / name))

    def _tell(self, text: str) -> None:
        self._app.window.statusBar().showMessage(text)
