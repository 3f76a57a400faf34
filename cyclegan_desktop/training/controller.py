"""Runs one training at a time and keeps the Train page in step with it."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, assert_never

from PySide6.QtCore import QObject, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices

import engine
from cyclegan_desktop.engine_thread import EngineThread, Failure
from cyclegan_desktop.notification import Notifier
from cyclegan_desktop.one_work import OneWork
from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training.compare import CompareController
from cyclegan_desktop.training.film_controller import FilmController
from cyclegan_desktop.training.flag_words import without_flags
from cyclegan_desktop.training.interrupted import Interrupted, find_interrupted
from cyclegan_desktop.training.loss_history import LossHistory
from cyclegan_desktop.training.marks import PlotMark
from cyclegan_desktop.training.more_epochs import MoreEpochsDialog
from cyclegan_desktop.training.page import PageState, TrainingPage
from cyclegan_desktop.training.threads import ThreadKeeper
from cyclegan_desktop.training.wizard import TrainingWizard, free_run_folder
from engine.config import TrainConfig
from engine.conversion.model_file import MODEL_FILE_NAME, default_model
from engine.errors import ConfigError, EngineError, RunError
from engine.events import (
    EstimateEvent,
    HealthChecked,
    Moment,
    Notice,
    Preparing,
    QualityMeasured,
    RolledBack,
    SamplesDrawn,
    Saved,
    StepReport,
    TrainEvent,
    TrainFinished,
    TrainStarted,
)
from engine.remedies import Remedy
from engine.training.moments import branch_config, choose_samples, read_moments
from engine.training.quality import read_quality
from engine.training.run import Mark, RunSummary, read_marks, read_run_summary

_SAVE_SETTINGS_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class _EarlierLosses:
    """What a training to be resumed has behind it; read in the thread, since there may be millions of rows."""

    names: tuple[str, str] | None
    history: LossHistory
    measured: tuple[QualityMeasured, ...] = ()
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True)
class _AtRest:
    """A training that is looked at and not gone on with."""

    summary: RunSummary
    earlier: _EarlierLosses
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class _Ended:
    """How the work ended. `failure` stands only with "failed"."""

    how: Literal["done", "stopped", "failed"]
    failure: Failure | None = None


_WorkEvent: TypeAlias = TrainEvent | _EarlierLosses


class TrainingController(QObject):
    """Starts, pauses, stops and resumes trainings in one thread, and opens the wizard for new ones.

    Signals:
        busy_changed: Whether a training is at work now.
        state_changed: What it does now, a `PageState`.
        run_changed: A training was begun or saved: its folder.
        convert_requested: The user wants to convert with this model file.
        interrupted_changed: So many trainings were interrupted by a crash and are offered.
        ended: The thread has ended: "done", "stopped" (saved) or "failed".
        event: Every event of the engine, after the page has shown it.
    """

    busy_changed = Signal(bool)
    state_changed = Signal(str)
    run_changed = Signal(Path)
    convert_requested = Signal(Path)
    interrupted_changed = Signal(int)
    ended = Signal(str)
    event = Signal(object)  # type: ignore[assignment]  # Hides QObject.event, which nobody calls from Python.

    def __init__(
        self,
        page: TrainingPage,
        settings: Settings,
        *,
        train: Callable[[TrainConfig], Iterator[TrainEvent]] = engine.train,
        resume: Callable[..., Iterator[TrainEvent]] = engine.resume,
        estimate: Callable[[TrainConfig], Iterator[EstimateEvent]] = engine.estimate,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._page = page
        self._settings = settings
        self._train = train
        self._resume = resume
        self._estimate = estimate
        self._thread: EngineThread | None = None
        self._ended: _Ended | None = None
        # The run on the page, its newest step, and the settings of a training that has not yet begun.
        self._run: Path | None = None
        self._step: int | None = None
        self._has_begun = self._is_complete = self._goes_on = False
        self._seconds_per_step: float | None = None
        # What follows once the training has been stopped for it.
        self._then: Callable[[], None] | None = None
        self._unstarted: TrainConfig | None = None
        self._state: PageState = "idle"
        self._wizard: TrainingWizard | None = None
        self._estimates = ThreadKeeper(self)
        self._scans = ThreadKeeper(self)
        self._compare = CompareController(page, settings, self._scans, self)
        self._interrupted: list[Interrupted] = []
        self._looking = OneWork(self)
        self._looking.reported.connect(self._take_interrupted)
        # The run at rest that is to be shown once it is read, and the one being read, which may be an earlier one.
        self._to_show: Path | None = None
        self._being_read: Path | None = None
        self._reading = OneWork(self)
        self._reading.reported.connect(self._take_at_rest)
        self._reading.ended.connect(self._finish_reading)
        self._notifier = Notifier(page.window, self, has_sound=lambda: settings.sound_when_done)
        self.film = FilmController(page.film, settings, parent=self)
        self.film.convert_requested.connect(self.convert_requested)
        self.film.moments_changed.connect(page.show_moments)
        self.film.branch_requested.connect(self.branch)
        self.film.samples_changed_requested.connect(self.change_samples)
        self._save_settings = QTimer(self, singleShot=True, interval=_SAVE_SETTINGS_MILLISECONDS)
        self._save_settings.timeout.connect(settings.save)

        page.set_plot_options(settings.plot_smoothing, settings.plot_log_scale)
        page.new_requested.connect(self.new_training)
        page.resume_requested.connect(self._resume_shown)
        page.stop_requested.connect(self.stop)
        page.pause_requested.connect(self._pause)
        page.free_requested.connect(self._free)
        page.measure_again_requested.connect(self._measure_again)
        page.continue_requested.connect(self._go_on)
        page.more_requested.connect(self._ask_for_more)
        page.remedy_chosen.connect(self._take_remedy)
        page.interrupted_chosen.connect(self.resume)
        page.interrupted_dismissed.connect(lambda: self._offer([]))
        page.convert_requested.connect(self._convert)
        page.open_folder_requested.connect(self._open_folder)
        page.smoothing_changed.connect(self._remember_smoothing)
        page.log_scale_changed.connect(self._remember_log_scale)

    @property
    def is_busy(self) -> bool:
        """Whether a training is at work, also while it is paused or stopping."""
        return self._thread is not None

    def new_training(
        self,
        folders: list[Path] | None = None,
        *,
        start_from: Path | None = None,
        config: TrainConfig | None = None,
    ) -> None:
        """Open the wizard; it blocks the window, not the program.

        Args:
            folders: One folder that holds trainA and trainB, or one or two folders of pictures, already chosen.
            start_from: A model file or the folder of a training whose networks the new one is to begin with.
            config: Settings to begin with.
        """
        if self.is_busy:
            self._page.show_busy()
            return
        if self._wizard is None:
            self._wizard = TrainingWizard(
                self._settings,
                estimate=self._estimate,
                estimates=self._estimates,
                scans=self._scans,
                parent=self._page.window(),
            )
            self._wizard.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self._wizard.start_requested.connect(self._start_chosen)
            self._wizard.finished.connect(self._forget_wizard)
            if config is not None:
                self._wizard.set_config(config)
            elif self._unstarted is not None and start_from in (None, self._unstarted.start_from):
                self._wizard.set_config(self._unstarted)
            self._wizard.open()
        if start_from is not None:
            self._wizard.set_start_from(start_from)
        if folders:
            self._wizard.set_folders(folders)

    def new_alike(self, run: Path, changes: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Open the wizard with the settings of this run, some of them changed, for a folder of its own."""
        try:
            config = read_run_summary(run).config
        except RunError as error:
            self._page.messages.add(str(error), is_error=True)
        else:
            # A cap belongs to one training.
            self._open_with(config, {"max_steps": None, "max_minutes": None, **changes})

    def start(self, config: TrainConfig) -> None:
        """Begin a new training."""
        if self.is_busy:
            self._page.show_busy()
            return
        self._run, self._unstarted, self._is_complete = None, config, False
        self.film.set_run(None)
        self._page.begin_new(config.name_A, config.name_B)
        self._launch(partial(self._train, config))

    def resume(self, run: Path) -> None:
        """Go on with a training on disk."""
        if self.is_busy:
            self._page.show_busy()
            return
        self._run, self._unstarted, self._is_complete = run, None, False
        self.film.set_run(run)
        self._page.begin_resumed(run)
        self._launch(partial(_resume_with_losses, run, self._settings.plot_smoothing, self._resume))

    def show_run(self, run: Path) -> None:
        """Show a training at rest, its film, curves and scores, without going on with it."""
        if self.is_busy:
            if run != self._run:
                self._page.show_busy()
            return
        if run == self._to_show or (run == self._run and self._state == "freed"):
            return  # It is there already, or soon.
        self._run, self._unstarted, self._is_complete, self._step = run, None, False, None
        self.film.set_run(run)
        self._page.begin_opened(run)
        self._set_state("idle")
        self._to_show = run
        if self._reading.is_running:
            self._reading.stop()  # This one follows when it has ended.
        else:
            self._read_at_rest(run)

    def branch(self, run: Path, step: int) -> None:
        """Open the wizard for a training that begins with the networks of this moment; one at work is stopped first."""
        self._stop_then(partial(self._open_branch, run, step))

    def change_samples(self, run: Path, pictures_A: Sequence[Path], pictures_B: Sequence[Path]) -> None:
        """Go on with a training, from the next step on with these pictures as samples; see `choose_samples`."""
        if run == self._run:
            resume = partial(_resume_with_samples, run, tuple(pictures_A), tuple(pictures_B), self._resume)
            self._stop_then(partial(self._go_on_by, resume))

    def stop(self) -> None:
        """End the training after the step under way; it saves itself, and `ended` follows."""
        self._then = None
        self._end("stopping")

    def look_for_interrupted(self) -> None:
        """Look for trainings that a crash has interrupted, in a thread, and offer them as they are found."""
        known, hidden = tuple(self._settings.library), tuple(self._settings.hidden)
        if not self._looking.is_running:
            self._looking.start(partial(find_interrupted, known, self._settings.runs_folder, hidden))

    def make_plots(self) -> Iterator[None]:
        """Have the plots made, piece by piece, before a training needs them, which would wait for them."""
        return self._page.make_plots()

    def close(self) -> None:
        """Look for nothing any more and read nothing; trainings are stopped by `stop`."""
        self._to_show = None
        self._looking.close()
        self._reading.close()

    # The thread

    def _launch(self, work: Callable[[], Iterator[_WorkEvent]], *, goes_on: bool = False) -> None:
        """Begin to work; `goes_on` says that the page already shows this training."""
        self._step, self._has_begun, self._ended, self._goes_on = None, False, None, goes_on
        self._to_show = None
        self._reading.stop()
        measuring = self._estimates.running
        for thread in measuring:
            thread.stop()
        self._thread = EngineThread(partial(_freeing, partial(_after, measuring, work)), self)
        self._thread.event.connect(self._take)
        self._thread.done.connect(self._note_done)
        self._thread.stopped.connect(self._note_stopped)
        self._thread.failed.connect(self._note_failed)
        # Only when the thread itself has ended may another one begin.
        self._thread.finished.connect(self._conclude)
        self._set_state("working")
        self.film.set_training(True)
        self._thread.start()
        self.busy_changed.emit(True)

    def _set_state(self, state: PageState) -> None:
        has_model = self._run is not None and (self._run / MODEL_FILE_NAME).is_file()
        self._state = state
        self._page.set_state(state, is_resumable=self._run is not None and not self._is_complete, has_model=has_model)
        self.state_changed.emit(state)

    def _end(self, state: PageState) -> None:
        """End the thread after the step under way, showing this state until it has ended."""
        if self._thread is not None and not self._thread.is_stopping:
            self._thread.stop()
            self._set_state(state)

    def _stop_then(self, act: Callable[[], None], state: PageState = "stopping") -> None:
        """Stop what runs, and do this once it is saved and gone. Another stop, or a failure, means that no more."""
        if self._thread is None:
            act()
        elif not self._thread.is_stopping:
            self._then = act
            self._end(state)

    def _take(self, event: _WorkEvent) -> None:
        match event:
            case _EarlierLosses():
                self._show_earlier(event)
                return
            case Preparing():
                self._page.show_preparing(event)
            case Notice(text=text):
                self._page.messages.add(without_flags(text))
            case TrainStarted():
                self._begin_run(event)
            case StepReport(step=step, steps_per_second=rate):
                self._step, self._seconds_per_step = step, 1 / rate if rate > 0 else None
                self._page.show_report(event)
            case SamplesDrawn():
                self.film.take(event)
            case QualityMeasured():
                self._page.show_quality(event)
            case HealthChecked():
                self._page.show_health(event)
            case RolledBack(step=step, text=text):
                self._step = step
                self._page.show_rolled_back(event)
                self._page.add_mark(PlotMark(step, "rolled_back", text))
            case Saved(step=step):
                self._page.add_mark(PlotMark(step, "saved"))
                self._announce_run()
            case TrainFinished(reason=reason):
                self._is_complete = reason == "complete"
                self._page.show_finished(event)
            case _:
                assert_never(event)
        self.event.emit(event)

    def _show_earlier(self, earlier: _EarlierLosses) -> None:
        if earlier.names is not None:
            self._page.show_names(*earlier.names)
        self._page.show_history(earlier.history, earlier.measured)
        self._page.show_moments(earlier.moments)

    def _begin_run(self, event: TrainStarted) -> None:
        self._run, self._unstarted, self._step, self._has_begun = event.run, None, event.step, True
        self._compare.set_own(event.run)
        self._is_complete = False
        self._offer([one for one in self._interrupted if one.run != event.run])
        self._page.show_started(event)
        # A few thousand short lines at most, written just now.
        self._page.set_marks(read_marks(event.run))
        self._page.add_mark(PlotMark(event.step, "resumed" if event.step else "begun"))
        self.film.set_run(event.run)
        self._settings.remember_in_library(event.run)
        self._announce_run()

    def _announce_run(self) -> None:
        if self._run is not None:
            self.run_changed.emit(self._run)

    def _note_done(self) -> None:
        self._ended = _Ended("done")

    def _note_stopped(self) -> None:
        self._ended = _Ended("stopped")

    def _note_failed(self, failure: Failure) -> None:
        self._ended = _Ended("failed", failure)

    def _conclude(self) -> None:
        """Offer what can be done next. The thread has ended, and has said how."""
        thread, ended, then = self._thread, self._ended, self._then
        assert thread is not None and ended is not None
        self._thread = self._then = None
        thread.deleteLater()
        self.film.set_training(False)
        if self._run is None:
            self._page.show_empty()
        self._set_state("idle")
        failure = ended.failure
        if failure is not None:
            is_shown = self._has_begun or self._goes_on or self._run is None
            show = self._page.show_failed if is_shown else self._page.show_not_resumed
            show(failure.message, failure.details, failure.remedies)
        elif ended.how == "stopped" and self._step is None:
            self._page.show_stopped_early(is_new=self._run is None)
        elif ended.how == "stopped" and self._run is not None and self._step is not None:
            self._step = _saved_step(self._run, self._step)
            self._page.show_stopped(self._step)
        self._announce_run()
        self._tell(ended)
        self.busy_changed.emit(False)
        self.ended.emit(ended.how)
        if then is not None and ended.how == "stopped":
            then()

    def _tell(self, ended: _Ended) -> None:
        """Call someone who has gone elsewhere; whoever stops a training is here."""
        name = self._page.title
        if ended.failure is not None:
            self._notifier.tell(self.tr("Training ended early"), f"{name}: {ended.failure.message}")
        elif ended.how == "done":
            self._notifier.tell(
                self.tr("Training finished"),
                self.tr("{name}: {steps:,} steps, the model is saved").format(name=name, steps=self._step or 0),
            )

    # What the page asks for

    def _resume_shown(self) -> None:
        if self._run is not None:
            self.resume(self._run)

    def _pause(self) -> None:
        if self._thread is not None and not self._thread.is_stopping:
            self._thread.pause()
            self._set_state("paused")

    def _go_on(self) -> None:
        if self._thread is None:
            self._go_on_with()
        elif not self._thread.is_stopping:
            self._thread.go_on()
            self._set_state("working")

    def _free(self) -> None:
        """Stop, drop everything, and wait to go on from what was just saved."""
        self._stop_then(self._show_freed, "freeing")

    def _measure_again(self) -> None:
        self._stop_then(partial(self._go_on_with, measure_again=True))

    def _show_freed(self) -> None:
        if self._run is not None and self._step is not None:
            self._set_state("freed")
            self._page.show_freed(self._step)

    def _go_on_with(self, **others: Any) -> None:
        """Go on with the training shown, where it was and with all that the page shows of it.

        Args:
            **others: Arguments of `engine.resume` beside the run.
        """
        if self._run is not None:
            self._go_on_by(partial(self._resume, self._run, **others))

    def _go_on_by(self, work: Callable[[], Iterator[_WorkEvent]]) -> None:
        if self._thread is None:
            self._page.go_on()
            self._launch(work, goes_on=True)

    def _ask_for_more(self) -> None:
        run = self._run
        if run is None or self._thread is not None:
            return
        try:
            summary = read_run_summary(run)
        except RunError as error:
            self._page.messages.add(str(error), is_error=True)
            return
        epochs = summary.config.total_epochs
        per_step = self._seconds_per_step
        steps = summary.schedule_steps / max(1, epochs)
        dialog = MoreEpochsDialog(
            max(1, epochs // 2), None if per_step is None else steps * per_step, self._page.window()
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.chosen.connect(lambda number: self._go_on_with(more_epochs=number))
        dialog.open()

    def _take_remedy(self, remedy: Remedy) -> None:
        changes = dict(remedy.changes)
        if remedy.begins_anew:
            self._stop_then(partial(self._begin_anew, changes))
        elif self._run is not None:
            self._stop_then(partial(self._go_on_with, changes=changes))
        elif self._unstarted is not None and not self.is_busy:
            try:
                config = dataclasses.replace(self._unstarted, **changes)
            except ConfigError as error:
                self._page.messages.add(str(error), is_error=True)
            else:
                self.start(config)

    def _begin_anew(self, changes: dict[str, Any]) -> None:
        """Open the wizard with the settings of the training shown, some of them changed, for a folder of its own."""
        if self._run is not None:
            self.new_alike(self._run, changes)
        elif self._unstarted is not None:
            self._open_with(self._unstarted, changes)

    def _open_with(self, config: TrainConfig, changes: Mapping[str, Any]) -> None:
        run = free_run_folder(self._settings.runs_folder, config.name_A, config.name_B)
        try:
            config = dataclasses.replace(config, **{"run": run, **changes})
        except ConfigError as error:
            self._page.messages.add(str(error), is_error=True)
        else:
            self.new_training(config=config)

    def _open_branch(self, run: Path, step: int) -> None:
        try:
            config = branch_config(run, step, run)
        except RunError as error:
            self._page.messages.add(str(error), is_error=True)
        else:
            self._open_with(config, {})

    def _convert(self) -> None:
        if self._run is not None:
            self.convert_requested.emit(default_model(self._run))

    def _open_folder(self) -> None:
        if self._run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._run)))

    def _remember_smoothing(self, smoothing: float) -> None:
        self._settings.plot_smoothing = smoothing
        self._save_settings.start()

    def _remember_log_scale(self, on: bool) -> None:
        self._settings.plot_log_scale = on
        self._save_settings.start()

    # A training at rest

    def _read_at_rest(self, run: Path) -> None:
        self._being_read = run
        self._reading.start(partial(_read_at_rest, run, self._settings.plot_smoothing))

    def _take_at_rest(self, read: _AtRest) -> None:
        summary = read.summary
        if summary.folder != self._to_show:
            return
        self._is_complete, self._step = summary.is_complete, summary.step
        self._seconds_per_step = summary.seconds / summary.step if summary.step else None
        self._compare.set_own(summary.folder)
        self._page.show_at_rest(summary)
        if summary.problem:
            self._page.messages.add(summary.problem, is_error=True)
        self._show_earlier(read.earlier)
        self._page.set_marks(read.marks)
        self._set_state("idle")

    def _finish_reading(self, failure: Failure | None) -> None:
        run = self._to_show
        if run is None:
            return
        if run != self._being_read:
            self._read_at_rest(run)
            return
        self._to_show = None
        if failure is not None:
            self._run = None
            self.film.set_run(None)
            self._page.show_empty()
            self._page.messages.add(failure.message, is_error=True, details=failure.details)

    # What a crash has interrupted

    def _take_interrupted(self, found: Interrupted) -> None:
        if found.run != self._run or not self.is_busy:
            self._offer([*self._interrupted, found])

    def _offer(self, found: list[Interrupted]) -> None:
        if found != self._interrupted:
            self._interrupted = found
            self._page.set_interrupted(found)
            self.interrupted_changed.emit(len(found))

    # The wizard

    def _start_chosen(self, config: TrainConfig) -> None:
        self._settings.remember_folder(config.folder_B)
        self._settings.remember_folder(config.folder_A)
        self._settings.runs_folder = config.run.parent
        self._settings.save()
        self.start(config)

    def _forget_wizard(self) -> None:
        self._wizard = None


