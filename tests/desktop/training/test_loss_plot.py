from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QLabel, QSlider, QToolButton
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.explanation import ExplanationDialog
from cyclegan_desktop.training.loss_history import LossHistory
from cyclegan_desktop.training.loss_plot import LossPlot
from cyclegan_desktop.training.other_runs import OtherRun
from cyclegan_desktop.training.plot_ranges import RangesDialog, ShownSteps
from engine.events import LOSS_NAMES, Losses


@pytest.fixture
def plot(qtbot: QtBot) -> Iterator[LossPlot]:
    made = LossPlot()
    qtbot.addWidget(made)
    made.resize(500, 420)
    made.show()
    qtbot.waitExposed(made)
    yield made


def _drawn(plot: LossPlot, name: str) -> tuple[np.ndarray, np.ndarray]:
    """What the smoothed curve of a loss shows."""
    x, y = plot._curves[name][1].getData()
    return (np.array([]), np.array([])) if x is None else (x, y)


def _is_drawn_up_to(plot: LossPlot, step: int) -> bool:
    x, _ = _drawn(plot, "G_AB")
    return len(x) > 0 and x[-1] == step


def test_new_points_are_drawn(plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]) -> None:
    for step in range(1, 11):
        plot.append(step, make_losses(step / 10))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 10))
    first, last = plot._canvas.step_range()
    assert first <= 1
    assert last >= 10


def test_a_loss_that_is_0_throughout_is_left_out(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    """Such as that of identity in a training that does without it."""
    box = plot.findChild(QCheckBox, "show_idt_A")
    assert box.isVisible()
    without = replace(make_losses(1.0), idt_A=0.0, idt_B=0.0)
    for step in (1, 2):
        plot.append(step, without)
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 2))
    assert box.isHidden() and not plot._curves["idt_A"][1].isVisible()
    assert plot.findChild(QCheckBox, "show_G_AB").isVisible()
    plot.append(3, make_losses(1.0))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 3))
    assert box.isVisible() and plot._curves["idt_A"][1].isVisible()
    plot.set_history(LossHistory.of([(1, without)]))
    qtbot.waitUntil(box.isHidden)
    plot.clear()
    qtbot.waitUntil(box.isVisible)


@pytest.mark.parametrize("steps", [2, 3, 5, 8, 12, 4000])
def test_only_whole_steps_are_numbered(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses], steps: int
) -> None:
    for step in range(1, steps + 1):
        plot.append(step, make_losses(1.0))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, steps))
    axis = plot._canvas.getAxis("bottom")
    numbered = [value for _, values in axis.tickValues(*plot._canvas.step_range(), 357) for value in values]
    assert numbered
    assert all(value == round(value) for value in numbered)


def test_twenty_thousand_points_are_drawn_in_few_redraws(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses], monkeypatch: pytest.MonkeyPatch
) -> None:
    redraws: list[int] = []
    draw = plot.draw
    monkeypatch.setattr(plot, "draw", lambda *args: redraws.append(1) or draw(*args))
    for step in range(1, 20_001):
        plot.append(step, make_losses(1 + math.sin(step)))
        if step % 1000 == 0:
            QApplication.processEvents()
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 20_000))
    assert len(redraws) <= 21
    x, _ = _drawn(plot, "G_AB")
    assert len(x) < 1000


def test_a_hidden_plot_draws_nothing_and_catches_up(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    plot.hide()
    for step in range(1, 101):
        plot.append(step, make_losses(1.0))
    qtbot.wait(300)
    assert not _is_drawn_up_to(plot, 100)
    plot.show()
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 100))


def test_a_log_scale_leaves_gaps_where_a_loss_is_zero(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    log = plot.findChild(QToolButton, "log_scale")
    with qtbot.waitSignal(plot.log_scale_changed):
        log.click()
    for step, value in enumerate((10.0, 0.0, 0.0, 1000.0), start=1):
        plot.append(step, make_losses(value))
    plot.findChild(QSlider, "smoothing").setValue(0)
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 4))
    _, y = _drawn(plot, "D_A")
    np.testing.assert_allclose(y, [1.0, np.nan, np.nan, 3.0])
    plot.grab()
    log.click()
    qtbot.waitUntil(lambda: _drawn(plot, "D_A")[1][1] == 0.0)


