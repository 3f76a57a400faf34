"""What the trainer does for each moment beside its samples: it stores the networks, and thins what is too many."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.conversion.model_file import DISCRIMINATORS, write_model
from engine.events import Moment
from engine.model.cyclegan import CycleGAN
from engine.training.moments import DamagedStarsError, has_room_for_a_model, model_file, read_moments, thin_run
from engine.training.run import Run

# Models take at most a twentieth of the time, as samples do.
_SHARE = 20.0


class MomentKeeper:
    """Keeps the moments of a training under way bounded, for one sitting."""

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
        self._due = 0.0
        self._told = False

    def keep(self, step: int, *, is_last: bool) -> tuple[Moment, ...]:
        """Store the networks as they are now where that costs little, and thin what there is.

        Args:
            step: Steps taken; its sheets are on disk.
            is_last: Whether the training ends here; its networks are then stored in any case.

        Returns:
            All moments that are kept now.
        """
        folder = self._run.folder
        try:
            # Nothing has been learnt before the first step.
            if step and (is_last or self._is_due(step)) and has_room_for_a_model(folder):
                self._write_model(step)
            return thin_run(folder, step)
        except DamagedStarsError as error:
            if not self._told:
                self._told = True
                self._note(str(error))
            return read_moments(folder)

    def _is_due(self, step: int) -> bool:
        # The networks of a moment that is drawn anew, after a crash, replace those that were there.
        return time.monotonic() >= self._due or model_file(self._run.folder, step).exists()

    def _write_model(self, step: int) -> None:
        start = time.monotonic()
        path = model_file(self._run.folder, step)
        try:
            if self._model.is_finite():
                path.parent.mkdir(exist_ok=True)
                networks = self._model.networks
                write_model(
                    path,
                    self._model.generators_for_use,
                    self._run.config,
                    steps=step,
                    discriminators={name: networks[name] for name in DISCRIMINATORS},
                )
        except OSError as error:
            self._note_disk(error)
        now = time.monotonic()
        self._due = now + _SHARE * (now - start)
