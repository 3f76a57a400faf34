from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QComboBox, QFileDialog, QLabel, QProgressBar, QPushButton
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.film_export import FilmExportDialog, FilmExporter
from cyclegan_desktop.training.film_strip import FilmStrip
from engine.errors import RunError
from engine.events import Preparing, Sample

PICTURE = np.zeros((8, 8, 3), np.uint8)
SAMPLES = (
    Sample("a2b", Path("/a/apple.png"), PICTURE, PICTURE, PICTURE),
    Sample("b2a", Path("/b/orange.png"), PICTURE, PICTURE, PICTURE),
)


class Export:
    """Writes made-up films."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Path, Path | None, Path], dict[str, Any]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.was_closed = False

    def __call__(self, folder: Path, source: Path | None, to: Path, /, **choices: Any) -> Iterator[object]:
        self.calls.append(((folder, source, to), choices))
        try:
            for number in range(3):
                yield Preparing("Drawing", number, 3)
                assert self.gate.wait(30)
            if self.error is not None:
                raise self.error
        except GeneratorExit:
            self.was_closed = True
            raise


@pytest.fixture
def export() -> Export:
    return Export()


@pytest.fixture
def exporter(qtbot: QtBot, export: Export) -> Iterator[FilmExporter]:
    strip = FilmStrip()
    qtbot.addWidget(strip)
    strip.set_names("Apples", "Oranges")
    strip.show()
    qtbot.waitExposed(strip)
    made = FilmExporter(strip, export, strip)
    yield made
    made.close()


def _open(exporter: FilmExporter, tmp_path: Path, chosen: tuple[Any, str] | None = None) -> FilmExportDialog:
    exporter.open(tmp_path / "run", SAMPLES, chosen, 40)
    dialog = exporter._dialog
    assert dialog is not None
    return dialog


def _words(dialog: FilmExportDialog) -> str:
    return dialog.findChild(QLabel, "film_export_words").text()


def _button(dialog: FilmExportDialog, name: str) -> QPushButton:
    return dialog.findChild(QPushButton, f"film_export_{name}")


def _box(dialog: FilmExportDialog, name: str) -> QComboBox:
    return dialog.findChild(QComboBox, name)


def test_a_film_of_the_picture_that_is_looked_at_is_proposed(exporter: FilmExporter, tmp_path: Path) -> None:
    dialog = _open(exporter, tmp_path, ("b2a", str(SAMPLES[1].source)))
    picture = _box(dialog, "film_picture")
    assert picture.currentText() == "Oranges to Apples: orange.png"
    assert [picture.itemText(n) for n in range(3)] == [
        "All pictures, both directions",
        "All pictures, Apples to Oranges",
        "All pictures, Oranges to Apples",
    ]
    assert (dialog.choice.source, dialog.choice.direction) == (SAMPLES[1].source, "b2a")


def test_a_film_is_written_as_chosen_and_its_place_told_and_opened(
    exporter: FilmExporter, export: Export, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialog = _open(exporter, tmp_path)
    _box(dialog, "film_format").setCurrentIndex(1)
    _box(dialog, "film_picture").setCurrentIndex(1)
    _box(dialog, "film_export_speed").setCurrentIndex(2)
    to = tmp_path / "film.gif"
    dialog._export_to(str(to))
    qtbot.waitUntil(lambda: _words(dialog).startswith("The film is written"))
    assert dialog.choice.suffix == ".gif"
    assert export.calls == [
        ((tmp_path / "run", None, to), {"direction": "a2b", "moments_per_second": 12.0}),
    ]
    assert str(to) in _words(dialog).replace("\u200b", "")
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    _button(dialog, "open").click()
    assert opened == [str(tmp_path)]


def test_the_file_proposed_has_the_suffix_of_the_format(exporter: FilmExporter, tmp_path: Path, qtbot: QtBot) -> None:
    dialog = _open(exporter, tmp_path, ("a2b", str(SAMPLES[0].source)))
    _button(dialog, "save").click()
    files = dialog.findChild(QFileDialog, "film_file_dialog")
    assert files.defaultSuffix() == "webp"
    assert [Path(name).name for name in files.selectedFiles()] == ["run apple film.webp"]
    files.close()


def test_progress_is_shown_and_cancelling_ends_the_work(
    exporter: FilmExporter, export: Export, tmp_path: Path, qtbot: QtBot
) -> None:
    export.gate.clear()
    dialog = _open(exporter, tmp_path)
    dialog._export_to(str(tmp_path / "film.webp"))
    progress = dialog.findChild(QProgressBar, "film_export_progress")
    qtbot.waitUntil(lambda: progress.maximum() == 3)
    assert progress.isVisible()
    assert not _button(dialog, "save").isEnabled()
    assert _button(dialog, "close").text() == "Cancel"
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    export.gate.set()
    qtbot.waitUntil(lambda: _words(dialog) == "Cancelled; nothing was written.")
    assert export.was_closed
    assert _button(dialog, "close").text() == "Close"
    assert _button(dialog, "save").isEnabled()


def test_why_a_film_could_not_be_written_is_said(
    exporter: FilmExporter, export: Export, tmp_path: Path, qtbot: QtBot
) -> None:
    export.error = RunError("The disk is full; free some space.")
    dialog = _open(exporter, tmp_path)
    dialog._export_to(str(tmp_path / "film.webp"))
    qtbot.waitUntil(lambda: _words(dialog) == "The disk is full; free some space.")
    assert not _button(dialog, "open").isVisible()
    dialog.close()
    assert exporter._dialog is None


def test_closing_the_app_while_a_film_is_written_ends_it(
    exporter: FilmExporter, export: Export, tmp_path: Path, qtbot: QtBot
) -> None:
    export.gate.clear()
    dialog = _open(exporter, tmp_path)
    dialog._export_to(str(tmp_path / "film.webp"))
    qtbot.waitUntil(lambda: bool(export.calls))
    export.gate.set()
    exporter.close()
    assert exporter._dialog is None
