"""What all plots against steps have in common: controls, ranges, marks, other runs, drawing by the clock, saving.

Importing this module loads pyqtgraph, which takes half a second: the page does so after its first paint.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import QCoreApplication, QEvent, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QPalette, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
    QWidgetAction,
)

from cyclegan_desktop.icons import icon
from cyclegan_desktop.style import XS, L, S
from cyclegan_desktop.training.explanation import ExplanationDialog
from cyclegan_desktop.training.marks import SWITCHES, MarkLike, MarkList, mark_icon, switch_words
from cyclegan_desktop.training.other_runs import DASHES, OtherRun
from cyclegan_desktop.training.plot_canvas import Canvas, line_icon, tool_button
from cyclegan_desktop.training.plot_ranges import RangesDialog, ShownSteps, ShownValues
from cyclegan_desktop.widgets import ElidedLabel, NoWheelComboBox, plain_label

_LAST_STEPS = (0, 10_000, 1_000, 200)
_RANGES = "ranges"
_REDRAW_SECONDS = 0.2
_WIDE, _HIGH = 480, 420
"""From this size on, in pixels, there is room for every word around the curves."""


class CurvePlot(QWidget):
    """Curves against steps.

    However many points come, it is drawn at most five times a second, from few enough points for its width, and
    never while it is hidden. A subclass makes the curves and hands them their points: `spans`, `draw`, `dress`,
    `table`.

    Signals:
        smoothing_changed: The smoothing was set by the user, 0 to 0.999.
        log_scale_changed: The log scale was switched by the user.
        save_failed: A picture or table could not be written; a sentence.
        compare_requested: Other runs are to be chosen.
        other_removed: This other run is to be taken out: its folder.
        marks_switched: A kind of marks was shown or hidden: its switch, and whether it is shown.
    """

    smoothing_changed = Signal(float)
    log_scale_changed = Signal(bool)
    save_failed = Signal(str)
    compare_requested = Signal()
    other_removed = Signal(Path)
    marks_switched = Signal(str, bool)

    def __init__(
        self,
        *,
        name: str,
        canvas_words: str,
        smoothing: float,
        log_scale: bool,
        parent: QWidget | None = None,
    ) -> None:
        """Make the controls; a subclass then fills in its parts and calls `finish`.

        Args:
            name: Of the object, and of the files that are saved: "loss" or "quality".
            canvas_words: What is drawn, for a screen reader.
            smoothing: At first.
            log_scale: At first.
            parent: Parent widget.
        """
        super().__init__(parent)
        self.setObjectName(f"{name}_plot")
        self._name = name
        self._own_name = self.tr("This training")
        self._following = True
        self._is_stale = False
        self._last_redraw = 0.0
        self._draw_seconds = 0.0
        self._shown_steps = ShownSteps()
        # One range for each thing that can be on the vertical axis, so that switching there and back loses none.
        self._shown_values: dict[str, ShownValues] = {}
        self._marks = MarkList()
        self._hidden_marks: set[str] = set()
        self._others: tuple[OtherRun, ...] = ()
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._redraw)

        self._canvas = Canvas()
        self._canvas.setObjectName(f"{name}_canvas")
        self._canvas.setAccessibleName(canvas_words)
        self._canvas.zoomed.connect(self._leave_following)
        self._canvas.fit_asked.connect(self.fit)
        self._canvas.set_log_scale(log_scale)
        self._controls = self._make_controls(smoothing, log_scale)
        # What a saved picture shows.
        self._sheet = QWidget()
        self._sheet.setAutoFillBackground(True)
        self._sheet.setBackgroundRole(QPalette.ColorRole.Base)
        self._sheet_layout = QVBoxLayout(self._sheet)
        self._sheet_layout.setContentsMargins(0, 0, 0, 0)
        self._sheet_layout.setSpacing(S)
        self._sheet_layout.addWidget(self._canvas, 1)
        self._others_legend = QWidget()
        self._others_grid = QGridLayout(self._others_legend)
        self._others_grid.setContentsMargins(0, 0, 0, 0)
        self._others_grid.setHorizontalSpacing(S)
        self._others_grid.setVerticalSpacing(0)
        self._others_legend.hide()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(S)
        self._layout.addLayout(self._controls)

    def finish(self, legend: QWidget, sentence: QLabel, question: str, parts: Sequence[tuple[str, str]]) -> None:
        """Put together what a subclass has made.

        Args:
            legend: Which curve is which.
            sentence: What the plot does and does not tell, in one or two lines.
            question: The button beside it, such as "What do these mean?".
            parts: The answer: headings with a paragraph each.
        """
        self._sheet_layout.addWidget(legend)
        self._sheet_layout.addWidget(self._others_legend)
        self._layout.addWidget(self._sheet, 1)
        self._question = QToolButton()
        self._question.setObjectName("explain")
        self._question.setText(question)
        self._question.setIcon(icon("info"))
        self._question.setIconSize(QSize(16, 16))
        self._question.setToolTip(question)
        self._question.setAccessibleName(question)
        self._question.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._question.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._question.clicked.connect(partial(self._explain, question, tuple(parts)))
        below = QHBoxLayout()
        below.setSpacing(S)
        below.addWidget(sentence, 1)
        below.addWidget(self._question, 0, Qt.AlignmentFlag.AlignTop)
        self._layout.addLayout(below)
        self._legend = legend
        self.show_words(is_wide=False, is_high=False)
        self._narrowest = super().minimumSizeHint().width()
        self._apply_colours()

    # What a subclass gives

    def spans(self) -> list[tuple[int, int]]:
        """First and last step of this training, if it has any points, and then of each other run that has."""
        raise NotImplementedError

    def draw(self, first: float, last: float) -> tuple[float, float] | None:
        """Hand the curves the points from step `first` to `last`.

        Returns:
            The lowest and the highest value shown (decimal logarithms on a log scale); None if there are none.
        """
        raise NotImplementedError

    def dress(self, *, is_dark: bool) -> None:
        """Give the curves the colours of this scheme."""
        raise NotImplementedError

    def table(self) -> Iterator[Sequence[object]]:
        """The rows of the CSV file, the header first."""
        raise NotImplementedError

    @property
    def air(self) -> float:
        """How much room there is above the highest value, as a share of the range."""
        return 0.05

    def begins_at_zero(self) -> bool:
        """Whether the vertical axis of a linear scale shows zero."""
        return True

    def values_key(self) -> str:
        """What the vertical axis shows now; a range chosen by the user is remembered under it."""
        return "log" if self.is_log else "linear"

    # What the page does with it

    @property
    def is_log(self) -> bool:
        """Whether the scale is logarithmic."""
        return self._log.isChecked()

    @property
    def smoothing(self) -> float:
        """Smoothing of the curves, 0 to 0.999."""
        return self._slider.value() / 1000

    @property
    def points_across(self) -> int:
        """How many stretches of points are enough for the width of the plot."""
        return max(100, int(self._canvas.width()) // 3)

    def set_own_name(self, name: str) -> None:
        """Call the training shown so, in tables that hold several."""
        self._own_name = name

    def fit(self) -> None:
        """Show everything that was chosen under "Steps shown", and follow the newest point."""
        self._following = True
        # It may be a whole history at once, with nothing after it: nobody waits for that as for one more point.
        self.redraw_for_user()

    def set_marks(self, marks: Iterable[MarkLike]) -> None:
        """Show these marks and no others; stars stay, as they come from elsewhere."""
        self._marks.set(marks)
        self._show_marks()

    def add_mark(self, mark: MarkLike) -> None:
        """Show one more mark."""
        self._marks.add(mark)
        self._show_marks()

    def set_stars(self, marks: Iterable[MarkLike]) -> None:
        """Show these stars and no others."""
        self._marks.set_kind("starred", marks)
        self._show_marks()

    def clear_marks(self) -> None:
        """Show no marks and no stars."""
        self.set_marks(())
        self.set_stars(())

    def show_mark_switch(self, switch: str, on: bool) -> None:
        """Show or hide a kind of marks, as was done elsewhere."""
        (self._hidden_marks.discard if on else self._hidden_marks.add)(switch)
        self._show_marks()

    def set_others(self, others: Sequence[OtherRun]) -> None:
        """Draw these other runs too, and no others."""
        self._others = tuple(others)
        self._fill_others_legend()
        self.fit()

    def save_picture(self, file: Path) -> None:
        """Write the curves and their legend as they are on screen.

        Raises:
            OSError: The picture could not be written.
        """
        self._redraw()
        if not self._sheet.grab().save(str(file)):
            raise OSError(self.tr("the picture cannot be written there"))

    def save_table(self, file: Path) -> None:
        """Write the values as reported, of every run that is shown, as CSV.

        Raises:
            OSError: The file could not be written.
        """
        with file.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(self.table())

    # Controls

    def _make_controls(self, smoothing: float, log_scale: bool) -> QHBoxLayout:
        label = plain_label(self.tr("Smoothin&g"))
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setObjectName("smoothing")
        self._slider.setRange(0, 999)
        self._slider.setPageStep(50)
        self._slider.setValue(round(smoothing * 1000))
        self._slider.setAccessibleName(self.tr("Smoothing of the curves"))
        self._slider.setMinimumWidth(40)
        self._slider.setMaximumWidth(160)
        label.setBuddy(self._slider)
        self._smoothing_number = plain_label(f"{smoothing:.3f}", role="muted")
        self._smoothing_number.setMinimumWidth(self._smoothing_number.fontMetrics().horizontalAdvance("0.000 "))
        self._slider.setToolTip(self._smoothing_number.text())
        self._slider.valueChanged.connect(self._set_smoothing)

        self._steps_box = NoWheelComboBox()
        self._steps_box.setObjectName("last_steps")
        self._steps_box.setAccessibleName(self.tr("Steps shown"))
        self._steps_box.setToolTip(self.tr("Steps shown; \u201cRanges...\u201d has steps and values of your own"))
        for steps in _LAST_STEPS:
            self._steps_box.addItem(_steps_words(ShownSteps(steps)), steps)
        self._steps_box.addItem(self.tr("Ranges..."), _RANGES)
        self._steps_box.setSizeAdjustPolicy(NoWheelComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._steps_box.setMinimumContentsLength(6)
        self._steps_box.currentIndexChanged.connect(self._choose_steps)

        self._log = tool_button("log-scale", self.tr("Logarithmic scale"))
        self._log.setObjectName("log_scale")
        self._log.setCheckable(True)
        self._log.setChecked(log_scale)
        self._log.toggled.connect(self._set_log_scale)
        self._marks_button = tool_button("mark", self.tr("Marks: saves, stars and what else happened at a step"))
        self._marks_button.setObjectName("marks")
        marks = QMenu(self._marks_button)
        marks.aboutToShow.connect(partial(self._fill_marks_menu, marks))
        self._marks_button.setMenu(marks)
        self._marks_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        compare = tool_button("overlay", self.tr("Compare with other runs"))
        compare.setObjectName("compare_runs")
        compare.clicked.connect(self.compare_requested)
        fit = tool_button("zoom-fit", self.tr("Show the whole curve (wheel and drag, or + - and arrows, zoom)"))
        fit.setObjectName("zoom_fit")
        fit.clicked.connect(self.fit)
        save = tool_button("save", self.tr("Save the picture or the numbers"))
        save.setObjectName("save_plot")
        menu = QMenu(save)
        menu.addAction(self.tr("Save &picture..."), self._ask_for_picture)
        menu.addAction(self.tr("Save &CSV..."), self._ask_for_table)
        save.setMenu(menu)
        save.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

        row = QHBoxLayout()
        row.setSpacing(S)
        row.addWidget(label)
        row.addWidget(self._slider, 1000)
        row.addWidget(self._smoothing_number)
        row.addStretch(1)
        row.addWidget(self._steps_box)
        tools = QHBoxLayout()
        tools.setSpacing(0)
        for tool in (self._log, self._marks_button, compare, fit, save):
            tools.addWidget(tool)
        row.addLayout(tools)
        return row

    def _set_smoothing(self, thousandths: int) -> None:
        smoothing = thousandths / 1000
        self._smoothing_number.setText(f"{smoothing:.3f}")
        self._slider.setToolTip(self._smoothing_number.text())
        self.redraw_for_user()
        self.smoothing_changed.emit(smoothing)

    def _set_log_scale(self, on: bool) -> None:
        self._canvas.set_log_scale(on)
        self.fit()
        self.log_scale_changed.emit(on)

    def _leave_following(self) -> None:
        self._following = False
        self.redraw_for_user()

    # Ranges

    def _choose_steps(self) -> None:
        chosen = self._steps_box.currentData()
        if chosen == _RANGES:
            self._show_steps(self._shown_steps)
            self.ask_for_ranges()
        elif isinstance(chosen, ShownSteps):
            self._set_steps(chosen)
        else:
            self._set_steps(ShownSteps(int(chosen)))

    def _set_steps(self, steps: ShownSteps) -> None:
        self._shown_steps = steps
        self._show_steps(steps)
        self.fit()

    def _show_steps(self, steps: ShownSteps) -> None:
        """Have the box say what is shown, with a line of its own for a number that is not on the list."""
        box = self._steps_box
        box.blockSignals(True)
        own = len(_LAST_STEPS) + 1
        if box.count() > own:
            box.removeItem(own - 1)
        if steps.between is not None or steps.last not in _LAST_STEPS:
            box.insertItem(own - 1, _steps_words(steps), steps)
            box.setCurrentIndex(own - 1)
        else:
            box.setCurrentIndex(_LAST_STEPS.index(steps.last))
        box.blockSignals(False)

    def _set_values(self, values: ShownValues) -> None:
        self._shown_values[self.values_key()] = values
        self.fit()

    def ask_for_ranges(self) -> RangesDialog:
        """Open the dialog of steps and values; changes show at once."""
        low, high = self._canvas.value_range()
        spans = self.spans()
        dialog = RangesDialog(
            steps=self._shown_steps,
            values=self._shown_values.get(self.values_key()),
            is_log=self.is_log,
            newest=spans[0][1] if spans else 0,
            in_view=(10**low, 10**high) if self.is_log else (low, high),
            parent=self,
        )
        dialog.steps_changed.connect(self._set_steps)
        dialog.values_changed.connect(self._set_values)
        # What the vertical axis shows could change behind it.
        dialog.setWindowModality(Qt.WindowModality.WindowModal)
        dialog.open()
        return dialog

    # Marks

    def _fill_marks_menu(self, menu: QMenu) -> None:
        menu.clear()
        is_dark = self._is_dark()
        for switch, kinds in SWITCHES:
            count = self._marks.count(kinds)
            # Boxes instead of actions, which would show either their symbol or whether they are ticked.
            box = QCheckBox(self.tr("{what} ({count:,})").format(what=switch_words(switch), count=count))
            box.setObjectName(f"show_{switch}")
            box.setIcon(mark_icon(switch, is_dark=is_dark))
            box.setChecked(switch not in self._hidden_marks)
            box.toggled.connect(partial(self._switch_marks, switch))
            line = QWidget()
            layout = QHBoxLayout(line)
            layout.setContentsMargins(S, XS, L, XS)
            layout.addWidget(box)
            action = QWidgetAction(menu)
            action.setDefaultWidget(line)
            menu.addAction(action)

    def _switch_marks(self, switch: str, on: bool) -> None:
        self.show_mark_switch(switch, on)
        self.marks_switched.emit(switch, on)

    def _show_marks(self) -> None:
        kinds = [kind for switch, kinds in SWITCHES if switch not in self._hidden_marks for kind in kinds]
        self._canvas.set_marks(self._marks, ["best", *kinds])

    # Other runs

    def _fill_others_legend(self) -> None:
        while (item := self._others_grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        colour = self.palette().color(QPalette.ColorRole.Text)
        for place, (other, dashes) in enumerate(zip(self._others, DASHES, strict=False)):
            line = QLabel()
            line.setPixmap(line_icon(colour, dashes).pixmap(QSize(32, 16)))
            name = ElidedLabel(other.name, role="muted")
            remove = tool_button("close", self.tr("Take this run out of the comparison"))
            remove.setObjectName("remove_other")
            remove.setIconSize(QSize(12, 12))
            remove.clicked.connect(partial(self.other_removed.emit, other.folder))
            row, column = place // 2, 3 * (place % 2)
            for offset, widget in enumerate((line, name, remove)):
                self._others_grid.addWidget(widget, row, column + offset)
            self._others_grid.setColumnStretch(column + 1, 1)
        self._others_legend.setVisible(bool(self._others))

    # Saving

    def _ask_for_picture(self) -> None:
        self._ask_for_file(self.tr("Save the plot"), f"{self._file_name}.png", self.tr("PNG picture (*.png)"), "png")

    def _ask_for_table(self) -> None:
        self._ask_for_file(self.tr("Save the numbers"), f"{self._file_name}.csv", self.tr("CSV table (*.csv)"), "csv")

    @property
    def _file_name(self) -> str:
        return {"loss": "losses"}.get(self._name, self._name)

    def _ask_for_file(self, title: str, name: str, kinds: str, suffix: str) -> None:
        dialog = QFileDialog(self, title, name, kinds)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(suffix)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._save_as)
        dialog.open()

    def _save_as(self, name: str) -> None:
        file = Path(name)
        save: Callable[[Path], None] = self.save_table if file.suffix.lower() == ".csv" else self.save_picture
        try:
            save(file)
        except OSError as error:
            self.save_failed.emit(
                self.tr("{file} could not be saved ({reason}). Choose another folder.").format(
                    file=file, reason=error.strerror or error
                )
            )

    def _explain(self, title: str, parts: tuple[tuple[str, str], ...]) -> QDialog:
        dialog = ExplanationDialog(title, parts, self)
        dialog.show()
        return dialog

    # Drawing

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what came while it was hidden."""
        super().showEvent(event)
        if self._is_stale:
            self.redraw_for_user()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave out what a small plot has no room for: the curves need it more."""
        super().resizeEvent(event)
        self.show_words(is_wide=event.size().width() >= _WIDE, is_high=event.size().height() >= _HIGH)

    def minimumSizeHint(self) -> QSize:
        """As narrow as without the words that are left out then; or the plot could never be made narrow."""
        hint = super().minimumSizeHint()
        return QSize(min(hint.width(), max(self._narrowest, self._legend.minimumSizeHint().width())), hint.height())

    def show_words(self, *, is_wide: bool, is_high: bool) -> None:
        """Show or leave out words that are also told elsewhere, such as in tooltips."""
        self._smoothing_number.setVisible(is_wide)
        style = Qt.ToolButtonStyle.ToolButtonTextBesideIcon if is_wide else Qt.ToolButtonStyle.ToolButtonIconOnly
        self._question.setToolButtonStyle(style)
        self._canvas.name_steps(is_high)

    def changeEvent(self, event: QEvent) -> None:
        """Follow a change between light and dark."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_question"):
            self._apply_colours()

    def request_redraw(self) -> None:
        """Draw anew soon; at once if nothing was drawn lately."""
        # On a slow machine or a large screen it comes less often: it has a twentieth of the window's time.
        self._draw_after(max(_REDRAW_SECONDS, 20 * self._cost))

    def redraw_for_user(self) -> None:
        """Draw anew as quickly as the user moves something, with half the window's time."""
        self._timer.stop()
        self._draw_after(2 * self._cost)

    def _draw_after(self, seconds: float) -> None:
        """Draw these seconds after the last time."""
        self._is_stale = True
        if self.isVisible() and not self._timer.isActive():
            wait = self._last_redraw + seconds - time.monotonic()
            self._timer.start(max(0, round(wait * 1000)))

    @property
    def _cost(self) -> float:
        """Seconds that the last drawing took, with its painting."""
        return self._draw_seconds + self._canvas.paint_seconds

    def _redraw(self) -> None:
        began = time.monotonic()
        if self._following:
            self._follow()
        else:
            self.draw(*self._canvas.step_range())
        self._is_stale = False
        self._last_redraw = time.monotonic()
        self._draw_seconds = self._last_redraw - began

    def _follow(self) -> None:
        first, last = self._steps_to_show()
        needed = self.draw(first, last)
        chosen = self._shown_values.get(self.values_key())
        if chosen is not None:
            low, high = np.log10(chosen) if self.is_log else chosen
        elif needed is None:
            low, high = (-2.0, 1.0) if self.is_log else (0.0, 1.0)
        else:
            low, high = needed
            if self.begins_at_zero() and not self.is_log:
                low = min(0.0, low)
        self._canvas.show_range(
            first, max(last, first + 1), float(low), float(high), air=self.air if chosen is None else 0.0
        )

    def _steps_to_show(self) -> tuple[float, float]:
        if self._shown_steps.between is not None:
            return self._shown_steps.between
        spans = self.spans()
        if not spans:
            return 0.0, 0.0
        if self._shown_steps.last:
            first, last = spans[0]
            return float(max(first, last - self._shown_steps.last)), float(last)
        return float(min(first for first, _ in spans)), float(max(last for _, last in spans))

    def _is_dark(self) -> bool:
        return self.palette().color(QPalette.ColorRole.Base).lightness() < 128

    def _apply_colours(self) -> None:
        palette = self.palette()
        self._canvas.set_colours(palette.color(QPalette.ColorRole.Base), palette.color(QPalette.ColorRole.Text))
        self.dress(is_dark=self._is_dark())
        self._fill_others_legend()


def legend_grid(parent: QWidget) -> QGridLayout:
    """A grid for the boxes that switch curves."""
    grid = QGridLayout(parent)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(S)
    grid.setVerticalSpacing(XS)
    return grid


def _steps_words(steps: ShownSteps) -> str:
    if steps.between is not None:
        text = QCoreApplication.translate("CurvePlot", "Steps {first:,} to {last:,}")
        return text.format(first=steps.between[0], last=steps.between[1])
    if steps.last:
        return QCoreApplication.translate("CurvePlot", "Last {steps:,}").format(steps=steps.last)
    return QCoreApplication.translate("CurvePlot", "All steps")
