"""How long each thing that a user does keeps the window's event loop from everything else.

    python benchmarks/walk.py [--training] [--pictures 5000] [--steps 1000000] [--where] [--json]

One real window is led through the app: the wizard and its pages, what the doctor found, all options, the models, a run
of so many steps with its film, dialogs of every kind, a folder of so many pictures, a conversion, before and after. A
timer asks to be called every 5 ms; the longest that it waits after each thing is printed, in ms, and the most processor
time that the window's thread took in between, which other programs do not change. `--training` does what can be done
while a training runs. `--where` prints what the window's thread did in the longest waits. Needs a display, or
QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cyclegan_desktop.qt_probe import import_qt

import_qt()  # As the app does it: PySide6's own import takes longer.

from PySide6.QtCore import QMimeData, QObject, QPointF, Qt, QTimer, QUrl  # noqa: E402
from PySide6.QtGui import QDropEvent  # noqa: E402
from PySide6.QtWidgets import (  # noqa: E402
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QDialog,
    QWidget,
)

from benchmarks.event_loop_lag import Look  # noqa: E402
from cyclegan_desktop.resource_files import resources_folder  # noqa: E402
from engine.config import TrainConfig, preset_config  # noqa: E402
from engine.events import LOSS_NAMES  # noqa: E402

_PERIOD = 0.005
_REST_MILLISECONDS = 600
_LONGEST_WAIT = 90.0

Stop = tuple[str, Callable[[], object], Callable[[], bool]]
"""What it is called, what is done, and until when is waited after it."""


def main() -> int:
    """Walk, and print the longest wait of each stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--training", action="store_true", help="while a training runs")
    parser.add_argument("--pictures", type=int, default=5000, help="in the folder that is dropped")
    parser.add_argument("--steps", type=int, default=1_000_000, help="of the run that is opened")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--where", action="store_true", help="print where the longest waits were")
    options = parser.parse_args()
    waits = measure(options.pictures, options.steps, training=options.training, where=options.where)
    if options.json:
        print(json.dumps(waits))
        return 0
    for name, (wait, busy) in waits.items():
        print(f"{wait:5.0f} ms, busy {busy:4.0f}  {name}")
    return 0


def measure(
    pictures: int, steps: int, *, training: bool = False, where: bool = False
) -> dict[str, tuple[float, float]]:
    """The longest wait of each stop, and the most processor time of the window's thread at once, in milliseconds.

    Args:
        pictures: In the folder that is dropped.
        steps: Of the run that is opened.
        training: Whether a training runs meanwhile.
        where: Print what the window's thread did.
    """
    from cyclegan_desktop import start
    from cyclegan_desktop.settings import Settings

    walks: list[_Walk] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Away from the user's own log, list of models and training folders.
        os.environ.update(HOME=name, XDG_STATE_HOME=name, XDG_CONFIG_HOME=name, XDG_DATA_HOME=name)
        places = _Places(folder, pictures, steps)
        settings = Settings.load(folder / "settings.json")
        settings.runs_folder = folder / "runs"
        for run in (places.run, places.long_run):
            settings.remember_in_library(run)

        def begin(app: Any) -> None:
            walks.append(_Walk(app, places, is_training=training, where=where))
            walks[0].begin()

        start.run([], settings=settings, begin=begin)
    return walks[0].longest


class _Places:
    """What there is to look at: folders of pictures, a trained run, and one of many steps."""

    def __init__(self, folder: Path, pictures: int, steps: int) -> None:
        sample = resources_folder() / "sample"
        self.folder = folder
        self.sample, self.tests = sample, sample / "testA"
        self.many = folder / "many"
        self.many.mkdir()
        originals = sorted((sample / "trainA").iterdir())
        for number in range(pictures):
            original = originals[number % len(originals)]
            shutil.copy(original, self.many / f"{number:05}{original.suffix}")
        self.run, self.long_run = folder / "run", folder / "long run"
        _train(self.run, sample, 24)
        shutil.copytree(self.run, self.long_run)
        rows = (f"{step},1,{step / 4:.2f},0.0002" + ",0.5" * len(LOSS_NAMES) for step in range(1, steps + 1))
        header = ",".join(("step", "epoch", "seconds", "lr", *LOSS_NAMES))
        (self.long_run / "losses.csv").write_text("\n".join((header, *rows)) + "\n", encoding="ascii")


def _config(run: Path, sample: Path, **more: Any) -> TrainConfig:
    folders = {"folder_A": sample / "trainA", "folder_B": sample / "trainB", "run": run}
    return preset_config("quick", **folders, name_A="Summer", name_B="Winter", **more)


