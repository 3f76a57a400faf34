"""What the trainer does about samples: it draws the fixed pictures now and then, and keeps them with their moments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.config import Direction
from engine.events import SamplesDrawn
from engine.model.cyclegan import CycleGAN
from engine.stopwatch import Stopwatch
from engine.training.moment_keeper import MomentKeeper
from engine.training.rhythm import seconds_between_samples
from engine.training.run import Run, sample_folder
from engine.training.samples import FixedPicture, draw_samples
from engine.training.sheets import write_sheet
from engine.training.steps import training_errors

_DIRECTIONS: tuple[Direction, ...] = ("a2b", "b2a")


class SampleKeeper:
    """Draws the samples of a training under way, for one sitting.

    Attributes:
        due: When the clock next asks for them, in seconds of this sitting.
    """

    def __init__(
        self,
        run: Run,
        model: CycleGAN,
        pictures: list[FixedPicture],
        clock: Stopwatch,
        *,
        note: Callable[[str], None],
        note_disk: Callable[[OSError], None],
    ) -> None:
        """A keeper.

        Args:
            run: Where.
            model: What is trained.
            pictures: The fixed pictures.
            clock: That of this sitting.
            note: Tells the user something.
            note_disk: Tells the user that nothing can be written.
        """
        self._run = run
        self._model = model
        self._pictures = pictures
        self._clock = clock
        self._note_disk = note_disk
        self._moments = MomentKeeper(run, model, note=note, note_disk=note_disk)
        self.due = 0.0

    def draw(self, step: int, seconds: float, *, is_last: bool) -> SamplesDrawn:
        """Draw the samples as they are at this step, and store what there is room for.

        Args:
            step: Steps taken.
            seconds: Time spent on training so far, over all sittings.
            is_last: Whether the training ends here.

        Raises:
            EngineError: There is too little memory for them, or a picture cannot be read.
        """
        run, start = self._run, self._clock.seconds
        with training_errors(run.config, run.choices):
            samples = draw_samples(self._model, self._pictures)
        files: list[Path] = []
        for direction in _DIRECTIONS:
            chosen = [sample for sample in samples if sample.direction == direction]
            if chosen:
                try:
                    write_sheet(run.sheet(step, direction), chosen, sample_folder(run.config, direction))
                except OSError as error:
                    self._note_disk(error)
                else:
                    files.append(run.sheet(step, direction))
        now = self._clock.seconds
        self.due = now + seconds_between_samples(now - start, seconds + now - start)
        moments = self._moments.keep(step, is_last=is_last)
        return SamplesDrawn(step, samples, run.pictures.shows_held_out, tuple(files), moments)
