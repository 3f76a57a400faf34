from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training import folder_look
from cyclegan_desktop.training.advanced import AdvancedOptions
from cyclegan_desktop.training.doctor_page import DoctorPage
from cyclegan_desktop.training.folder_well import THUMBNAIL_SIDE, FolderWell
from cyclegan_desktop.training.remedy_rows import RemedyRows
from cyclegan_desktop.training.threads import ThreadKeeper
from cyclegan_desktop.training.wizard import Devices, TrainingWizard, free_run_folder
from engine.config import TrainConfig, preset_config
from engine.data.doctor import Memory
from engine.data.folders import FolderContent
from engine.errors import OutOfMemoryError
from engine.events import CheckEvent, Estimated, EstimateEvent, Examined, Finding, Preparing, TooLarge
from engine.remedies import Remedy

MakePictures = Callable[[Path, int], Path]
DAY = 86400.0
FREE = 7_800_000_000
REMEDIES = (
    Remedy("Batches of 2 instead of 4", (("batch_size", 2), ("accumulate", 2)), hint="Slower."),
    Remedy("Pictures of 128 px", (("size", 128), ("load_size", 143)), hint="A quarter."),
)


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


@pytest.fixture
def estimate() -> FakeEstimate:
    return FakeEstimate()


@pytest.fixture
def examine() -> FakeExamination:
    return FakeExamination()


@pytest.fixture
def make_wizard(
    qtbot: QtBot, settings: Settings, estimate: FakeEstimate, examine: FakeExamination
) -> Iterator[Callable[..., Wizard]]:
    keepers = [ThreadKeeper(), ThreadKeeper()]
    made: list[TrainingWizard] = []

    def make(devices: Devices | None = None) -> Wizard:
        dialog = TrainingWizard(
            settings,
            estimate=estimate,
            estimates=keepers[0],
            scans=keepers[1],
            list_devices=lambda: iter([devices or [("cpu", "Processor (CPU)")]]),
            examine=examine,
        )
        made.append(dialog)
        qtbot.addWidget(dialog)
        dialog.show()
        qtbot.waitExposed(dialog)
        return Wizard(dialog, qtbot)

    yield make
    for dialog in made:
        dialog.reject()
    qtbot.waitUntil(lambda: not any(keeper.running for keeper in keepers))


@pytest.fixture
def wizard(make_wizard: Callable[..., Wizard]) -> Wizard:
    return make_wizard()


@pytest.fixture
def folders(tmp_path: Path, make_pictures: MakePictures) -> tuple[Path, Path]:
    return make_pictures(tmp_path / "apples", 5), make_pictures(tmp_path / "oranges", 4)


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


@pytest.mark.parametrize("side", ["A", "B"])
def test_a_folder_of_trainA_and_trainB_dropped_on_either_well_fills_both(
    wizard: Wizard, tmp_path: Path, make_pictures: MakePictures, qtbot: QtBot, side: str
) -> None:
    root = tmp_path / "apple2orange"
    for name, count in (("trainA", 9), ("trainB", 4), ("testA", 2), ("testB", 2)):
        make_pictures(root / name, count)
    drop(wizard.well(side), root)
    qtbot.waitUntil(lambda: wizard.well("A").summary == "9 pictures" and wizard.well("B").summary == "4 pictures")
    qtbot.waitUntil(lambda: wizard.thumbnails("A") == 8 and wizard.thumbnails("B") == 4)
    assert wizard.edit("name_A").text() == "Apple"
    assert wizard.edit("name_B").text() == "Orange"
    for _ in range(3):
        wizard.go_on()
    (config,) = wizard.started
    assert (config.folder_A, config.folder_B) == (root / "trainA", root / "trainB")
    assert (config.test_A, config.test_B) == (root / "testA", root / "testB")


def test_two_folders_dropped_at_once_fill_both(wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot) -> None:
    drop(wizard.well("B"), *folders)
    qtbot.waitUntil(lambda: wizard.well("A").summary == "5 pictures" and wizard.well("B").summary == "4 pictures")


def test_folders_dropped_beside_the_wells_fill_the_free_side(
    wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot
) -> None:
    for folder in folders:
        drop(wizard.dialog, folder)
    qtbot.waitUntil(lambda: wizard.well("A").summary == "5 pictures" and wizard.well("B").summary == "4 pictures")


def test_what_is_chosen_is_what_starts(wizard: Wizard, folders: tuple[Path, Path], settings: Settings) -> None:
    (folders[0] / "notes.txt").touch()
    drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), folders[1])
    wizard.go_on()
    assert wizard.well("A").summary == "5 pictures, 1 other file"
    wizard.preset("standard").click()
    wizard.spin("size").setValue(128)
    wizard.spin("epochs").setValue(7)
    wizard.spin("decay_epochs").setValue(3)
    wizard.go_on()
    sentence = wizard.text("summary_sentence")
    for part in ("Apples and Oranges", "5 and 4 pictures", "Standard preset", "128 px", "10 epochs"):
        assert part in sentence
    wizard.go_on()
    run = free_run_folder(settings.runs_folder, "Apples", "Oranges")
    assert wizard.started == [
        preset_config(
            "standard",
            folder_A=folders[0],
            folder_B=folders[1],
            name_A="Apples",
            name_B="Oranges",
            run=run,
            size=128,
            epochs=7,
            decay_epochs=3,
        )
    ]
    assert str(run) in sentence
    assert not wizard.dialog.isVisible()