def _train(run: Path, sample: Path, steps: int) -> None:
    """Train in a process of its own: in this one torch is to be loaded as the app does it."""
    import subprocess

    code = (
        "import sys; from pathlib import Path; from benchmarks.walk import _config; import engine\n"
        "run, sample, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])\n"
        "small = dict(size=64, blocks=2, channels=16, max_steps=steps)\n"
        "list(engine.train(_config(run, sample, **small)))"
    )
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    subprocess.run([sys.executable, "-c", code, str(run), str(sample), str(steps)], check=True, env=environment)


class _Walk(QObject):
    """Goes from stop to stop and writes down how long the timer waits."""

    def __init__(self, app: Any, places: _Places, *, is_training: bool, where: bool) -> None:
        super().__init__(app)
        self.longest: dict[str, tuple[float, float]] = {}
        self._app, self._places, self._is_training = app, places, is_training
        self._stop = "begin"
        self._last = self._last_busy = 0.0
        self._look = Look() if where else None
        self._timer = QTimer(self, interval=round(_PERIOD * 1000), timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._stops = self._walk()

    def begin(self) -> None:
        """Set out once torch is loaded."""
        if "torch._dynamo" not in sys.modules:
            QTimer.singleShot(500, self.begin)
            return
        self._last, self._last_busy = time.perf_counter(), time.thread_time()
        self._timer.start()
        if self._look is not None:
            self._look.start()
        QTimer.singleShot(2000, self._go_on)

    def _tick(self) -> None:
        now, busy = time.perf_counter(), time.thread_time()
        lag = now - self._last - _PERIOD
        longest, busiest = self.longest.get(self._stop, (0.0, 0.0))
        self.longest[self._stop] = max(longest, 1000 * lag), max(busiest, 1000 * (busy - self._last_busy))
        self._last, self._last_busy = now, busy
        if self._look is not None:
            self._look.note(lag, self._stop)

    def _go_on(self) -> None:
        try:
            self._stop, act, is_over = next(self._stops)
        except StopIteration:
            self._timer.stop()
            self._app.window.stop_and_close()
            return
        began = time.perf_counter()
        act()
        self._wait(is_over, began)

    def _wait(self, is_over: Callable[[], bool], began: float) -> None:
        if is_over():
            QTimer.singleShot(_REST_MILLISECONDS, self._go_on)
        elif time.perf_counter() - began > _LONGEST_WAIT:
            raise TimeoutError(f"{self._stop} has not ended in time")
        else:
            QTimer.singleShot(50, lambda: self._wait(is_over, began))

    # The stops

    def _walk(self) -> Iterator[Stop]:
        app, places = self._app, self._places
        if self._is_training:
            config = _config(places.folder / "new", places.sample)
            yield "a training begins", lambda: app.training.start(config), lambda: app.training._step is not None
        else:
            yield from self._wizard()
            yield from self._run_at_rest()
        yield from self._pages()
        yield from self._conversion()
        yield from self._dialogs()

    def _wizard(self) -> Iterator[Stop]:
        app, places = self._app, self._places
        yield "the wizard opens", app.training.new_training, lambda: bool(_shown("training_wizard"))
        drop = _dropped(places.sample)
        next_page = _find("wizard_next")
        yield "two folders dropped", lambda: _shown("training_wizard").dropEvent(drop), next_page.isEnabled
        yield "what the doctor found", next_page.click, _always
        yield "how to train", next_page.click, _always
        for preset in ("standard", "quick"):
            yield f"preset {preset}", _find(f"preset_{preset}").click, _always
        yield "advanced options", lambda: _find("advanced").click(), _always
        yield "an option is looked for", lambda: _find("find_option").setText("rate"), _always
        yield "options put away", lambda: _find("advanced").click(), _always
        yield "ready to start", next_page.click, lambda: "About" in _find("summary_time").text()
        yield "the wizard closes", lambda: _shown("training_wizard").reject(), _always
        for words in ("a second time", "a third time"):
            yield f"the wizard opens {words}", app.training.new_training, lambda: bool(_shown("training_wizard"))
            yield f"the wizard closes {words}", lambda: _shown("training_wizard").reject(), _always
        many = [places.many, places.sample / "trainB"]
        yield (
            "the wizard with many pictures",
            lambda: app.training.new_training(many),
            lambda: _find("wizard_next").isEnabled(),
        )
        yield (
            "the doctor, of many pictures",
            lambda: _find("wizard_next").click(),
            lambda: "Looking" not in _find("doctor_line").text(),
        )
        yield "the wizard closes again", lambda: _shown("training_wizard").reject(), _always

    def _run_at_rest(self) -> Iterator[Stop]:
        app, places = self._app, self._places
        yield "a run is opened", lambda: app.show_run(places.run), lambda: _find("film_export").isEnabled()
        for name, words in (
            ("film_play", "the film plays"),
            ("film_compare_button", "a moment is pinned"),
            ("film_export", "export of the film"),
            ("film_pictures", "the samples' pictures"),
            ("film_branch", "a branch"),
        ):
            yield words, _find(name).click, _always
            yield from _closed()
        yield "train on", _find("train_more_epochs").click, _always
        yield from _closed()
        yield (
            "a run of many steps is opened",
            lambda: app.show_run(places.long_run),
            lambda: not app.training._reading.is_running,
        )
        yield "runs to compare with", app.training._compare.choose, _always
        yield from _closed()

    def _pages(self) -> Iterator[Stop]:
        for turn in ("", " again"):
            for name, words in (("show_convert", "Convert"), ("show_models", "Models"), ("show_train", "Train")):
                yield f"the page {words}{turn}", _find(name).click, _always
        yield "the models", _find("show_models").click, _always
        items = _find("library_list", QAbstractItemView)
        for row in range(items.model().rowCount()):
            yield f"model {row + 1}", lambda row=row: _choose(items, row), _always
        page = self._app.window.findChild(QWidget, "library_page")
        _choose(items, 0)
        for name in ("describe", "clean_up", "trash"):
            yield f"models, {name.replace('_', ' ')}", page._actions[name].trigger, _always
            yield from _closed()
        yield "export of a model", lambda: page._choose_target("onnx", "ONNX"), _always
        yield from _closed()
        yield "import", _find("import_model").click, _always
        yield from _closed()

    def _conversion(self) -> Iterator[Stop]:
        app, places = self._app, self._places
        conversion = app.conversion
        yield "convert with a model", lambda: app.convert_with(places.run), _always
        drop = _dropped(places.many)
        yield "a folder of many pictures dropped", lambda: app.window.dropEvent(drop), lambda: not conversion.is_looking
        files = _find("file_list", QAbstractItemView)
        yield "a picture is shown", lambda: _choose(files, 0), _always
        yield (
            "the last one",
            lambda: files.setCurrentIndex(files.model().index(files.model().rowCount() - 1, 0)),
            _always,
        )
        yield "more options", _find("convert_more").click, _always
        yield from _closed()
        yield "sizes compared", _find("convert_compare_sizes").click, _always
        yield from _closed()
        yield "the list is cleared", _find("convert_clear").click, _always
        few = _dropped(places.tests)
        yield "a small folder dropped", lambda: app.window.dropEvent(few), lambda: not conversion.is_looking
        conversion.set_output_folder(places.folder / "results")
        yield "converting", _find("convert_button").click, lambda: not conversion.is_busy
        yield "before and after", lambda: _choose(files, 0), _always
        for mode in ("side", "toggle", "slider"):
            made = app.window.findChild(QAbstractButton, f"compare_{mode}")
            if made is not None:
                yield f"compared: {mode}", made.click, _always
        yield "the whole window", _find("compare_full").click, _always
        yield from _closed()
        yield "the report", _find("convert_report").click, _always
        yield from _closed()
        yield "a new batch", conversion.new_batch, _always
        yield (
            "many pictures in the queue",
            lambda: conversion.add_sources([places.many]),
            lambda: not conversion.is_looking,
        )

    def _dialogs(self) -> Iterator[Stop]:
        yield "preferences", _find("show_preferences").click, _always
        yield from _closed()
        yield "about", _find("show_about").click, _always
        yield from _closed()


def _always() -> bool:
    return True


def _find(name: str, kind: type[QWidget] = QWidget) -> Any:
    """The widget of this name, in the dialog that is shown or else in the window."""
    tops = sorted(QApplication.topLevelWidgets(), key=lambda top: not (isinstance(top, QDialog) and top.isVisible()))
    found = next((widget for top in tops if (widget := top.findChild(kind, name)) is not None), None)
    if found is None:
        raise LookupError(f"There is no {name} here")
    return found


def _choose(items: QAbstractItemView, row: int) -> None:
    items.setCurrentIndex(items.model().index(row, 0))


def _shown(name: str) -> Any:
    return next((top for top in QApplication.topLevelWidgets() if top.objectName() == name and top.isVisible()), None)


def _closed() -> Iterator[Stop]:
    """Close what was opened, if it was a window of its own."""
    tops = [top for top in QApplication.topLevelWidgets() if top.isVisible() and top.parentWidget() is not None]
    for top in tops:
        if top.isWindow() and not isinstance(top, QComboBox):
            top.close()
    return iter(())


def _dropped(*paths: Path) -> QDropEvent:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    event.kept = data  # type: ignore[attr-defined]  # The event does not keep it alive.
    return event


if __name__ == "__main__":
    sys.exit(main())
