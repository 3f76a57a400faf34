from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QCheckBox, QComboBox, QLabel, QToolButton
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.loss_history import LossHistory
from cyclegan_desktop.training.other_runs import OtherRun
from cyclegan_desktop.training.plot_canvas import Level
from cyclegan_desktop.training.quality_plot import QualityPlot
from engine.events import DirectionQuality, QualityMeasured

MakeQuality = Callable[..., QualityMeasured]


@pytest.fixture
def plot(qtbot: QtBot) -> Iterator[QualityPlot]:
    made = QualityPlot()
    qtbot.addWidget(made)
    made.resize(520, 460)
    made.show()
    qtbot.waitExposed(made)
    yield made


def _drawn(plot: QualityPlot, direction: str) -> list[float]:
    x, y = plot._curves[direction][1].getData()  # type: ignore[index]
    return [] if x is None or not plot._curves[direction][1].isVisible() else y.tolist()  # type: ignore[index]


def _newest(plot: QualityPlot) -> str:
    return plot.findChild(QLabel, "newest_quality").text()


def test_a_plot_without_measurements_says_when_the_first_will_come(plot: QualityPlot, qtbot: QtBot) -> None:
    assert "Nothing is measured yet" in _newest(plot)
    plot.fit()
    qtbot.waitUntil(lambda: not plot._is_stale)
    assert plot._canvas.placed_marks() == []


def test_each_direction_has_a_curve_between_its_start_and_finish_line(
    plot: QualityPlot, qtbot: QtBot, make_quality: MakeQuality
) -> None:
    plot.set_names("Apples", "Oranges")
    plot.append(make_quality(100, 30.0))
    plot.append(make_quality(200, 20.0))
    qtbot.waitUntil(lambda: _drawn(plot, "a2b") == [30.0, 20.0])
    assert _drawn(plot, "b2a") == [31.0, 21.0]
    names = {level.name: level.value for level in plot._canvas._levels}
    assert names == {
        "Start line, Apples to Oranges": 25.0,
        "Finish line, Apples to Oranges": 5.0,
        "Start line, Oranges to Apples": 26.0,
        "Finish line, Oranges to Apples": 6.0,
    }
    low, high = plot._canvas.value_range()
    assert low <= 5 and high >= 31
    assert _newest(plot) == (
        "Step 200: Apples to Oranges 20 (start 25, finish 5); Oranges to Apples 21 (start 26, finish 6)."
    )
    plot.findChild(QCheckBox, "show_b2a").click()
    qtbot.waitUntil(lambda: len(plot._canvas._levels) == 2)
    plot.findChild(QCheckBox, "show_lines").click()
    qtbot.waitUntil(lambda: plot._canvas._levels == ())


def test_over_all_scales_the_curves_are_those_of_the_score(plot: QualityPlot, qtbot: QtBot) -> None:
    """As measured on apples and oranges after 68 steps: colours have come nearer, and all else is blurred."""
    directions = (
        DirectionQuality(
            "a2b", (64, 32, 16), (109.4, 65.1, 123.2), (41.2, 68.2, 408.5), (27.7, 30.4, 79.0), cycle_error=0.1
        ),
        DirectionQuality(
            "b2a", (64, 32, 16), (107.8, 65.7, 138.2), (49.2, 63.4, 380.1), (52.1, 35.6, 91.4), cycle_error=0.1
        ),
    )
    measured = QualityMeasured(68, 100.0, directions, True, 68)
    plot.append(measured)
    qtbot.waitUntil(lambda: len(_drawn(plot, "a2b")) == 1 and len(plot._canvas._levels) == 4)
    drawn = [_drawn(plot, way)[0] for way in ("a2b", "b2a")]
    assert sum(drawn) / 2 == pytest.approx(measured.score)
    lines = [level.value for level in plot._canvas._levels if level.name.startswith("Start")]
    assert sorted(lines) == pytest.approx(sorted(quality.start_line for quality in directions))
    assert f"{measured.directions[0].distance:.3g} (start" in _newest(plot)


def test_lines_are_painted_once_they_are_known_and_follow_the_range(
    plot: QualityPlot, qtbot: QtBot, make_quality: MakeQuality
) -> None:
    painted: list[float] = []
    draw_level = plot._canvas._draw_level

    def note(painter: QPainter, view: QRectF, level: Level) -> None:
        painted.append(plot._canvas.value_range()[1])
        draw_level(painter, view, level)

    plot._canvas._draw_level = note  # type: ignore[method-assign]
    plot.append(make_quality(100, 30.0))
    qtbot.waitUntil(lambda: len(painted) > 0)
    before = painted[-1]
    plot.append(make_quality(200, 300.0))
    qtbot.waitUntil(lambda: painted[-1] > before)


def test_one_measurement_alone_is_seen(plot: QualityPlot, qtbot: QtBot, make_quality: MakeQuality) -> None:
    plot.append(make_quality(100, 30.0))
    qtbot.waitUntil(lambda: len(plot._dots["a2b"].getData()[0]) == 1 and plot._dots["a2b"].isVisible())


def test_the_best_moment_is_marked(plot: QualityPlot, qtbot: QtBot, make_quality: MakeQuality) -> None:
    for step, distance in ((100, 30.0), (200, 10.0), (300, 12.0)):
        plot.append(make_quality(step, distance, best_step=min(step, 200)))
    qtbot.waitUntil(lambda: len(_drawn(plot, "a2b")) == 3)
    (best,) = plot._canvas.placed_marks()
    assert (best.kind, best.first) == ("best", 200)