def test_a_name_of_ones_own_stays(wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot) -> None:
    qtbot.keyClicks(wizard.edit("name_A"), "Fruit")
    drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), folders[1])
    wizard.go_on()
    assert wizard.edit("name_A").text() == "Fruit"
    assert wizard.edit("run").text().endswith(free_run_folder(Path(), "Fruit", "Oranges").name)


def test_nothing_goes_on_before_both_folders_are_chosen(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    assert not wizard.button("wizard_next").isEnabled()
    drop(wizard.well("A"), folders[0])
    assert not wizard.button("wizard_next").isEnabled()
    assert "trainA" in wizard.text("wizard_hint")


def test_the_same_folder_twice_is_an_error_beside_both(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), folders[0])
    for side in "AB":
        assert "same folder" in wizard.text(f"error_folder_{side}")
    wizard.wait_for_error("folder_B", "same folder")
    drop(wizard.well("B"), folders[1])
    wizard.go_on()


@pytest.mark.parametrize(
    ("content", "part"),
    [("empty", "is empty"), ("text", "no picture"), ("one", "only one picture"), ("missing", "no folder")],
)
def test_a_folder_that_cannot_be_trained_on_is_an_error_beside_it(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_pictures: MakePictures, content: str, part: str
) -> None:
    bad = tmp_path / "bad"
    if content != "missing":
        bad.mkdir()
    if content == "text":
        (bad / "notes.txt").touch()
    if content == "one":
        make_pictures(bad, 1)
    drop(wizard.well("B"), folders[0])
    drop(wizard.well("A"), bad)
    wizard.wait_for_error("folder_A", part)
    assert wizard.text("error_folder_B") == ""


@pytest.mark.parametrize("both", [False, True])
def test_each_bad_folder_has_its_sentence_at_once(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, both: bool, qtbot: QtBot
) -> None:
    empty, letters = tmp_path / "nothing here", tmp_path / "letters"
    for folder in (empty, letters):
        folder.mkdir()
    (letters / "letter.txt").touch()
    if both:
        drop(wizard.well("A"), empty)
    drop(wizard.well("B"), letters)
    remedy = "Choose a folder of pictures, such as JPEG, PNG, WebP or TIFF."
    wizard.wait_for_error("folder_B", f"letters holds no pictures, only other files. {remedy}")
    if both:
        wizard.wait_for_error("folder_A", f"nothing here is empty. {remedy}")
        drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), folders[1])
    if both:
        wizard.go_on()


def test_names_are_empty_until_a_folder_is_chosen(wizard: Wizard, tmp_path: Path, make_pictures) -> None:
    assert (wizard.edit("name_A").text(), wizard.edit("name_B").text()) == ("", "")
    drop(wizard.well("A"), make_pictures(tmp_path / "apples", 2))
    assert (wizard.edit("name_A").text(), wizard.edit("name_B").text()) == ("Apples", "")
    drop(wizard.well("B"), make_pictures(tmp_path / "trainB", 2))
    assert (wizard.edit("name_A").text(), wizard.edit("name_B").text()) == ("Apples", "B")


def test_a_file_dropped_on_a_well_is_an_error_beside_it(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), folders[0] / "0.png")
    wizard.wait_for_error("folder_B", "is a file")


def test_a_folder_within_the_other_is_an_error(wizard: Wizard, folders: tuple[Path, Path], make_pictures) -> None:
    drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), make_pictures(folders[0] / "inner", 3))
    wizard.wait_for_error("folder_B", "lies inside")


@pytest.mark.parametrize(("name_A", "name_B", "field"), [("", "Oranges", "name_A"), ("Fruit", "fruit", "name_B")])
def test_a_name_that_makes_no_sense_is_an_error_beside_it(
    wizard: Wizard, folders: tuple[Path, Path], name_A: str, name_B: str, field: str
) -> None:
    drop(wizard.well("A"), *folders)
    wizard.edit("name_A").setText(name_A)
    wizard.edit("name_B").setText(name_B)
    wizard.wait_for_error(field, "name")


