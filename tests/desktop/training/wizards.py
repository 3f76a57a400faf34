"""The wizard in the hands of a test, with a doctor and an estimate that need no pictures and no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.advanced import AdvancedOptions
from cyclegan_desktop.training.doctor_page import DoctorPage
from cyclegan_desktop.training.folder_well import THUMBNAIL_SIDE, FolderWell
from cyclegan_desktop.training.wizard import TrainingWizard
from engine.config import TrainConfig
from engine.data.doctor import Memory
from engine.events import CheckEvent, Estimated, EstimateEvent, Examined, Finding, Preparing, TooLarge
from engine.remedies import Remedy

MakePictures = Callable[[Path, int], Path]
DAY = 86400.0
FREE = 7_800_000_000
REMEDIES = (
    Remedy("Batches of 2 instead of 4", (("batch_size", 2), ("accumulate", 2)), hint="Slower."),
    Remedy("Pictures of 128 px", (("size", 128), ("load_size", 143)), hint="A quarter."),
)

HORSES = {"name_A": "Horses", "name_B": "Zebras"}


class FakeEstimate:
    """Measures at once, or for ever; tells when it was closed."""

    def __init__(self) -> None:
        self.seconds = {"quick": 1380.0, "standard": 21 * DAY}
        self.memory: dict[tuple[str, int], int] = {}
        self.too_large: set[str] = set()
        self.lasts_for_ever = False
        self.failure: Exception | None = None
        self.configs: list[TrainConfig] = []
        self.closed = threading.Event()

    def __call__(self, config: TrainConfig) -> Iterator[EstimateEvent]:
        self.configs.append(config)
        try:
            yield Preparing("Measuring a few steps", 1, 22)
            while self.lasts_for_ever:
                threading.Event().wait(0.01)
                yield Preparing("Measuring a few steps", 2, 22)
            if self.failure is not None:
                raise self.failure
            if config.preset in self.too_large and config.batch_size > 2:
                yield TooLarge(100, "CPU, 2 threads", "fp32", FREE, REMEDIES)
                return
            seconds = self.seconds.get(config.preset, 60.0)
            memory = self.memory.get((config.preset, config.size), 400_000_000)
            yield Estimated(seconds / 100, 100, seconds, "CPU, 2 threads", "bf16", memory, FREE, REMEDIES)
        except GeneratorExit:
            self.closed.set()
            raise


class FakeExamination:
    """Finds at once what it is told to, or looks for ever."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.lasts_for_ever = False
        self.failure: Exception | None = None
        self.configs: list[TrainConfig] = []
        self.closed = threading.Event()

    def __call__(
        self, folder_A: Path, folder_B: Path, *, name_A: str, name_B: str, config: TrainConfig, memory: Memory
    ) -> Iterator[CheckEvent]:
        self.configs.append(config)
        try:
            yield Preparing("Looking at the pictures", 3, 9)
            while self.lasts_for_ever:
                threading.Event().wait(0.01)
                yield Preparing("Looking at the pictures", 4, 9)
            if self.failure is not None:
                raise self.failure
            yield from self.findings
            yield Examined(5, 4, 5, 4, len(self.findings), 1.5)
        except GeneratorExit:
            self.closed.set()
            raise


class Wizard:
    """The wizard and what a person finds in it."""

    def __init__(self, dialog: TrainingWizard, qtbot: QtBot) -> None:
        self.dialog = dialog
        self._qtbot = qtbot
        self.started: list[TrainConfig] = []
        dialog.start_requested.connect(self.started.append)

    def well(self, side: str) -> FolderWell:
        return self.dialog.findChild(FolderWell, f"well_{side}")

    def thumbnails(self, side: str) -> int:
        labels = [label for label in self.well(side).findChildren(QLabel) if label.maximumWidth() == THUMBNAIL_SIDE]
        return sum(not label.pixmap().isNull() for label in labels)

    def edit(self, name: str) -> QLineEdit:
        return self.dialog.findChild(QLineEdit, name)

    def spin(self, name: str) -> QSpinBox:
        return self.dialog.findChild(QSpinBox, name)

    def number(self, name: str) -> QDoubleSpinBox:
        self.dialog.findChild(AdvancedOptions).make_rows()
        return self.dialog.findChild(QDoubleSpinBox, name)

    def button(self, name: str) -> QPushButton:
        return self.dialog.findChild(QPushButton, name)

    def preset(self, name: str) -> QAbstractButton:
        return self.dialog.findChild(QAbstractButton, f"preset_{name}")

    def text(self, name: str) -> str:
        label = self.dialog.findChild(QLabel, name)
        return label.text() if label.isVisible() else ""

    def wait_for_error(self, field: str, part: str) -> None:
        self._qtbot.waitUntil(lambda: part in self.text(f"error_{field}"))
        assert not self.button("wizard_next").isEnabled()

    def go_on(self) -> None:
        """To the next page; past what the doctor found, unless he has something to say."""
        proceed = self.button("wizard_next")
        self._qtbot.waitUntil(proceed.isEnabled)
        proceed.click()
        if self.doctor.isVisible() and not self.doctor.findings:
            self._qtbot.waitUntil(proceed.isEnabled)
            proceed.click()

    def go_back(self) -> None:
        self.button("wizard_back").click()
        if self.doctor.isVisible() and not self.doctor.findings:
            self.button("wizard_back").click()

    @property
    def doctor(self) -> DoctorPage:
        return self.dialog.findChild(DoctorPage)


def drop(target: QWidget, *paths: Path) -> None:
    """Drag these over a widget and let go."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    actions = Qt.DropAction.CopyAction | Qt.DropAction.MoveAction
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(20, 20), actions, data, buttons, keys)
    QApplication.sendEvent(target, enter)
    assert enter.isAccepted()
    event = QDropEvent(QPointF(20, 20), actions, data, buttons, keys)
    QApplication.sendEvent(target, event)
    assert event.isAccepted()
    # A file manager that hears "move" deletes the originals.
    assert event.dropAction() == Qt.DropAction.CopyAction


def to_settings(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    drop(wizard.well("A"), *folders)
    wizard.go_on()


def open_advanced(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    to_settings(wizard, folders)
    wizard.preset("standard").click()
    wizard.button("advanced").click()
    wizard.dialog.findChild(AdvancedOptions).make_rows()
