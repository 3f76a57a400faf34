from __future__ import annotations

import pytest
from PySide6.QtWidgets import QLabel, QLineEdit, QRadioButton, QSpinBox
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.plot_ranges import RangesDialog, ShownSteps, ShownValues


def _dialog(qtbot: QtBot, *, is_log: bool = False, values: ShownValues = None) -> RangesDialog:
    made = RangesDialog(steps=ShownSteps(), values=values, is_log=is_log, newest=5000, in_view=(0.0, 2.5))
    qtbot.addWidget(made)
    made.show()
    return made


def _choose(dialog: RangesDialog, name: str) -> None:
    dialog.findChild(QRadioButton, name).click()


def _type(dialog: RangesDialog, qtbot: QtBot, name: str, text: str) -> None:
    line = dialog.findChild(QLineEdit, name)
    line.clear()
    qtbot.keyClicks(line, text)


def test_any_number_of_last_steps_can_be_shown(qtbot: QtBot) -> None:
    dialog = _dialog(qtbot)
    _choose(dialog, "newest_steps")
    with qtbot.waitSignal(dialog.steps_changed) as changed:
        dialog.findChild(QSpinBox, "last_count").setValue(3456)
    assert changed.args == [ShownSteps(3456)]


def test_steps_from_one_to_another_can_be_shown(qtbot: QtBot) -> None:
    dialog = _dialog(qtbot)
    with qtbot.waitSignal(dialog.steps_changed) as changed:
        _choose(dialog, "fixed_steps")
    assert changed.args == [ShownSteps(between=(0, 5000))]
    with qtbot.waitSignal(dialog.steps_changed) as changed:
        dialog.findChild(QSpinBox, "from_step").setValue(1200)
    assert changed.args == [ShownSteps(between=(1200, 5000))]
    with qtbot.assertNotEmitted(dialog.steps_changed):
        dialog.findChild(QSpinBox, "to_step").setValue(100)
    assert "before the last" in dialog.findChild(QLabel, "range_problem").text()


def test_values_can_be_typed_with_point_or_comma(qtbot: QtBot) -> None:
    dialog = _dialog(qtbot)
    _choose(dialog, "chosen_values")
    told: list[object] = []
    dialog.values_changed.connect(told.append)
    _type(dialog, qtbot, "low_value", "0,25")
    _type(dialog, qtbot, "high_value", "1.5")
    assert told[-1] == (0.25, 1.5)
    _choose(dialog, "automatic_values")
    assert told[-1] is None


@pytest.mark.parametrize(
    ("is_log", "low", "high"),
    [
        (False, "", "1"),
        (False, "much", "1"),
        (False, "2", "1"),
        (False, "nan", "1"),
        (True, "0", "1"),
        (True, "-1", "1"),
    ],
)
def test_values_that_make_no_sense_change_nothing_and_are_explained(
    qtbot: QtBot, is_log: bool, low: str, high: str
) -> None:
    dialog = _dialog(qtbot, is_log=is_log, values=(0.5, 2.0))
    told: list[object] = []
    _type(dialog, qtbot, "low_value", low)
    dialog.values_changed.connect(told.append)
    _type(dialog, qtbot, "high_value", high)
    assert told == []
    assert dialog.findChild(QLabel, "range_problem").isVisible()