def test_a_loss_that_is_always_zero_can_be_shown_on_a_log_scale(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    plot.findChild(QToolButton, "log_scale").click()
    for step in range(1, 5):
        plot.append(step, make_losses(0.0))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 4))
    plot.grab()


def test_a_curve_is_hidden_and_shown_from_the_keyboard(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    plot.append(1, make_losses(1.0))
    plot.append(2, make_losses(1.0))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 2))
    box = plot.findChild(QCheckBox, "show_cycle_A")
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: not plot._curves["cycle_A"][0].isVisible())
    assert not plot._curves["cycle_A"][1].isVisible()
    assert plot._curves["cycle_B"][1].isVisible()
    qtbot.keyClick(box, Qt.Key.Key_Space)
    qtbot.waitUntil(plot._curves["cycle_A"][1].isVisible)


def test_the_smoothing_slider_smooths_and_says_so(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    plot.append(1, make_losses(0.0))
    plot.append(2, make_losses(1.0))
    slider = plot.findChild(QSlider, "smoothing")
    with qtbot.waitSignal(plot.smoothing_changed) as smoothed:
        slider.setValue(999)
    assert smoothed.args == [0.999]
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 2) and abs(_drawn(plot, "G_AB")[1][-1] - 0.5) < 0.01)
    slider.setValue(0)
    qtbot.waitUntil(lambda: _drawn(plot, "G_AB")[1][-1] == 1.0)


def test_only_the_last_steps_are_shown_if_asked(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    for step in range(1, 5001):
        plot.append(step, make_losses(1.0))
    choice = plot.findChild(QComboBox, "last_steps")
    choice.setCurrentIndex(choice.findData(200))
    qtbot.waitUntil(lambda: plot._canvas.step_range() == (4800.0, 5000.0))
    choice.setCurrentIndex(choice.findData(0))
    qtbot.waitUntil(lambda: plot._canvas.step_range()[0] == 1.0)


def test_a_zoomed_view_stays_until_the_whole_is_asked_for(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    for step in range(1, 101):
        plot.append(step, make_losses(1.0))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 100))
    qtbot.keyClick(plot._canvas, Qt.Key.Key_Plus)
    qtbot.keyClick(plot._canvas, Qt.Key.Key_Left)
    zoomed = plot._canvas.step_range()
    assert zoomed[1] - zoomed[0] < 99
    plot.append(101, make_losses(1.0))
    qtbot.wait(400)
    assert plot._canvas.step_range() == zoomed
    plot.findChild(QToolButton, "zoom_fit").click()
    qtbot.waitUntil(lambda: plot._canvas.step_range() == (1.0, 101.0))


def test_the_history_of_a_resumed_training_goes_on(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    plot.set_history(LossHistory.of([(step, make_losses(1.0)) for step in range(1, 501)], 0.5))
    plot.cut_after(400)
    plot.append(401, make_losses(2.0))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 401))
    assert plot.history.smoothing == 0.9
    assert plot._canvas.step_range() == (1.0, 401.0)


def test_a_whole_history_is_drawn_soon_also_on_a_slow_machine(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    qtbot.waitUntil(lambda: not plot._is_stale)
    plot._draw_seconds = 1.0
    plot.set_history(LossHistory.of([(1, make_losses(1.0)), (9, make_losses(2.0))]))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 9), timeout=15_000)


def test_a_curve_is_hidden_soon_also_on_a_slow_machine(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    plot.set_history(LossHistory.of([(1, make_losses(1.0)), (9, make_losses(2.0))]))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 9))
    plot._draw_seconds = 1.0
    plot.findChild(QCheckBox, "show_G_AB").click()
    qtbot.waitUntil(lambda: not plot._curves["G_AB"][1].isVisible(), timeout=15_000)


def test_it_can_be_cleared_and_filled_again(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    for _ in range(2):
        for step in range(1, 301):
            plot.append(step, make_losses(1.0))
        qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 300))
        plot.clear()
        qtbot.waitUntil(lambda: not plot._curves["G_AB"][1].isVisible())