def _after(threads: list[EngineThread], work: Callable[[], Iterator[_WorkEvent]]) -> Iterator[_WorkEvent]:
    """The work, once these threads have ended: measuring and training would take memory and time from each other."""
    while any(thread.isRunning() for thread in threads):
        yield Preparing("Finishing the measurement")
        time.sleep(0.1)
    yield from work()


def _freeing(work: Callable[[], Iterator[_WorkEvent]]) -> Iterator[_WorkEvent]:
    """The work, and however it ends, all its memory given back before the thread tells so."""
    try:
        yield from work()
    finally:
        # Nothing has used torch that has not loaded it.
        if "torch" in sys.modules:
            from engine.device import free_memory

            free_memory()


def _saved_step(run: Path, reported: int) -> int:
    """The step at which a training was saved: a little after the last one that was reported."""
    try:
        return max(reported, read_run_summary(run).step)
    except RunError:
        return reported


def _resume_with_samples(
    run: Path,
    pictures_A: tuple[Path, ...],
    pictures_B: tuple[Path, ...],
    resume: Callable[[Path], Iterator[TrainEvent]],
) -> Iterator[_WorkEvent]:
    """The events of a resumed training that shows other pictures; one that cannot be shown keeps nothing from it."""
    yield Preparing("Changing the pictures shown")
    try:
        choose_samples(run, pictures_A, pictures_B)
    except EngineError as error:
        yield Notice(str(error))
    yield from resume(run)


def _resume_with_losses(
    run: Path, smoothing: float, resume: Callable[[Path], Iterator[TrainEvent]]
) -> Iterator[_WorkEvent]:
    """The events of a resumed training, and before them what the plots show of it so far."""
    yield Preparing("Reading the losses so far")
    try:
        config = read_run_summary(run).config
        names = config.name_A, config.name_B
    except RunError:  # `resume` has the sentence for it.
        names = None
    yield _read_earlier(run, names, smoothing)
    yield from resume(run)


def _read_at_rest(run: Path, smoothing: float) -> Iterator[_AtRest]:
    """What there is to see of a training that is not gone on with."""
    summary = read_run_summary(run)
    names = summary.config.name_A, summary.config.name_B
    yield _AtRest(summary, _read_earlier(run, names, smoothing), tuple(read_marks(run)))


def _read_earlier(run: Path, names: tuple[str, str] | None, smoothing: float) -> _EarlierLosses:
    return _EarlierLosses(names, LossHistory.read(run, smoothing), tuple(read_quality(run)), read_moments(run))
