from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.advanced import AdvancedOptions
from cyclegan_desktop.training.preset_picker import SavePresetDialog
from cyclegan_desktop.training.settings_page import SettingsPage
from engine.config import PRESETS, TrainConfig, preset_config
from engine.presets import read_presets, save_preset

PLACES = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}


class Page:
    """The page and what a person finds on it."""

    def __init__(self, widget: SettingsPage) -> None:
        self.widget = widget

    def choose(self, preset: str) -> None:
        self.widget.findChild(QAbstractButton, f"preset_{preset}").click()

    def spin(self, name: str) -> QSpinBox:
        return self.widget.findChild(QSpinBox, name)

    def number(self, name: str) -> QDoubleSpinBox:
        return self.widget.findChild(QDoubleSpinBox, name)

    def reset(self, name: str) -> QToolButton:
        return self.widget.findChild(QToolButton, f"reset_{name}")

    def text(self, name: str) -> str:
        label = self.widget.findChild(QLabel, name)
        return label.text() if label.isVisible() else ""

    def ask_for_name(self, name: str) -> SavePresetDialog:
        self.widget.findChild(QPushButton, "save_preset").click()
        dialog = self.widget.findChild(SavePresetDialog)
        dialog.findChild(QLineEdit, "preset_name").setText(name)
        return dialog

    def save_as(self, name: str) -> None:
        dialog = self.ask_for_name(name)
        dialog.findChild(QPushButton, "save_preset_now").click()
        assert dialog.result() == SavePresetDialog.DialogCode.Accepted
        dialog.deleteLater()
        QApplication.sendPostedEvents(dialog, QEvent.Type.DeferredDelete)

    def config(self) -> TrainConfig:
        return preset_config(self.widget.preset, **{**PLACES, **self.widget.values(), "run": PLACES["run"]})


@pytest.fixture
def page(qtbot: QtBot, tmp_path: Path) -> Page:
    widget = SettingsPage(tmp_path / "Presets")
    widget.findChild(AdvancedOptions).make_rows()
    qtbot.addWidget(widget)
    widget.resize(860, 500)
    widget.show()
    return Page(widget)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_preset_left_alone_is_that_preset(page: Page, preset: str) -> None:
    for other in list(PRESETS):
        page.choose(other)
    page.choose(preset)
    assert page.config() == preset_config(preset, **PLACES)
    assert page.widget.changes() == []


def test_what_the_user_has_set_stays_when_another_preset_is_chosen(page: Page) -> None:
    page.spin("epochs").setValue(7)
    page.number("pool_size").setValue(20)
    page.choose("paper")
    assert page.config() == preset_config("paper", **PLACES, epochs=7, pool_size=20)
    assert page.spin("decay_epochs").value() == 100


@pytest.mark.parametrize("name", ["size", "epochs", "decay_epochs"])
def test_what_differs_from_the_preset_is_marked_and_put_back(page: Page, name: str) -> None:
    page.choose("standard")
    default = page.spin(name).value()
    assert not page.reset(name).isVisible()
    page.spin(name).setValue(default + 4)
    assert page.reset(name).isVisible()
    page.reset(name).click()
    assert page.spin(name).value() == default
    assert not page.reset(name).isVisible()
    page.choose("quick")
    assert page.config() == preset_config("quick", **PLACES)


def test_the_size_before_cropping_goes_with_the_size(page: Page) -> None:
    page.choose("standard")
    for size, load_size in ((128, 143), (512, 572)):
        page.spin("size").setValue(size)
        assert page.number("load_size").value() == load_size
        assert page.config().load_size == load_size
    page.number("load_size").setValue(700)
    page.spin("size").setValue(256)
    assert page.config().load_size == 700


def test_an_error_of_a_field_that_is_nowhere_is_shown_all_the_same(page: Page) -> None:
    page.widget.show_errors({"preset": "There is no such preset.", "seed": "The seed is odd."})
    other = page.widget.findChild(QLabel, "error_other")
    assert other.isVisible()
    assert other.text() == "There is no such preset."


def test_explanations_and_other_groups_make_room_for_the_advanced_options(page: Page) -> None:
    def is_shown(name: str) -> bool:
        return page.widget.findChild(QWidget, name).isVisible()

    toggle = page.widget.findChild(QPushButton, "advanced")
    for is_open in (False, True, False):
        assert is_shown("preset_summary") is not is_open
        assert is_shown("preset_paper") is not is_open
        assert is_shown("preset_standard")
        toggle.click()
    assert "GPU" in page.widget.findChild(QAbstractButton, "preset_quick").toolTip()


def test_the_chosen_preset_says_what_it_is_for(page: Page) -> None:
    for name, preset in PRESETS.items():
        page.choose(name)
        assert page.text("preset_summary") == preset.summary


def test_settings_saved_as_a_preset_are_chosen_and_nothing_is_marked(page: Page, tmp_path: Path) -> None:
    page.choose("standard")
    page.spin("epochs").setValue(7)
    page.number("pool_size").setValue(20)
    page.save_as("Oil / canvas")
    assert page.widget.preset.name == "Oil / canvas"
    assert page.text("preset_note") == "Saved as Oil / canvas."
    assert not page.reset("epochs").isVisible()
    assert page.widget.changes() == []
    page.choose("quick")
    assert (page.spin("epochs").value(), page.number("pool_size").value()) == (5, 0)
    page.choose("Oil / canvas")
    expected = preset_config("standard", **PLACES, epochs=7, pool_size=20)
    assert page.config() == dataclasses.replace(expected, preset="Oil / canvas")
    (own,) = read_presets(tmp_path / "Presets").presets
    assert own.preset == page.widget.preset


