"""The numbers of a training under way: losses, rate and time left, on the way to the user and to disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from engine.events import Losses, SamplesDrawn, StepReport, TrainEvent, TrainStarted
from engine.stopwatch import Stopwatch
from engine.training.run import Run
from engine.training.steps import Steps
from engine.training.tensorboard_log import TensorboardLog

REPORT_SECONDS = 0.25
"""Seconds between two reports."""

_RATE_REPORTS = 120


class Reporter:
    """Reports on the steps of a training under way, for one sitting.

    Attributes:
        due: When the clock next asks for a report, in seconds of this sitting.
    """

    def __init__(self, run: Run, clock: Stopwatch, *, step: int, note_disk: Callable[[OSError], None]) -> None:
        """A reporter.

        Args:
            run: Where.
            clock: That of this sitting.
            step: Steps taken before it.
            note_disk: Tells the user that nothing can be written.
        """
        self._run = run
        self._config = run.config
        self._clock = clock
        self._note_disk = note_disk
        self.due = 0.0
        # (step, seconds) of the last reports, half a minute of them, from which the rate is taken.
        self._recent = deque([(step, clock.seconds)], maxlen=_RATE_REPORTS)
        self._has_reported = False
        self._board: TensorboardLog | None = None

    @property
    def step(self) -> int:
        """Steps taken at the last report."""
        return self._recent[-1][0]

    def go_back(self, step: int) -> None:
        """Count from this step on."""
        self._recent.clear()
        self._recent.append((step, self._clock.seconds))

    def report(self, steps: Steps, losses: Losses, seconds: float) -> StepReport:
        """Numbers since the last report, stored.

        Args:
            steps: Where the training is.
            losses: Means since the last report.
            seconds: Time spent on training so far, over all sittings.
        """
        now = self._clock.seconds
        old_step, old_seconds = self._recent[0]
        rate = (steps.step - old_step) / max(now - old_seconds, 1e-9)
        waiting = steps.take_waiting() / max(now - self._recent[-1][1], 1e-9)
        is_first = not self._has_reported
        if is_first:
            # The first steps load libraries and tune kernels: the rate counts from here on.
            self._has_reported = True
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
            seconds=seconds,
            steps_per_second=0.0 if is_first else rate,
            seconds_left=left,
            learning_rate=steps.rate,
            losses=losses,
            waiting=min(1.0, waiting),
        )
        try:
            self._run.append_losses(report)
        except OSError as error:
            self._note_disk(error)
        self.due = now + REPORT_SECONDS
        return report

    def log(self, event: TrainEvent, step: int) -> None:
        """Write what the training tells at this step into TensorBoard's log, if it is to have one."""
        if not self._config.tensorboard:
            return
        try:
            if self._board is None:
                # After a full disk it is tried again, but not at every report.
                if not isinstance(event, TrainStarted | SamplesDrawn):
                    return
                self._board = TensorboardLog(self._run.folder, step)
            self._board.take(event)
        except OSError as error:
            self._board = None
            self._note_disk(error)

    def close(self) -> None:
        """Close TensorBoard's log."""
        if self._board is not None:
            self._board.close()
