"""Other trainings that are drawn beside the one shown, to compare them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cyclegan_desktop.training.loss_history import LossHistory
from engine.events import QualityMeasured

MOST_OTHERS = 4

DASHES: tuple[tuple[float, ...], ...] = ((6, 3), (2, 2), (8, 2, 2, 2), (12, 4))
"""How the curves of each other run are broken, in widths of the pen."""


@dataclass(frozen=True, slots=True)
class OtherRun:
    """A training to compare with.

    Attributes:
        folder: The run.
        name: What it is called on screen.
        losses: Its losses.
        quality: What was measured of it, in the order of the steps.
    """

    folder: Path
    name: str
    losses: LossHistory
    quality: tuple[QualityMeasured, ...] = field(default=())
