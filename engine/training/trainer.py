"""Training over time: which step is next, and when to report, show samples, save and stop."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from engine.config import Direction, Precision, TrainConfig
from engine.conversion.model_file import default_model, write_model
from engine.conversion.space import is_full
from engine.device import choose_device, describe_device, empty_caches, gpus_together
from engine.errors import DataError, DivergedError, EngineError, OutOfMemoryError, RunError
from engine.events import (
    Alarm,
    HealthChecked,
    Losses,
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
from engine.files import disk_sentence
from engine.model.cyclegan import CycleGAN
from engine.ranks import Ranks, joined_ranks, rank_and_count
from engine.stopwatch import Stopwatch
from engine.training.changing import changed_config, changes_in_words, choices_at, refuse_complete, refuse_unchangeable
from engine.training.checkpoint import restore_checkpoint, save_checkpoint
from engine.training.health import Health, is_collapsed
from engine.training.measuring import Measured, QualityMeter
from engine.training.moment_keeper import MomentKeeper
from engine.training.preparing import (
    advice,
    check_start,
    choices_on_resume,
    choose,
    find_pictures,
    fixed_pictures,
    make_model,
    refuse_vanished_folders,
    start_model,
)
from engine.training.quality import append_quality, cut_quality, is_better, read_best, read_quality
from engine.training.run import Choices, Pictures, Run, read_run_summary, sample_folder
from engine.training.samples import FixedPicture, draw_samples
from engine.training.schedule import PlateauState
from engine.training.several import resume_on_all, train_on_all
from engine.training.sheets import write_sheet
from engine.training.steps import Steps, Taken, training_errors
from engine.training.tensorboard_log import TensorboardLog, require_tensorboard
from engine.training.tuning import tuned, tuning_in_words
from engine.words import counted

_REPORT_SECONDS = 0.25
_RATE_REPORTS = 120
# Samples take at most a twentieth of the time, and their number grows with the logarithm of a long training.
_SAMPLE_SECONDS = 5.0
_SAMPLE_SHARE = 20.0
_SAMPLE_GROWTH = 0.02
# Measuring takes its share likewise, and shows a course also of a training of minutes.
_QUALITY_SECONDS = 15.0
_QUALITY_SHARE = 20.0
_QUALITY_GROWTH = 0.01
# The first measurement takes seconds, on a slow machine many: a sitting with less time than this spends it on steps.
_LONG_SITTING_SECONDS = 60.0
# While nothing can be written: how often saving is tried again, and told.
_DISK_RETRY_SECONDS = 60.0
# So many steps in a row whose numbers are not finite are no accident: the training goes back, with a lower rate.
_BAD_ROW = 3
_RATE_FALL = 0.5
_MOST_ROLL_BACKS = 3

_Reason: TypeAlias = Literal["complete", "max_steps", "max_minutes"]

# What the processes of a training agree on before each step: bits of one word. All that report, save or draw samples
# lets the others wait until rank 0 is ready.
_GO, _REPORT, _SAMPLES, _SAVE, _END, _NO_PICTURES, _STOP, _BACK = 0, 1, 2, 4, 8, 16, 32, 64
_QUALITY = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What all processes of a training must know before the first step, and rank 0 has found out."""

    config: TrainConfig
    choices: Choices
    pictures: Pictures
    step: int
    plateau: PlateauState | None
    rate_factor: float
    tensors: dict[str, Tensor]
    scaler: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sitting:
    """A training that is ready to go on: its folder, its model, and where it is."""

    run: Run
    model: CycleGAN
    samples: list[FixedPicture]
    step: int = 0
    seconds: float = 0.0
    plateau: PlateauState | None = None
    rate_factor: float = 1.0
    advice: tuple[str, ...] = ()


def _plan(run: Run, model: CycleGAN, *, step: int, plateau: PlateauState | None, rate_factor: float) -> _Plan:
    """For the other processes; waits for the device."""
    tensors, scaler = model.state()
    return _Plan(
        config=run.config,
        choices=run.choices,
        pictures=run.pictures,
        step=step,
        plateau=plateau,
        rate_factor=rate_factor,
        tensors={name: tensor.cpu() for name, tensor in tensors.items()},
        scaler=scaler,
    )


