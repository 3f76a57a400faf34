"""How long a training would take, measured by a few of its own steps."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from engine.config import TrainConfig
from engine.data.unpaired import UnpairedImages
from engine.device import describe_device, empty_caches
from engine.events import Estimated, EstimateEvent, Preparing
from engine.model.picture_tensors import unit_range
from engine.training.preparing import check_start, choose, find_pictures, make_model, ranks_of
from engine.training.schedule import growth, learning_rate, total_steps
from engine.training.steps import cache_bytes, training_errors

_WARM_UP_STEPS = 2
_MOST_STEPS = 20
_ENOUGH_SECONDS = 4.0
_SLOW_STEP_SECONDS = 4.0
_GROWTH_PARTS = 100


def estimate(config: TrainConfig) -> Iterator[EstimateEvent]:
    """Train a few steps in memory, on the real pictures, and write nothing.

    Of a training on several GPUs one is measured; they exchange gradients while they compute others.

    Yields:
        `Preparing`, and last `Estimated`.

    Raises:
        EngineError: As `train` would.
    """
    yield Preparing("Looking for pictures")
    check_start(config)
    pictures = find_pictures(config)
    yield Preparing("Measuring this machine")
    choices = choose(config)
    device = torch.device(choices.device)
    with training_errors(config):
        model = make_model(config, choices)
    images = UnpairedImages(
        pictures.train_A,
        pictures.train_B,
        config,
        cache_bytes=cache_bytes(device),
        ranks=ranks_of(config),
    )
    seconds: list[float] = []
    try:
        # More steps than a short training has are measured on other pictures, which changes nothing.
        for step in range(_WARM_UP_STEPS + _MOST_STEPS):
            with training_errors(config):
                batch = images.batch(step)
            start = time.perf_counter()
            with training_errors(config):
                losses = model.step(
                    unit_range(batch.real_A.to(device)),
                    unit_range(batch.real_B.to(device)),
                    first_number=batch.first_number,
                    learning_rate=learning_rate(config, 0),
                    number=step,
                )
                losses["G_AB"].item()  # Wait for the device.
            seconds.append(time.perf_counter() - start)
            yield Preparing("Measuring a few steps", step + 1, _WARM_UP_STEPS + _MOST_STEPS)
            if _enough(seconds):
                break
    finally:
        del model
        empty_caches(device)
    per_step = _typical(seconds)
    total = total_steps(config, images.steps_per_epoch)
    whole = total * per_step * _share_of_size(config, total, images.steps_per_epoch)
    if config.max_minutes is not None:
        whole = min(whole, 60 * config.max_minutes)
    yield Estimated(per_step, total, whole, describe_device(device), choices.precision)


def _share_of_size(config: TrainConfig, total: int, steps_per_epoch: int) -> float:
    """How long a step of a training that grows takes on average, as a share of one at its full size."""
    moments = (total * part // _GROWTH_PARTS for part in range(_GROWTH_PARTS))
    return sum(growth(config, step, steps_per_epoch) ** -2 for step in moments) / _GROWTH_PARTS


def _enough(seconds: list[float]) -> bool:
    warm_up = 1 if seconds[0] > _SLOW_STEP_SECONDS else _WARM_UP_STEPS
    measured = seconds[warm_up:]
    return bool(measured) and sum(measured) >= _ENOUGH_SECONDS


def _typical(seconds: list[float]) -> float:
    """The median of the steps after the warm-up."""
    warm_up = 1 if seconds[0] > _SLOW_STEP_SECONDS else _WARM_UP_STEPS
    measured = sorted(seconds[warm_up:])
    return measured[len(measured) // 2]
