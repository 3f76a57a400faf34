from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QPushButton,
    QSpinBox,
    QToolButton,
)
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.settings_page import SettingsPage
from engine.config import PRESETS, TrainConfig, preset_config

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

    def config(self) -> TrainConfig:
        return preset_config(self.widget.preset, **{**PLACES, **self.widget.values(), "run": PLACES["run"]})


@pytest.fixture
def page(qtbot: QtBot) -> Page:
    widget = SettingsPage()
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


def test_explanations_make_room_for_the_advanced_options(page: Page) -> None:
    closed = page.widget.findChild(QAbstractButton, "preset_quick").sizeHint().height()
    toggle = page.widget.findChild(QPushButton, "advanced")
    toggle.click()
    assert page.widget.findChild(QAbstractButton, "preset_quick").sizeHint().height() < closed
    assert "GPU" in page.widget.findChild(QAbstractButton, "preset_quick").toolTip()
    toggle.click()
    assert page.widget.findChild(QAbstractButton, "preset_quick").sizeHint().height() == closed


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