def test_an_own_preset_made_from_an_own_one_begins_from_ours(page: Page, tmp_path: Path) -> None:
    page.spin("epochs").setValue(7)
    page.save_as("First")
    page.spin("decay_epochs").setValue(9)
    page.save_as("Second")
    second = read_presets(tmp_path / "Presets").find("Second")
    assert second is not None and second.preset.begins_from == "quick"
    assert (page.config().epochs, page.config().decay_epochs) == (7, 9)


def test_a_preset_is_replaced_only_after_saying_so(page: Page, tmp_path: Path) -> None:
    page.spin("epochs").setValue(7)
    page.save_as("Oils")
    page.spin("epochs").setValue(8)
    dialog = page.ask_for_name("oils")
    assert dialog.findChild(QPushButton, "save_preset_now").text() == "&Replace"
    assert "Oils already" in dialog.findChild(QLabel, "save_preset_words").text()
    dialog.findChild(QPushButton, "save_preset_now").click()
    (own,) = read_presets(tmp_path / "Presets").presets
    assert (own.preset.name, own.preset.values["epochs"]) == ("oils", 8)
    assert page.widget.preset == own.preset


def test_a_name_of_ours_is_refused_beside_it(page: Page) -> None:
    dialog = page.ask_for_name("Quick")
    dialog.findChild(QPushButton, "save_preset_now").click()
    assert dialog.isVisible()
    assert "comes with the app" in dialog.findChild(QLabel, "save_preset_error").text()
    dialog.reject()


def test_a_deleted_preset_can_be_brought_back(page: Page, tmp_path: Path) -> None:
    page.choose("standard")
    assert not page.widget.findChild(QPushButton, "delete_preset").isVisible()
    page.spin("epochs").setValue(7)
    page.save_as("Oils")
    saved = page.widget.preset
    page.widget.findChild(QPushButton, "delete_preset").click()
    assert not read_presets(tmp_path / "Presets").presets
    assert page.widget.preset.name == "standard"
    assert page.text("preset_note") == "Oils is deleted."
    page.widget.findChild(QPushButton, "undo_delete_preset").click()
    assert page.widget.preset == saved
    assert page.config().epochs == 7


def test_a_damaged_preset_is_named_and_the_others_are_shown(qtbot: QtBot, tmp_path: Path) -> None:
    save_preset(tmp_path, "Oils", preset_config("quick", **PLACES), base="quick")
    (tmp_path / "bad.json").write_text("{")
    widget = SettingsPage(tmp_path)
    widget.findChild(AdvancedOptions).make_rows()
    qtbot.addWidget(widget)
    widget.show()
    page = Page(widget)
    assert "bad.json" in page.text("preset_note")
    page.choose("Oils")
    assert widget.preset.name == "Oils"


def test_many_presets_of_ones_own_are_scrolled(qtbot: QtBot, tmp_path: Path) -> None:
    for number in range(30):
        save_preset(tmp_path, f"Preset {number}", preset_config("quick", **PLACES), base="quick")
    widget = SettingsPage(tmp_path)
    widget.findChild(AdvancedOptions).make_rows()
    qtbot.addWidget(widget)
    widget.show()
    assert widget.sizeHint().height() < 600
    Page(widget).choose("Preset 29")
    assert widget.preset.name == "Preset 29"


def test_a_training_with_a_preset_that_is_gone_is_shown_all_the_same(page: Page) -> None:
    config = dataclasses.replace(preset_config("quick", **PLACES), preset="Gone")
    page.widget.set_config(config)
    assert page.widget.preset.name == "standard"
    assert page.config() == dataclasses.replace(config, preset="standard")


def test_changes_of_a_remedy_become_the_users_settings(page: Page) -> None:
    page.widget.take_changes({"size": 32, "load_size": 36, "batch_size": 2, "accumulate": 2})
    config = page.config()
    assert (config.size, config.load_size, config.batch_size, config.accumulate) == (32, 36, 2, 2)


def test_the_offer_of_augmentation_follows_the_option(page: Page) -> None:
    page.choose("standard")
    page.widget.set_counts(40, 4000)
    turn_on = page.widget.findChild(QPushButton, "turn_on_augmentation")
    assert turn_on.isVisible()
    page.widget.findChild(QCheckBox, "diff_augment").click()
    assert not turn_on.isVisible()
    page.widget.findChild(QCheckBox, "diff_augment").click()
    assert turn_on.isVisible()


def test_all_gpus_together_are_offered_but_automatic_takes_one(page: Page) -> None:
    page.widget.set_devices([("all", "All 2 GPUs"), ("cuda:0", "Fast GPU"), ("cuda:1", "Other GPU"), ("cpu", "CPU")])
    box = page.widget.findChild(QComboBox, "device")
    offered = [(box.itemData(row), box.itemText(row)) for row in range(box.count())]
    assert offered[:3] == [("auto", "Automatic (Fast GPU)"), ("all", "All 2 GPUs"), ("cuda:0", "Fast GPU")]
    assert box.currentData() == "auto"
    box.setCurrentIndex(1)
    assert page.config().device == "all"
    assert page.widget.device_words == "All 2 GPUs"