def test_the_numbers_are_saved_as_csv(plot: LossPlot, tmp_path: Path) -> None:
    plot.append(5, Losses(1, 2, 3, 4, 5, 6, 7, 8.25))
    plot.append(9, Losses(0, 0, 0, 0, 0, 0, 0, 0))
    plot._save_as(str(tmp_path / "losses.csv"))
    with (tmp_path / "losses.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [["step", *LOSS_NAMES], ["5", "1", "2", "3", "4", "5", "6", "7", "8.25"], ["9", *["0"] * 8]]


def test_the_picture_is_saved(plot: LossPlot, tmp_path: Path, make_losses: Callable[[float], Losses]) -> None:
    plot.append(1, make_losses(1.0))
    plot._save_as(str(tmp_path / "losses.png"))
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["losses.csv", "losses.png"])
def test_a_place_that_cannot_be_written_is_told(plot: LossPlot, qtbot: QtBot, tmp_path: Path, name: str) -> None:
    with qtbot.waitSignal(plot.save_failed) as failed:
        plot._save_as(str(tmp_path / "not there" / name))
    assert name in failed.args[0]


def test_its_colours_follow_light_and_dark(plot: LossPlot, qapp: QApplication) -> None:
    def colour() -> str:
        return plot._curves["G_AB"][1].opts["pen"].color().name()

    seen = []
    for base in ("#101010", "#ffffff"):
        palette = QPalette()
        palette.setColor(QPalette.ColorRole.Base, QColor(base))
        plot.setPalette(palette)
        seen.append(colour())
        assert plot._canvas.backgroundBrush().color().name() == base
    assert seen[0] != seen[1]


def test_the_sentence_about_quality_stands_beside_it(plot: LossPlot) -> None:
    assert any("judge by the samples" in label.text() for label in plot.findChildren(QLabel))


def test_a_chosen_range_of_values_is_kept_for_each_scale(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    for step in range(1, 11):
        plot.append(step, make_losses(2.0))
    plot._set_values((0.5, 3.0))
    qtbot.waitUntil(lambda: plot._canvas.value_range() == (0.5, 3.0))
    plot.append(11, make_losses(50.0))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 11))
    assert plot._canvas.value_range() == (0.5, 3.0)
    log = plot.findChild(QToolButton, "log_scale")
    log.click()
    qtbot.waitUntil(lambda: plot._canvas.value_range()[1] > math.log10(50))
    plot._set_values((0.01, 100.0))
    qtbot.waitUntil(lambda: plot._canvas.value_range() == (-2.0, 2.0))
    log.click()
    qtbot.waitUntil(lambda: plot._canvas.value_range() == (0.5, 3.0))
    plot._set_values(None)
    qtbot.waitUntil(lambda: plot._canvas.value_range()[1] > 50)


