"""One sitting of a training: which step is next, and when to report, show samples, save, measure and stop."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import torch

from engine.conversion.model_file import default_model
from engine.device import describe_device, empty_caches
from engine.errors import DataError, DivergedError, EngineError, OutOfMemoryError
from engine.events import (
    Alarm,
    HealthChecked,
    Notice,
    Preparing,
    RolledBack,
    Saved,
    TrainEvent,
    TrainFinished,
    TrainStarted,
)
from engine.model.cyclegan import CycleGAN
from engine.ranks import Ranks
from engine.stopwatch import Stopwatch
from engine.training import reporter
from engine.training.checkpoint import restore_checkpoint
from engine.training.following import (
    BACK,
    END,
    GO,
    NEW_SIZE,
    NO_PICTURES,
    QUALITY,
    REPORT,
    SAMPLES,
    SAVE,
    STOP,
    plan_of,
)
from engine.training.going_back import (
    BAD_STEPS,
    BAD_WEIGHTS,
    RATE_FALL,
    RollBacks,
    left_out_sentence,
    rolled_back_sentence,
)
from engine.training.health import Health
from engine.training.measuring import Measured
from engine.training.quality import cut_quality
from engine.training.quality_keeper import QualityKeeper
from engine.training.reporter import Reporter
from engine.training.rhythm import seconds_before_first_measurement, seconds_between_measurements
from engine.training.run import Run
from engine.training.sample_keeper import SampleKeeper
from engine.training.samples import FixedPicture
from engine.training.saver import Saver, disk_errors
from engine.training.schedule import PlateauState
from engine.training.steps import Steps, Taken, training_errors
from engine.training.tuning import measures

# The first measurement takes seconds, on a slow machine many: a sitting with less time than this spends it on steps.
_LONG_SITTING_SECONDS = 60.0

_Reason: TypeAlias = Literal["complete", "max_steps", "max_minutes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A training that is ready to go on: its folder, its model, and where it is."""

    run: Run
    model: CycleGAN
    samples: list[FixedPicture]
    step: int = 0
    seconds: float = 0.0
    plateau: PlateauState | None = None
    rate_factor: float = 1.0
    advice: tuple[str, ...] = ()