def _to_settings(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    drop(wizard.well("A"), *folders)
    wizard.go_on()


@pytest.mark.parametrize(
    ("values", "field", "part"),
    [
        ({"size": 70}, "size", "multiple of 4"),
        ({"size": 8}, "size", "from 32"),
        ({"epochs": 0, "decay_epochs": 0}, "epochs", "nothing to train"),
    ],
)
def test_a_setting_that_makes_no_sense_is_an_error_beside_it(
    wizard: Wizard, folders: tuple[Path, Path], values: dict[str, int], field: str, part: str
) -> None:
    _to_settings(wizard, folders)
    for name, value in values.items():
        wizard.spin(name).setValue(value)
    wizard.wait_for_error(field, part)
    wizard.spin("size").setValue(64)
    wizard.spin("epochs").setValue(1)
    wizard.go_on()


def test_every_setting_that_makes_no_sense_is_marked_at_once(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    _to_settings(wizard, folders)
    for name, value in {"size": 8, "epochs": 0, "decay_epochs": 0}.items():
        wizard.spin(name).setValue(value)
    wizard.edit("run").setText("")
    for field, part in (("size", "from 32"), ("epochs", "nothing to train"), ("run", "Say where")):
        assert part in wizard.text(f"error_{field}")


def test_both_names_are_marked_when_both_are_missing(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    drop(wizard.well("A"), *folders)
    for side in "AB":
        wizard.edit(f"name_{side}").setText("")
    for side in "AB":
        wizard.wait_for_error(f"name_{side}", "name")


def test_a_place_that_cannot_be_used_is_an_error_beside_it(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, qtbot: QtBot
) -> None:
    _to_settings(wizard, folders)
    for place, part in (
        (folders[0] / "run", "among the pictures"),
        (folders[0], "among the pictures"),
        ("", "Say where"),
        (tmp_path, "not empty"),
    ):
        wizard.edit("run").setText(str(place))
        wizard.wait_for_error("run", part)
    wizard.edit("run").setText(str(tmp_path / "new"))
    wizard.go_on()
    wizard.go_on()
    assert wizard.started[0].run == tmp_path / "new"


def test_a_place_that_cannot_be_used_is_no_reason_to_stay_on_the_first_page(
    wizard: Wizard, folders: tuple[Path, Path], settings: Settings, qtbot: QtBot
) -> None:
    settings.runs_folder.write_text("a file where a folder should be")
    drop(wizard.well("A"), *folders)
    wizard.go_on()
    qtbot.waitUntil(lambda: wizard.text("error_run") != "")
    assert not wizard.button("wizard_next").isEnabled()


def test_the_proposed_place_is_always_new(tmp_path: Path) -> None:
    first = free_run_folder(tmp_path, "Apples", "Oranges")
    assert first.name.startswith("Apples and Oranges 20")
    first.mkdir()
    second = free_run_folder(tmp_path, "Apples", "Oranges")
    assert second != first
    assert not second.exists()
    assert free_run_folder(tmp_path, "a/b", 'c:"<>|?*').parent == tmp_path


def test_without_a_gpu_the_quick_preset_is_chosen(make_wizard: Callable[..., Wizard], qtbot: QtBot) -> None:
    wizard = make_wizard([("cpu", "Processor (CPU)")])
    device = wizard.dialog.findChild(QComboBox, "device")
    qtbot.waitUntil(lambda: "Processor" in device.itemText(0))
    assert wizard.preset("quick").isChecked()


def test_with_a_gpu_the_standard_preset_is_chosen(make_wizard: Callable[..., Wizard], qtbot: QtBot) -> None:
    wizard = make_wizard([("cuda:0", "NVIDIA H200"), ("cpu", "Processor (CPU)")])
    device = wizard.dialog.findChild(QComboBox, "device")
    qtbot.waitUntil(lambda: device.count() == 3)
    assert device.itemText(0) == "Automatic (NVIDIA H200)"
    assert device.currentData() == "auto"
    assert wizard.preset("standard").isChecked()
    assert wizard.spin("size").value() == 256


def test_a_preset_of_ones_own_stays_when_a_gpu_is_found(make_wizard: Callable[..., Wizard], qtbot: QtBot) -> None:
    wizard = make_wizard([("cuda:0", "NVIDIA H200"), ("cpu", "Processor (CPU)")])
    wizard.preset("paper").click()
    device = wizard.dialog.findChild(QComboBox, "device")
    qtbot.waitUntil(lambda: device.count() == 3)
    assert wizard.preset("paper").isChecked()


def test_time_and_memory_are_measured_and_told(
    wizard: Wizard, folders: tuple[Path, Path], estimate: FakeEstimate, qtbot: QtBot
) -> None:
    _to_settings(wizard, folders)
    wizard.go_on()
    qtbot.waitUntil(lambda: wizard.text("summary_time") == "About 23 min and 400 MB on this machine")
    assert "CPU, 2 threads" in wizard.text("summary_how")
    assert wizard.text("summary_fit") == "It fits: 400 MB of 7.8 GB that are free"
    assert not wizard.dialog.findChildren(RemedyRows)
    assert wizard.text("summary_warning") == wizard.text("summary_quick") == ""
    wizard.go_on()
    assert wizard.started == estimate.configs


def test_weeks_are_warned_of_and_quick_stands_beside(wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot) -> None:
    _to_settings(wizard, folders)
    wizard.preset("standard").click()
    wizard.go_on()
    qtbot.waitUntil(lambda: wizard.text("summary_quick") == "The Quick preset takes about 23 min and 400 MB.")
    assert "Standard preset this takes about 3 weeks" in wizard.text("summary_warning")
    assert wizard.text("summary_time") == "About 3 weeks and 400 MB on this machine"


@pytest.mark.parametrize(("seconds", "is_beside"), [(3000.0, False), (4000.0, True)])
def test_quick_stands_beside_what_takes_more_than_an_hour(
    wizard: Wizard,
    folders: tuple[Path, Path],
    estimate: FakeEstimate,
    qtbot: QtBot,
    seconds: float,
    is_beside: bool,
) -> None:
    estimate.seconds["standard"] = seconds
    _to_settings(wizard, folders)
    wizard.preset("standard").click()
    wizard.go_on()
    qtbot.waitUntil(lambda: wizard.text("summary_fit") != "")
    assert wizard.text("summary_warning") == ""
    if is_beside:
        qtbot.waitUntil(lambda: "about 23 min" in wizard.text("summary_quick"))
    else:
        assert wizard.text("summary_quick") == ""


def test_quick_is_taken_with_one_click_and_measured(
    wizard: Wizard, folders: tuple[Path, Path], estimate: FakeEstimate, qtbot: QtBot
) -> None:
    _to_settings(wizard, folders)
    wizard.preset("standard").click()
    wizard.spin("epochs").setValue(7)
    wizard.number("pool_size").setValue(3)
    wizard.go_on()
    qtbot.waitUntil(wizard.button("take_quick").isVisible)
    wizard.button("take_quick").click()
    qtbot.waitUntil(lambda: wizard.text("summary_time").startswith("About 23 min"))
    assert "Quick preset" in wizard.text("summary_sentence")
    wizard.go_on()
    (config,) = wizard.started
    assert (config.preset, config.size, config.epochs, config.pool_size) == ("quick", 64, 5, 0)


@pytest.mark.parametrize("ran_out", [False, True])
def test_what_does_not_fit_says_so_and_is_mended_with_a_click(
    wizard: Wizard, folders: tuple[Path, Path], estimate: FakeEstimate, qtbot: QtBot, ran_out: bool
) -> None:
    estimate.memory = {("standard", 256): 9_100_000_000}
    estimate.too_large = {"standard"} if ran_out else set()
    _to_settings(wizard, folders)
    wizard.preset("standard").click()
    wizard.number("batch_size").setValue(4)
    wizard.go_on()
    needs = "it needs more than the 7.8 GB that are free" if ran_out else "9.1 GB, and 7.8 GB are free"
    qtbot.waitUntil(lambda: wizard.text("summary_fit") == f"It does not fit: {needs}")
    qtbot.waitUntil(lambda: "about 23 min" in wizard.text("summary_quick"))
    assert wizard.button("wizard_next").isEnabled()  # The user may know better.
    for text in ("Batches of 2 instead of 4", "Pictures of 128 px"):
        rows = wizard.dialog.findChild(RemedyRows)
        next(button for button in rows.findChildren(QPushButton) if button.text() == text).click()
        assert not rows.isVisible()
        qtbot.waitUntil(lambda: wizard.text("summary_fit") != "")
    assert "It fits" in wizard.text("summary_fit")
    wizard.go_on()
    (config,) = wizard.started
    assert (config.batch_size, config.accumulate, config.size, config.load_size) == (2, 2, 128, 143)


def test_measuring_stops_when_the_page_is_left(
    wizard: Wizard, folders: tuple[Path, Path], estimate: FakeEstimate, qtbot: QtBot
) -> None:
    estimate.lasts_for_ever = True
    _to_settings(wizard, folders)
    wizard.go_on()
    qtbot.waitUntil(lambda: len(estimate.configs) == 1)
    wizard.go_back()
    qtbot.waitUntil(estimate.closed.is_set)


@pytest.mark.parametrize("how", ["wizard_cancel", "escape", "start"])
def test_measuring_stops_when_the_wizard_is_closed(
    wizard: Wizard, folders: tuple[Path, Path], estimate: FakeEstimate, qtbot: QtBot, how: str
) -> None:
    estimate.lasts_for_ever = True
    _to_settings(wizard, folders)
    wizard.go_on()
    qtbot.waitUntil(lambda: len(estimate.configs) == 1)
    if how == "escape":
        qtbot.keyClick(wizard.dialog, Qt.Key.Key_Escape)
    elif how == "start":
        wizard.go_on()
    else:
        wizard.button(how).click()
    qtbot.waitUntil(estimate.closed.is_set)
    assert not wizard.dialog.isVisible()
    assert len(wizard.started) == (1 if how == "start" else 0)


def test_why_the_time_cannot_be_measured_is_told(
    wizard: Wizard, folders: tuple[Path, Path], estimate: FakeEstimate, qtbot: QtBot
) -> None:
    estimate.failure = OutOfMemoryError("There is not enough memory. Choose a smaller size.")
    _to_settings(wizard, folders)
    wizard.go_on()
    qtbot.waitUntil(lambda: wizard.text("summary_warning") == str(estimate.failure))


def test_the_window_stays_alive_while_a_huge_folder_is_looked_at(
    wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def walk(folder: Path) -> Iterator[FolderContent]:
        yield FolderContent(folder, tuple(folder / f"{n}.jpg" for n in range(1234)), 0)
        gate.wait(60)
        yield FolderContent(folder, (), 0)

    monkeypatch.setattr(folder_look, "walk_folder", walk)
    drop(wizard.well("A"), folders[0])
    qtbot.waitUntil(lambda: "1,234 so far" in wizard.well("A").summary)
    monkeypatch.undo()
    drop(wizard.well("A"), folders[1])
    qtbot.waitUntil(lambda: wizard.well("A").summary == "4 pictures")
    gate.set()
    qtbot.wait(50)
    assert wizard.well("A").summary == "4 pictures"


def test_it_is_used_from_the_keyboard(wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot) -> None:
    wizard.dialog.activateWindow()
    qtbot.waitActive(wizard.dialog)
    qtbot.waitUntil(wizard.well("A").hasFocus)
    qtbot.keyClick(wizard.well("A"), Qt.Key.Key_Space)
    picker = wizard.dialog.findChild(QFileDialog)
    assert picker.isVisible()
    picker.fileSelected.emit(str(folders[0]))
    picker.reject()
    drop(wizard.well("B"), folders[1])
    qtbot.waitUntil(wizard.button("wizard_next").isEnabled)
    qtbot.keyClick(wizard.dialog, Qt.Key.Key_Return)
    assert wizard.doctor.isVisible()
    qtbot.keyClick(wizard.dialog, Qt.Key.Key_Return)
    assert wizard.preset("quick").isVisible()
    wizard.dialog.activateWindow()
    wizard.preset("quick").setFocus()
    qtbot.waitUntil(wizard.preset("quick").hasFocus)
    qtbot.keyClick(wizard.preset("quick"), Qt.Key.Key_Right)
    assert wizard.preset("standard").isChecked()
    qtbot.waitUntil(wizard.button("wizard_next").isEnabled)
    qtbot.keyClick(wizard.dialog, Qt.Key.Key_Return)
    qtbot.keyClick(wizard.dialog, Qt.Key.Key_Return)
    assert wizard.started[0].preset == "standard"


def test_every_control_has_a_name_for_those_who_do_not_see(wizard: Wizard) -> None:
    for kind in (QAbstractButton, QLineEdit, QAbstractSpinBox, QComboBox):
        for control in wizard.dialog.findChildren(kind):
            inner = control.objectName().startswith("qt_") or isinstance(control.parent(), QAbstractSpinBox | QComboBox)
            text = control.text() if isinstance(control, QAbstractButton) else ""
            assert inner or control.accessibleName() or text, control.objectName()


def test_recent_folders_are_offered(
    make_wizard: Callable[..., Wizard], settings: Settings, folders: tuple[Path, Path], qtbot: QtBot
) -> None:
    settings.recent_folders = list(folders)
    wizard = make_wizard()
    recent = wizard.dialog.findChildren(QToolButton, "recent_folders")[1]
    recent.menu().actions()[0].trigger()
    qtbot.waitUntil(lambda: wizard.well("B").summary == "5 pictures")


def test_names_of_folders_are_shown_as_they_are_typed(
    wizard: Wizard, tmp_path: Path, make_pictures: MakePictures, qtbot: QtBot
) -> None:
    odd = [make_pictures(tmp_path / name, 2) for name in ("<b>bold</b> & <img src=x>", "&amp; {name} %1")]
    drop(wizard.well("A"), *odd)
    qtbot.waitUntil(lambda: wizard.well("A").summary == "2 pictures")
    assert any(label.text() == odd[0].name for label in wizard.well("A").findChildren(QLabel))
    wizard.go_on()
    wizard.go_on()
    assert all(
        label.textFormat() == Qt.TextFormat.PlainText for label in wizard.dialog.findChildren(QLabel) if label.text()
    )
    wizard.go_on()
    assert wizard.started[0].folder_A == odd[0]


def test_long_names_become_a_folder_that_every_disk_takes(
    wizard: Wizard, folders: tuple[Path, Path], settings: Settings
) -> None:
    drop(wizard.well("A"), *folders)
    wizard.edit("name_A").setText("苹" * 50)
    wizard.edit("name_B").setText("橙" * 50)
    run = Path(wizard.edit("run").text())
    run.mkdir(parents=True)
    assert run.name.startswith("苹" * 50 + " and 橙")
    assert free_run_folder(settings.runs_folder, "苹" * 50, "橙" * 50).name.endswith(" (2)")


def _open_advanced(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    _to_settings(wizard, folders)
    wizard.preset("standard").click()
    wizard.button("advanced").click()
    wizard.dialog.findChild(AdvancedOptions).make_rows()


def test_advanced_options_start_and_are_summed_up(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    _open_advanced(wizard, folders)
    wizard.dialog.findChild(QComboBox, "gan_loss").setCurrentIndex(2)
    wizard.number("channels").setValue(48)
    wizard.dialog.findChild(QCheckBox, "grey_A").click()
    wizard.go_on()
    changes = wizard.text("summary_changes")
    for part in ("Adversarial loss: Hinge", "Channels: 48", "First domain is grey (Apples): on"):
        assert part in changes
    wizard.go_on()
    (config,) = wizard.started
    assert (config.gan_loss, config.channels, config.grey_A, config.grey_B) == ("hinge", 48, True, False)
    assert (config.preset, config.pool_size) == ("standard", 50)


def test_without_changes_the_summary_names_none(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    _to_settings(wizard, folders)
    wizard.go_on()
    assert wizard.text("summary_sentence")
    assert wizard.text("summary_changes") == ""


def test_an_advanced_option_that_makes_no_sense_is_an_error_beside_it(
    wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot
) -> None:
    _open_advanced(wizard, folders)
    wizard.number("discriminator_layers").setValue(6)
    wizard.button("advanced").click()
    # What fits 256 px is too deep for these, and nobody sees it.
    wizard.spin("size").setValue(128)
    wizard.wait_for_error("discriminator_layers", "at least 192 px")
    label = wizard.dialog.findChild(QLabel, "error_discriminator_layers")
    qtbot.waitUntil(lambda: not label.visibleRegion().isEmpty())
    assert "red" in wizard.text("wizard_hint")
    wizard.number("discriminator_layers").setValue(5)
    assert wizard.text("error_discriminator_layers") == ""
    wizard.go_on()


def test_a_model_that_is_none_blocks_the_way(wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path) -> None:
    wizard.dialog.set_start_from(tmp_path / "missing.safetensors")
    _to_settings(wizard, folders)
    wizard.wait_for_error("start_from", "missing.safetensors")
    wizard.button("reset_options").click()
    wizard.go_on()


def test_a_training_starts_from_a_model(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    model = make_model(tmp_path / "model.safetensors", size="128")
    wizard.dialog.set_start_from(model)
    _to_settings(wizard, folders)
    wizard.preset("standard").click()
    wizard.go_on()
    wizard.go_on()
    (config,) = wizard.started
    assert config.start_from == model
    assert (config.size, config.blocks, config.channels, config.long_skip) == (128, 3, 32, True)


HORSES = {"name_A": "Horses", "name_B": "Zebras"}


def _title(wizard: Wizard) -> str:
    return wizard.text("wizard_title")


def test_fine_tuning_says_what_it_begins_with(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    assert wizard.dialog.windowTitle() == "New training"
    assert wizard.text("begins_with") == ""
    wizard.dialog.set_start_from(make_model(tmp_path / "horses.safetensors", **HORSES))
    assert wizard.dialog.windowTitle() == "Fine-tune Horses and Zebras"
    assert _title(wizard) == "Fine-tune Horses and Zebras"
    assert wizard.text("begins_with") == (
        "Begins with the networks of Horses and Zebras (horses.safetensors): the first folder takes the place of "
        "Horses."
    )
    _to_settings(wizard, folders)
    assert _title(wizard) == "How to fine-tune Horses and Zebras"


def test_fine_tuning_keeps_the_names_of_the_model_whatever_the_folders_are_called(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path], qtbot: QtBot
) -> None:
    wizard.dialog.set_start_from(make_model(tmp_path / "horses.safetensors", **HORSES))
    assert [wizard.edit(f"name_{side}").text() for side in "AB"] == ["Horses", "Zebras"]
    drop(wizard.well("A"), *folders)
    qtbot.keyClicks(wizard.edit("name_B"), " at night")
    _to_settings(wizard, folders)
    wizard.go_on()
    wizard.go_on()
    (config,) = wizard.started
    assert (config.name_A, config.name_B) == ("Horses", "Zebras at night")
    assert config.run.name.startswith("Horses and Zebras at night")


def test_fine_tuning_after_folders_were_chosen_takes_the_names_of_the_model(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    drop(wizard.well("A"), *folders)
    wizard.dialog.set_start_from(make_model(tmp_path / "horses.safetensors", **HORSES))
    assert [wizard.edit(f"name_{side}").text() for side in "AB"] == ["Horses", "Zebras"]


def test_resetting_the_model_ends_fine_tuning(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    wizard.dialog.set_start_from(make_model(tmp_path / "horses.safetensors", **HORSES))
    _open_advanced(wizard, folders)
    wizard.dialog.findChild(QToolButton, "reset_start_from").click()
    assert wizard.dialog.windowTitle() == "New training"
    assert _title(wizard) == "How to train"
    wizard.go_back()
    assert _title(wizard) == "Choose two folders of pictures"
    assert wizard.text("begins_with") == ""
    assert [wizard.edit(f"name_{side}").text() for side in "AB"] == ["Apples", "Oranges"]


def test_resetting_all_options_goes_on_fine_tuning(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    model = make_model(tmp_path / "horses.safetensors", **HORSES)
    wizard.dialog.set_start_from(model)
    _open_advanced(wizard, folders)
    # There is nothing that the button could put back.
    assert not wizard.button("reset_options").isVisible()
    wizard.number("pool_size").setValue(7)
    wizard.number("blocks").setValue(4)
    wizard.button("reset_options").click()
    assert not wizard.button("reset_options").isVisible()
    assert wizard.dialog.windowTitle() == "Fine-tune Horses and Zebras"
    wizard.go_on()
    wizard.go_on()
    (config,) = wizard.started
    assert config.start_from == model
    assert (config.blocks, config.channels, config.pool_size, config.size) == (3, 32, 50, 64)


def test_a_model_chosen_among_the_options_is_named_and_leaves_the_names_of_the_folders(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    _open_advanced(wizard, folders)
    model = make_model(tmp_path / "horses.safetensors", **HORSES)
    wizard.dialog.findChild(QWidget, "start_from").findChild(QLineEdit).setText(str(model))
    assert _title(wizard) == "How to fine-tune Horses and Zebras"
    assert wizard.edit("name_A").text() == "Apples"
    wizard.button("reset_options").click()
    assert _title(wizard) == "How to train"


def test_a_fine_tuning_to_be_corrected_says_so(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    model = make_model(tmp_path / "horses.safetensors", architecture="{}", size="256", **HORSES)
    wizard.dialog.set_config(
        preset_config(
            "standard",
            folder_A=folders[0],
            folder_B=folders[1],
            run=tmp_path / "own",
            name_A="Donkeys",
            name_B="Okapis",
            start_from=model,
        )
    )
    assert wizard.dialog.windowTitle() == "Fine-tune Horses and Zebras"
    assert [wizard.edit(f"name_{side}").text() for side in "AB"] == ["Donkeys", "Okapis"]


def test_the_story_of_a_model_widens_no_window(wizard: Wizard, tmp_path: Path, make_model: Callable[..., Path]) -> None:
    before = wizard.dialog.minimumSizeHint().width()
    model = make_model(tmp_path / f"{'m' * 200}.safetensors", name_A="<b>Horses</b>" * 40, name_B="Z" * 300)
    wizard.dialog.set_start_from(model)
    assert "<b>Horses</b>" in _title(wizard)
    assert wizard.dialog.minimumSizeHint().width() <= max(before, 880)


@pytest.mark.parametrize(("width", "words"), [(None, "at 64 px for"), (64, "at 64 px for"), (96, "at 96 x 64 px for")])
def test_crops_that_are_not_square_are_summed_up_by_width_and_height(
    wizard: Wizard, folders: tuple[Path, Path], width: int | None, words: str
) -> None:
    _open_advanced(wizard, folders)
    wizard.spin("size").setValue(64)
    wizard.number("width").setValue(width or 0)
    wizard.go_on()
    assert words in wizard.text("summary_sentence")


def test_mending_an_error_leaves_the_keyboard_where_it_is(
    wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot
) -> None:
    wizard.dialog.activateWindow()
    qtbot.waitActive(wizard.dialog)
    _open_advanced(wizard, folders)
    wizard.number("discriminator_layers").setValue(6)
    wizard.edit("find_option").setText("hinge")
    wizard.spin("size").setValue(128)
    wizard.wait_for_error("discriminator_layers", "at least 192 px")
    layers = wizard.number("discriminator_layers")
    layers.setFocus()
    layers.selectAll()
    qtbot.keyClicks(layers, "5")
    assert wizard.text("error_discriminator_layers") == ""
    assert layers.hasFocus()
    layers.setValue(6)
    wizard.wait_for_error("discriminator_layers", "at least 192 px")
    wizard.button("reset_options").setFocus()
    wizard.button("reset_options").click()
    assert wizard.edit("find_option").hasFocus()


def test_a_training_to_be_corrected_shows_its_advanced_options(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, qtbot: QtBot
) -> None:
    config = preset_config(
        "paper",
        folder_A=folders[0],
        folder_B=folders[1],
        run=tmp_path / "own",
        name_A="Apples",
        name_B="Oranges",
        size=512,
        schedule="cosine",
        grow_from=128,
        clip_gradient=1.5,
        max_minutes=90.0,
        load_size=600,
    )
    wizard.dialog.set_config(config)
    wizard.go_on()
    assert "5 options changed" in wizard.text("options_changed")
    wizard.go_on()
    wizard.go_on()
    assert wizard.started == [config]


@pytest.mark.parametrize(("count", "is_offered"), [(499, True), (500, False)])
def test_few_pictures_are_offered_augmentation(
    wizard: Wizard, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, count: int, is_offered: bool
) -> None:
    def walk(folder: Path) -> Iterator[FolderContent]:
        few = folder == folders[0]
        yield FolderContent(folder, tuple(folder / f"{n}.jpg" for n in range(count if few else 900)), 0)

    monkeypatch.setattr(folder_look, "walk_folder", walk)
    _to_settings(wizard, folders)
    offer = wizard.dialog.findChild(QWidget, "few_pictures")
    assert not offer.isVisible()
    wizard.preset("standard").click()
    assert offer.isVisible() == is_offered
    for preset in ("paper", "reference", "quick"):
        wizard.preset(preset).click()
        assert not offer.isVisible()
    if not is_offered:
        return
    wizard.preset("standard").click()
    wizard.button("turn_on_augmentation").click()
    assert not offer.isVisible()
    assert wizard.text("options_changed") == "1 option changed"
    wizard.go_on()
    wizard.go_on()
    assert wizard.started[0].diff_augment


def test_the_window_grows_for_advanced_options_and_shrinks_after_them(
    wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot
) -> None:
    _to_settings(wizard, folders)
    before = wizard.dialog.size()
    wizard.button("advanced").click()
    qtbot.waitUntil(lambda: wizard.dialog.height() > before.height())
    room, window = wizard.dialog.screen().availableGeometry(), wizard.dialog.frameGeometry()
    assert room.top() <= window.top()
    assert window.bottom() <= room.bottom()
    wizard.button("advanced").click()
    qtbot.waitUntil(lambda: wizard.dialog.size() == before)


def test_every_letter_for_the_keyboard_is_there_once(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    _open_advanced(wizard, folders)
    wizard.number("channels").setValue(48)
    texts = [
        *(label.text() for label in wizard.dialog.findChildren(QLabel) if label.isVisible() and label.buddy()),
        *(made.text() for made in wizard.dialog.findChildren(QPushButton) if made.isVisible()),
    ]
    letters = [text.replace("&&", "").partition("&")[2][:1].casefold() for text in texts if "&" in text]
    assert len(letters) == len(set(letters)) > 5


def test_everything_fits_a_small_window(wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot) -> None:
    drop(wizard.well("A"), *folders)
    qtbot.waitUntil(lambda: wizard.thumbnails("A") > 0)
    hint = wizard.dialog.minimumSizeHint()
    assert hint.width() <= 960
    assert hint.height() <= 600
    wizard.go_on()
    wizard.preset("standard").click()
    wizard.number("channels").setValue(48)
    wizard.button("advanced").click()
    qtbot.waitUntil(lambda: wizard.dialog.findChild(QWidget, "options").isVisible())
    hint = wizard.dialog.minimumSizeHint()
    assert hint.width() <= 960
    assert hint.height() <= 600


def test_what_the_doctor_proposes_to_leave_out_is_not_trained_on(
    wizard: Wizard, folders: tuple[Path, Path], examine: FakeExamination, qtbot: QtBot
) -> None:
    out = tuple(sorted(folders[0].iterdir()))[:2]
    examine.findings = [Finding("same", "warning", ("A",), "Copies.", out, leave_out=out)]
    wizard.dialog.set_folders(list(folders))
    qtbot.waitUntil(lambda: "1 problem" in wizard.text("doctor_line"))
    assert examine.configs[-1].folder_A == folders[0]
    wizard.go_on()
    assert wizard.doctor.isVisible()
    wizard.button("leave_out_all").click()
    wizard.go_on()
    wizard.go_on()
    assert "3 and 4 pictures" in wizard.text("summary_sentence")
    wizard.go_on()
    assert wizard.started[0].left_out == out


def test_nobody_waits_for_the_doctor(
    wizard: Wizard, folders: tuple[Path, Path], examine: FakeExamination, qtbot: QtBot
) -> None:
    examine.lasts_for_ever = True
    wizard.dialog.set_folders(list(folders))
    qtbot.waitUntil(lambda: "3 of 9" in wizard.text("doctor_line") or "4 of 9" in wizard.text("doctor_line"))
    for _ in range(3):
        wizard.go_on()
    assert wizard.started and not wizard.started[0].left_out
    qtbot.waitUntil(examine.closed.is_set)


def test_what_no_training_can_begin_with_blocks_like_any_error(
    wizard: Wizard, folders: tuple[Path, Path], examine: FakeExamination
) -> None:
    examine.findings = [Finding("too_few", "stop", ("B",), "Oranges has no picture that can be read.")]
    wizard.dialog.set_folders(list(folders))
    wizard.wait_for_error("folder_B", "no picture that can be read")


def test_leaving_out_too_much_blocks_and_can_be_taken_back(
    wizard: Wizard, folders: tuple[Path, Path], examine: FakeExamination, qtbot: QtBot
) -> None:
    out = tuple(folders[1].iterdir())
    examine.findings = [Finding("same", "warning", ("B",), "Copies.", out, leave_out=out)]
    wizard.dialog.set_folders(list(folders))
    qtbot.waitUntil(lambda: bool(wizard.doctor.findings))
    wizard.go_on()
    wizard.button("leave_out_all").click()
    assert "Too much is left out" in wizard.text("error_left_out")
    assert not wizard.button("wizard_next").isEnabled()
    wizard.button("leave_out_none").click()
    qtbot.waitUntil(wizard.button("wizard_next").isEnabled)


def test_other_folders_are_examined_anew_and_other_settings_with_what_is_remembered(
    wizard: Wizard, folders: tuple[Path, Path], examine: FakeExamination, qtbot: QtBot, make_pictures: MakePictures
) -> None:
    wizard.dialog.set_folders(list(folders))
    qtbot.waitUntil(lambda: "nothing to complain about" in wizard.text("doctor_line"))
    wizard.go_on()
    wizard.spin("size").setValue(96)
    qtbot.waitUntil(lambda: examine.configs[-1].size == 96)
    wizard.go_back()
    other = make_pictures(folders[0].parent / "pears", 3)
    drop(wizard.well("B"), other)
    qtbot.waitUntil(lambda: examine.configs[-1].folder_B == other)


def test_settings_to_be_corrected_keep_what_is_left_out(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out = (min(folders[0].iterdir()),)
    config = preset_config(
        "quick", folder_A=folders[0], folder_B=folders[1], run=tmp_path / "run", name_B="Oranges", left_out=out
    )
    wizard.dialog.set_config(config)
    for _ in range(3):
        wizard.go_on()
    assert wizard.started[0].left_out == out