def test_a_number_of_steps_of_ones_own_is_shown_and_named(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    for step in range(1, 5001):
        plot.append(step, make_losses(1.0))
    choice = plot.findChild(QComboBox, "last_steps")
    choice.setCurrentIndex(choice.findText("Ranges..."))
    dialog = plot.findChild(RangesDialog)
    assert choice.currentText() == "All steps"
    dialog.steps_changed.emit(ShownSteps(3456))
    qtbot.waitUntil(lambda: plot._canvas.step_range() == (5000.0 - 3456, 5000.0))
    assert choice.currentText() == "Last 3,456"
    dialog.steps_changed.emit(ShownSteps(between=(100, 900)))
    qtbot.waitUntil(lambda: plot._canvas.step_range() == (100.0, 900.0))
    assert choice.currentText() == "Steps 100 to 900"
    choice.setCurrentIndex(0)
    qtbot.waitUntil(lambda: plot._canvas.step_range() == (1.0, 5000.0))
    assert choice.findText("Steps 100 to 900") == -1
    dialog.close()


@pytest.mark.parametrize("width", [3_000_000.0, 300_000.0, 20_000.0, 500.0])
def test_an_extreme_among_a_million_points_is_drawn_at_every_zoom(plot: LossPlot, qtbot: QtBot, width: float) -> None:
    values = np.ones((8, 1_000_000))
    index, where = LOSS_NAMES.index("cycle_A"), 3 * 612_345
    values[index, 612_345] = 77.0
    history = LossHistory()
    history.extend(3 * np.arange(1_000_000), values)
    plot.set_history(history)
    plot._leave_following()
    plot._canvas.show_range(where - 0.37 * width, where + 0.63 * width, 0, 80)
    qtbot.waitUntil(lambda: not plot._is_stale)
    x, y = plot._curves["cycle_A"][0].getData()
    assert y.max() == 77.0
    assert abs(x[y.argmax()] - where) <= width / 50
    assert len(x) < 2000


def test_other_runs_are_drawn_smoothed_and_taken_out_again(
    plot: LossPlot, qtbot: QtBot, tmp_path: Path, make_losses: Callable[[float], Losses]
) -> None:
    for step in range(1, 101):
        plot.append(step, make_losses(1.0))
    others = [
        OtherRun(tmp_path / str(n), f"run {n}", LossHistory.of([(s, make_losses(n)) for s in (1, 400)])) for n in (2, 3)
    ]
    plot.set_others(others)
    qtbot.waitUntil(lambda: plot._canvas.step_range() == (1.0, 400.0))
    drawn = [curves["D_A"].getData()[1] for curves in plot._other_curves]
    np.testing.assert_allclose(drawn, [[2.0, 2.0], [3.0, 3.0]])
    assert len({tuple(curves["D_A"].opts["pen"].dashPattern()) for curves in plot._other_curves}) == 2
    box = plot.findChild(QCheckBox, "show_D_A")
    box.click()
    qtbot.waitUntil(lambda: not plot._other_curves[0]["D_A"].isVisible())
    removed: list[Path] = []
    plot.other_removed.connect(removed.append)
    plot.findChildren(QToolButton, "remove_other")[1].click()
    assert removed == [tmp_path / "3"]
    plot.set_others(others[:1])
    qtbot.waitUntil(lambda: not plot._is_stale)
    assert len(plot._other_curves) == 1


def test_the_smoothing_slider_smooths_the_other_runs_too(
    plot: LossPlot, qtbot: QtBot, tmp_path: Path, make_losses: Callable[[float], Losses]
) -> None:
    other = OtherRun(tmp_path, "run", LossHistory.of([(1, make_losses(0.0)), (2, make_losses(1.0))], 0.3))
    plot.set_others([other])
    plot.findChild(QSlider, "smoothing").setValue(999)
    qtbot.waitUntil(lambda: not plot._is_stale)
    assert plot._other_curves[0]["G_AB"].getData()[1][-1] == pytest.approx(0.5, abs=0.01)


def test_the_csv_of_several_runs_names_them(
    plot: LossPlot, tmp_path: Path, make_losses: Callable[[float], Losses]
) -> None:
    plot.set_own_name("mine")
    plot.append(5, make_losses(1.0))
    plot.set_others([OtherRun(tmp_path, "theirs, too", LossHistory.of([(7, make_losses(2.0))]))])
    plot._save_as(str(tmp_path / "losses.csv"))
    with (tmp_path / "losses.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["run", "step", *LOSS_NAMES]
    assert [row[:3] for row in rows[1:]] == [["mine", "5", "1"], ["theirs, too", "7", "2"]]


def test_gaps_of_numbers_that_are_not_finite_can_be_shown(
    plot: LossPlot, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    for step in range(1, 2001):
        plot.append(step, make_losses(float("inf") if step == 1000 else float("nan") if 300 < step < 900 else 1.0))
    qtbot.waitUntil(lambda: _is_drawn_up_to(plot, 2000))
    assert plot._canvas.value_range()[1] < 2
    plot.grab()
    plot.clear()
    for step in range(1, 11):
        plot.append(step, make_losses(float("nan")))
    qtbot.waitUntil(lambda: not plot._is_stale)
    plot.grab()
    assert np.isfinite(plot._canvas.value_range()).all()


def test_what_losses_tell_is_explained(plot: LossPlot) -> None:
    plot.findChild(QToolButton, "explain").click()
    dialog = plot.findChild(ExplanationDialog)
    texts = [label.text() for label in dialog.findChildren(QLabel)]
    assert "Balance, not quality" in texts
    assert "When to worry" in texts
    dialog.close()