def test_no_moment_is_the_best_before_one_is_good(plot: QualityPlot, qtbot: QtBot, make_quality: MakeQuality) -> None:
    """Until one is below the start line the newest converts, and is not the best for that."""
    for step, distance in ((100, 30.0), (200, 40.0)):
        plot.append(make_quality(step, distance, best_step=step))
    qtbot.waitUntil(lambda: len(_drawn(plot, "a2b")) == 2)
    assert plot._canvas.placed_marks() == []


def test_a_single_scale_or_the_cycle_error_can_be_chosen(
    plot: QualityPlot, qtbot: QtBot, make_quality: MakeQuality
) -> None:
    plot.append(make_quality(100, 30.0, cycle_error=0.4))
    what = plot.findChild(QComboBox, "quality_scale")
    assert [what.itemText(index) for index in range(what.count())] == [
        "All scales",
        "At 64 px",
        "At 32 px",
        "Cycle error",
    ]
    what.setCurrentText("At 64 px")
    qtbot.waitUntil(lambda: _drawn(plot, "a2b") == [32.0])
    assert any(level.value == pytest.approx(25 * 16 / 15) for level in plot._canvas._levels)
    what.setCurrentText("Cycle error")
    qtbot.waitUntil(lambda: _drawn(plot, "a2b") == [0.4])
    assert plot._canvas._levels == ()
    plot.append(make_quality(200, 29.0, cycle_error=0.3))
    qtbot.waitUntil(lambda: _drawn(plot, "a2b") == [0.4, 0.3])


def test_a_scale_that_was_not_measured_leaves_a_gap(plot: QualityPlot, qtbot: QtBot, make_quality: MakeQuality) -> None:
    plot.set_measured([make_quality(100, 30.0), make_quality(200, 30.0, scales=(128, 64))])
    plot.findChild(QComboBox, "quality_scale").setCurrentText("At 128 px")
    qtbot.waitUntil(lambda: len(_drawn(plot, "a2b")) == 2)
    np.testing.assert_array_equal(_drawn(plot, "a2b"), [np.nan, 32.0])
    plot.grab()


def test_a_training_that_goes_back_takes_its_measurements_anew(plot: QualityPlot, make_quality: MakeQuality) -> None:
    for step in (100, 200, 300):
        plot.append(make_quality(step, 30.0))
    plot.cut_after(200)
    assert [one.step for one in plot.measured] == [100, 200]
    plot.append(make_quality(200, 7.0))
    assert [one.score for one in plot.measured] == [30.5, 7.5]
    assert len(plot._history) == 2


def test_that_the_pictures_are_trained_on_is_said(plot: QualityPlot, make_quality: MakeQuality) -> None:
    plot.append(make_quality(100, 30.0, held_out=False))
    assert "also trained on" in _newest(plot)


def test_a_logarithmic_scale_has_its_lines_where_they_belong(
    plot: QualityPlot, qtbot: QtBot, make_quality: MakeQuality
) -> None:
    plot.findChild(QToolButton, "log_scale").click()
    plot.append(make_quality(100, 100.0))
    qtbot.waitUntil(lambda: _drawn(plot, "a2b") == [2.0])
    assert any(level.value == pytest.approx(np.log10(25)) for level in plot._canvas._levels)


def test_other_runs_are_drawn_and_saved_beside_it(
    plot: QualityPlot, qtbot: QtBot, tmp_path: Path, make_quality: MakeQuality
) -> None:
    other = OtherRun(tmp_path, "long", LossHistory(), (make_quality(100, 50.0), make_quality(900, 40.0)))
    plot.append(make_quality(100, 30.0))
    plot.set_others([other])
    qtbot.waitUntil(lambda: plot._canvas.step_range() == (100.0, 900.0))
    assert plot._other_curves[0]["a2b"].getData()[1].tolist() == [50.0, 40.0]
    plot._save_as(str(tmp_path / "quality.csv"))
    with (tmp_path / "quality.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["step"], row["a2b_distance"]) for row in rows] == [
        ("This training", "100", "30"),
        ("long", "100", "50"),
        ("long", "900", "40"),
    ]
    assert rows[0]["a2b_distance_64"] == "32"
    plot.set_others([])
    qtbot.waitUntil(lambda: plot._canvas.step_range() == (100.0, 101.0))


def test_what_it_means_is_explained(plot: QualityPlot) -> None:
    assert any("scores worse than untranslated pictures" in label.text() for label in plot.findChildren(QLabel))
    plot.findChild(QToolButton, "explain").click()
    dialog = next(child for child in plot.children() if child.objectName() == "explanation")
    texts = [label.text() for label in dialog.findChildren(QLabel)]
    assert "What it does not see" in texts
    dialog.close()  # type: ignore[attr-defined]


def test_long_and_strange_names_stay_plain(plot: QualityPlot, qtbot: QtBot, make_quality: MakeQuality) -> None:
    plot.set_names("<b>" + "A" * 60, "&B")
    plot.append(make_quality(100, 30.0))
    qtbot.waitUntil(lambda: len(plot._canvas._levels) == 4)
    assert {level.name for level in plot._canvas._levels} >= {"Start line, A to B", "Finish line, B to A"}
    assert plot.findChild(QCheckBox, "show_b2a").text().startswith("&&B to <b>")
    assert plot.minimumSizeHint().width() < 900
