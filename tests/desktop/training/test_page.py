from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from PySide6.QtCore import Qt, SignalInstance
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QFrame, QLabel, QProgressBar, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.interrupted import Interrupted
from cyclegan_desktop.training.page import PageState, TrainingPage
from engine.events import Alarm, HealthChecked, Losses, Preparing, StepReport, TrainFinished, TrainStarted


@pytest.fixture
def page(qtbot: QtBot) -> Iterator[TrainingPage]:
    made = TrainingPage()
    qtbot.addWidget(made)
    made.resize(1000, 640)
    made.show()
    qtbot.waitExposed(made)
    yield made


def _button(page: TrainingPage, name: str) -> QPushButton:
    return page.findChild(QPushButton, name)


def _report(step: int = 1240, seconds_left: float = 990.0, *, epoch: int = 3, waiting: float = 0.0) -> StepReport:
    return StepReport(step, 4600, epoch, 20, 365.0, 3.4, seconds_left, 2e-4, Losses(*[1.0] * 8), waiting)


def _started(*, can_measure_again: bool) -> TrainStarted:
    return TrainStarted(Path("run"), "Apples", "Oranges", 0, 10, 1, 10, 5, 5, "CPU", "fp32", can_measure_again)


def test_an_empty_page_says_what_to_do_next(page: TrainingPage, qtbot: QtBot) -> None:
    action = _button(page, "empty_state_action")
    assert action.isVisible()
    with qtbot.waitSignal(page.new_requested):
        action.click()


def test_waiting_for_pictures_is_said_where_it_costs_much(page: TrainingPage) -> None:
    status = page.findChild(QLabel, "training_status")

    def words(*, epoch: int, waiting: float) -> str:
        for _ in range(60):
            page.show_report(_report(epoch=epoch, waiting=waiting))
        return status.text()

    assert "waiting" not in words(epoch=3, waiting=0.02)
    assert "30% of the time is waiting for pictures, which are read for the first time" in words(epoch=4, waiting=0.3)
    assert "smaller copies" in words(epoch=5, waiting=0.3)
    assert "waiting" not in words(epoch=5, waiting=0.0)


