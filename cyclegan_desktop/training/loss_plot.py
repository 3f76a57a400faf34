"""The live plot of the eight losses. Importing this module loads pyqtgraph; see `curve_plot`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QCheckBox, QFrame, QWidget

from cyclegan_desktop.training.curve_history import Values
from cyclegan_desktop.training.curve_plot import CurvePlot, legend_grid
from cyclegan_desktop.training.loss_history import LossHistory
from cyclegan_desktop.training.other_runs import DASHES, OtherRun
from cyclegan_desktop.training.plot_canvas import Curve, line_icon, logarithms, mixed, pen
from cyclegan_desktop.widgets import plain_label
from engine.events import LOSS_NAMES, Losses

# One hue a kind of loss and one shade a domain, so that the eight stay apart for colour-blind eyes too.
_COLOURS_ON_LIGHT = {
    "G_AB": "#0a4f9e",
    "G_BA": "#4b9be0",
    "D_A": "#b03a00",
    "D_B": "#ee8636",
    "cycle_A": "#006b4c",
    "cycle_B": "#35b587",
    "idt_A": "#742a78",
    "idt_B": "#c877c4",
}
_COLOURS_ON_DARK = {
    "G_AB": "#3c8ff0",
    "G_BA": "#a4d0ff",
    "D_A": "#e2641c",
    "D_B": "#ffc48c",
    "cycle_A": "#17a47a",
    "cycle_B": "#8ae6c6",
    "idt_A": "#bb5fbd",
    "idt_B": "#f2bdee",
}


class LossPlot(CurvePlot):
    """Eight losses against steps, as reported (faint) and smoothed (strong); of other runs smoothed and dashed."""

    def __init__(self, *, smoothing: float = 0.9, log_scale: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(
            name="loss",
            canvas_words=self.tr("Losses against steps"),
            smoothing=smoothing,
            log_scale=log_scale,
            parent=parent,
        )
        self._history = LossHistory(smoothing)
        self._curves: dict[str, tuple[Curve, Curve]] = {}
        self._other_curves: list[dict[str, Curve]] = []
        self._zero: set[str] = set()
        for name in LOSS_NAMES:
            raw, smooth = Curve(), Curve(is_smooth=True)
            # Stroked piece by piece: several times faster than as one line.
            smooth.setSegmentedLineMode("on")
            self._canvas.addItem(raw)
            self._canvas.addItem(smooth)
            self._curves[name] = (raw, smooth)
        sentence = self.tr("Losses show balance, not quality: judge by the samples and by the quality score.")
        self.finish(
            self._make_legend(),
            plain_label(sentence, role="muted", wrap=True),
            self.tr("What do these mean?"),
            self._explanation(),
        )

    # What the page does with it

    @property
    def history(self) -> LossHistory:
        """The points that are shown."""
        return self._history

    def append(self, step: int, losses: Losses) -> None:
        """Add the newest point."""
        self._history.append(step, losses)
        self.request_redraw()

    def set_history(self, history: LossHistory) -> None:
        """Show these points and go on with them; those of a resumed training."""
        if history.smoothing != self._history.smoothing:
            history.set_smoothing(self._history.smoothing)
        self._history = history
        self.fit()

    def cut_after(self, step: int) -> None:
        """Forget the points past this step, from which a resumed training goes on."""
        self._history.cut_after(step)
        self.request_redraw()

    def clear(self) -> None:
        """Show no points and no marks, ready for another training."""
        self.clear_marks()
        self.set_history(LossHistory(self._history.smoothing))

    def set_others(self, others: Sequence[OtherRun]) -> None:
        """Draw the smoothed losses of these other runs too, and no others."""
        for curves in self._other_curves:
            for curve in curves.values():
                self._canvas.removeItem(curve)
        self._other_curves = [{name: Curve(is_smooth=True) for name in LOSS_NAMES} for _ in others]
        for curves in self._other_curves:
            for curve in curves.values():
                self._canvas.addItem(curve)
        super().set_others(others)
        self._apply_colours()

    # Drawing

    def spans(self) -> list[tuple[int, int]]:
        """First and last step of this training, if it has any points, and then of each other run that has."""
        histories = [self._history, *(other.losses for other in self._others)]
        return [(int(history.steps[0]), int(history.steps[-1])) for history in histories if len(history)]

    def draw(self, first: float, last: float) -> tuple[float, float] | None:
        """Hand the curves the points from step `first` to `last`."""
        lows, highs = [np.inf], [-np.inf]
        if self._history.smoothing != self.smoothing:
            self._history.set_smoothing(self.smoothing)
        thinned = self._history.thinned(first, last, self.points_across)
        self._show_boxes_of_use()
        # Without smoothing both curves would be the same; the raw one has the extremes.
        both = self._history.smoothing > 0
        for index, name in enumerate(LOSS_NAMES):
            raw, smooth = self._curves[name]
            is_shown = self._is_wanted(name) and len(self._history) > 0
            raw.setVisible(is_shown)
            smooth.setVisible(is_shown)
            if is_shown:
                values = self._scaled(thinned.raw[index])
                raw.show_points(thinned.raw_steps, values)
                if both:
                    smooth.show_points(thinned.smooth_steps, self._scaled(thinned.smooth[index]))
                else:
                    smooth.show_points(thinned.raw_steps, values)
                _widen(lows, highs, values)
        for other, curves in zip(self._others, self._other_curves, strict=True):
            self._draw_other(other.losses, curves, first, last, lows, highs)
        low, high = min(lows), max(highs)
        return (low, high) if np.isfinite(low) else None

    def _draw_other(
        self,
        history: LossHistory,
        curves: dict[str, Curve],
        first: float,
        last: float,
        lows: list[float],
        highs: list[float],
    ) -> None:
        if history.smoothing != self.smoothing:
            history.set_smoothing(self.smoothing)
        # A dashed line costs several times a whole one, so it has half the points.
        thinned = history.thinned(first, last, self.points_across // 2)
        for index, name in enumerate(LOSS_NAMES):
            is_shown = self._is_wanted(name) and len(history) > 0
            curves[name].setVisible(is_shown)
            if is_shown:
                values = self._scaled(thinned.smooth[index])
                curves[name].show_points(thinned.smooth_steps, values)
                _widen(lows, highs, values)

    def _show_boxes_of_use(self) -> None:
        """Leave out losses that are 0 throughout, such as that of identity where a training does without."""
        histories = (self._history, *(other.losses for other in self._others))
        has_values = np.any([history.has_values for history in histories], axis=0)
        self._zero = {name for name, has in zip(LOSS_NAMES, has_values, strict=True) if has_values.any() and not has}
        for name, box in self._shown.items():
            box.setHidden(name in self._zero)

    def _is_wanted(self, name: str) -> bool:
        return self._shown[name].isChecked() and name not in self._zero

    def _scaled(self, values: Values) -> Values:
        return logarithms(values) if self.is_log else values

    def dress(self, *, is_dark: bool) -> None:
        """Give the curves the colours of this scheme."""
        background = self.palette().color(QPalette.ColorRole.Base)
        colours = _COLOURS_ON_DARK if is_dark else _COLOURS_ON_LIGHT
        for name, (raw, smooth) in self._curves.items():
            colour = QColor(colours[name])
            # Mixed, not transparent: blending costs the painter more.
            raw.setPen(pen(mixed(colour, background, 0.35), 1.0))
            smooth.setPen(pen(colour, 2.0))
            self._shown[name].setIcon(line_icon(colour))
            for curves, dashes in zip(self._other_curves, DASHES, strict=False):
                curves[name].setPen(pen(mixed(colour, background, 0.8), 1.5, dashes))

    def table(self) -> Iterator[Sequence[object]]:
        """The losses as reported, one row a step; with the run's name in front if there are several."""
        runs = [(self._own_name, self._history), *((other.name, other.losses) for other in self._others)]
        yield ("run", "step", *LOSS_NAMES) if self._others else ("step", *LOSS_NAMES)
        for name, history in runs:
            for step, values in zip(history.steps, history.raw.T, strict=True):
                row = (int(step), *(f"{value:.6g}" for value in values))
                yield (name, *row) if self._others else row

    # Words

    def _make_legend(self) -> QWidget:
        meanings = {
            "G_AB": self.tr("Adversarial loss of the generator from A to B"),
            "G_BA": self.tr("Adversarial loss of the generator from B to A"),
            "D_A": self.tr("Loss of the discriminator that judges A"),
            "D_B": self.tr("Loss of the discriminator that judges B"),
            "cycle_A": self.tr("Cycle loss of A: how well A comes back from B"),
            "cycle_B": self.tr("Cycle loss of B: how well B comes back from A"),
            "idt_A": self.tr("Identity loss of A: how well B to A leaves A alone"),
            "idt_B": self.tr("Identity loss of B: how well A to B leaves B alone"),
        }
        legend = QFrame()
        legend.setObjectName("loss_legend")
        grid = legend_grid(legend)
        self._shown: dict[str, QCheckBox] = {}
        for index, name in enumerate(LOSS_NAMES):
            box = QCheckBox(name)
            box.setObjectName(f"show_{name}")
            box.setChecked(True)
            box.setIconSize(QSize(16, 12))
            box.setToolTip(meanings[name])
            box.setAccessibleDescription(meanings[name])
            box.toggled.connect(self.redraw_for_user)
            grid.addWidget(box, index % 2, index // 2)
            self._shown[name] = box
        return legend

    def _explanation(self) -> list[tuple[str, str]]:
        return [
            (
                self.tr("Balance, not quality"),
                self.tr(
                    "A training is a contest. Each generator tries to make pictures that its discriminator takes for "
                    "real; each discriminator learns to tell them apart. G and D show who is ahead, not how good the "
                    "pictures are: both sides can get better for days while these curves stay level. So a lower loss "
                    "is not a better model, and two trainings cannot be ranked by it. Judge by the samples, and by "
                    "the quality score, which measures translated pictures against real ones."
                ),
            ),
            (
                self.tr("G_AB and G_BA: how easily the generators are found out"),
                self.tr(
                    "With the usual least-squares loss, 0 means that the discriminator takes every translation for "
                    "real, 0.25 that it cannot tell, 1 that it finds out every one. Anything wandering between about "
                    "0.2 and 0.8 is healthy. Rising means that the discriminator has learned something new, which the "
                    "generator then has to answer: in itself nothing bad."
                ),
            ),
            (
                self.tr("D_A and D_B: how often the discriminators are wrong"),
                self.tr(
                    "With the least-squares loss, 0.25 means that it cannot tell real pictures from translated ones, "
                    "0 that it is never wrong. Between about 0.05 and 0.25 both sides learn from each other. Other "
                    "adversarial losses have other scales; that of the generator may then be negative."
                ),
            ),
            (
                self.tr("cycle_A and cycle_B: what is lost on the way there and back"),
                self.tr(
                    "How far a picture is from itself after it was translated and back again, times the weight of the "
                    "cycle loss. It falls quickly and then slowly, and falling is what one wants here. But a very low "
                    "one can also mean that nothing is translated, or that the generators hide the picture in "
                    "invisible detail: look at the samples."
                ),
            ),
            (
                self.tr("idt_A and idt_B: what is changed although nothing should be"),
                self.tr(
                    "How far a generator changes a picture that is already of its own kind, times the weight of the "
                    "identity loss. It should fall. Where that weight is 0 it is left out."
                ),
            ),
            (
                self.tr("When to worry"),
                self.tr(
                    "When D stays near 0 and G near 1 for thousands of steps, the discriminator has won and the "
                    "generator learns little more: a lower rate for the discriminator or more pictures help. When a "
                    "curve jumps and stays up, or has gaps (numbers that are not finite), go back to an earlier "
                    "moment. When cycle rises for long while nothing else changes, the learning rate is too high. "
                    "Everything else, spikes and waves above all, is how such contests look."
                ),
            ),
            (
                self.tr("How to read the plot"),
                self.tr(
                    "Faint is what was reported, strong is the mean over the last reports (the slider says how many). "
                    "Symbols mark what happened at a step; point at one to read it. Dashed are other runs."
                ),
            ),
        ]


def _widen(lows: list[float], highs: list[float], values: Values) -> None:
    finite = values[np.isfinite(values)]
    if len(finite):
        lows.append(float(finite.min()))
        highs.append(float(finite.max()))