_Prepare: TypeAlias = Callable[[Stopwatch], Generator[TrainEvent, None, _Sitting]]


def train(config: TrainConfig) -> Iterator[TrainEvent]:
    """Train a new model, from the first step to the last.

    Pausing is not asking for the next event; stopping is closing the generator, which saves. Only the thread that
    iterates it may close it. Nothing is left on disk if it is closed before `TrainStarted`.

    Under `torchrun` each of its processes calls this alike and trains with the others; only the first yields events.
    The device "all" starts such processes by itself where there are several GPUs.

    Args:
        config: The training; its `run` must not exist or be empty.

    Yields:
        `Preparing`, `TrainStarted`, then `StepReport`, `SamplesDrawn`, `Saved` and `Notice` as they come, and
        `TrainFinished` at the end.

    Raises:
        EngineError: The folders, the device or the disk do not allow it, the numbers diverged, or another of several
            processes ended; with a sentence for the user.
    """
    if _starts_others(config.device):
        yield from train_on_all(config)
        return

    def prepare(clock: Stopwatch) -> Generator[TrainEvent, None, _Sitting]:
        yield from clock.tell(Preparing("Looking for pictures"))
        check_start(config)
        pictures = find_pictures(config)
        yield from clock.tell(Preparing("Measuring this machine"))
        choices = choose(config)
        with training_errors(config, choices):
            model = make_model(config, choices)
            start_model(config, model)
            samples = fixed_pictures(config, pictures)
        rule, choices = choices, (yield from tuned(config, choices, model, clock))
        run = Run.create(config, choices, pictures)
        said = [*tuning_in_words(rule, choices), *advice(config, pictures)]
        return _Sitting(run=run, model=model, samples=samples, advice=tuple(said))

    yield from _together(prepare)


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    decay_epochs: int | None = None,
    max_steps: int | None = None,
    max_minutes: float | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    more_epochs: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Iterator[TrainEvent]:
    """Go on with a training on disk, bit for bit as if it had never stopped (on a CPU, with nothing changed).

    Of several processes only the first one's pools are stored, so theirs is as good but not the same.

    Args:
        folder: The run.
        epochs: New total of epochs at the full rate; None keeps it.
        decay_epochs: New total of decay epochs; None keeps it.
        max_steps: New cap on the steps of the whole training; None keeps a cap that is not yet reached.
        max_minutes: Cap on the minutes of this sitting.
        device: Another device; choices by measurement are then made anew.
        precision: Another precision.
        more_epochs: So many epochs beyond those that it has, of which the same share as before has a falling rate. The
            rate of a training that is complete comes back for them.
        changes: Other settings for the rest of the training: fields of `engine.config.CHANGEABLE`, by name. They are
            stored, so that a later resume keeps them.

    Yields:
        As `train`.

    Raises:
        EngineError: It is no run, is being trained, has no whole checkpoint, is complete, or as `train`.
    """
    named = {
        "epochs": epochs,
        "decay_epochs": decay_epochs,
        "max_steps": max_steps,
        "device": device,
        "precision": precision,
    }
    given = {**(changes or {}), **{name: value for name, value in named.items() if value is not None}}
    refuse_unchangeable(given)
    if rank_and_count()[0] == 0 and _starts_others(given.get("device") or read_run_summary(folder).config.device):
        yield from resume_on_all(folder, max_minutes=max_minutes, more_epochs=more_epochs, changes=given)
        return

    def prepare(clock: Stopwatch) -> Generator[TrainEvent, None, _Sitting]:
        yield from clock.tell(Preparing("Opening the training"))
        run = Run.open(folder)
        try:
            config, notices = changed_config(run, given, max_minutes=max_minutes, more_epochs=more_epochs)
            refuse_vanished_folders(config)
            require_tensorboard(config)
            choices, choice_notices = choices_on_resume(run, config)
            with training_errors(config, choices):
                model = make_model(config, choices)
                restored = restore_checkpoint(run, model)
            if restored.damaged:
                names = ", ".join(path.name for path in restored.damaged)
                notices.append(
                    f"The newest state of this training is damaged ({names}); it goes on from step {restored.step:,}."
                )
            if choices is not run.choices:
                rule, choices = choices, (yield from tuned(config, choices, model, clock))
                choice_notices += tuning_in_words(rule, choices)
            choices, rank_notices = choices_at(run, config, choices, restored.step)
            refuse_complete(run, config, choices, restored.step)
            with training_errors(config, choices):
                samples = fixed_pictures(config, run.pictures)
            changed = changes_in_words(run.config, config)
            with _disk_errors(folder):
                run.change(config, choices)
                run.continue_losses(restored.step)
                cut_quality(folder, restored.step)
            if changed:
                run.log(f"Changed at step {restored.step}: {changed}")
                run.mark("changed", changed, step=restored.step)
            for text in [*notices, *choice_notices, *rank_notices]:
                run.log(text)
                yield from clock.tell(Notice(text))
        except BaseException:
            run.close()
            raise
        return _Sitting(
            run=run,
            model=model,
            samples=samples,
            step=restored.step,
            seconds=restored.seconds,
            plateau=restored.plateau,
            # Whoever chooses a rate means that rate.
            rate_factor=1.0 if "learning_rate" in given else restored.rate_factor,
        )

    yield from _together(prepare)


