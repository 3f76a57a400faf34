from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QLabel, QListWidget
from pytestqt.qtbot import QtBot

from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training.compare import CompareController, CompareDialog
from cyclegan_desktop.training.page import TrainingPage
from cyclegan_desktop.training.threads import ThreadKeeper
from engine.training.upkeep import About, write_about


@pytest.fixture
def page(qtbot: QtBot) -> Iterator[TrainingPage]:
    made = TrainingPage()
    qtbot.addWidget(made)
    made.resize(1000, 640)
    made.show()
    for _ in made.make_plots():
        pass
    yield made


@pytest.fixture
def compare(page: TrainingPage, settings: Settings) -> Iterator[CompareController]:
    parent = QObject()
    keeper = ThreadKeeper(parent)
    yield CompareController(page, settings, keeper, parent)
    keeper.stop_all()


def _names(page: TrainingPage) -> list[str]:
    assert page._plots is not None
    return [other.name for other in page._plots.losses._others]


def _rows(dialog: CompareDialog) -> dict[str, Qt.CheckState]:
    runs = dialog.findChild(QListWidget, "known_runs")
    return {runs.item(row).text(): runs.item(row).checkState() for row in range(runs.count())}


def _tick(dialog: CompareDialog, row: int, on: bool = True) -> None:
    item = dialog.findChild(QListWidget, "known_runs").item(row)
    item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)


def _open(compare: CompareController, qtbot: QtBot, count: int) -> CompareDialog:
    compare.choose()
    dialog = compare._dialog
    assert dialog is not None
    qtbot.waitUntil(lambda: len(_rows(dialog)) == count and not dialog._is_looking)
    return dialog


def test_every_run_but_the_one_shown_can_be_ticked_and_is_drawn(
    page: TrainingPage, compare: CompareController, settings: Settings, make_run: Callable[..., Path], qtbot: QtBot
) -> None:
    own = make_run(settings.runs_folder / "own")
    named = make_run(settings.runs_folder / "named", step=7)
    write_about(named, About(name="Longer"))
    elsewhere = make_run(settings.runs_folder.parent / "elsewhere")
    settings.library = [elsewhere, settings.runs_folder / "gone", own]
    compare.set_own(own)
    dialog = _open(compare, qtbot, 2)
    assert set(_rows(dialog)) == {"elsewhere (5 steps)", "Longer (7 steps)"}
    for row in range(2):
        _tick(dialog, row)
    qtbot.waitUntil(lambda: sorted(_names(page)) == ["Longer", "elsewhere"])
    _tick(dialog, 0, on=False)
    qtbot.waitUntil(lambda: _names(page) == ["Longer"])
    dialog.close()


def test_a_run_taken_out_in_the_plot_is_no_longer_ticked(
    page: TrainingPage, compare: CompareController, settings: Settings, make_run: Callable[..., Path], qtbot: QtBot
) -> None:
    run = make_run(settings.runs_folder / "one")
    compare.show_runs([run])
    qtbot.waitUntil(lambda: _names(page) == ["one"])
    dialog = _open(compare, qtbot, 1)
    assert _rows(dialog) == {"one (5 steps)": Qt.CheckState.Checked}
    page.other_removed.emit(run)
    assert _rows(dialog) == {"one (5 steps)": Qt.CheckState.Unchecked}
    assert _names(page) == []
    dialog.close()


def test_a_fifth_is_refused_with_a_reason(
    page: TrainingPage, compare: CompareController, settings: Settings, make_run: Callable[..., Path], qtbot: QtBot
) -> None:
    for number in range(5):
        make_run(settings.runs_folder / f"run {number}")
    dialog = _open(compare, qtbot, 5)
    for row in range(5):
        _tick(dialog, row)
    assert list(_rows(dialog).values()).count(Qt.CheckState.Checked) == 4
    assert "Take one out first" in dialog.findChild(QLabel, "compare_problem").text()
    qtbot.waitUntil(lambda: len(_names(page)) == 4)
    dialog.close()


def test_a_folder_that_is_no_run_is_told(
    page: TrainingPage, compare: CompareController, tmp_path: Path, qtbot: QtBot, make_run: Callable[..., Path]
) -> None:
    dialog = _open(compare, qtbot, 0)
    assert "No other training is known" in dialog.findChild(QLabel, "compare_hint").text()
    (tmp_path / "empty").mkdir()
    dialog.folder_chosen.emit(tmp_path / "empty")
    assert "holds no training" in dialog.findChild(QLabel, "compare_problem").text()
    dialog.folder_chosen.emit(make_run(tmp_path / "a run"))
    qtbot.waitUntil(lambda: _names(page) == ["a run"])
    assert list(_rows(dialog).values()) == [Qt.CheckState.Checked]
    dialog.close()


def test_the_training_that_goes_on_is_not_compared_with_itself(
    page: TrainingPage, compare: CompareController, settings: Settings, make_run: Callable[..., Path], qtbot: QtBot
) -> None:
    run = make_run(settings.runs_folder / "one")
    compare.show_runs([run])
    qtbot.waitUntil(lambda: _names(page) == ["one"])
    compare.set_own(run)
    assert _names(page) == []


def test_runs_with_damaged_rows_or_none_at_all_are_drawn_as_far_as_they_go(
    page: TrainingPage, compare: CompareController, settings: Settings, make_run: Callable[..., Path], qtbot: QtBot
) -> None:
    damaged, empty = (make_run(settings.runs_folder / name) for name in ("damaged", "empty"))
    with (damaged / "losses.csv").open("a", encoding="ascii") as file:
        file.write("6,1,garbage\n" + "7,1,2.5,0.0004" + 8 * ",nan" + "\n8,1,2")
    (empty / "losses.csv").unlink()
    compare.show_runs([damaged, empty])
    qtbot.waitUntil(lambda: len(_names(page)) == 2)
    assert page._plots is not None
    assert sorted(len(other.losses) for other in page._plots.losses._others) == [0, 2]
    page.begin_new("A", "B")
    qtbot.waitUntil(lambda: page._plot is not None and not page._plot._is_stale)
    page.grab()
