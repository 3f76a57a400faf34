"""The Train page: the samples, the losses and the controls of the training at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMenu,
    QProgressBar,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.icons import icon
from cyclegan_desktop.messages import MessageArea
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import XS, L, M, S
from cyclegan_desktop.training.film_strip import FilmStrip
from cyclegan_desktop.training.health_panel import HealthPanel
from cyclegan_desktop.training.interrupted import Interrupted
from cyclegan_desktop.training.interrupted_offer import InterruptedOffer
from cyclegan_desktop.training.remedy_rows import RemedyRows
from cyclegan_desktop.training.welcome import Welcome
from cyclegan_desktop.widgets import ElidedLabel, EmptyState, button, card, dress_button, plain_label, plain_tooltip
from cyclegan_desktop.words import duration_words
from engine.events import (
    WORTH_SAYING_WAITING,
    HealthChecked,
    Preparing,
    RolledBack,
    StepReport,
    TrainFinished,
    TrainStarted,
)
from engine.remedies import Remedy

if TYPE_CHECKING:
    from cyclegan_desktop.training.loss_history import LossHistory
    from cyclegan_desktop.training.loss_plot import LossPlot
    from cyclegan_desktop.training.marks import MarkLike
    from cyclegan_desktop.training.other_runs import OtherRun
    from cyclegan_desktop.training.plots import TrainingPlots
    from cyclegan_desktop.training.quality_plot import QualityPlot
    from engine.events import Moment, QualityMeasured
    from engine.training.run import RunSummary

PageState = Literal["idle", "working", "paused", "stopping", "freeing", "freed"]
"""What the training thread does: nothing, work, wait, come to its end, or come to a pause that frees the memory.

