"""The numbers and pictures of a training for TensorBoard, in RUN/tensorboard; needs the extra `tensorboard`."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import TrainConfig
from engine.errors import ConfigError
from engine.events import DirectionQuality, QualityMeasured, RolledBack, SamplesDrawn, StepReport, TrainEvent
from engine.training.sheets import sheet_pixels

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER_NAME = "tensorboard"


def require_tensorboard(config: TrainConfig) -> None:
    """See that the package is there where these settings ask for it.

    Raises:
        ConfigError: It is not.
    """
    if config.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "tensorboard",
            'The log for TensorBoard needs its package: pip install "cyclegan-desktop[tensorboard]"; or train without '
            "it (--no-tensorboard).",
        )


class TensorboardLog:
    """Writes what is reported, as it is reported. What a resumed training takes anew is cut off."""

    def __init__(self, run: Path, step: int) -> None:
        """A log that goes on after `step`.

        Raises:
            OSError: The folder cannot be written.
        """
        self._folder = run / FOLDER_NAME
        self._writer = self._open(step)

    def take(self, event: TrainEvent) -> None:
        """Write what an event tells; most tell nothing.

        Raises:
            OSError: No space, the folder has gone. (Files are written a little later, so a later event may say so.)
        """
        match event:
            case StepReport():
                for name, value in dataclasses.asdict(event.losses).items():
                    self._writer.add_scalar(f"losses/{name}", value, event.step)
                self._writer.add_scalar("rate/learning rate", event.learning_rate, event.step)
                if event.steps_per_second > 0:
                    self._writer.add_scalar("rate/steps a second", event.steps_per_second, event.step)
                self._writer.add_scalar("rate/waiting for pictures", event.waiting, event.step)
            case QualityMeasured():
                self._writer.add_scalar("quality/score", event.score, event.step)
                for direction in event.directions:
                    self._add_quality(direction, event.step)
            case SamplesDrawn():
                for name in ("a2b", "b2a"):
                    if samples := [sample for sample in event.samples if sample.direction == name]:
                        pixels = sheet_pixels(samples)
                        self._writer.add_image(f"samples/{name}", pixels, event.step, dataformats="HWC")
                self._writer.flush()
            case RolledBack():
                self._writer.close()
                self._writer = self._open(event.step)
            case _:
                pass

    def close(self) -> None:
        """Write what is still to be written; a disk that is full by now stops nobody."""
        with contextlib.suppress(OSError):
            self._writer.close()

    def _open(self, step: int) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        # TensorBoard forgets what it has read of this step and later ones.
        return SummaryWriter(str(self._folder), purge_step=step + 1 if step else None)

    def _add_quality(self, quality: DirectionQuality, step: int) -> None:
        values = {
            "distance": quality.distance,
            "start line": quality.start_line,
            "finish line": quality.finish_line,
            "cycle error": quality.cycle_error,
        }
        scales = {
            f"distance at {scale} px": value for scale, value in zip(quality.scales, quality.distances, strict=True)
        }
        for name, value in (values | scales).items():
            self._writer.add_scalar(f"quality {quality.direction}/{name}", value, step)
