"""What the trainer does about quality: it measures now and then, and keeps the networks of the best moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator

from engine.conversion.model_file import write_model
from engine.device import empty_caches
from engine.errors import OutOfMemoryError
from engine.events import QualityMeasured
from engine.model.cyclegan import CycleGAN
from engine.training.health import is_collapsed
from engine.training.measuring import Measured, QualityMeter
from engine.training.quality import append_quality, is_better, read_best, read_quality
from engine.training.run import Run
from engine.training.steps import training_errors


class QualityKeeper:
    """Measures the quality of a training under way, for one sitting.

    Attributes:
        step: The step that was measured last; None before the first, and after the training has gone back.
    """

    def __init__(
        self, run: Run, model: CycleGAN, *, note: Callable[[str], None], note_disk: Callable[[OSError], None]
    ) -> None:
        """A keeper.

        Args:
            run: Where.
            model: What is trained.
            note: Tells the user something.
            note_disk: Tells the user that nothing can be written.
        """
        self._run = run
        self._model = model
        self._note = note
        self._note_disk = note_disk
        self._meter: QualityMeter | None = QualityMeter(run.config, run.pictures)
        self._best = read_best(run.folder)
        history = read_quality(run.folder)
        self.step = history[-1].step if history else None

    def go_back(self) -> None:
        """Begin anew with what the run's folder holds now."""
        self.step = None
        self._best = read_best(self._run.folder)

    def measure(self) -> Generator[None, None, Measured | None]:
        """The quality now, batch by batch; None where it cannot be measured, which ends no training."""
        model = self._model
        if self._meter is None:
            return None
        try:
            with training_errors(self._run.config):
                measured = yield from self._meter.measuring(model.generators_for_use, model.device, model.precision)
        except OutOfMemoryError:
            empty_caches(model.device)
            measured = None
        if measured is None:
            self._meter = None
            self._note("The quality is not measured: there is too little memory for it, or no picture to read.")
        return measured

    def keep(self, measured: Measured, step: int, seconds: float, *, is_saved: bool) -> QualityMeasured:
        """Store what was measured, and the networks too if they are the best so far.

        Args:
            measured: What `measure` gave.
            step: Steps taken.
            seconds: Time spent on training so far, over all sittings.
            is_saved: Whether there is a checkpoint of this step.

        Returns:
            It, as the training tells it.
        """
        assert self._meter is not None
        quality = QualityMeasured(step, seconds, measured.directions, self._meter.held_out, step)
        # Only what a crash cannot take back can be the best: otherwise its step would be taken again.
        # Nor a generator that makes one good picture of everything, which the patches of a score may not show.
        is_whole = is_saved and not any(map(is_collapsed, measured.looks))
        if is_whole and is_better(quality, self._best):
            self._keep_best(quality)
        if self._best is not None:
            quality = dataclasses.replace(quality, best_step=self._best.step)
        try:
            append_quality(self._run.folder, quality)
        except OSError as error:
            self._note_disk(error)
        return quality

    def _keep_best(self, quality: QualityMeasured) -> None:
        model = self._model
        try:
            write_model(
                self._run.best,
                model.generators_for_use,
                self._run.config,
                steps=quality.step,
                discriminators={"D_A": model.D_A, "D_B": model.D_B},
            )
        except OSError as error:
            self._note_disk(error)
        else:
            self._best = quality
