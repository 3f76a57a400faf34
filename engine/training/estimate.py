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
from engine.training.schedule import learning_rate, total_steps
from engine.training.trainer import cache_bytes, choose, find_pictures, make_model, training_errors

_WARM_UP_STEPS = 2
_MOST_STEPS = 20
_ENOUGH_SECONDS = 4.0
_SLOW_STEP_SECONDS = 4.0


def estimate(config: TrainConfig) -> Iterator[EstimateEvent]:
    """Train a few steps in memory, on the real pictures, and write nothing.

    Yields:
        `Preparing`, and last `Estimated`.

    Raises:
        EngineError: As `train` would.
    """
    yield Preparing("Looking for pictures")
    pictures = find_pictures(config)
    yield Preparing("Measuring this machine")
    choices = choose(config)
    device = torch.device(choices.device)
    with training_errors(config):
        model = make_model(config, choices)
    images = UnpairedImages(
        pictures.train_A,
        pictures.train_B,
        size=config.size,
        load_size=config.load_size,
        batch_size=config.batch_size,
        seed=config.seed,
        cache_bytes=cache_bytes(device),
    )
    seconds: list[float] = []
    try:
        # More steps than a short training has are measured on other pictures, which changes nothing.
        for step in range(_WARM_UP_STEPS + _MOST_STEPS):
            batch = images.batch(step)
            start = time.perf_counter()
            with training_errors(config):
                losses = model.step(
                    unit_range(batch.real_A.to(device)),
                    unit_range(batch.real_B.to(device)),
                    first_number=batch.first_number,
                    learning_rate=learning_rate(config, 0),
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
    whole = total * per_step
    if config.max_minutes is not None:
        whole = min(whole, 60 * config.max_minutes)
    yield Estimated(per_step, total, whole, describe_device(device), choices.precision)


def _enough(seconds: list[float]) -> bool:
    warm_up = 1 if seconds[0] > _SLOW_STEP_SECONDS else _WARM_UP_STEPS
    measured = seconds[warm_up:]
    return bool(measured) and sum(measured) >= _ENOUGH_SECONDS


def _typical(seconds: list[float]) -> float:
    """The median of the steps after the warm-up."""
    warm_up = 1 if seconds[0] > _SLOW_STEP_SECONDS else _WARM_UP_STEPS
    measured = sorted(seconds[warm_up:])
    return measured[len(measured) // 2]
