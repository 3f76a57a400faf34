"""Time as functions: the learning rate and the length of a training."""

from __future__ import annotations

import math

from engine.config import TrainConfig


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """Adam's rate in an epoch, from 0: constant for `epochs`, then falling linearly to 0 over `decay_epochs`.

    The factor is 1 - max(0, epoch + 1 - epochs) / (decay_epochs + 1), as in the reference (Sec. 4 of the paper).
    """
    return config.learning_rate * (1 - max(0, epoch + 1 - config.epochs) / (config.decay_epochs + 1))


def steps_per_epoch(config: TrainConfig, count_A: int, count_B: int) -> int:
    """Steps of an epoch, which is max(|A|, |B|) pictures of each side; the last step may have fewer pictures."""
    return math.ceil(max(count_A, count_B) / config.batch_size)


def total_steps(config: TrainConfig, steps_per_epoch: int) -> int:
    """Steps of the whole schedule, or `max_steps` if that is fewer."""
    steps = config.total_epochs * steps_per_epoch
    return steps if config.max_steps is None else min(steps, config.max_steps)