def test_the_page_needs_neither_torch_nor_the_plot_to_be_there() -> None:
    code = (
        "import sys, cyclegan_desktop.training.controller;"
        "print([name for name in ('torch', 'pyqtgraph') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_plots_are_made_in_pieces_and_a_training_that_begins_meanwhile_has_them_at_once(page: TrainingPage) -> None:
    pieces = page.make_plots()
    next(pieces)
    assert page._plot is None
    page.begin_new("apples", "oranges")
    plot = page._plot
    assert plot is not None
    for _ in pieces:
        pass
    assert page._plot is plot


@pytest.mark.parametrize(
    ("state", "text", "enabled"),
    [
        ("idle", "Start training...", True),
        ("working", "Stop training", True),
        ("paused", "Stop training", True),
        ("stopping", "Stopping...", False),
        ("freeing", "Pausing...", False),
        ("freed", "Continue", True),
    ],
)
def test_one_button_starts_and_stops(page: TrainingPage, state: PageState, text: str, enabled: bool) -> None:
    page.begin_new("Apples", "Oranges")
    page.set_state(state)
    main = _button(page, "main_training_button")
    assert main.text().replace("&", "") == text
    assert main.isEnabled() == enabled
    assert _button(page, "pause_training").isVisible() == (state not in ("idle", "freed"))


def test_an_ended_training_can_be_resumed_converted_with_and_opened(page: TrainingPage, qtbot: QtBot) -> None:
    page.begin_new("Apples", "Oranges")
    page.set_state("idle", is_resumable=True, has_model=True)
    for name, signal in (
        ("main_training_button", page.resume_requested),
        ("new_training", page.new_requested),
        ("convert_with_model", page.convert_requested),
        ("open_run_folder", page.open_folder_requested),
    ):
        with qtbot.waitSignal(signal):
            _button(page, name).click()


@pytest.mark.parametrize(
    ("state", "key", "signal"),
    [
        ("idle", Qt.Key.Key_F5, "resume_requested"),
        ("working", Qt.Key.Key_F6, "pause_requested"),
        ("paused", Qt.Key.Key_F6, "continue_requested"),
        ("paused", Qt.Key.Key_F5, "continue_requested"),
        ("freed", Qt.Key.Key_F6, "continue_requested"),
        ("freed", Qt.Key.Key_F5, "continue_requested"),
        ("working", Qt.Key.Key_F7, "stop_requested"),
        ("paused", Qt.Key.Key_F7, "stop_requested"),
    ],
)
def test_the_function_keys_do_what_the_buttons_do(
    page: TrainingPage, qtbot: QtBot, state: PageState, key: Qt.Key, signal: str
) -> None:
    page.begin_new("Apples", "Oranges")
    page.set_state(state, is_resumable=True)
    page.activateWindow()
    qtbot.waitActive(page)
    asked: SignalInstance = getattr(page, signal)
    with qtbot.waitSignal(asked):
        qtbot.keyClick(page, key)


def test_f5_starts_where_nothing_can_be_resumed(page: TrainingPage, qtbot: QtBot) -> None:
    page.activateWindow()
    qtbot.waitActive(page)
    with qtbot.waitSignal(page.new_requested):
        qtbot.keyClick(page, Qt.Key.Key_F5)


def test_keys_that_make_no_sense_now_do_nothing(page: TrainingPage, qtbot: QtBot) -> None:
    page.begin_new("Apples", "Oranges")
    page.set_state("stopping")
    page.activateWindow()
    qtbot.waitActive(page)
    for signal in (page.new_requested, page.resume_requested, page.pause_requested, page.stop_requested):
        with qtbot.assertNotEmitted(signal):
            for key in (Qt.Key.Key_F5, Qt.Key.Key_F6, Qt.Key.Key_F7):
                qtbot.keyClick(page, key)


def test_the_status_tells_epoch_step_rate_and_time_left(page: TrainingPage) -> None:
    page.begin_new("Apples", "Oranges")
    page.set_state("working")
    page.show_report(_report())
    status = page.findChild(QLabel, "training_status")
    for part in ("Epoch 3 of 20", "step 1,240 of 4,600", "3.4 steps/s", "16 min left"):
        assert part in status.text()
    progress = page.findChild(QProgressBar, "training_progress")
    assert progress.value() / progress.maximum() == pytest.approx(1240 / 4600, abs=1e-3)
    page.set_state("paused")
    assert status.text().startswith("Paused")


def test_a_phase_before_the_first_step_is_told(page: TrainingPage) -> None:
    page.begin_new("Apples", "Oranges")
    status = page.findChild(QLabel, "training_status")
    progress = page.findChild(QProgressBar, "training_progress")
    page.show_preparing(Preparing("Looking for pictures"))
    assert status.text() == "Looking for pictures..."
    assert progress.maximum() == 0
    page.show_preparing(Preparing("Reading", 5, 10))
    assert status.text() == "Reading: 5 of 10"
    assert progress.value() == progress.maximum() / 2


@pytest.mark.parametrize(
    ("state", "is_resumable", "primary"),
    [
        ("working", False, []),
        ("idle", True, ["main_training_button"]),
        ("idle", False, ["convert_with_model"]),
    ],
)
def test_what_comes_next_stands_out(
    page: TrainingPage, state: PageState, is_resumable: bool, primary: list[str]
) -> None:
    page.begin_new("Apples", "Oranges")
    page.set_state(state, is_resumable=is_resumable, has_model=state == "idle")
    visible = [button for button in page.findChildren(QPushButton) if button.isVisible()]
    assert [button.objectName() for button in visible if button.property("primary")] == primary


def test_between_the_last_step_and_the_end_it_says_what_is_done(page: TrainingPage) -> None:
    page.begin_new("Apples", "Oranges")
    page.show_report(_report(step=4600, seconds_left=0.0))
    status = page.findChild(QLabel, "training_status").text()
    assert status.endswith("drawing the last samples and saving")
    assert " left" not in status


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("complete", "Finished after 4,600 steps in 23 min."),
        ("max_steps", "Ended after 4,600 steps, as set, in 23 min."),
        ("max_minutes", "Ended after 23 min, as set, with 4,600 steps."),
    ],
)
def test_the_end_is_told(
    page: TrainingPage, reason: Literal["complete", "max_steps", "max_minutes"], words: str
) -> None:
    page.begin_new("Apples", "Oranges")
    page.show_report(_report())
    page.show_finished(TrainFinished(4600, reason, Path("model"), 1380))
    assert page.findChild(QLabel, "training_status").text().startswith(words)
    progress = page.findChild(QProgressBar, "training_progress")
    assert progress.value() == progress.maximum()


def test_a_training_that_the_clock_ends_is_measured_by_the_clock(page: TrainingPage) -> None:
    page.begin_new("Apples", "Oranges")
    page.show_report(_report(seconds_left=365.0))
    progress = page.findChild(QProgressBar, "training_progress")
    assert progress.value() / progress.maximum() == pytest.approx(0.5, abs=1e-3)


def test_names_and_messages_are_shown_as_they_are_typed(page: TrainingPage) -> None:
    page.begin_new("<b>A</b>", "B")
    page.show_started(TrainStarted(Path("<i>run</i>"), "<b>A</b>", "&B", 0, 10, 1, 10, 5, 5, "CPU", "fp32"))
    page.messages.add("<img src='x'>.png cannot be read.")
    assert page._title.text() == "<b>A</b> and &B"
    texts = [label.text() for label in page.findChildren(QLabel)]
    assert "<img src='x'>.png cannot be read." in texts
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in page.findChildren(QLabel) if label.text())


def test_a_bug_can_be_copied_with_its_details(page: TrainingPage) -> None:
    page.begin_new("Apples", "Oranges")
    page.show_failed("Something unexpected happened: boom.", "Traceback: boom")
    page.findChild(QPushButton, "copy_details").click()
    assert "Traceback: boom" in QGuiApplication.clipboard().text()