class Sitting:
    """One sitting of a training, as the process sees it that decides: the run, the steps, and the clock."""

    def __init__(self, ready: Ready, ranks: Ranks, clock: Stopwatch) -> None:
        self._run = ready.run
        self._config = ready.run.config
        self._model = ready.model
        self._ranks = ranks
        self._clock = clock
        self._rate_factor = ready.rate_factor
        self._steps = self._steps_from(ready.step, ready.plateau)
        self._seconds_before = ready.seconds - clock.seconds
        self._notes: list[str] = list(ready.advice)
        self._saver = Saver(
            self._run,
            self._model,
            clock,
            step=ready.step or None,
            note=self._note,
            give_back_disk=self._give_back_disk,
        )
        note_disk = self._saver.note_disk
        self._reporter = Reporter(self._run, clock, step=ready.step, note_disk=note_disk)
        self._samples = SampleKeeper(self._run, self._model, ready.samples, clock, note=self._note, note_disk=note_disk)
        self._quality = QualityKeeper(self._run, self._model, note=self._note, note_disk=note_disk)
        self._quality_gap = seconds_before_first_measurement()
        self._quality_due = 0.0
        self._health = Health(self._config, self._rate_factor)
        self._alarms: tuple[Alarm, ...] = ()
        self._has_stepped = False
        self._goes_back = False
        self._roll_backs = RollBacks()

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
        """Train until there is a reason to end; closing it saves.

        Raises:
            EngineError: As `train`.
        """
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
            self._reporter.close()
            empty_caches(self._model.device)

    def _save_if_possible(self) -> None:
        """After memory has run out: nothing has moved while gradients were computed, so no step need be lost."""
        if self._saver.step == self._steps.step or not self._model.is_whole:
            return
        empty_caches(self._model.device)
        with contextlib.suppress(EngineError, OSError, MemoryError, RuntimeError):
            self._write_checkpoint()

    def _begin(self) -> Iterator[TrainEvent]:
        with disk_errors(self._run.folder):
            self._run.set_out()
        self._run.mark("resumed" if self._steps.step else "begun", step=self._steps.step)
        yield from self._tell(self._started())
        if self._saver.step is None:
            # What is on disk can be resumed from the first moment on.
            yield from self._tell(self._save_or_raise())
        yield from self._tell_notes()
        yield from self._draw_samples()
        if self._config.max_minutes is None or 60 * self._config.max_minutes >= _LONG_SITTING_SECONDS:
            yield from self._measure()
        else:
            self._quality_due = self._clock.seconds + seconds_before_first_measurement()

    def _go_on(self) -> Iterator[TrainEvent]:
        """Steps until there is a reason to end, with everything that the clock asks for in between."""
        reason: _Reason | None = None
        while reason is None:
            reason = self._end()
            problem = None if reason else self._steps.fetch()
            word = self._ranks.agree(self._word(reason, problem))
            if word != GO:
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
                if self._saver.step != self._steps.step:
                    self._save_or_raise()
                self._run.log(f"Stopped at step {self._steps.step}")
            finally:
                self._ranks.agree(STOP)
            raise
        except BaseException:
            self._ranks.agree(STOP)
            raise
        self._ranks.agree(BACK if self._goes_back else GO)
        if self._goes_back and self._ranks.count > 1:
            steps = self._steps
            self._ranks.share(
                plan_of(self._run, self._model, step=steps.step, plateau=steps.plateau, rate_factor=self._rate_factor)
            )

    def _between_steps(
        self, word: int, taken: Taken | None, reason: _Reason | None, problem: DataError | None
    ) -> Iterator[TrainEvent]:
        if taken is not None:
            if self._roll_backs.is_due(taken):
                yield from self._roll_back(BAD_STEPS)
                return
            self._note_left_out(taken)
            if taken.losses is not None:
                yield from self._tell(self._reporter.report(self._steps, taken.losses, self._seconds))
                self._health.take_losses(self._steps.step, taken.losses)
                yield from self._tell_health()
        yield from self._tell_notes()
        if word & NO_PICTURES:
            # The pictures have gone, not the training.
            self._save_or_raise()
            raise problem or DataError(
                "Another process of this training cannot read its pictures any more, so it ended, saved. Bring them "
                "back, then resume the training."
            )
        if reason is not None:
            yield from self._finish(reason)
            return
        if word & SAMPLES:
            yield from self._draw_samples()
        if word & SAVE:
            yield from self._save()
            if self._goes_back:
                return
        if word & QUALITY or (word & SAVE and self._clock.seconds >= self._quality_due - self._quality_gap / 2):
            yield from self._measure()
        if word & NEW_SIZE:
            yield from self._tell(Preparing("Preparing the GPU for the first step of this size"))

    def _finish(self, reason: _Reason) -> Iterator[TrainEvent]:
        yield from self._draw_samples(is_last=True)
        try:
            saved = self._save_or_raise()
        except DivergedError:
            yield from self._roll_back(BAD_WEIGHTS)
            return
        yield from self._tell(saved)
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
            (REPORT if now >= self._reporter.due and step != self._reporter.step else 0)
            | (SAMPLES if now >= self._samples.due else 0)
            | (SAVE if now >= self._saver.due and step != self._saver.step else 0)
            | (QUALITY if self._is_quality_due(now) else 0)
            | (END if reason else 0)
            | (NO_PICTURES if problem else 0)
            | (NEW_SIZE if self._steps.is_new_to_gpu else 0)
        )

    @property
    def _seconds(self) -> float:
        return self._seconds_before + self._clock.seconds

    def _tell(self, event: TrainEvent) -> Iterator[TrainEvent]:
        self._reporter.log(event, self._steps.step)
        return self._clock.tell(event)

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
            can_measure_again=measures(config, run.choices),
        )

    def _note_left_out(self, taken: Taken) -> None:
        self._roll_backs.note_step(self._steps.step)
        if taken.left_out:
            self._notes.append(left_out_sentence(self._steps.step, taken.left_out))

    def _roll_back(self, why: str) -> Iterator[TrainEvent]:
        """Go on from the newest good checkpoint with a lower rate.

        Args:
            why: What has gone wrong, for `rolled_back_sentence`.

        Raises:
            DivergedError: That has been tried often enough.
            RunError: There is no checkpoint that can be read.
        """
        from_step = self._steps.step
        self._roll_backs.begin(from_step, self._run.choices.precision)
        self._steps.close()
        with training_errors(self._config, self._run.choices):
            restored = restore_checkpoint(self._run, self._model)
        # Not that of the checkpoint, which may be from before the last fall if the disk was full then.
        self._rate_factor *= RATE_FALL
        self._steps = self._steps_from(restored.step, restored.plateau)
        self._goes_back = True
        self._saver.step = restored.step
        self._reporter.go_back(restored.step)
        text = rolled_back_sentence(from_step, restored.step, self._rate_factor, why)
        self._run.log(text)
        self._run.cut_marks(restored.step)
        self._run.mark("rolled_back", text, step=restored.step)
        try:
            if damage := self._run.continue_losses(restored.step):
                self._note(damage)
            cut_quality(self._run.folder, restored.step)
            # With the lower rate, so that a resumed training keeps it.
            self._write_checkpoint()
        except OSError as error:
            self._saver.note_disk(error)
        self._quality.go_back()
        yield from self._tell(RolledBack(from_step, restored.step, self._rate_factor, text))
        self._health.take_roll_back(from_step, restored.step, self._rate_factor)
        yield from self._tell_health()

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
        yield from self._tell(self._samples.draw(self._steps.step, self._seconds, is_last=is_last))

    def _measure(self) -> Iterator[TrainEvent]:
        """Measure the quality, and keep the networks if they are saved and the best so far."""
        start, step = self._clock.seconds, self._steps.step
        if step == self._quality.step:
            return
        measured = yield from self._measured()
        now = self._clock.seconds
        self._quality_gap = seconds_between_measurements(now - start, self._seconds)
        self._quality_due = now + self._quality_gap
        self._quality.step = step
        if measured is None:
            return
        is_saved = step == self._saver.step
        yield from self._tell(self._quality.keep(measured, step, self._seconds, is_saved=is_saved))
        self._health.take_looks(step, measured.looks)
        yield from self._tell_health()

    def _measured(self) -> Generator[TrainEvent, None, Measured | None]:
        """The quality now. It takes up to a minute, and whoever wants to stop the training asks between two events."""
        measuring, told = self._quality.measure(), self._clock.seconds
        while True:
            try:
                next(measuring)
            except StopIteration as end:
                return cast("Measured | None", end.value)
            if self._clock.seconds >= told + reporter.REPORT_SECONDS:
                told = self._clock.seconds
                yield from self._tell(Preparing("Measuring the quality"))

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
        is_save_near = self._saver.due - now < self._quality_gap / 2
        return now >= self._quality_due and not is_save_near and self._steps.step != self._quality.step

    def _save(self) -> Iterator[TrainEvent]:
        """Save by the clock; a full disk is told and tried again, since the training itself is well."""
        try:
            saved = self._write_checkpoint()
        except DivergedError:
            yield from self._roll_back(BAD_WEIGHTS)
        except OSError as error:
            self._saver.try_again_later(error)
            yield from self._tell_notes()
        else:
            yield from self._tell(saved)

    def _note(self, text: str) -> None:
        self._notes.append(text)

    def _give_back_disk(self) -> bool:
        return self._steps.give_back_disk()

    def _save_or_raise(self) -> Saved:
        with disk_errors(self._run.folder):
            return self._write_checkpoint()

    def _write_checkpoint(self) -> Saved:
        return self._saver.save(self._steps, seconds=self._seconds, rate_factor=self._rate_factor)


def _devices_in_words(device: torch.device, count: int) -> str:
    return describe_device(device) if count == 1 else f"{count} x {describe_device(device)}"
