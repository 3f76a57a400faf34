"""When a training goes back to its last checkpoint, how often, and how that is told."""

from __future__ import annotations

from engine.errors import DivergedError
from engine.training.steps import Taken
from engine.words import counted

RATE_FALL = 0.5
"""What the learning rate is multiplied with each time."""

# So many steps in a row whose numbers are not finite are no accident: the training goes back, with a lower rate.
_BAD_ROW = 3
_MOST_ROLL_BACKS = 3

BAD_STEPS = f"the numbers were not finite for {_BAD_ROW} steps in a row or more"
BAD_WEIGHTS = "weights were not finite any more"
"""Why a training goes back."""


class RollBacks:
    """How often a training has gone back without getting past the step where numbers were last not finite."""

    def __init__(self) -> None:
        self._count = 0
        self._failed_step = 0

    def is_due(self, taken: Taken) -> bool:
        """Whether the steps just taken are no accident."""
        return taken.bad_row >= _BAD_ROW

    def note_step(self, step: int) -> None:
        """Forget what lies behind: the training has come to this step."""
        if step > self._failed_step:
            self._count = 0

    def begin(self, step: int, precision: str) -> None:
        """Count one more, from this step.

        Raises:
            DivergedError: That has been tried often enough.
        """
        self._failed_step = max(step, self._failed_step)
        self._count += 1
        if self._count > _MOST_ROLL_BACKS:
            raise DivergedError(_diverged(step, precision))


def rolled_back_sentence(from_step: int, step: int, rate_factor: float, why: str = BAD_STEPS) -> str:
    """That a training goes on from an earlier step."""
    return (
        f"At step {from_step:,} {why}, so the training went back to step {step:,} and goes on with {rate_factor:g} "
        "times the learning rate."
    )


def left_out_sentence(step: int, left_out: int) -> str:
    """That steps shortly before this one moved nothing."""
    were = "was left out, since its" if left_out == 1 else "were left out, since their"
    return (
        f"Shortly before step {step:,}, {counted(left_out, 'step')} {were} numbers were not "
        "finite; the training goes on as if nothing had been."
    )


def _diverged(step: int, precision: str) -> str:
    remedies = ["a lower learning rate"] + (["fp32"] if precision != "fp32" else [])
    return (
        f"At step {step:,} the numbers were not finite again, after the training had gone back "
        f"{_MOST_ROLL_BACKS} times with half the learning rate each time, so it was stopped. What is on disk is "
        f"sound: resume it with {' or '.join(remedies)}. If it happens again, look for damaged pictures."
    )
