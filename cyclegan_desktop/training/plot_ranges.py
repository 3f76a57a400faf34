"""Which steps and which values a plot shows, and the dialog that asks for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QGridLayout,
    QLabel,
    QLineEdit,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.style import XL, L, M, S
from cyclegan_desktop.widgets import NoWheelSpinBox, closing_row, plain_label, set_look

MOST_STEPS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class ShownSteps:
    """Which steps are shown: all, the last so many, or those from one to another.

    Attributes:
        last: How many of the newest steps; 0 for all of them.
        between: The first and the last step, where they stay the same as new ones come.
    """

    last: int = 0
    between: tuple[int, int] | None = None


ShownValues = tuple[float, float] | None
"""The lowest and the highest value shown; None fits them to the curves."""


class RangesDialog(QDialog):
    """Asks for the steps and the values that a plot shows; what makes sense is shown at once.

    Signals:
        steps_changed: `ShownSteps`.
        values_changed: `ShownValues`.
    """

    steps_changed = Signal(object)
    values_changed = Signal(object)

    def __init__(
        self,
        *,
        steps: ShownSteps,
        values: ShownValues,
        is_log: bool,
        newest: int,
        in_view: tuple[float, float],
        parent: QWidget | None = None,
    ) -> None:
        """Begin with what is shown now.

        Args:
            steps: Which steps.
            values: Which values.
            is_log: Whether the scale is logarithmic, so that only values above 0 can be shown.
            newest: The newest step, for a first suggestion.
            in_view: Lowest and highest value in view, for a first suggestion.
            parent: The plot.
        """
        super().__init__(parent)
        self.setObjectName("ranges_dialog")
        self.setWindowTitle(self.tr("What the plot shows"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._is_log = is_log

        self._steps = QButtonGroup(self)
        self._all = self._choice(self._steps, self.tr("&All steps"), "all_steps")
        self._newest = self._choice(self._steps, self.tr("The &last"), "newest_steps")
        self._fixed = self._choice(self._steps, self.tr("&From step"), "fixed_steps")
        self._last = self._number("last_count", steps.last or max(1, newest // 10), 1)
        first, last = steps.between or (0, max(1, newest))
        self._from = self._number("from_step", first, 0)
        self._to = self._number("to_step", last, 1)

        self._values = QButtonGroup(self)
        self._automatic = self._choice(self._values, self.tr("A&s the curves need"), "automatic_values")
        self._chosen = self._choice(self._values, self.tr("F&rom"), "chosen_values")
        low, high = values or in_view
        self._low = self._value("low_value", low)
        self._high = self._value("high_value", high)
        self._problem = plain_label(role="error", wrap=True)
        self._problem.setObjectName("range_problem")

        (self._fixed if steps.between else self._newest if steps.last else self._all).setChecked(True)
        (self._automatic if values is None else self._chosen).setChecked(True)
        for group in (self._steps, self._values):
            group.buttonToggled.connect(self._tell)
        for box in (self._last, self._from, self._to):
            box.valueChanged.connect(self._tell)
        for line in (self._low, self._high):
            line.textEdited.connect(self._tell)
        self._lay_out()
        self._told: tuple[ShownSteps, ShownValues] = (steps, values)
        self._tell()

    def _lay_out(self) -> None:
        scale = self.tr("Values (logarithmic scale)") if self._is_log else self.tr("Values")
        grid = QGridLayout()
        grid.setHorizontalSpacing(S)
        grid.setVerticalSpacing(S)
        rows: tuple[tuple[QWidget | None, ...], ...] = (
            (plain_label(self.tr("Steps"), role="heading"),),
            (self._all,),
            (self._newest, self._last, plain_label(self.tr("steps"))),
            (self._fixed, self._from, plain_label(self.tr("to")), self._to),
            (plain_label(scale, role="heading"),),
            (self._automatic,),
            (self._chosen, self._low, plain_label(self.tr("to")), self._high),
        )
        for row, widgets in enumerate(rows):
            for column, widget in enumerate(widgets):
                if (isinstance(widget, QLabel) and len(widgets) == 1) or widget in (self._all, self._automatic):
                    grid.addWidget(widget, row, column, 1, 4)
                elif widget is not None:
                    grid.addWidget(widget, row, column)
        grid.setRowMinimumHeight(4, XL + S)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, XL, L)
        layout.setSpacing(M)
        layout.addLayout(grid)
        layout.addWidget(self._problem)
        layout.addStretch()
        layout.addLayout(closing_row(self, self.tr("Close")))

    def _choice(self, group: QButtonGroup, text: str, name: str) -> QRadioButton:
        made = QRadioButton(text)
        made.setObjectName(name)
        group.addButton(made)
        return made

    def _number(self, name: str, value: int, least: int) -> NoWheelSpinBox:
        made = NoWheelSpinBox()
        made.setObjectName(name)
        made.setRange(least, MOST_STEPS)
        made.setGroupSeparatorShown(True)
        made.setSingleStep(100)
        made.setMinimumWidth(120)
        # One change a number, not one a digit: "1" on the way to "1000" would throw the view about.
        made.setKeyboardTracking(False)
        made.setValue(value)
        return made

    def _value(self, name: str, value: float) -> QLineEdit:
        made = QLineEdit(f"{value:.4g}")
        made.setObjectName(name)
        made.setMinimumWidth(90)
        return made

    def _tell(self) -> None:
        self._last.setEnabled(self._newest.isChecked())
        for box in (self._from, self._to):
            box.setEnabled(self._fixed.isChecked())
        for line in (self._low, self._high):
            line.setEnabled(self._chosen.isChecked())
        steps, values = self._shown_steps(), self._shown_values()
        self._problem.setText(self._why_not(steps))
        self._problem.setVisible(bool(self._problem.text()))
        if steps is not None and steps != self._told[0]:
            self._told = steps, self._told[1]
            self.steps_changed.emit(steps)
        if values != "wrong" and values != self._told[1]:
            self._told = self._told[0], values  # type: ignore[assignment]
            self.values_changed.emit(values)

    def _shown_steps(self) -> ShownSteps | None:
        """None where they make no sense."""
        if self._newest.isChecked():
            return ShownSteps(self._last.value())
        if not self._fixed.isChecked():
            return ShownSteps()
        between = self._from.value(), self._to.value()
        return ShownSteps(between=between) if between[0] < between[1] else None

    def _shown_values(self) -> ShownValues | str:
        """The text "wrong" where they make no sense."""
        for line in (self._low, self._high):
            is_wrong = self._chosen.isChecked() and not self._is_possible(_number_in(line.text()))
            set_look(line, "invalid", is_wrong)
        if not self._chosen.isChecked():
            return None
        low, high = _number_in(self._low.text()), _number_in(self._high.text())
        is_right = self._is_possible(low) and self._is_possible(high) and low < high
        return (low, high) if is_right else "wrong"

    def _is_possible(self, value: float) -> bool:
        return math.isfinite(value) and (value > 0 or not self._is_log)

    def _why_not(self, steps: ShownSteps | None) -> str:
        if steps is None:
            return self.tr("The first step must come before the last.")
        if not self._chosen.isChecked() or self._shown_values() != "wrong":
            return ""
        if self._is_log and not all(_number_in(line.text()) > 0 for line in (self._low, self._high)):
            return self.tr("On a logarithmic scale both values must be numbers above 0, such as 0.01.")
        return self.tr("Both values must be numbers, such as 0.5, and the first must be the lower one.")


def _number_in(text: str) -> float:
    """NaN where it is none. A comma is taken for a point, as many people write it."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return math.nan
