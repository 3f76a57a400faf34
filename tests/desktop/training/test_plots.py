from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QCheckBox
from pytestqt.qtbot import QtBot

from cyclegan_desktop import style
from cyclegan_desktop.training.loss_plot import LossPlot
from cyclegan_desktop.training.marks import PlotMark
from cyclegan_desktop.training.plots import TrainingPlots
from cyclegan_desktop.training.quality_plot import QualityPlot
from engine.events import Losses, Moment, QualityMeasured


@pytest.fixture
def plots(qtbot: QtBot) -> Iterator[TrainingPlots]:
    made = TrainingPlots(LossPlot(), QualityPlot())
    qtbot.addWidget(made)
    made.resize(520, 460)
    made.show()
    qtbot.waitExposed(made)
    yield made


def test_the_tab_tells_the_newest_score_beside_the_start_line(
    plots: TrainingPlots, make_quality: Callable[..., QualityMeasured]
) -> None:
    assert plots.tabText(1) == "Quality"
    plots.quality.append(make_quality(1250, 18.4))
    assert plots.tabText(1) == "Quality 18.9 (start 25.5)"
    assert "1,250" in plots.tabToolTip(1)
    plots.clear()
    assert plots.tabText(1) == "Quality"


def test_marks_stand_in_both_and_are_switched_in_both(
    plots: TrainingPlots, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    for step in range(1, 1001):
        plots.losses.append(step, make_losses(1.0))
    plots.set_moments([Moment(300, (), None, True), Moment(400, ())])
    plots.set_marks([PlotMark(100, "saved"), PlotMark(500, "resumed")])
    plots.add_mark(PlotMark(800, "rolled_back", "from step 900"))
    qtbot.waitUntil(lambda: plots.losses._canvas.step_range() == (1.0, 1000.0))

    def kinds() -> list[str]:
        return sorted(mark.kind for mark in plots.losses._canvas.placed_marks())

    assert kinds() == ["resumed", "rolled_back", "saved", "starred"]
    assert plots.quality._marks.count(["saved", "resumed", "rolled_back", "starred"]) == 4
    plots.quality._switch_marks("saved", False)
    assert kinds() == ["resumed", "rolled_back", "starred"]
    plots.losses._switch_marks("saved", True)
    assert "saved" in plots.quality._canvas._mark_kinds


def test_what_happened_is_told_under_the_pointer(
    plots: TrainingPlots, qtbot: QtBot, make_losses: Callable[[float], Losses]
) -> None:
    from PySide6.QtCore import QPointF

    for step in range(1, 1001):
        plots.losses.append(step, make_losses(1.0))
    plots.add_mark(PlotMark(500, "changed", "Learning rate 0.0001 instead of 0.0002."))
    canvas = plots.losses._canvas
    qtbot.waitUntil(lambda: canvas.step_range() == (1.0, 1000.0))
    view = canvas._view.sceneBoundingRect()
    (mark,) = canvas.placed_marks()
    text = canvas.tip_at(QPointF(view.left() + mark.x, view.center().y()))
    assert text == "Step 500: settings changed. Learning rate 0.0001 instead of 0.0002."
    assert canvas.tip_at(QPointF(view.left() + mark.x + 60, view.center().y())) == ""


def test_going_back_cuts_both(
    plots: TrainingPlots, make_losses: Callable[[float], Losses], make_quality: Callable[..., QualityMeasured]
) -> None:
    for step in (100, 200, 300):
        plots.losses.append(step, make_losses(1.0))
        plots.quality.append(make_quality(step, 20.0))
    plots.cut_after(250)
    assert plots.losses.history.steps.tolist() == [100, 200]
    assert [one.step for one in plots.quality.measured] == [100, 200]


def test_start_stop_and_start_again_with_everything_shown(
    plots: TrainingPlots,
    qtbot: QtBot,
    tmp_path: Path,
    make_losses: Callable[[float], Losses],
    make_quality: Callable[..., QualityMeasured],
) -> None:
    from cyclegan_desktop.training.loss_history import LossHistory
    from cyclegan_desktop.training.other_runs import OtherRun

    other = OtherRun(tmp_path, "other", LossHistory.of([(1, make_losses(2.0)), (50, make_losses(1.0))]), ())
    for turn in range(3):
        plots.clear()
        plots.set_others([other] * turn)
        for step in range(1, 101):
            plots.losses.append(step, make_losses(float("nan") if step % 7 == 0 else 1.0))
            plots.add_mark(PlotMark(step, "saved"))
        plots.quality.append(make_quality(100, 20.0))
        for tab in (0, 1, 0):
            plots.setCurrentIndex(tab)
            plots.grab()
        plots.cut_after(0)
        qtbot.waitUntil(lambda: not plots.losses._is_stale)
        plots.grab()


def test_both_follow_light_and_dark_at_once(
    plots: TrainingPlots,
    qtbot: QtBot,
    qapp: QApplication,
    own_look: None,
    make_quality: Callable[..., QualityMeasured],
) -> None:
    plots.quality.append(make_quality(100, 20.0))
    plots.add_mark(PlotMark(100, "saved"))
    seen = []
    style.apply_style(qapp)
    for scheme in (style.DARK, style.LIGHT, style.DARK):
        style.use_colours(qapp, scheme)
        for tab, plot in enumerate((plots.losses, plots.quality)):
            plots.setCurrentIndex(tab)
            qtbot.waitUntil(lambda plot=plot: not plot._is_stale)
            assert plot._canvas.backgroundBrush().color().name() == scheme.surface
            plots.grab()
        seen.append(plots.quality._curves["a2b"][1].opts["pen"].color().name())
        assert plots.quality._canvas._levels[0].colour.name() == seen[-1]
    assert seen[0] == seen[2] != seen[1]


def test_the_marks_menu_shows_what_there_is_and_switches_it(plots: TrainingPlots) -> None:
    plots.set_marks([PlotMark(step, "saved") for step in range(3)])
    menu = plots.losses._marks_button.menu()
    menu.aboutToShow.emit()
    boxes = [action.defaultWidget().findChild(QCheckBox) for action in menu.actions()]  # type: ignore[attr-defined]
    assert [box.text() for box in boxes][:2] == ["Stars (0)", "Saves (3)"]
    boxes[1].click()
    assert "saved" not in plots.losses._canvas._mark_kinds
    assert "saved" not in plots.quality._canvas._mark_kinds
    menu.aboutToShow.emit()
    again = menu.actions()[1].defaultWidget().findChild(QCheckBox)  # type: ignore[attr-defined]
    assert not again.isChecked()
