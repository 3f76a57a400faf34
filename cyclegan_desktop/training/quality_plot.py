"""The plot of the quality score. Importing this module loads pyqtgraph; see `curve_plot`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import get_args

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QCheckBox, QFrame, QWidget

from cyclegan_desktop.plain_text import shown_text
from cyclegan_desktop.style import S
from cyclegan_desktop.training.curve_history import CurveHistory, Values
from cyclegan_desktop.training.curve_plot import CurvePlot, legend_grid
from cyclegan_desktop.training.marks import PlotMark
from cyclegan_desktop.training.other_runs import DASHES, OtherRun
from cyclegan_desktop.training.plot_canvas import Curve, Level, line_icon, logarithms, mixed, pen
from cyclegan_desktop.widgets import NoWheelComboBox, plain_label, plain_tooltip
from engine.config import Direction
from engine.events import DirectionQuality, QualityMeasured
from engine.training.quality import is_better

_DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_COLOURS_ON_LIGHT = {"a2b": "#0a4f9e", "b2a": "#b03a00"}
_COLOURS_ON_DARK = {"a2b": "#5aa2f5", "b2a": "#f08a4b"}
_SYMBOLS = {"a2b": "o", "b2a": "t1"}
_MEAN, _CYCLE = "mean", "cycle"
_MOST_DOTS = 150
_LONGEST_NAME = 22
_ROOM_FOR_NAMES = 480
_step = attrgetter("step")


class QualityPlot(CurvePlot):
    """How near translated held-out pictures are to real ones, a curve a direction, between start and finish line.

    Signals:
        newest_changed: The newest measurement, a `QualityMeasured`; None if there is none.
    """

    newest_changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            name="quality",
            canvas_words=self.tr("Quality score against steps"),
            smoothing=0.0,
            log_scale=False,
            parent=parent,
        )
        self._measured: list[QualityMeasured] = []
        self._history = CurveHistory(_DIRECTIONS, 0.0)
        self._other_histories: list[CurveHistory] = []
        self._names = {"a2b": self.tr("A to B"), "b2a": self.tr("B to A")}
        self._curves: dict[Direction, tuple[Curve, Curve]] = {}
        self._dots = {direction: pg.ScatterPlotItem(symbol=_SYMBOLS[direction], size=7) for direction in _DIRECTIONS}
        self._other_curves: list[dict[Direction, Curve]] = []
        for direction in _DIRECTIONS:
            raw, smooth = Curve(), Curve(is_smooth=True)
            for item in (raw, smooth, self._dots[direction]):
                self._canvas.addItem(item)
            self._curves[direction] = (raw, smooth)
        self._newest = plain_label(wrap=True)
        self._newest.setObjectName("newest_quality")
        legend = self._make_legend()
        self._layout.addWidget(self._newest)
        sentence = self.tr(
            "Lower is nearer to real pictures. A young plain generator scores worse than untranslated pictures "
            "(start line), being blurred and chequered."
        )
        self.finish(
            legend,
            plain_label(sentence, role="muted", wrap=True),
            self.tr("What does it measure?"),
            self._explanation(),
        )
        self._tell_newest()

    # What the page does with it

    @property
    def measured(self) -> tuple[QualityMeasured, ...]:
        """What is shown, in the order of the steps."""
        return tuple(self._measured)

    @property
    def newest_words(self) -> str:
        """The newest measurement in words."""
        return self._newest.text()

    def show_words(self, *, is_wide: bool, is_high: bool) -> None:
        """Show or leave out words; the newest measurement stands in the tooltip of the tab too."""
        super().show_words(is_wide=is_wide, is_high=is_high)
        self._newest.setVisible(is_high)

    def set_names(self, name_A: str, name_B: str) -> None:
        """Name the domains."""
        to = self.tr("{source} to {target}")
        self._names = {
            "a2b": to.format(source=shown_text(name_A), target=shown_text(name_B)),
            "b2a": to.format(source=shown_text(name_B), target=shown_text(name_A)),
        }
        for direction, box in self._shown.items():
            name = self._names[direction]
            box.setText(_shortened(name, 2 * _LONGEST_NAME).replace("&", "&&"))
            box.setToolTip(plain_tooltip(name))
        self._tell_newest()
        self.request_redraw()

    def append(self, measured: QualityMeasured) -> None:
        """Add the newest measurement; one of the same step is taken in place of the one before."""
        if self._measured and measured.step <= self._measured[-1].step:
            self.cut_after(measured.step - 1)
        self._measured.append(measured)
        self._offer_scales()
        self._history.append_values(measured.step, self._values_of(measured))
        self._tell_newest()
        self.request_redraw()

    def set_measured(self, measured: Iterable[QualityMeasured]) -> None:
        """Show these measurements and go on with them; those of a resumed training."""
        self._measured = sorted(measured, key=_step)
        self._offer_scales()
        self._fill_histories()

    def cut_after(self, step: int) -> None:
        """Forget what was measured past this step, from which a resumed training goes on."""
        del self._measured[bisect_right(self._measured, step, key=_step) :]
        self._history.cut_after(step)
        self._tell_newest()
        self.request_redraw()

    def clear(self) -> None:
        """Show nothing, ready for another training."""
        self.clear_marks()
        self.set_measured(())

    def set_others(self, others: Sequence[OtherRun]) -> None:
        """Draw the distances of these other runs too, and no others."""
        for curves in self._other_curves:
            for curve in curves.values():
                self._canvas.removeItem(curve)
        self._other_curves = [{direction: Curve(is_smooth=True) for direction in _DIRECTIONS} for _ in others]
        for curves in self._other_curves:
            for curve in curves.values():
                self._canvas.addItem(curve)
        super().set_others(others)
        self._offer_scales()
        self._fill_histories()
        self._apply_colours()

    # What is on the vertical axis

    @property
    def air(self) -> float:
        """How much room there is above the highest value, as a share of the range: names stand there."""
        return 0.15

    def values_key(self) -> str:
        """What the vertical axis shows now; a range chosen by the user is remembered under it."""
        return f"{self._what.currentData()} {super().values_key()}"

    def _fill_histories(self) -> None:
        """Take the values that are chosen from everything that was measured."""
        self._history = self._history_of(self._measured)
        self._other_histories = [self._history_of(other.quality) for other in self._others]
        self._tell_newest()
        self.fit()

    def _history_of(self, measured: Sequence[QualityMeasured]) -> CurveHistory:
        history = CurveHistory(_DIRECTIONS, self.smoothing)
        if measured:
            values = np.array([self._values_of(one) for one in measured], np.float64)
            history.extend([one.step for one in measured], values.T)
        return history

    def _values_of(self, measured: QualityMeasured) -> list[float]:
        return [self._values(direction)[0] for direction in _ordered(measured)]

    def _values(self, quality: DirectionQuality) -> tuple[float, float, float]:
        """What is chosen, and its start and finish line; NaN if it was not measured at this scale or has no lines."""
        what = self._what.currentData()
        if what == _CYCLE:
            return quality.cycle_error, np.nan, np.nan
        if what == _MEAN:  # Weighed as in the score, which chooses the best moment.
            if not quality.scales:
                return np.nan, np.nan, np.nan
            return quality.distance, quality.start_line, quality.finish_line
        distance, start, finish = (
            next((value for side, value in zip(quality.scales, values, strict=False) if side == what), np.nan)
            for values in (quality.distances, quality.start, quality.finish)
        )
        return distance, start, finish

    def _offer_scales(self) -> None:
        """Offer every scale that was measured at."""
        lists = [self._measured, *(other.quality for other in self._others)]
        sides = {side for measured in lists for one in measured[-1:] for side in one.directions[0].scales}
        box = self._what
        offered = {box.itemData(index) for index in range(box.count())} - {_MEAN, _CYCLE}
        if sides <= offered:
            return
        chosen = box.currentData()
        box.blockSignals(True)
        box.clear()
        box.addItem(self.tr("All scales"), _MEAN)
        for side in sorted(sides | offered, reverse=True):
            box.addItem(self.tr("At {side} px").format(side=side), side)
        box.addItem(self.tr("Cycle error"), _CYCLE)
        box.setCurrentIndex(max(0, box.findData(chosen)))
        box.blockSignals(False)

    # Drawing

    def spans(self) -> list[tuple[int, int]]:
        """First and last step of this training, if it has any points, and then of each other run that has."""
        histories = [self._history, *self._other_histories]
        return [(int(history.steps[0]), int(history.steps[-1])) for history in histories if len(history)]

    def draw(self, first: float, last: float) -> tuple[float, float] | None:
        """Hand the curves the points from step `first` to `last`, and the start and finish lines their places."""
        shown: list[Values] = []
        self._history.set_smoothing(self.smoothing)
        thinned = self._history.thinned(first, last, self.points_across)
        for index, direction in enumerate(_DIRECTIONS):
            is_shown = self._shown[direction].isChecked() and len(self._history) > 0
            raw, smooth = self._curves[direction]
            raw.setVisible(is_shown and self.smoothing > 0)
            smooth.setVisible(is_shown)
            values = self._scaled(thinned.raw[index])
            has_dots = is_shown and len(values) <= _MOST_DOTS
            self._dots[direction].setVisible(has_dots)
            if not is_shown:
                continue
            raw.show_points(thinned.raw_steps, values)
            if self.smoothing > 0:
                smooth.show_points(thinned.smooth_steps, self._scaled(thinned.smooth[index]))
            else:
                smooth.show_points(thinned.raw_steps, values)
            if has_dots:
                finite = np.isfinite(values)
                self._dots[direction].setData(thinned.raw_steps[finite], values[finite])
            shown.append(values)
        for history, curves in zip(self._other_histories, self._other_curves, strict=True):
            shown += self._draw_other(history, curves, first, last)
        levels = self._levels()
        self._canvas.set_levels(levels)
        shown.append(np.array([level.value for level in levels]))
        values = np.concatenate(shown)
        finite = values[np.isfinite(values)]
        return (float(finite.min()), float(finite.max())) if len(finite) else None

    def _draw_other(
        self, history: CurveHistory, curves: dict[Direction, Curve], first: float, last: float
    ) -> list[Values]:
        history.set_smoothing(self.smoothing)
        thinned = history.thinned(first, last, self.points_across // 2)
        shown = []
        for index, direction in enumerate(_DIRECTIONS):
            is_shown = self._shown[direction].isChecked() and len(history) > 0
            curves[direction].setVisible(is_shown)
            if is_shown:
                values = self._scaled(thinned.smooth[index])
                curves[direction].show_points(thinned.smooth_steps, values)
                shown.append(values)
        return shown

    def _scaled(self, values: Values) -> Values:
        return logarithms(values) if self.is_log else values

    def _levels(self) -> list[Level]:
        """Start and finish line of each direction that is shown; the cycle error has none."""
        if not self._measured or not self._lines.isChecked() or self._what.currentData() == _CYCLE:
            return []
        colours = self._colours()
        names = self._names
        if any(len(name) > _LONGEST_NAME for name in names.values()):
            names = {"a2b": self.tr("A to B"), "b2a": self.tr("B to A")}
        # Where two names would not fit beside each other, the colour and the side tell which is which.
        start, finish = (
            (self.tr("Start line, {direction}"), self.tr("Finish line, {direction}"))
            if self._canvas.width() >= _ROOM_FOR_NAMES
            else (self.tr("Start line"), self.tr("Finish line"))
        )
        levels = []
        for quality in _ordered(self._measured[-1]):
            if not self._shown[quality.direction].isChecked():
                continue
            _, start_line, finish_line = self._values(quality)
            for line, words, style in (
                (start_line, start, Qt.PenStyle.DashLine),
                (finish_line, finish, Qt.PenStyle.DotLine),
            ):
                value = float(self._scaled(np.array([line]))[0])
                if np.isfinite(value):
                    name = words.format(direction=names[quality.direction])
                    colour = QColor(colours[quality.direction])
                    # At opposite ends, as the lines of both directions may lie close together.
                    levels.append(Level(value, name, colour, style, is_right=quality.direction == "b2a"))
        return levels

    def _colours(self) -> dict[str, str]:
        return _COLOURS_ON_DARK if self._is_dark() else _COLOURS_ON_LIGHT

    def dress(self, *, is_dark: bool) -> None:
        """Give the curves the colours of this scheme."""
        background = self.palette().color(QPalette.ColorRole.Base)
        colours = self._colours()
        for direction, (raw, smooth) in self._curves.items():
            colour = QColor(colours[direction])
            raw.setPen(pen(mixed(colour, background, 0.35), 1.0))
            smooth.setPen(pen(colour, 2.0))
            self._dots[direction].setPen(pen(colour, 1.0))
            self._dots[direction].setBrush(mixed(colour, background, 0.5))
            self._shown[direction].setIcon(line_icon(colour))
            for curves, dashes in zip(self._other_curves, DASHES, strict=False):
                curves[direction].setPen(pen(mixed(colour, background, 0.8), 1.5, dashes))
        self.request_redraw()

    def table(self) -> Iterator[Sequence[object]]:
        """Everything that was measured, one row a step; with the run's name in front if there are several."""
        runs = [(self._own_name, self._measured), *((other.name, other.quality) for other in self._others)]
        sides = sorted({side for _, measured in runs for one in measured for side in one.directions[0].scales})[::-1]
        of_direction = ("distance", "start", "finish", "cycle_error", *(f"distance_{side}" for side in sides))
        header = ("step", "seconds", "score", *(f"{way}_{name}" for way in _DIRECTIONS for name in of_direction))
        yield ("run", *header) if self._others else header
        for name, measured in runs:
            for one in measured:
                numbers: list[float] = [one.seconds, one.score]
                for quality in _ordered(one):
                    at = dict(zip(quality.scales, quality.distances, strict=False))
                    numbers += (quality.distance, quality.start_line, quality.finish_line, quality.cycle_error)
                    numbers += (at.get(side, float("nan")) for side in sides)
                row = (one.step, *(f"{number:.6g}" for number in numbers))
                yield (name, *row) if self._others else row

    # Words

    def _make_legend(self) -> QWidget:
        legend = QFrame()
        legend.setObjectName("quality_legend")
        grid = legend_grid(legend)
        self._shown: dict[Direction, QCheckBox] = {}
        for column, direction in enumerate(_DIRECTIONS):
            box = self._box(self._names[direction], f"show_{direction}", self.redraw_for_user)
            grid.addWidget(box, 0, column)
            self._shown[direction] = box
        self._lines = self._box(self.tr("Start and finish lines"), "show_lines", self.redraw_for_user)
        self._lines.setToolTip(
            self.tr(
                "Start: untranslated pictures against real ones of the other kind. "
                "Finish: real pictures against others of their kind, as near as a translation can come."
            )
        )
        grid.addWidget(self._lines, 1, 0)
        self._what = NoWheelComboBox()
        self._what.setObjectName("quality_scale")
        self._what.setAccessibleName(self.tr("What is plotted"))
        self._what.setSizeAdjustPolicy(NoWheelComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._what.setMinimumContentsLength(9)
        self._what.setToolTip(self.tr("The distance, over all scales or at one of them, or the cycle error"))
        for text, what in ((self.tr("All scales"), _MEAN), (self.tr("Cycle error"), _CYCLE)):
            self._what.addItem(text, what)
        self._what.currentIndexChanged.connect(self._fill_histories)
        grid.addWidget(self._what, 1, 1)
        grid.setColumnStretch(2, 1)
        grid.setVerticalSpacing(S)
        return legend

    def _box(self, text: str, name: str, changed: Callable[[], None]) -> QCheckBox:
        box = QCheckBox(text)
        box.setObjectName(name)
        box.setChecked(True)
        box.setIconSize(QSize(16, 12))
        box.toggled.connect(changed)
        return box

    def _tell_newest(self) -> None:
        """Say in words where the training stands, and mark the best moment."""
        newest = self._measured[-1] if self._measured else None
        if newest is None:
            self._newest.setText(self.tr("Nothing is measured yet; the first score comes with the samples."))
            self._marks.set_kind("best", ())
        else:
            parts = [self._direction_words(quality) for quality in _ordered(newest)]
            text = self.tr("Step {step:,}: {parts}.").format(step=newest.step, parts="; ".join(parts))
            if not newest.held_out:
                text += " " + self.tr("Measured on pictures that are also trained on, so it flatters.")
            self._newest.setText(text)
            best = next((one for one in self._measured if one.step == newest.best_step), newest)
            # Until one is good the newest converts, which is not the best for that.
            self._marks.set_kind("best", (PlotMark(best.step, "best"),) if is_better(best, None) else ())
        self._show_marks()
        self.newest_changed.emit(newest)

    def _direction_words(self, quality: DirectionQuality) -> str:
        if self._what.currentData() == _CYCLE:
            return self.tr("{direction} {value}").format(
                direction=self._names[quality.direction], value=f"{quality.cycle_error:.3g}"
            )
        value, start, finish = (f"{number:.3g}" for number in self._values(quality))
        return self.tr("{direction} {value} (start {start}, finish {finish})").format(
            direction=self._names[quality.direction], value=value, start=start, finish=finish
        )

    def _explanation(self) -> list[tuple[str, str]]:
        return [
            (
                self.tr("What is measured"),
                self.tr(
                    "Pictures that the training has never seen are translated, and thousands of small patches of them "
                    "are compared with patches of real pictures of the other kind, at several sizes: the sliced "
                    "Wasserstein distance, times 1,000. Lower is nearer. Fine scales are about texture and sharpness, "
                    "coarse ones about colour and layout. Over all scales each counts alike, as a share of its start "
                    "line."
                ),
            ),
            (
                self.tr("Start line and finish line"),
                self.tr(
                    "The start line is what untranslated pictures score: doing nothing at all. The finish line is "
                    "what real pictures score against other real pictures of their kind: no translation can be "
                    "expected to come nearer. A useful training ends between the two."
                ),
            ),
            (
                self.tr("Above the start line at first: that is normal"),
                self.tr(
                    "A young plain generator scores worse than untranslated pictures. It has to learn to draw from "
                    "nothing, and its first pictures are blurred and chequered, which no real picture is. It crosses "
                    "the start line as they become sharp. A generator that predicts a change of its picture (the "
                    "quick preset) starts at the start line, since at first it changes nothing."
                ),
            ),
            (
                self.tr("What it does not see"),
                self.tr(
                    "It compares patches, not pictures: whether an apple has become an orange in the right place, or "
                    "a face has kept its expression, it cannot tell. It knows no taste and no meaning. With few "
                    "held-out pictures it wavers, so small differences say nothing. Scores of different trainings "
                    "can be compared only if they were measured on the same pictures at the same size. Look at the "
                    "samples before you decide."
                ),
            ),
            (
                self.tr("Cycle error"),
                self.tr(
                    "How far a held-out picture is from itself after it was translated and back again, from 0 (the "
                    "same) to 2. It tells how much of the picture survives, not how good the translation is: doing "
                    "nothing has an error of 0."
                ),
            ),
            (
                self.tr("The best moment"),
                self.tr(
                    "The flag marks the step with the lowest mean over both directions. Its generators are kept, and "
                    "are what Convert takes unless you choose another moment. There is none before a moment is below "
                    "the start line; until then Convert takes the newest."
                ),
            ),
        ]


def _ordered(measured: QualityMeasured) -> list[DirectionQuality]:
    """A to B, then B to A."""
    return sorted(measured.directions, key=lambda quality: quality.direction)


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