"freed" is such a pause: the thread is gone, the training is saved, and everything stays on screen to go on.
"""

_PROGRESS_PARTS = 10_000
_ROOM_FOR_BOTH = 620
"""Height in pixels from which health and curves are shown one below the other, both in full."""


class TrainingPage(QWidget):
    """Shows a training and asks for changes to it.

    Attributes:
        film: The samples; its own controller fills it.
        messages: What is to be told.

    Signals:
        new_requested: A new training is wanted.
        resume_requested: The training shown is to go on.
        stop_requested: It is to be stopped and saved.
        pause_requested: It is to wait.
        free_requested: It is to be saved and to wait without taking memory.
        measure_again_requested: It is to be saved, and to go on in the way that is fastest here now.
        continue_requested: It is to go on after a pause of either kind.
        more_requested: It is to go on for more epochs than its schedule has.
        remedy_chosen: This `Remedy` is to be taken.
        interrupted_chosen: The training in this folder, which was interrupted, is to go on.
        interrupted_dismissed: None of those that were interrupted is to go on now.
        convert_requested: Its model is to be used.
        open_folder_requested: Its folder is to be shown in the file manager.
        smoothing_changed: The plot's smoothing was set.
        log_scale_changed: The plot's scale was switched.
        compare_requested: Other trainings are to be chosen, to be drawn beside this one.
        other_removed: This one of them is to be taken out: its folder.
    """

    new_requested = Signal()
    resume_requested = Signal()
    stop_requested = Signal()
    pause_requested = Signal()
    free_requested = Signal()
    measure_again_requested = Signal()
    continue_requested = Signal()
    more_requested = Signal()
    remedy_chosen = Signal(object)
    interrupted_chosen = Signal(object)
    interrupted_dismissed = Signal()
    convert_requested = Signal()
    open_folder_requested = Signal()
    smoothing_changed = Signal(float)
    log_scale_changed = Signal(bool)
    compare_requested = Signal()
    other_removed = Signal(Path)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("training_page")
        self._state: PageState = "idle"
        self._is_resumable = False
        self._smoothing, self._log_scale = 0.9, False
        self._plots: TrainingPlots | None = None
        self._status_text = ""
        self._waiting = 0.0
        self._first_epoch: int | None = None

        self.messages = MessageArea()
        self._interrupted: Sequence[Interrupted] = ()
        self._offer = InterruptedOffer()
        self._offer.resume_requested.connect(self.interrupted_chosen)
        self._offer.dismissed.connect(self.interrupted_dismissed)
        self._header = self._make_header()
        self._empty = Welcome()
        self._empty.action.connect(self.new_requested)
        self.film = FilmStrip()
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(M)
        self._splitter.addWidget(_carded(self.film))
        self._health = HealthPanel()
        self._health.remedy_chosen.connect(self.remedy_chosen)
        self._health.opened.connect(self._share_room)
        self._plots_card: QWidget | None = None
        self._right = QVBoxLayout()
        self._right.setContentsMargins(0, 0, 0, 0)
        self._right.setSpacing(M)
        self._right.addWidget(_carded(self._health))
        right = QWidget()
        right.setLayout(self._right)
        self._splitter.addWidget(right)
        # Quality is judged by the samples: they have the larger part.
        self._splitter.setStretchFactor(0, 3)
        self._splitter.setStretchFactor(1, 2)
        self._splitter.setSizes([600, 400])
        self._splitter.installEventFilter(self)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self._splitter)
        self._not_resumed = EmptyState("alert", "", "")
        self._stack.addWidget(self._not_resumed)
        self._footer = self._make_footer()

        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(M)
        layout.addWidget(self._header)
        layout.addWidget(self._offer)
        layout.addWidget(self.messages)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self._footer)

        for key, action in (
            ("F5", self._start_or_resume),
            ("F6", self._pause_or_continue),
            ("Shift+F6", self._free),
            ("F7", self._stop),
        ):
            QShortcut(QKeySequence(key), self).activated.connect(action)
        self.show_empty()

    # What is shown

    @property
    def title(self) -> str:
        """What the training shown is called."""
        return self._title.text()

    def set_plot_options(self, smoothing: float, log_scale: bool) -> None:
        """Begin with these options of the plot; to be called before there is one."""
        self._smoothing, self._log_scale = smoothing, log_scale

    def make_plots(self) -> Iterator[None]:
        """Make the plots, piece by piece; a training that begins before has them made at once. Loads pyqtgraph."""
        from cyclegan_desktop.training.loss_plot import LossPlot
        from cyclegan_desktop.training.quality_plot import QualityPlot

        losses = LossPlot(smoothing=self._smoothing, log_scale=self._log_scale)
        yield
        quality = QualityPlot()
        yield
        if self._plots is None:
            self._add_plots(losses, quality)

    def set_state(self, state: PageState, *, is_resumable: bool = False, has_model: bool = False) -> None:
        """Offer what can be done now.

        Args:
            state: What the training thread does.
            is_resumable: Whether the training shown can go on, once it has ended.
            has_model: Whether it has a model to convert with, once it has ended.
        """
        self._state, self._is_resumable = state, is_resumable
        is_idle = state in ("idle", "freed")
        is_ending = state in ("stopping", "freeing")
        is_complete = has_model and not is_resumable
        text, picture = {
            "idle": (self.tr("&Resume training") if is_resumable else self.tr("&Start training..."), "play"),
            "working": (self.tr("&Stop training"), "stop"),
            "paused": (self.tr("&Stop training"), "stop"),
            "stopping": (self.tr("Stopping..."), "stop"),
            "freeing": (self.tr("Pausing..."), "stop"),
            "freed": (self.tr("Contin&ue"), "play"),
        }[state]
        self._main.setText(text)
        dress_button(self._main, picture, primary=is_idle and not is_complete)
        tip = self.tr("F5") if is_idle else self.tr("F7: saves, and can be resumed")
        self._main.setToolTip(self.tr("F6") if state == "freed" else tip)
        self._main.setEnabled(not is_ending)
        # One letter for both, so that the same key toggles.
        self._pause.setText(self.tr("Contin&ue") if state == "paused" else self.tr("Pa&use"))
        dress_button(self._pause, "play" if state == "paused" else "pause")
        self._pause.setVisible(not is_idle)
        self._pause.setEnabled(not is_ending)
        self._pause_kinds.setVisible(state in ("working", "paused"))
        self._pause_at_once.setEnabled(state == "working")
        self._health.setEnabled(not is_ending)
        self._show_offer()
        self._more.setVisible(is_idle and has_model)
        self._new.setVisible(is_idle and is_resumable)
        self._convert.setVisible(is_idle and has_model)
        dress_button(self._convert, "convert", primary=is_complete)
        self._folder.setVisible(is_idle and has_model)
        self._show_status()

    def set_interrupted(self, found: Sequence[Interrupted]) -> None:
        """Offer to go on with these trainings, whenever none is at work."""
        self._interrupted = found
        self._show_offer()

    def _show_offer(self) -> None:
        self._offer.offer(self._interrupted if self._state in ("idle", "freed") else ())

    def show_empty(self) -> None:
        """Show what this page is for."""
        self._stack.setCurrentWidget(self._empty)
        self._header.hide()
        self._footer.hide()
        self.set_state("idle")

    def begin_new(self, name_A: str, name_B: str) -> None:
        """Show a new training of these domains, ready for its events."""
        self._begin(self.tr("{A} and {B}").format(A=name_A, B=name_B))

    def begin_resumed(self, run: Path) -> None:
        """Show a training on disk, ready for its events; its domains are known as soon as it goes on."""
        self._begin(run.name)

    def begin_opened(self, run: Path) -> None:
        """Show a training at rest, ready for `show_at_rest`."""
        self._begin(run.name)
        self._health.clear(is_at_rest=True)
        self._set_status(self.tr("Reading this training..."))

    def show_at_rest(self, summary: RunSummary) -> None:
        """Show what a training at rest is and how far it has come."""
        config = summary.config
        self._details.setText(
            self.tr("{preset} preset, {size} px  \N{MIDDLE DOT}  {run}").format(
                preset=config.preset.capitalize(), size=config.size, run=summary.folder
            )
        )
        self._ensure_plots().set_own_name(summary.folder.name)
        text = self.tr("Complete: {step:,} steps in {time}.")
        if not summary.is_complete:
            text = self.tr("At step {step:,} of {steps:,}, after {time} of training.")
        self._set_status(
            text.format(step=summary.step, steps=summary.schedule_steps, time=duration_words(summary.seconds))
        )
        self._set_progress(summary.step / max(1, summary.schedule_steps))

    def go_on(self) -> None:
        """Show that the training shown goes on: its samples, curves and health stay, ready for its events."""
        self._ensure_plots()
        self.messages.clear()
        self._show_training()

    def _begin(self, title: str) -> None:
        self._ensure_plots().clear()
        self._health.clear()
        self.messages.clear()
        self._title.setText(title)
        self._details.clear()
        self._offer_measuring(None)
        self._show_training()

    def _show_training(self) -> None:
        self._first_epoch = None
        self._set_status("")
        self._set_busy()
        self._stack.setCurrentWidget(self._splitter)
        self._header.show()
        self._footer.show()

    def show_preparing(self, event: Preparing) -> None:
        """Show a phase before the first step, or between two, which takes nothing back of the progress shown."""
        if self._first_epoch is not None:
            self._set_status(event.text + "...")
        elif event.total > 0:
            self._set_status(
                self.tr("{phase}: {done:,} of {total:,}").format(phase=event.text, done=event.done, total=event.total)
            )
            self._set_progress(event.done / event.total)
        else:
            self._set_status(event.text + "...")
            self._set_busy()

    def show_started(self, event: TrainStarted) -> None:
        """Show what is trained and on what."""
        self.show_names(event.name_A, event.name_B)
        self._details.setText(
            self.tr(
                "{count_A:,} and {count_B:,} pictures  \N{MIDDLE DOT}  {device}, {precision}  \N{MIDDLE DOT}  {run}"
            ).format(
                count_A=event.count_A,
                count_B=event.count_B,
                device=event.device,
                precision=event.precision,
                run=event.run,
            )
        )
        self._offer_measuring(event.can_measure_again)
        self._ensure_plots().cut_after(event.step)
        self._ensure_plots().set_own_name(event.run.name)
        self._waiting, self._first_epoch = 0.0, None
        self._set_status(self.tr("Training begins"))
        self._set_progress(event.step / max(1, event.total_steps))

    def show_names(self, name_A: str, name_B: str) -> None:
        """Name the domains."""
        self._title.setText(self.tr("{A} and {B}").format(A=name_A, B=name_B))
        self.film.set_names(name_A, name_B)
        self._ensure_plots().set_names(name_A, name_B)

    def show_history(self, history: LossHistory, measured: Iterable[QualityMeasured] = ()) -> None:
        """Show the losses of the training so far, and what was measured of its quality."""
        plots = self._ensure_plots()
        plots.losses.set_history(history)
        plots.quality.set_measured(measured)

    def show_quality(self, event: QualityMeasured) -> None:
        """Show the newest measurement."""
        self._ensure_plots().quality.append(event)

    def set_marks(self, marks: Iterable[MarkLike]) -> None:
        """Mark in the plots what happened at which step, and nothing else but stars."""
        self._ensure_plots().set_marks(marks)

    def add_mark(self, mark: MarkLike) -> None:
        """Mark one thing more in the plots."""
        self._ensure_plots().add_mark(mark)

    def set_other_runs(self, others: Sequence[OtherRun]) -> None:
        """Draw these other trainings too, and no others."""
        self._ensure_plots().set_others(others)

    def show_moments(self, moments: Iterable[Moment]) -> None:
        """Mark those that are starred in the plots."""
        self._ensure_plots().set_moments(moments)

    def show_report(self, event: StepReport) -> None:
        """Show the newest numbers."""
        self._ensure_plots().losses.append(event.step, event.losses)
        left = self.tr("{time} left").format(time=duration_words(event.seconds_left))
        if event.seconds_left < 0.5:
            # After the last step this takes seconds, in which nothing else is reported.
            left = self.tr("drawing the last samples and saving")
        if event.steps_per_second > 0:
            left = self.tr("{rate} steps/s  \N{MIDDLE DOT}  {left}").format(
                rate=f"{event.steps_per_second:.3g}", left=left
            )
        elif event.step < event.total_steps:
            left = self.tr("measuring the speed")
        # Of about the last ten reports: steps wait for their pictures now and then.
        self._waiting += 0.1 * (event.waiting - self._waiting)
        if self._first_epoch is None:
            self._first_epoch = event.epoch
        self._set_status(
            self.tr(
                "Epoch {epoch:,} of {epochs:,}, step {step:,} of {steps:,}  \N{MIDDLE DOT}  {left}{waiting}"
            ).format(
                epoch=event.epoch,
                epochs=event.total_epochs,
                step=event.step,
                steps=event.total_steps,
                left=left,
                waiting=self._waiting_words(is_warm=event.epoch > self._first_epoch + 1),
            )
        )
        self._set_progress(event.share_done)

    def _waiting_words(self, *, is_warm: bool) -> str:
        """What follows the status where steps wait for their pictures, and what helps.

        Args:
            is_warm: Whether nearly all pictures have been read since the program began.
        """
        if self._waiting < WORTH_SAYING_WAITING:
            return ""
        text = self.tr("{share} of the time is waiting for pictures, which are read for the first time")
        if is_warm:
            text = self.tr(
                "{share} of the time is waiting for pictures: more free memory, more free space on the disk of the "
                "training, or smaller copies of the pictures help"
            )
        return "  \N{MIDDLE DOT}  " + text.format(share=f"{self._waiting:.0%}")

    def show_health(self, event: HealthChecked) -> None:
        """Show what is ill now."""
        self._health.show_health(event)

    def show_rolled_back(self, event: RolledBack) -> None:
        """Show that the training goes on from an earlier step."""
        self._ensure_plots().cut_after(event.step)
        self.messages.add(event.text)

    def show_freed(self, step: int) -> None:
        """Say that the training waits at this step and takes no memory."""
        self._stop_busy()
        self._set_status(
            self.tr(
                "Paused, memory freed; saved at step {step:,}. PyTorch itself stays loaded until the app is closed, on "
                "a GPU with a context of a few hundred MB."
            ).format(step=step)
        )

    def show_finished(self, event: TrainFinished) -> None:
        """Say that the training has come to its end, and which."""
        match event.reason:
            case "complete":
                text = self.tr("Finished after {steps:,} steps in {time}. The model is saved.")
            case "max_steps":
                text = self.tr(
                    "Ended after {steps:,} steps, as set, in {time}. The model is saved; the training can be resumed."
                )
            case "max_minutes":
                text = self.tr(
                    "Ended after {time}, as set, with {steps:,} steps. The model is saved; the training can be resumed."
                )
        self._set_status(text.format(steps=event.step, time=duration_words(event.seconds)))
        self._set_progress(1.0)

    def show_stopped(self, step: int) -> None:
        """Say that the training was stopped and saved at this step."""
        self._stop_busy()
        self._set_status(
            self.tr("Stopped and saved at step {step:,}. It can be resumed at any time.").format(step=step)
        )

    def show_stopped_early(self, *, is_new: bool) -> None:
        """Say that the training was stopped before its first step.

        Args:
            is_new: Whether it was a new one, not one that was to go on.
        """
        self._stop_busy()
        if is_new:
            self.messages.add(self.tr("The training was stopped before its first step; nothing was written."))
        else:
            self._set_status(self.tr("Stopped before it went on; the training is as it was."))

    def show_failed(self, message: str, details: str, remedies: Sequence[Remedy] = ()) -> None:
        """Say why the training ended.

        Args:
            message: Whole sentences with the remedy.
            details: The traceback of a bug, or "".
            remedies: What can be done about it with one click.
        """
        self._stop_busy()
        self._set_status(self.tr("The training has ended early; the reason is above."))
        self._add_failure(message, details, remedies)

    def show_not_resumed(self, message: str, details: str, remedies: Sequence[Remedy] = ()) -> None:
        """Say why a training on disk could not go on, in place of samples and losses, of which there are no new ones.

        Args:
            message: Whole sentences with the remedy.
            details: The traceback of a bug, or "".
            remedies: What can be done about it with one click.
        """
        self._stop_busy()
        self._footer.hide()
        self._not_resumed.set_text(self.tr("This training could not go on"), shown_paragraph(message))
        self._stack.setCurrentWidget(self._not_resumed)
        if details or remedies:
            self._add_failure(message, details, remedies)

    def _add_failure(self, message: str, details: str, remedies: Sequence[Remedy]) -> None:
        rows: RemedyRows | None = None
        if remedies:
            rows = RemedyRows(remedies)
            rows.chosen.connect(self.remedy_chosen)
        self.messages.add(message, is_error=True, details=details, below=rows)

    def show_busy(self) -> None:
        """Say that one training at a time is enough."""
        self.messages.add(self.tr("A training is under way. Stop it first; it can be resumed later."))

    # Parts

    def _make_header(self) -> QWidget:
        self._title = ElidedLabel(role="title")
        self._details = ElidedLabel(role="muted")
        self._convert = button(self.tr("Con&vert with this model"), "convert")
        self._convert.setObjectName("convert_with_model")
        self._convert.clicked.connect(self.convert_requested)
        self._folder = button("", "folder-open")
        self._folder.setToolTip(self.tr("Open the training's folder"))
        self._folder.setAccessibleName(self.tr("Open the training's folder"))
        self._folder.setObjectName("open_run_folder")
        self._folder.clicked.connect(self.open_folder_requested)
        self._new = button(self.tr("&New training..."))
        self._new.setObjectName("new_training")
        self._new.clicked.connect(self.new_requested)
        self._more = button(self.tr("Train &on..."))
        self._more.setToolTip(self.tr("For more epochs than its schedule has"))
        self._more.setObjectName("train_more_epochs")
        self._more.clicked.connect(self.more_requested)
        self._pause = button("")
        self._pause.setObjectName("pause_training")
        self._pause.setToolTip(self.tr("F6"))
        self._pause.clicked.connect(self._pause_or_continue)
        self._pause_kinds = self._make_pause_kinds()
        self._main = button("")
        self._main.setObjectName("main_training_button")
        self._main.clicked.connect(self._press_main)

        row = QHBoxLayout()
        row.setSpacing(S)
        row.addWidget(self._title, 1)
        for part in (self._convert, self._folder, self._new, self._more, self._pause, self._pause_kinds, self._main):
            row.addWidget(part)
        header = QWidget()
        # The details have the whole width: beside the buttons a narrow window had no room for them.
        rows = QVBoxLayout(header)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(XS)
        rows.addLayout(row)
        rows.addWidget(self._details)
        return header

    def _make_pause_kinds(self) -> QToolButton:
        """The arrow beside the Pause button, with both kinds of pause."""
        menu = QMenu(self)
        self._pause_at_once = menu.addAction(self.tr("Pause at once\tF6"), self._pause_or_continue)
        free = menu.addAction(self.tr("Pause and free memory\tShift+F6"), self._free)
        free.setObjectName("pause_and_free")
        self._again = menu.addAction(self.tr("Measure again how many threads are fastest"), self._measure_again)
        self._again.setObjectName("measure_again")
        menu.setToolTipsVisible(True)
        made = QToolButton()
        made.setObjectName("pause_kinds")
        made.setIcon(icon("chevron-down"))
        made.setToolTip(
            self.tr("Pause at once, save and free the memory for other programs, or measure again what is fastest")
        )
        made.setAccessibleName(self.tr("Kinds of pause"))
        made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        made.setMenu(menu)
        return made

    def _offer_measuring(self, can_measure: bool | None) -> None:
        """Offer to measure again where there is something to measure; None while that is not known."""
        self._again.setEnabled(bool(can_measure))
        if can_measure is None:
            words = self.tr("Once the training has begun.")
        elif can_measure:
            words = self.tr(
                "Worthwhile where this training was begun while the machine was busy. It is saved and goes on; other "
                "threads round otherwise, so its results will differ in their last bits from what they would have been."
            )
        else:
            words = self.tr(
                "There is nothing to measure: only a training of one process on a processor chooses by measurement, "
                "and only where networks and sitting are not too small for it."
            )
        self._again.setToolTip(plain_tooltip(words))  # As one line it is wider than the screen.

    def _make_footer(self) -> QWidget:
        self._status = plain_label()
        self._status.setObjectName("training_status")
        self._status.setWordWrap(True)
        self._progress = QProgressBar()
        self._progress.setObjectName("training_progress")
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName(self.tr("Progress of the training"))
        footer = QWidget()
        column = QVBoxLayout(footer)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(S)
        column.addWidget(self._progress)
        column.addWidget(self._status)
        return footer

    @property
    def _plot(self) -> LossPlot | None:
        return None if self._plots is None else self._plots.losses

    def _ensure_plots(self) -> TrainingPlots:
        if self._plots is not None:
            return self._plots
        from cyclegan_desktop.training.loss_plot import LossPlot
        from cyclegan_desktop.training.quality_plot import QualityPlot

        return self._add_plots(LossPlot(smoothing=self._smoothing, log_scale=self._log_scale), QualityPlot())

    def _add_plots(self, losses: LossPlot, quality: QualityPlot) -> TrainingPlots:
        from cyclegan_desktop.training.plots import TrainingPlots

        losses.smoothing_changed.connect(self.smoothing_changed)
        losses.log_scale_changed.connect(self.log_scale_changed)
        self._plots = TrainingPlots(losses, quality)
        self._plots.save_failed.connect(self._tell_save_failed)
        self._plots.compare_requested.connect(self.compare_requested)
        self._plots.other_removed.connect(self.other_removed)
        self._plots_card = _carded(self._plots)
        self._right.addWidget(self._plots_card, 1)
        self._share_room()
        return self._plots

    def _share_room(self) -> None:
        """In a low window what is ill takes the place of the curves while it is looked at."""
        has_room = self._splitter.height() >= _ROOM_FOR_BOTH
        self._health.set_room(has_room)
        if self._plots_card is not None:
            self._plots_card.setVisible(has_room or not self._health.is_open)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Share the room anew whenever there is more or less of it: messages take some, too."""
        if watched is self._splitter and event.type() == QEvent.Type.Resize:
            QTimer.singleShot(0, self, self._share_room)
        return super().eventFilter(watched, event)

    # Status

    def _set_status(self, text: str) -> None:
        self._status_text = text
        self._show_status()

    def _show_status(self) -> None:
        if self._state == "paused":
            text = self.tr("Paused  \N{MIDDLE DOT}  {status}").format(status=self._status_text)
        elif self._state == "stopping":
            text = self.tr("Stopping after this step, and saving...")
        elif self._state == "freeing":
            text = self.tr("Pausing after this step, saving, and freeing the memory...")
        else:
            text = self._status_text
        self._status.setText(text)

    def _set_progress(self, share: float) -> None:
        self._progress.setRange(0, _PROGRESS_PARTS)
        self._progress.setValue(round(share * _PROGRESS_PARTS))

    def _set_busy(self) -> None:
        self._progress.setRange(0, 0)

    def _stop_busy(self) -> None:
        if self._progress.maximum() == 0:
            self._set_progress(0.0)

    # Requests

    def _press_main(self) -> None:
        if self._state == "idle" and not self._is_resumable:
            self.new_requested.emit()  # As it says.
        elif self._state in ("idle", "freed"):
            self._start_or_resume()
        else:
            self._stop()

    def _start_or_resume(self) -> None:
        if self._state in ("paused", "freed"):
            self.continue_requested.emit()
        elif self._state == "idle" and self._is_resumable:
            self.resume_requested.emit()
        elif self._state == "idle" and self._interrupted and self._stack.currentWidget() is self._empty:
            # Nothing else is on the page, and its first button is this.
            self.interrupted_chosen.emit(self._interrupted[0].run)
        elif self._state == "idle":
            self.new_requested.emit()

    def _pause_or_continue(self) -> None:
        if self._state == "working":
            self.pause_requested.emit()
        elif self._state in ("paused", "freed"):
            self.continue_requested.emit()

    def _free(self) -> None:
        if self._state in ("working", "paused"):
            self.free_requested.emit()

    def _measure_again(self) -> None:
        if self._state in ("working", "paused"):
            self.measure_again_requested.emit()

    def _stop(self) -> None:
        if self._state in ("working", "paused"):
            self.stop_requested.emit()

    def _tell_save_failed(self, text: str) -> None:
        self.messages.add(text, is_error=True)


def _carded(widget: QWidget) -> QWidget:
    frame = card()
    layout = QVBoxLayout(frame)
    layout.setContentsMargins(M, M, M, M)
    layout.addWidget(widget)
    return frame
