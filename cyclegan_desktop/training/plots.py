"""The plots of a training as tabs: losses and quality. Importing this module loads pyqtgraph; see `curve_plot`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QTabWidget, QWidget

from cyclegan_desktop.training.loss_plot import LossPlot
from cyclegan_desktop.training.marks import MarkLike, PlotMark
from cyclegan_desktop.training.other_runs import OtherRun
from cyclegan_desktop.training.quality_plot import QualityPlot
from cyclegan_desktop.widgets import plain_tooltip
from engine.events import Moment, QualityMeasured


class TrainingPlots(QTabWidget):
    """Losses and quality of one training, with the same marks and the same other runs in both.

    Attributes:
        losses: The plot of the losses.
        quality: The plot of the quality score.

    Signals:
        save_failed: A picture or table could not be written; a sentence.
        compare_requested: Other runs are to be chosen.
        other_removed: This other run is to be taken out: its folder.
    """

    save_failed = Signal(str)
    compare_requested = Signal()
    other_removed = Signal(Path)

    def __init__(self, losses: LossPlot, quality: QualityPlot, parent: QWidget | None = None) -> None:
        """Take these plots."""
        super().__init__(parent)
        self.setObjectName("plots")
        self.setDocumentMode(True)
        self.tabBar().setDrawBase(False)
        self.losses = losses
        self.quality = quality
        self.addTab(self.losses, self.tr("Losses"))
        self.addTab(self.quality, self.tr("Quality"))
        for plot in (self.losses, self.quality):
            plot.save_failed.connect(self.save_failed)
            plot.compare_requested.connect(self.compare_requested)
            plot.other_removed.connect(self.other_removed)
        self.losses.marks_switched.connect(self.quality.show_mark_switch)
        self.quality.marks_switched.connect(self.losses.show_mark_switch)
        self.quality.newest_changed.connect(self._show_newest)

    def clear(self) -> None:
        """Show nothing, ready for another training; other runs stay for comparison."""
        self.losses.clear()
        self.quality.clear()

    def cut_after(self, step: int) -> None:
        """Forget what came after this step, from which a resumed training goes on."""
        self.losses.cut_after(step)
        self.quality.cut_after(step)

    def set_names(self, name_A: str, name_B: str) -> None:
        """Name the domains."""
        self.quality.set_names(name_A, name_B)

    def set_own_name(self, name: str) -> None:
        """Call the training shown so, in tables that hold several."""
        for plot in (self.losses, self.quality):
            plot.set_own_name(name)

    def set_marks(self, marks: Iterable[MarkLike]) -> None:
        """Show these marks and no others, beside the stars."""
        marks = tuple(marks)
        for plot in (self.losses, self.quality):
            plot.set_marks(marks)

    def add_mark(self, mark: MarkLike) -> None:
        """Show one more mark."""
        for plot in (self.losses, self.quality):
            plot.add_mark(mark)

    def set_moments(self, moments: Iterable[Moment]) -> None:
        """Mark those that are starred."""
        stars = [PlotMark(moment.step, "starred") for moment in moments if moment.is_starred]
        for plot in (self.losses, self.quality):
            plot.set_stars(stars)

    def set_others(self, others: Sequence[OtherRun]) -> None:
        """Draw these other runs too, and no others."""
        for plot in (self.losses, self.quality):
            plot.set_others(others)

    def _show_newest(self, newest: QualityMeasured | None) -> None:
        """Have the tab tell the newest score beside the start line."""
        text, tip = self.tr("Quality"), ""
        if newest is not None:
            start = sum(direction.start_line for direction in newest.directions) / len(newest.directions)
            text = self.tr("Quality {score} (start {start})").format(score=f"{newest.score:.3g}", start=f"{start:.3g}")
            tip = plain_tooltip(
                self.tr("{newest} The score is the mean of both; lower is nearer.").format(
                    newest=self.quality.newest_words
                )
            )
        self.setTabText(1, text)
        self.setTabToolTip(1, tip)