def _starts_others(device: str) -> bool:
    """Whether a training on this device is one of several processes that are still to be started."""
    return device == "all" and rank_and_count()[1] == 1 and gpus_together() > 1


def _together(prepare: _Prepare) -> Iterator[TrainEvent]:
    """Train with all other processes of this training: the first prepares, and they follow it."""
    with joined_ranks() as ranks:
        if not ranks.is_first:
            _follow(ranks)
            return
        clock = Stopwatch()
        try:
            sitting = yield from prepare(clock)
        except BaseException:
            with contextlib.suppress(RunError):
                _share_plan(ranks, None)
            raise
        with contextlib.closing(sitting.run):
            _share_plan(ranks, sitting)
            yield from _Training(sitting, ranks, clock).events()


def _share_plan(ranks: Ranks, sitting: _Sitting | None) -> None:
    """Tell the others what is trained, or that nothing is."""
    if ranks.count > 1:
        if sitting is None:
            ranks.share(None)
        else:
            ranks.share(
                _plan(
                    sitting.run,
                    sitting.model,
                    step=sitting.step,
                    plateau=sitting.plateau,
                    rate_factor=sitting.rate_factor,
                )
            )
            with ranks.losing_others():
                sitting.model.use_ranks()


def _follow(ranks: Ranks) -> None:
    """What every process but the first does.

    Raises:
        EngineError: Something went wrong in this process, or another one ended.
    """
    no_plan: _Plan | None = None
    plan = ranks.share(no_plan)
    if plan is None:
        return
    config = plan.config
    choices = dataclasses.replace(plan.choices, device=str(choose_device(config.device)))
    torch.set_num_threads(choices.threads)
    with training_errors(config, choices), ranks.losing_others():
        model = make_model(config, choices)
        model.load_state(plan.tensors, plan.scaler)
        model.use_ranks()
    # Wait until rank 0 has begun. (When it goes back, it is ready once it shares its plan.)
    word = ranks.agree(_GO)
    while plan is not None:
        steps = Steps(
            model,
            config,
            choices,
            plan.pictures,
            ranks,
            step=plan.step,
            plateau=plan.plateau,
            rate_factor=plan.rate_factor,
        )
        with contextlib.closing(steps):
            goes_back = _follow_steps(steps, ranks, word)
        word = _GO
        plan = ranks.share(no_plan) if goes_back else None
        if plan is not None:
            with training_errors(config, choices), ranks.losing_others():
                model.load_state(plan.tensors, plan.scaler)