def test_a_failure_that_explains_itself_has_nothing_to_copy(page: TrainingPage) -> None:
    page.show_failed("The disk is full.", "")
    assert page.messages.texts == ["The disk is full."]
    assert page.findChild(QPushButton, "copy_details") is None


def test_everything_fits_a_small_window(page: TrainingPage, qtbot: QtBot) -> None:
    for _ in page.make_plots():
        pass
    page.begin_new("A" * 60, "B" * 60)
    page.show_started(TrainStarted(Path("/" + "x" * 200), "A" * 60, "B" * 60, 0, 10, 1, 10, 5, 5, "CPU", "fp32"))
    page.set_state("idle", is_resumable=True, has_model=True)
    hint = page.minimumSizeHint()
    assert hint.width() <= 900
    assert hint.height() <= 600


@pytest.mark.parametrize("state", ["working", "paused"])
def test_a_key_pauses_and_frees_the_memory(page: TrainingPage, qtbot: QtBot, state: PageState) -> None:
    page.begin_new("Apples", "Oranges")
    page.set_state(state)
    page.activateWindow()
    qtbot.waitActive(page)
    with qtbot.waitSignal(page.free_requested):
        qtbot.keyClick(page, Qt.Key.Key_F6, Qt.KeyboardModifier.ShiftModifier)


def test_in_a_low_window_what_is_ill_takes_the_place_of_the_curves_when_asked_for(
    page: TrainingPage, qtbot: QtBot
) -> None:
    page.begin_new("Apples", "Oranges")
    plots = page._plots
    assert plots is not None
    alarm = Alarm("collapsed", "All apples become one orange.", "They differ by 0.01.", ())
    qtbot.waitUntil(lambda: not page._health._has_room)
    page.show_health(HealthChecked(1, (alarm,)))
    found = page.findChild(QFrame, "alarm_collapsed")
    assert plots.isVisible() and not found.isVisible()
    page.findChild(QToolButton, "fold_health").click()
    assert found.isVisible() and not plots.isVisible()
    page.resize(1200, 900)
    qtbot.waitUntil(plots.isVisible)
    assert found.isVisible()
    page.show_health(HealthChecked(2, ()))
    assert plots.isVisible()


def test_f5_goes_on_with_what_a_crash_interrupted_while_that_is_what_the_page_offers(
    page: TrainingPage, qtbot: QtBot
) -> None:
    one = Interrupted(Path("run"), "apples", 12, None)
    with qtbot.waitSignal(page.new_requested):
        qtbot.keyClick(page, Qt.Key.Key_F5)
    page.set_interrupted([one])
    with qtbot.waitSignal(page.interrupted_chosen) as chosen:
        qtbot.keyClick(page, Qt.Key.Key_F5)
    assert chosen.args == [Path("run")]
    page.set_interrupted([])
    with qtbot.waitSignal(page.new_requested):
        qtbot.keyClick(page, Qt.Key.Key_F5)


def test_the_speed_is_not_told_from_the_first_steps_alone(page: TrainingPage) -> None:
    page.begin_new("apples", "oranges")
    status = page.findChild(QLabel, "training_status")
    page.show_report(dataclasses.replace(_report(), steps_per_second=0.0))
    assert "measuring the speed" in status.text()
    assert "left" not in status.text()
    page.show_report(_report())
    assert "3.4 steps/s" in status.text()
    assert "left" in status.text()


def test_a_measurement_amid_the_training_leaves_its_progress_where_it_is(page: TrainingPage) -> None:
    page.begin_new("apples", "oranges")
    page.show_report(_report())
    progress = page.findChild(QProgressBar, "training_progress")
    shown = progress.value()
    page.show_preparing(Preparing("Measuring the quality"))
    assert (progress.value(), progress.maximum() > 0) == (shown, True)
    assert page.findChild(QLabel, "training_status").text() == "Measuring the quality..."
    page.begin_resumed(Path("run"))
    page.show_preparing(Preparing("Opening the training"))
    assert progress.maximum() == 0


def test_what_is_fastest_is_measured_again_from_the_menu_beside_the_pause(page: TrainingPage, qtbot: QtBot) -> None:
    page.begin_new("Apples", "Oranges")
    page.set_state("working")
    page.show_started(_started(can_measure_again=True))
    again = page.findChild(QAction, "measure_again")
    assert "last bits" in again.toolTip()
    with qtbot.waitSignal(page.measure_again_requested):
        again.trigger()


def test_measuring_again_is_not_to_be_had_before_the_training_has_begun_nor_where_nothing_is_measured(
    page: TrainingPage,
) -> None:
    again = page.findChild(QAction, "measure_again")
    page.begin_new("Apples", "Oranges")
    page.set_state("working")
    assert not again.isEnabled()
    assert "begun" in again.toolTip()
    page.show_started(_started(can_measure_again=False))
    assert not again.isEnabled()
    assert "nothing to measure" in again.toolTip()
    assert again.toolTip().startswith("<span>")  # Rich text has several lines instead of one as wide as the screen.
