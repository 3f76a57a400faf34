"""The desktop tests: off-screen, far from the user's own files, and leaving nothing running."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# These are imported in the fixtures only: pytest reads this file also where Qt cannot be.
if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication
    from pytestqt.qtbot import QtBot

    from cyclegan_desktop.engine_thread import EngineThread
    from cyclegan_desktop.settings import Settings

_HERE = Path(__file__).parent
_PATIENCE_MILLISECONDS = 30_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.qt_log_level_fail("WARNING"))
            # The off-screen platform says these of every window with a smallest size, and of tooltips.
            ignored = [f"This plugin does not support {what}" for what in ("propagateSizeHints", r"raise\(\)")]
            item.add_marker(pytest.mark.qt_log_ignore(*ignored))


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings, logs and documents of this test and of the processes it starts are in a folder of their own."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "STATE_HOME", "DOCUMENTS_DIR"):
        monkeypatch.setenv(f"XDG_{name}", str(home / name.lower()))
    for function in ("user_config_path", "user_log_path", "user_documents_path"):
        monkeypatch.setattr(f"platformdirs.{function}", lambda *_, **__: home)
    return home


@pytest.fixture
def qtbot(qtbot: QtBot) -> QtBot:
    """pytest-qt's, with patience: on two busy cores an import of torch alone may take its five seconds."""
    for wait in ("waitActive", "waitExposed", "waitSignal", "waitSignals", "waitUntil"):
        setattr(qtbot, wait, partial(getattr(qtbot, wait), timeout=_PATIENCE_MILLISECONDS))
    return qtbot


@pytest.fixture
def own_look(qapp: QApplication) -> Iterator[None]:
    """For a test that gives the application its look: without it, all later windows would have it, and follow it."""
    palette, sheet = qapp.palette(), qapp.styleSheet()
    yield
    with warnings.catch_warnings(action="ignore"):  # It may not have come to following.
        qapp.styleHints().colorSchemeChanged.disconnect()
    qapp.setStyleSheet(sheet)
    qapp.setPalette(palette)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings as at the first start, in a file of this test."""
    from cyclegan_desktop.settings import Settings

    return Settings(tmp_path / "settings.json", runs_folder=tmp_path / "Trainings")


@pytest.fixture
def make_model() -> Callable[..., Path]:
    """Writes the story of a model file; there are no weights in it."""

    def make(path: Path, **story: str) -> Path:
        metadata = {
            "kind": "cyclegan-desktop model",
            "format_version": "1",
            "name_A": "Summer",
            "name_B": "Winter",
            "size": "64",
            "architecture": json.dumps({"blocks": 3, "channels": 32, "long_skip": True}),
            "preset": "quick",
            "steps": "1500",
            "date": "2026-03-01",
            **story,
        }
        header = json.dumps({"__metadata__": metadata}).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        return path

    return make


@pytest.fixture
def make_run(make_model: Callable[..., Path]) -> Callable[..., Path]:
    """Writes the folder of a training: 20 steps in all, with samples and a model unless told otherwise."""

    def make(folder: Path, *, step: int = 5, is_saved: bool = True, max_steps: int | None = None) -> Path:
        from PySide6.QtGui import QColor, QImage

        from engine.config import preset_config
        from engine.training.run import Choices, Pictures, Run

        pictures = folder.parent / "pictures"
        config = preset_config(
            "quick",
            folder_A=pictures / "A",
            folder_B=pictures / "B",
            run=folder,
            name_A="Apples",
            name_B="Oranges",
            epochs=10,
            decay_epochs=10,
            batch_size=1,
            max_steps=max_steps,
        )
        files = (pictures / "A" / "1.png",), (pictures / "B" / "1.png",)
        choices = Choices(device="cpu", hardware="test", precision="fp32", threads=1)
        run = Run.create(
            config, choices, Pictures(train_A=files[0], train_B=files[1], sample_A=(), sample_B=(), held_out=False)
        )
        with (folder / "losses.csv").open("a", encoding="ascii") as losses:
            losses.write(f"{step},1,2.5,0.0004" + 8 * ",0.5" + "\n")
        if is_saved:
            make_model(run.model)
            for direction, colour in (("a2b", "red"), ("b2a", "blue")):
                sheet = QImage(3 * 16 + 8, 2 * 16 + 4, QImage.Format.Format_RGB32)
                sheet.fill(QColor(colour))
                sheet.save(str(run.sheet(step, direction)))  # type: ignore[arg-type]
        run.close()
        return folder

    return make


@pytest.fixture(autouse=True)
def _nothing_is_left(qapp: QApplication) -> Iterator[None]:
    """A test leaves no thread at work and no window."""
    from PySide6.QtCore import QCoreApplication, QEvent
    from PySide6.QtWidgets import QApplication

    from cyclegan_desktop.engine_thread import EngineThread

    running: list[EngineThread] = []
    original = EngineThread.start

    def start(thread: EngineThread, *args: object) -> None:
        running.append(thread)
        original(thread, *args)  # type: ignore[arg-type]

    EngineThread.start = start  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        EngineThread.start = original  # type: ignore[method-assign]
    left = [thread for thread in running if _is_alive(thread)]
    for thread in left:
        thread.stop()
        thread.wait(10_000)
    running.clear()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    windows = [widget for widget in QApplication.topLevelWidgets() if widget.isVisible()]
    names = [f"{type(widget).__name__} {widget.objectName()}" for widget in windows]
    for widget in windows:
        widget.close()
        widget.deleteLater()
    assert not left, "An EngineThread was still running at the end of the test."
    assert not names, f"Windows were left open: {', '.join(names)}"


def _is_alive(thread: EngineThread) -> bool:
    try:
        return thread.isRunning()
    except RuntimeError:  # Qt has deleted it.
        return False