def _follow_steps(steps: Steps, ranks: Ranks, word: int) -> bool:
    """Take the steps that the first process takes; returns whether it goes back to a checkpoint."""
    while not word & (_END | _NO_PICTURES | _STOP):
        problem = steps.fetch()
        word = ranks.agree(_GO if problem is None else _NO_PICTURES)
        if word != _GO:
            steps.take_losses()
            word |= ranks.agree(_GO)
        if word & _BACK:
            return True
        if problem is not None:
            raise problem
        if not word & (_END | _NO_PICTURES | _STOP):
            steps.take()
    return False


@dataclass(slots=True)
class _Due:
    """When the clock next asks for something, in seconds of this sitting."""

    report: float = 0.0
    samples: float = 0.0
    save: float = 0.0
    quality: float = 0.0


class _Training:
    """One sitting of a training, as the process sees it that decides: the run, the steps, and the clock."""

    def __init__(self, sitting: _Sitting, ranks: Ranks, clock: Stopwatch) -> None:
        self._run = sitting.run
        self._config = sitting.run.config
        self._model = sitting.model
        self._samples = sitting.samples
        self._ranks = ranks
        self._clock = clock
        self._rate_factor = sitting.rate_factor
        self._steps = self._steps_from(sitting.step, sitting.plateau)
        self._seconds_before = sitting.seconds - clock.seconds
        self._saved_step: int | None = sitting.step if sitting.step else None
        self._due = _Due(save=clock.seconds + 60 * self._config.save_minutes)
        # (step, seconds) of the last reports, half a minute of them, from which the rate is taken.
        self._recent = deque([(sitting.step, clock.seconds)], maxlen=_RATE_REPORTS)
        self._meter: QualityMeter | None = QualityMeter(self._config, sitting.run.pictures)
        self._best = read_best(sitting.run.folder)
        self._quality_gap = _QUALITY_SECONDS
        history = read_quality(sitting.run.folder)
        self._measured_step = history[-1].step if history else None
        self._notes: list[str] = list(sitting.advice)
        self._disk_told = -math.inf
        self._moments = MomentKeeper(self._run, self._model, note=self._note, note_disk=self._note_disk)
        self._board: TensorboardLog | None = None
        self._health = Health(self._config, self._rate_factor)
        self._alarms: tuple[Alarm, ...] = ()
        self._has_stepped = False
        self._goes_back = False
        # How often it has gone back without getting past the step where numbers were last not finite.
        self._roll_backs = 0
        self._failed_step = 0

    def _steps_from(self, step: int, plateau: PlateauState | None) -> Steps:
        run = self._run
        return Steps(
            self._model,
            run.config,
            run.choices,
            run.pictures,
            self._ranks,
            step=step,
            plateau=plateau,
            rate_factor=self._rate_factor,
        )

    def events(self) -> Iterator[TrainEvent]:
        try:
            yield from self._while_others_wait(self._begin())
            yield from self._go_on()
        except EngineError as error:
            if isinstance(error, OutOfMemoryError):
                self._save_if_possible()
            self._run.log(f"Failed: {error}")
            raise
        finally:
            self._steps.close()
            if self._board is not None:
                self._board.close()
            empty_caches(self._model.device)

    def _save_if_possible(self) -> None:
        """After memory has run out: nothing has moved while gradients were computed, so no step need be lost."""
        if self._saved_step == self._steps.step or not self._model.is_whole:
            return
        empty_caches(self._model.device)
        with contextlib.suppress(EngineError, OSError, MemoryError, RuntimeError):
            self._write_checkpoint()

    def _begin(self) -> Iterator[TrainEvent]:
        with _disk_errors(self._run.folder):
            self._run.set_out()
        self._run.mark("resumed" if self._steps.step else "begun", step=self._steps.step)
        yield from self._tell(self._started())
        if self._saved_step is None:
            # What is on disk can be resumed from the first moment on.
            self._save_or_raise()
            yield from self._tell(self._saved())
        yield from self._tell_notes()
        yield from self._draw_samples()
        if self._config.max_minutes is None or 60 * self._config.max_minutes >= _LONG_SITTING_SECONDS:
            yield from self._measure()
        else:
            self._due.quality = self._clock.seconds + _QUALITY_SECONDS

    def _go_on(self) -> Iterator[TrainEvent]:
        """Steps until there is a reason to end, with everything that the clock asks for in between."""
        reason: _Reason | None = None
        while reason is None:
            reason = self._end()
            problem = None if reason else self._steps.fetch()
            word = self._ranks.agree(self._word(reason, problem))
            if word != _GO:
                taken = self._steps.take_losses()
                yield from self._while_others_wait(self._between_steps(word, taken, reason, problem))
            if self._goes_back:
                self._goes_back, reason = False, None
            elif reason is None:
                self._steps.take()
                self._has_stepped = True

    def _while_others_wait(self, work: Iterator[TrainEvent]) -> Iterator[TrainEvent]:
        """Do what rank 0 does alone. Whatever ends it, a stop by the user included, ends the others too."""
        try:
            yield from work
        except GeneratorExit:
            try:
                if self._saved_step != self._steps.step:
                    self._save_or_raise()
                self._run.log(f"Stopped at step {self._steps.step}")
            finally:
                self._ranks.agree(_STOP)
            raise
        except BaseException:
            self._ranks.agree(_STOP)
            raise
        self._ranks.agree(_BACK if self._goes_back else _GO)
        if self._goes_back and self._ranks.count > 1:
            steps = self._steps
            self._ranks.share(
                _plan(self._run, self._model, step=steps.step, plateau=steps.plateau, rate_factor=self._rate_factor)
            )

    def _between_steps(
        self, word: int, taken: Taken | None, reason: _Reason | None, problem: DataError | None
    ) -> Iterator[TrainEvent]:
        if taken is not None:
            if taken.bad_row >= _BAD_ROW:
                yield from self._roll_back()
                return
            self._note_left_out(taken)
            if taken.losses is not None:
                yield from self._tell(self._report(taken.losses))
                self._health.take_losses(self._steps.step, taken.losses)
                yield from self._tell_health()
        yield from self._tell_notes()
        if word & _NO_PICTURES:
            # The pictures have gone, not the training.
            self._save_or_raise()
            raise problem or DataError(
                "Another process of this training cannot read its pictures any more, so it ended, saved. Bring them "
                "back, then resume the training."
            )
        if reason is not None:
            yield from self._finish(reason)
            return
        if word & _SAMPLES:
            yield from self._draw_samples()
        if word & _SAVE:
            yield from self._save()
        if word & _QUALITY or (word & _SAVE and self._clock.seconds >= self._due.quality - self._quality_gap / 2):
            yield from self._measure()

    def _finish(self, reason: _Reason) -> Iterator[TrainEvent]:
        yield from self._draw_samples(is_last=True)
        self._save_or_raise()
        yield from self._tell(self._saved())
        yield from self._measure()
        self._run.log(f"Finished at step {self._steps.step}: {reason}")
        model = default_model(self._run.folder)
        yield from self._tell(TrainFinished(self._steps.step, reason, model, self._seconds))

    def _end(self) -> _Reason | None:
        """Why the training ends now, or None."""
        minutes = self._config.max_minutes
        if self._steps.step >= self._steps.schedule_end:
            return "complete"
        if self._steps.step >= self._steps.end:
            return "max_steps"
        # Where all the time went into the beginning, one step is taken nevertheless: no sitting is for nothing.
        is_over = minutes is not None and self._clock.seconds >= 60 * minutes
        return "max_minutes" if is_over and self._has_stepped else None

    def _word(self, reason: _Reason | None, problem: DataError | None) -> int:
        """What is due before the next step."""
        now, step = self._clock.seconds, self._steps.step
        return (
            (_REPORT if now >= self._due.report and step != self._recent[-1][0] else 0)
            | (_SAMPLES if now >= self._due.samples else 0)
            | (_SAVE if now >= self._due.save and step != self._saved_step else 0)
            | (_QUALITY if self._is_quality_due(now) else 0)
            | (_END if reason else 0)
            | (_NO_PICTURES if problem else 0)
        )

    @property
    def _seconds(self) -> float:
        return self._seconds_before + self._clock.seconds

    def _tell(self, event: TrainEvent) -> Iterator[TrainEvent]:
        if self._config.tensorboard:
            self._log_to_board(event)
        return self._clock.tell(event)

    def _log_to_board(self, event: TrainEvent) -> None:
        try:
            if self._board is None:
                # After a full disk it is tried again, but not at every report.
                if not isinstance(event, TrainStarted | SamplesDrawn):
                    return
                self._board = TensorboardLog(self._run.folder, self._steps.step)
            self._board.take(event)
        except OSError as error:
            self._board = None
            self._note_disk(error)

    def _started(self) -> TrainStarted:
        config, run, steps = self._config, self._run, self._steps
        together = "" if self._ranks.count == 1 else f", {self._ranks.count} processes"
        run.log(f"Started at step {steps.step} on {run.choices.hardware}, {run.choices.precision}{together}")
        return TrainStarted(
            run=run.folder,
            name_A=config.name_A,
            name_B=config.name_B,
            step=steps.step,
            total_steps=steps.end,
            steps_per_epoch=steps.steps_per_epoch,
            total_epochs=config.total_epochs,
            count_A=len(run.pictures.train_A),
            count_B=len(run.pictures.train_B),
            device=_devices_in_words(self._model.device, self._ranks.count),
            precision=run.choices.precision,
        )

    def _report(self, losses: Losses) -> StepReport:
        """Numbers since the last report, stored."""
        steps = self._steps
        now = self._clock.seconds
        old_step, old_seconds = self._recent[0]
        rate = (steps.step - old_step) / max(now - old_seconds, 1e-9)
        waiting = steps.take_waiting() / max(now - self._recent[-1][1], 1e-9)
        if len(self._recent) == 1:
            # The first steps load libraries and tune kernels: the rate counts from here on.
            self._recent.clear()
        self._recent.append((steps.step, now))
        left = (steps.end - steps.step) / max(rate, 1e-9)
        if self._config.max_minutes is not None:
            left = min(left, max(0.0, 60 * self._config.max_minutes - now))
        report = StepReport(
            step=steps.step,
            total_steps=steps.end,
            epoch=steps.epoch + 1,
            total_epochs=self._config.total_epochs,
            seconds=self._seconds,
            steps_per_second=rate,
            seconds_left=left,
            learning_rate=steps.rate,
            losses=losses,
            waiting=min(1.0, waiting),
        )
        try:
            self._run.append_losses(report)
        except OSError as error:
            self._note_disk(error)
        self._due.report = now + _REPORT_SECONDS
        return report

    def _note_left_out(self, taken: Taken) -> None:
        if self._steps.step > self._failed_step:
            self._roll_backs = 0
        if taken.left_out:
            were = "was left out, since its" if taken.left_out == 1 else "were left out, since their"
            self._notes.append(
                f"Shortly before step {self._steps.step:,}, {counted(taken.left_out, 'step')} {were} numbers were not "
                "finite; the training goes on as if nothing had been."
            )

    def _roll_back(self) -> Iterator[TrainEvent]:
        """Go on from the newest good checkpoint with a lower rate.

        Raises:
            DivergedError: That has been tried often enough.
            RunError: There is no checkpoint that can be read.
        """
        from_step = self._steps.step
        self._failed_step = max(from_step, self._failed_step)
        self._roll_backs += 1
        if self._roll_backs > _MOST_ROLL_BACKS:
            raise DivergedError(self._diverged())
        self._steps.close()
        with training_errors(self._config, self._run.choices):
            restored = restore_checkpoint(self._run, self._model)
        # Not that of the checkpoint, which may be from before the last fall if the disk was full then.
        self._rate_factor *= _RATE_FALL
        self._steps = self._steps_from(restored.step, restored.plateau)
        self._goes_back = True
        self._saved_step = restored.step
        self._measured_step = None
        self._recent.clear()
        self._recent.append((restored.step, self._clock.seconds))
        text = (
            f"At step {from_step:,} the numbers were not finite for {_BAD_ROW} steps in a row or more, so the training "
            f"went back to step {restored.step:,} and goes on with {self._rate_factor:g} times the learning rate."
        )
        self._run.log(text)
        self._run.mark("rolled_back", text, step=restored.step)
        try:
            self._run.continue_losses(restored.step)
            cut_quality(self._run.folder, restored.step)
            # With the lower rate, so that a resumed training keeps it.
            self._write_checkpoint()
        except OSError as error:
            self._note_disk(error)
        self._best = read_best(self._run.folder)
        yield from self._tell(RolledBack(from_step, restored.step, self._rate_factor, text))
        self._health.take_roll_back(from_step, restored.step, self._rate_factor)
        yield from self._tell_health()

    def _diverged(self) -> str:
        remedies = ["a lower learning rate"] + (["fp32"] if self._run.choices.precision != "fp32" else [])
        return (
            f"At step {self._steps.step:,} the numbers were not finite again, after the training had gone back "
            f"{_MOST_ROLL_BACKS} times with half the learning rate each time, so it was stopped. What is on disk is "
            f"sound: resume it with {' or '.join(remedies)}. If it happens again, look for damaged pictures."
        )

    def _tell_notes(self) -> Iterator[TrainEvent]:
        notes, self._notes = [*self._notes, *self._steps.take_notes()], []
        for text in notes:
            self._run.log(text)
        shown = notes[:3]
        if len(notes) > len(shown):
            shown.append(f"{len(notes) - 3} more such notes are in log.txt in the training's folder.")
        if shown:
            yield from self._tell(Notice(" ".join(shown)))

    def _draw_samples(self, *, is_last: bool = False) -> Iterator[TrainEvent]:
        start = self._clock.seconds
        with training_errors(self._config, self._run.choices):
            samples = draw_samples(self._model, self._samples)
        files: list[Path] = []
        directions: tuple[Direction, ...] = ("a2b", "b2a")
        for direction in directions:
            chosen = [sample for sample in samples if sample.direction == direction]
            if chosen:
                try:
                    folder = sample_folder(self._config, direction)
                    write_sheet(self._run.sheet(self._steps.step, direction), chosen, folder)
                except OSError as error:
                    self._note_disk(error)
                else:
                    files.append(self._run.sheet(self._steps.step, direction))
        now = self._clock.seconds
        self._due.samples = now + seconds_between_samples(now - start, self._seconds)
        moments = self._moments.keep(self._steps.step, is_last=is_last)
        held_out = self._run.pictures.shows_held_out
        yield from self._tell(SamplesDrawn(self._steps.step, samples, held_out, tuple(files), moments))

    def _measure(self) -> Iterator[TrainEvent]:
        """Measure the quality, and keep the networks if they are saved and the best so far."""
        start, step = self._clock.seconds, self._steps.step
        if step == self._measured_step:
            return
        measured = self._measured()
        now = self._clock.seconds
        self._quality_gap = seconds_between_measurements(now - start, self._seconds)
        self._due.quality = now + self._quality_gap
        self._measured_step = step
        if measured is None or self._meter is None:
            return
        quality = QualityMeasured(step, self._seconds, measured.directions, self._meter.held_out, step)
        # Only what a crash cannot take back can be the best: otherwise its step would be taken again.
        # Nor a generator that makes one good picture of everything, which the patches of a score may not show.
        is_whole = step == self._saved_step and not any(map(is_collapsed, measured.looks))
        if is_whole and is_better(quality, self._best):
            self._keep_best(quality)
        if self._best is not None:
            quality = dataclasses.replace(quality, best_step=self._best.step)
        try:
            append_quality(self._run.folder, quality)
        except OSError as error:
            self._note_disk(error)
        yield from self._tell(quality)
        self._health.take_looks(step, measured.looks)
        yield from self._tell_health()

    def _tell_health(self) -> Iterator[TrainEvent]:
        alarms = self._health.changed()
        if alarms is not None:
            for alarm in alarms:
                if alarm not in self._alarms:
                    self._run.log(f"{alarm.sentence} {alarm.evidence}")
            self._alarms = alarms
            yield from self._tell(HealthChecked(self._steps.step, alarms))

    def _is_quality_due(self, now: float) -> bool:
        """By the clock; it waits for a save that is near, since only what is saved can be the best."""
        is_save_near = self._due.save - now < self._quality_gap / 2
        return now >= self._due.quality and not is_save_near and self._steps.step != self._measured_step

    def _measured(self) -> Measured | None:
        """The quality now; None where it cannot be measured, which ends no training."""
        model = self._model
        if self._meter is None:
            return None
        try:
            with training_errors(self._config):
                measured = self._meter.measure(model.generators_for_use, model.device, model.precision)
        except OutOfMemoryError:
            empty_caches(model.device)
            measured = None
        if measured is None:
            self._meter = None
            self._notes.append("The quality is not measured: there is too little memory for it, or no picture to read.")
        return measured

    def _keep_best(self, quality: QualityMeasured) -> None:
        model = self._model
        try:
            write_model(
                self._run.best,
                model.generators_for_use,
                self._config,
                steps=quality.step,
                discriminators={"D_A": model.D_A, "D_B": model.D_B},
            )
        except OSError as error:
            self._note_disk(error)
        else:
            self._best = quality

    def _save(self) -> Iterator[TrainEvent]:
        """Save by the clock; a full disk is told and tried again, since the training itself is well."""
        try:
            self._write_checkpoint()
        except OSError as error:
            self._due.save = self._clock.seconds + _DISK_RETRY_SECONDS
            self._note_disk(error)
            yield from self._tell_notes()
        else:
            yield from self._tell(self._saved())

    def _note(self, text: str) -> None:
        self._notes.append(text)

    def _note_disk(self, error: OSError) -> None:
        """Tell now and then that nothing can be written; the training itself is well, and there may be room again."""
        if is_full(error) and self._steps.give_back_disk():
            return
        now = self._clock.seconds
        if now >= self._disk_told + _DISK_RETRY_SECONDS:
            self._disk_told = now
            self._notes.append(
                f"The training goes on, but it cannot be stored; saving is tried again every minute. "
                f"{disk_sentence(error, self._run.folder)}"
            )

    def _save_or_raise(self) -> None:
        with _disk_errors(self._run.folder):
            self._write_checkpoint()

    def _write_checkpoint(self) -> None:
        try:
            self._write_checkpoint_once()
        except OSError as error:
            # Pictures on disk only save time.
            if not (is_full(error) and self._steps.give_back_disk()):
                raise
            self._write_checkpoint_once()

    def _write_checkpoint_once(self) -> None:
        step = self._steps.step
        self._checkpoint = save_checkpoint(
            self._run,
            self._model,
            step=step,
            seconds=self._seconds,
            plateau=self._steps.plateau,
            rate_factor=self._rate_factor,
        )
        self._saved_step = step
        self._due.save = self._clock.seconds + 60 * self._config.save_minutes
        self._run.log(f"Saved step {step}")
        self._run.mark("saved", step=step)

    def _saved(self) -> Saved:
        return Saved(self._steps.step, self._checkpoint, self._run.model)


def seconds_between_measurements(measuring: float, so_far: float) -> float:
    """Seconds until the quality is measured again, as `seconds_between_samples`."""
    return max(_QUALITY_SECONDS, _QUALITY_SHARE * measuring, _QUALITY_GROWTH * so_far)


def seconds_between_samples(drawing: float, so_far: float) -> float:
    """Seconds until samples are drawn again.

    Args:
        drawing: Seconds that drawing them takes.
        so_far: Seconds spent on training so far, over all sittings.
    """
    return max(_SAMPLE_SECONDS, _SAMPLE_SHARE * drawing, _SAMPLE_GROWTH * so_far)


def _devices_in_words(device: torch.device, count: int) -> str:
    return describe_device(device) if count == 1 else f"{count} x {describe_device(device)}"


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn an error of the disk into a sentence."""
    try:
        yield
    except OSError as error:
        raise RunError(disk_sentence(error, folder)) from error
