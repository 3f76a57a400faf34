"""Time as functions: the learning rate, the length of a training, the size of its pictures. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.config import TrainConfig

_STEP_FACTOR = 0.1

# As the reference sets torch's ReduceLROnPlateau.
_PLATEAU_FACTOR = 0.2
_PLATEAU_THRESHOLD = 0.01
_PLATEAU_PATIENCE = 5


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """Adam's rate in an epoch, from 0; for "plateau" before what its state makes of it.

    - "linear": constant for `epochs`, then falling linearly to 0 over `decay_epochs`; the factor is
      1 - max(0, epoch + 1 - epochs) / (decay_epochs + 1), as in the reference (Sec. 4 of the paper).
    - "step": a tenth of it after every `step_epochs`.
    - "cosine": half a wave from the full rate to 0 over all epochs (Loshchilov and Hutter 2017, without restarts).
    - "plateau", "constant": the full rate.
    """
    if config.schedule == "linear":
        factor = 1 - max(0, epoch + 1 - config.epochs) / (config.decay_epochs + 1)
    elif config.schedule == "step":
        factor = _STEP_FACTOR ** (epoch // config.step_epochs)
    elif config.schedule == "cosine":
        factor = (1 + math.cos(math.pi * epoch / config.total_epochs)) / 2
    else:
        factor = 1.0
    return config.learning_rate * factor


@dataclass(frozen=True, slots=True)
class PlateauState:
    """Where the schedule "plateau" is: the rate falls to a fifth when the cycle loss no longer does.

    An epoch is good if its mean cycle loss (A and B together) lies more than 1% below the best so far. After 5 bad
    epochs in a row, the next bad one makes the rate fall, and counting begins anew.

    Attributes:
        factor: What the rate is multiplied with.
        best: The lowest mean cycle loss of an epoch so far.
        bad_epochs: Bad epochs in a row.
        loss_sum: The cycle losses of the epoch under way, summed over its steps.
        steps: How many these are.
    """

    factor: float = 1.0
    best: float = math.inf
    bad_epochs: int = 0
    loss_sum: float = 0.0
    steps: int = 0

    def after_epoch(self, cycle_loss: float) -> PlateauState:
        """Where it is at the end of an epoch with this mean cycle loss."""
        if cycle_loss < self.best * (1 - _PLATEAU_THRESHOLD):
            return PlateauState(self.factor, cycle_loss)
        if self.bad_epochs < _PLATEAU_PATIENCE:
            return PlateauState(self.factor, self.best, self.bad_epochs + 1)
        return PlateauState(self.factor * _PLATEAU_FACTOR, self.best)


def steps_per_epoch(config: TrainConfig, count_A: int, count_B: int, ranks: int = 1) -> int:
    """Steps of an epoch, which is max(|A|, |B|) pictures of each side; the last step may have fewer pictures.

    Args:
        config: The training.
        count_A: Training pictures of A.
        count_B: Training pictures of B.
        ranks: Processes that share each step.
    """
    return math.ceil(max(count_A, count_B) / (config.batch_size * config.accumulate * ranks))


def total_steps(config: TrainConfig, steps_per_epoch: int, offset: int = 0) -> int:
    """Steps of the whole schedule, or `max_steps` if that is fewer.

    Args:
        config: The training.
        steps_per_epoch: Steps of one epoch.
        offset: What `Choices.offset` says.
    """
    steps = config.total_epochs * steps_per_epoch + offset
    return steps if config.max_steps is None else min(steps, config.max_steps)


def growth(config: TrainConfig, step: int, steps_per_epoch: int) -> int:
    """By how much pictures are smaller than `size` at a step, from 0: 1, 2, 4 and so on.

    A training with `grow_from` begins there, and doubles its size in equal shares of the full-rate epochs.
    """
    full_rate = config.epochs * steps_per_epoch
    if config.grow_from is None or step >= full_rate:
        return 1
    doublings = (config.size // config.grow_from).bit_length() - 1
    stage = step * (doublings + 1) // full_rate
    return int(2 ** (doublings - stage))
