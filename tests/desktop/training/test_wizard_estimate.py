"""Time and memory in the wizard, before the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QPushButton,
)
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.remedy_rows import RemedyRows
from engine.errors import OutOfMemoryError
from tests.desktop.training.wizards import (
    FakeEstimate,
    Wizard,
    to_settings,
)


def test_time_and_memory_are_measured_and_told(
    wizard: Wizard, folders: tuple[Path, Path], estimate: FakeEstimate, qtbot: QtBot
) -> None:
    to_settings(wizard, folders)
    wizard.go_on()
    qtbot.waitUntil(lambda: wizard.text("summary_time") == "About 23 min and 400 MB on this machine")
    assert "CPU, 2 threads" in wizard.text("summary_how")
    assert wizard.text("summary_fit") == "It fits: 400 MB of 7.8 GB that are free"
    assert not wizard.dialog.findChildren(RemedyRows)
    assert wizard.text("summary_warning") == wizard.text("summary_quick") == ""
    wizard.go_on()
    assert wizard.started == estimate.configs


def test_weeks_are_warned_of_and_quick_stands_beside(wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot) -> None:
    to_settings(wizard, folders)
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
    to_settings(wizard, folders)
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
    to_settings(wizard, folders)
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
    to_settings(wizard, folders)
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
    to_settings(wizard, folders)
    wizard.go_on()
    qtbot.waitUntil(lambda: len(estimate.configs) == 1)
    wizard.go_back()
    qtbot.waitUntil(estimate.closed.is_set)


@pytest.mark.parametrize("how", ["wizard_cancel", "escape", "start"])
def test_measuring_stops_when_the_wizard_is_closed(
    wizard: Wizard, folders: tuple[Path, Path], estimate: FakeEstimate, qtbot: QtBot, how: str
) -> None:
    estimate.lasts_for_ever = True
    to_settings(wizard, folders)
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
    to_settings(wizard, folders)
    wizard.go_on()
    qtbot.waitUntil(lambda: wizard.text("summary_warning") == str(estimate.failure))
