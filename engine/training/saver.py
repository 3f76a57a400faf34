"""What the trainer does about checkpoints: when the clock asks for one, and what becomes of a disk that is full."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.conversion.space import is_full
from engine.errors import RunError
from engine.events import Saved
from engine.files import disk_sentence
from engine.model.cyclegan import CycleGAN
from engine.stopwatch import Stopwatch
from engine.training.checkpoint import save_checkpoint
from engine.training.run import Run
from engine.training.steps import Steps

# While nothing can be written: how often saving is tried again, and told.
_DISK_RETRY_SECONDS = 60.0


class Saver:
    """Saves a training under way, for one sitting.

    Attributes:
        step: The step of the newest checkpoint that can be gone back to; None before the first.
        due: When the clock next asks for one, in seconds of this sitting.
    """

    def __init__(
        self,
        run: Run,
        model: CycleGAN,
        clock: Stopwatch,
        *,
        step: int | None,
        note: Callable[[str], None],
        give_back_disk: Callable[[], bool],
    ) -> None:
        """A saver.

        Args:
            run: Where.
            model: What is trained.
            clock: That of this sitting.
            step: The step that the sitting begins at, if it is saved.
            note: Tells the user something.
            give_back_disk: Frees what the training itself can spare on the run's disk; returns whether it has.
        """
        self.step = step
        self.due = clock.seconds + 60 * run.config.save_minutes
        self._run = run
        self._model = model
        self._clock = clock
        self._note = note
        self._give_back_disk = give_back_disk
        self._told = -math.inf

    def save(self, steps: Steps, *, seconds: float, rate_factor: float) -> Saved:
        """Write a checkpoint, after giving back what can be spared if the disk is full.

        Args:
            steps: Where the training is.
            seconds: Time spent on training so far, over all sittings.
            rate_factor: What the learning rate is multiplied with since the training has gone back.

        Returns:
            It, as the training tells it.

        Raises:
            OSError: The disk does not allow it.
        """
        try:
            checkpoint = self._write(steps, seconds, rate_factor)
        except OSError as error:
            # Pictures on disk only save time.
            if not (is_full(error) and self._give_back_disk()):
                raise
            checkpoint = self._write(steps, seconds, rate_factor)
        self.step = steps.step
        self.due = self._clock.seconds + 60 * self._run.config.save_minutes
        self._run.log(f"Saved step {steps.step}")
        self._run.mark("saved", step=steps.step)
        return Saved(steps.step, checkpoint, self._run.model)

    def try_again_later(self, error: OSError) -> None:
        """After `save` has failed: tell it, and let the clock ask again soon."""
        self.due = self._clock.seconds + _DISK_RETRY_SECONDS
        self.note_disk(error)

    def note_disk(self, error: OSError) -> None:
        """Tell now and then that nothing can be written; the training itself is well, and there may be room again."""
        if is_full(error) and self._give_back_disk():
            return
        now = self._clock.seconds
        if now >= self._told + _DISK_RETRY_SECONDS:
            self._told = now
            self._note(
                f"The training goes on, but it cannot be stored; saving is tried again every minute. "
                f"{disk_sentence(error, self._run.folder)}"
            )

    def _write(self, steps: Steps, seconds: float, rate_factor: float) -> Path:
        return save_checkpoint(
            self._run,
            self._model,
            step=steps.step,
            seconds=seconds,
            plateau=steps.plateau,
            rate_factor=rate_factor,
        )


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn an error of the disk into a sentence.

    Raises:
        RunError: That sentence.
    """
    try:
        yield
    except OSError as error:
        raise RunError(disk_sentence(error, folder)) from error
