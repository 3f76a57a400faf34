"""The live plot of the eight losses.

Importing this module loads pyqtgraph, which takes half a second: the page does so after its first paint.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QIcon, QKeyEvent, QPainter, QPaintEvent, QPalette, QPen, QPixmap, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QMenu,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.icons import icon
from cyclegan_desktop.style import XS, S
from cyclegan_desktop.training.curve_history import Values
from cyclegan_desktop.training.loss_history import LossHistory
from cyclegan_desktop.widgets import NoWheelComboBox, plain_label
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
_LAST_STEPS = (0, 10_000, 1_000, 200)
_REDRAW_SECONDS = 0.2


class LossPlot(QWidget):
    """Eight losses against steps, as reported (faint) and smoothed (strong).

    However many points come, it is drawn at most five times a second, from few enough points for its width, and
    never while it is hidden.

    Signals:
        smoothing_changed: The smoothing was set by the user, 0 to 0.999.
        log_scale_changed: The log scale was switched by the user.
        save_failed: A picture or table could not be written; a sentence.
    """

    smoothing_changed = Signal(float)
    log_scale_changed = Signal(bool)
    save_failed = Signal(str)

    def __init__(self, *, smoothing: float = 0.9, log_scale: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("loss_plot")
        self._history = LossHistory(smoothing)
        self._following = True
        self._is_stale = False
        self._last_redraw = 0.0
        self._redraw_seconds = _REDRAW_SECONDS
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._redraw)

        self._canvas = _Canvas(self)
        self._canvas.setObjectName("loss_canvas")
        self._canvas.setAccessibleName(self.tr("Losses against steps"))
        self._canvas.zoomed.connect(self._leave_following)
        self._canvas.fit_asked.connect(self.fit)
        self._curves: dict[str, tuple[Any, Any]] = {}
        for name in LOSS_NAMES:
            # skipFiniteCheck: only values that we have checked are handed over.
            raw = _Curve(antialias=False, skipFiniteCheck=True)
            smooth = _Curve(antialias=True, skipFiniteCheck=True)
            # Stroked piece by piece: several times faster than as one line.
            smooth.setSegmentedLineMode("on")
            smooth.setZValue(1)
            self._canvas.addItem(raw)
            self._canvas.addItem(smooth)
            self._curves[name] = (raw, smooth)

        self._legend = self._make_legend()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addLayout(self._make_controls(smoothing, log_scale))
        layout.addWidget(self._canvas, 1)
        layout.addWidget(self._legend)
        layout.addWidget(
            plain_label(
                self.tr("Losses show balance, not quality: judge by the samples."),
                role="muted",
                wrap=True,
            )
        )
        self._canvas.set_log_scale(log_scale)
        self._apply_colours()

    # What the page does with it

    @property
    def history(self) -> LossHistory:
        """The points that are shown."""
        return self._history

    def append(self, step: int, losses: Losses) -> None:
        """Add the newest point."""
        self._history.append(step, losses)
        self._request_redraw()

    def set_history(self, history: LossHistory) -> None:
        """Show these points and go on with them; those of a resumed training."""
        if history.smoothing != self._history.smoothing:
            history.set_smoothing(self._history.smoothing)
        self._history = history
        self.fit()

    def cut_after(self, step: int) -> None:
        """Forget the points past this step, from which a resumed training goes on."""
        self._history.cut_after(step)
        self._request_redraw()

    def clear(self) -> None:
        """Show no points, ready for another training."""
        self.set_history(LossHistory(self._history.smoothing))

    def fit(self) -> None:
        """Show everything that was chosen under "Show", and follow the newest point."""
        self._following = True
        self._request_redraw()

    def save_picture(self, file: Path) -> None:
        """Write the curves and their legend as they are on screen.

        Raises:
            OSError: The picture could not be written.
        """
        self._redraw()
        whole = self._canvas.geometry().united(self._legend.geometry())
        if not self.grab(whole).save(str(file)):
            raise OSError(self.tr("the picture cannot be written there"))

    def save_table(self, file: Path) -> None:
        """Write the losses as reported, one row a step, as CSV.

        Raises:
            OSError: The file could not be written.
        """
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("step", *LOSS_NAMES))
            for step, values in zip(self._history.steps, self._history.raw.T, strict=True):
                writer.writerow((int(step), *(f"{value:.6g}" for value in values)))

    # Controls

    def _make_controls(self, smoothing: float, log_scale: bool) -> QHBoxLayout:
        label = plain_label(self.tr("Smoothin&g"))
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setObjectName("smoothing")
        self._slider.setRange(0, 999)
        self._slider.setPageStep(50)
        self._slider.setValue(round(smoothing * 1000))
        self._slider.setAccessibleName(self.tr("Smoothing of the curves"))
        self._slider.setMinimumWidth(48)
        self._slider.setMaximumWidth(160)
        label.setBuddy(self._slider)
        self._smoothing_shown = plain_label(f"{smoothing:.3f}", role="muted")
        self._smoothing_shown.setMinimumWidth(self._smoothing_shown.fontMetrics().horizontalAdvance("0.000 "))
        self._slider.valueChanged.connect(self._set_smoothing)

        self._last = NoWheelComboBox()
        self._last.setObjectName("last_steps")
        self._last.setAccessibleName(self.tr("Steps shown"))
        for steps in _LAST_STEPS:
            self._last.addItem(self.tr("Last {steps:,}").format(steps=steps) if steps else self.tr("All steps"), steps)
        self._last.currentIndexChanged.connect(self.fit)

        self._log = _tool_button("log-scale", self.tr("Logarithmic scale"))
        self._log.setObjectName("log_scale")
        self._log.setCheckable(True)
        self._log.setChecked(log_scale)
        self._log.toggled.connect(self._set_log_scale)
        fit = _tool_button("zoom-fit", self.tr("Show the whole curve (wheel and drag, or + - and arrows, zoom)"))
        fit.setObjectName("zoom_fit")
        fit.clicked.connect(self.fit)
        save = _tool_button("save", self.tr("Save the picture or the numbers"))
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
        row.addWidget(self._smoothing_shown)
        row.addStretch(1)
        row.addWidget(self._last)
        tools = QHBoxLayout()
        tools.setSpacing(0)
        for tool in (self._log, fit, save):
            tools.addWidget(tool)
        row.addLayout(tools)
        return row

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
        grid = QGridLayout(legend)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(S)
        grid.setVerticalSpacing(XS)
        self._shown: dict[str, QCheckBox] = {}
        for index, name in enumerate(LOSS_NAMES):
            box = QCheckBox(name)
            box.setObjectName(f"show_{name}")
            box.setChecked(True)
            box.setIconSize(QSize(16, 12))
            box.setToolTip(meanings[name])
            box.setAccessibleDescription(meanings[name])
            box.toggled.connect(self._request_redraw)
            grid.addWidget(box, index % 2, index // 2)
            self._shown[name] = box
        return legend

    def _set_smoothing(self, thousandths: int) -> None:
        smoothing = thousandths / 1000
        self._smoothing_shown.setText(f"{smoothing:.3f}")
        self._request_redraw()
        self.smoothing_changed.emit(smoothing)

    def _set_log_scale(self, on: bool) -> None:
        self._canvas.set_log_scale(on)
        self.fit()
        self.log_scale_changed.emit(on)

    def _leave_following(self) -> None:
        self._following = False
        self._request_redraw()

    def _ask_for_picture(self) -> None:
        self._ask_for_file(self.tr("Save the plot"), "losses.png", self.tr("PNG picture (*.png)"), "png")

    def _ask_for_table(self) -> None:
        self._ask_for_file(self.tr("Save the losses"), "losses.csv", self.tr("CSV table (*.csv)"), "csv")

    def _ask_for_file(self, title: str, name: str, kinds: str, suffix: str) -> None:
        dialog = QFileDialog(self, title, name, kinds)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(suffix)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._save_as)
        dialog.open()

    def _save_as(self, name: str) -> None:
        file = Path(name)
        try:
            if file.suffix.lower() == ".csv":
                self.save_table(file)
            else:
                self.save_picture(file)
        except OSError as error:
            self.save_failed.emit(
                self.tr("{file} could not be saved ({reason}). Choose another folder.").format(
                    file=file, reason=error.strerror or error
                )
            )

    # Drawing

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what came while it was hidden."""
        super().showEvent(event)
        if self._is_stale:
            self._request_redraw()

    def changeEvent(self, event: QEvent) -> None:
        """Follow a change between light and dark."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_shown"):
            self._apply_colours()

    def _request_redraw(self) -> None:
        self._is_stale = True
        if self.isVisible() and not self._timer.isActive():
            wait = self._last_redraw + self._redraw_seconds - time.monotonic()
            self._timer.start(max(0, round(wait * 1000)))

    def _redraw(self) -> None:
        began = time.monotonic()
        if self._history.smoothing != self._slider.value() / 1000:
            self._history.set_smoothing(self._slider.value() / 1000)
        if self._following:
            self._follow()
        else:
            self._draw(*self._canvas.step_range())
        self._is_stale = False
        self._last_redraw = time.monotonic()
        # On a slow machine or a large screen it comes less often: it has a twentieth of the window's time.
        self._redraw_seconds = max(_REDRAW_SECONDS, 20 * (self._last_redraw - began + self._canvas.paint_seconds))

    def _follow(self) -> None:
        steps = self._history.steps
        last = float(steps[-1]) if len(steps) else 0.0
        first = float(steps[0]) if len(steps) else 0.0
        chosen = int(self._last.currentData())
        if chosen:
            first = max(first, last - chosen)
        low, high = self._draw(first, last)
        self._canvas.show_range(first, max(last, first + 1), low, high)

    def _draw(self, first: float, last: float) -> tuple[float, float]:
        """Hand the curves the points from step `first` to `last`; the lowest and the highest value shown."""
        is_log = self._log.isChecked()
        thinned = self._history.thinned(first, last, max(100, self._canvas.width() // 3))
        raw, smooth = (
            (_logarithms(thinned.raw), _logarithms(thinned.smooth)) if is_log else (thinned.raw, thinned.smooth)
        )
        # Without smoothing both curves would be the same; the raw one has the extremes.
        both = self._history.smoothing > 0
        low, high = np.inf, -np.inf
        for index, name in enumerate(LOSS_NAMES):
            raw_curve, smooth_curve = self._curves[name]
            is_shown = self._shown[name].isChecked() and len(self._history) > 0
            raw_curve.setVisible(is_shown)
            smooth_curve.setVisible(is_shown)
            if not is_shown:
                continue
            values = raw[index]
            finite = values[np.isfinite(values)]
            if len(finite):
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            _set_data(raw_curve, thinned.raw_steps, values)
            if both:
                _set_data(smooth_curve, thinned.smooth_steps, smooth[index])
            else:
                _set_data(smooth_curve, thinned.raw_steps, values)
        if not np.isfinite(low):
            return (-2.0, 1.0) if is_log else (0.0, 1.0)
        return (low, high) if is_log else (min(0.0, low), high)

    def _apply_colours(self) -> None:
        palette = self.palette()
        background = palette.color(QPalette.ColorRole.Base)
        colours = _COLOURS_ON_DARK if background.lightness() < 128 else _COLOURS_ON_LIGHT
        self._canvas.set_colours(background, palette.color(QPalette.ColorRole.Text))
        for name, (raw, smooth) in self._curves.items():
            colour = QColor(colours[name])
            # Mixed, not transparent: blending costs the painter more.
            raw.setPen(_pen(_mixed(colour, background, 0.35), 1.0))
            smooth.setPen(_pen(colour, 2.0))
            self._shown[name].setIcon(_line_icon(colour))


class _Canvas(pg.PlotWidget):  # type: ignore[misc]
    """The axes: zoomed by wheel, drag and keys.

    Attributes:
        paint_seconds: How long the last drawing took.

    Signals:
        zoomed: The user has moved or zoomed the view.
        fit_asked: The user has asked for the whole curve.
    """

    zoomed = Signal()
    fit_asked = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.paint_seconds = 0.0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 140)
        self.setMenuEnabled(False)
        self.hideButtons()
        self._view = self.getViewBox()
        # Every range is set by us: finding it out from sixteen curves at each redraw would cost more than drawing.
        self._view.disableAutoRange()
        self._view.setDefaultPadding(0)
        self._view.sigRangeChangedManually.connect(self.zoomed)
        self.showGrid(y=True, alpha=0.2)
        bottom = self.getAxis("bottom")
        for axis in (bottom, self.getAxis("left")):
            # No third level of ticks: drawn five times a second, lines cost more than they tell.
            axis.setStyle(maxTickLevel=1)
        bottom.enableAutoSIPrefix(False)
        bottom.setLabel(self.tr("Steps"))
        # A fixed width keeps the curves in place while the numbers beside them change.
        self.getAxis("left").setWidth(48)
        self.show_range(0, 1, 0, 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw, and note how long it takes."""
        began = time.monotonic()
        super().paintEvent(event)
        self.paint_seconds = time.monotonic() - began

    def set_log_scale(self, on: bool) -> None:
        """Label the vertical axis for values (`on` False) or for their decimal logarithms."""
        self.getAxis("left").setLogMode(on)

    def set_colours(self, background: QColor, text: QColor) -> None:
        """Draw on this background with axes in a softened `text` colour."""
        self.setBackground(background)
        for side in ("bottom", "left"):
            axis = self.getAxis(side)
            axis.setPen(_pen(_mixed(text, background, 0.35), 1.0))
            axis.setTextPen(_pen(_mixed(text, background, 0.75), 1.0))

    def step_range(self) -> tuple[float, float]:
        """The first and the last step in view."""
        first, last = self._view.viewRange()[0]
        return float(first), float(last)

    def show_range(self, first: float, last: float, low: float, high: float) -> None:
        """Show the steps `first` to `last` and the values `low` to `high`, with a little air above."""
        air = 0.05 * (high - low) or 0.5
        below = air if low < 0 or self.getAxis("left").logMode else 0.0
        self._view.setRange(xRange=(first, last), yRange=(low - below, high + air), padding=0)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Zoom with + and -, move with the arrows, show everything with Home."""
        moves = {
            Qt.Key.Key_Left: (-0.1, 0.0),
            Qt.Key.Key_Right: (0.1, 0.0),
            Qt.Key.Key_Up: (0.0, 0.1),
            Qt.Key.Key_Down: (0.0, -0.1),
        }
        scales = {Qt.Key.Key_Plus: 0.8, Qt.Key.Key_Equal: 0.8, Qt.Key.Key_Minus: 1.25}
        key = Qt.Key(event.key())
        if key in moves:
            (left, right), (low, high) = self._view.viewRange()
            across, up = moves[key]
            self._view.translateBy(x=across * (right - left), y=up * (high - low))
            self.zoomed.emit()
        elif key in scales:
            self._view.scaleBy((scales[key], scales[key]))
            self.zoomed.emit()
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_0):
            self.fit_asked.emit()
        else:
            super().keyPressEvent(event)


class _Curve(pg.PlotCurveItem):  # type: ignore[misc]
    """A curve that takes the whole view for its bounds, which saves a look at every value at each redraw."""

    def boundingRect(self) -> QRectF:
        """What is in view."""
        return self.viewRect() or QRectF()


def _set_data(curve: Any, steps: Values, values: Values) -> None:
    curve.setData(steps, values, connect="all" if np.isfinite(values).all() else "finite")


def _logarithms(values: Values) -> Values:
    """Decimal logarithms; NaN, so a gap, where there is none."""
    return np.log10(values, out=np.full_like(values, np.nan), where=values > 0)


def _pen(colour: QColor, width: float) -> QPen:
    pen = QPen(colour, width)
    pen.setCosmetic(True)
    return pen


def _mixed(colour: QColor, background: QColor, share: float) -> QColor:
    """`share` of a colour over a background."""
    return QColor.fromRgbF(
        share * colour.redF() + (1 - share) * background.redF(),
        share * colour.greenF() + (1 - share) * background.greenF(),
        share * colour.blueF() + (1 - share) * background.blueF(),
    )


def _line_icon(colour: QColor) -> QIcon:
    """A short piece of the curve, for the legend."""
    pixmap = QPixmap(64, 48)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.fillRect(0, 18, 64, 12, colour)
    painter.end()
    return QIcon(pixmap)


def _tool_button(icon_name: str, tip: str) -> QToolButton:
    made = QToolButton()
    made.setIcon(icon(icon_name))
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return made
