"""The losses of a whole training in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import numpy as np

from cyclegan_desktop.training.curve_history import CurveHistory
from engine.events import LOSS_NAMES, Losses
from engine.training.loss_table import read_loss_table

_Item = TypeVar("_Item")
_values = attrgetter(*LOSS_NAMES)


class LossHistory(CurveHistory):
    """The eight losses against steps, in the order of `LOSS_NAMES`."""

    def __init__(self, smoothing: float = 0.9) -> None:
        super().__init__(LOSS_NAMES, smoothing)

    def append(self, step: int, losses: Losses) -> None:
        """Add the newest point."""
        self.append_values(step, _values(losses))

    @classmethod
    def of(cls, points: Iterable[tuple[int, Losses]], smoothing: float = 0.9) -> LossHistory:
        """The history of these points, in order of their steps. Meant for a worker thread: there may be millions."""
        history = cls(smoothing)
        # In portions, since one long call into numpy would keep every other thread waiting.
        for portion in _portions(points, 2000):
            history.extend([step for step, _ in portion], np.array([_values(losses) for _, losses in portion]).T)
        return history

    @classmethod
    def read(cls, folder: Path, smoothing: float = 0.9) -> LossHistory:
        """The history of a run on disk; empty where there is none. Meant for a worker thread."""
        history = cls(smoothing)
        for steps, values in read_loss_table(folder):
            history.extend(steps, values)
        return history


def _portions(points: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(points)
    while portion := list(islice(iterator, size)):
        yield portion
