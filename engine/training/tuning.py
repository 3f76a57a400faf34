"""How many threads of a processor are fastest here, measured once when a training begins.

Their number changes how sums are rounded, so the answer is stored with the training and kept; see
`docs/decisions/0015`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeVar

import torch

from engine.config import TrainConfig
from engine.device import autocast, empty_caches, is_out_of_memory, threads_to_try
from engine.events import Preparing
from engine.model.cyclegan import CycleGAN
from engine.model.layers import features_format
from engine.stopwatch import Stopwatch
from engine.training.run import Choices
from engine.words import counted

_Way = TypeVar("_Way")

MEASURING = "Measuring what is fastest here"

# Another way than the rule's must save this share of its time: what is nearly equal is decided by noise.
_LEAST_GAIN = 0.1
_ROUNDS = 2
# Passes of milliseconds take turns for so long.
_ENOUGH_SECONDS = 1.0
_TOLD_SECONDS = 0.25
# Pixels times channels of a batch; with less there are no differences to be found, only noise. (The quick preset has
# 500,000, the standard one 4 million.)
_LEAST_WORK = 100_000
# A shorter sitting spends its time on steps.
_LONG_SITTING_MINUTES = 1.0


def tuned(
    config: TrainConfig, choices: Choices, model: CycleGAN, clock: Stopwatch
) -> Generator[Preparing, None, Choices]:
    """The choices with what is fastest for this model on this machine; nothing is measured where it cannot matter.

    Measured are passes of one generator at the size that is trained on. They take less memory than a step, and neither
    weights, gradients, buffers, pools nor anything random change. Several processes on one processor keep the rule,
    since they would measure one another, and so does a GPU. The answer is put into effect.

    Args:
        config: The training that begins.
        choices: By rule, `preparing.choose`.
        model: Its model.
        clock: By which it tells how far it is.
    """
    ways = _ways(config, choices)
    if len(ways) < 2:
        return choices
    try:
        seconds = yield from _measured(ways, lambda way: _pass(model, way), clock)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        # The training itself will say so, with remedies.
        return choices
    finally:
        empty_caches(model.device)
        torch.set_num_threads(choices.threads)
    best = fastest(seconds)
    torch.set_num_threads(best.threads)
    return best


def measures(config: TrainConfig, choices: Choices) -> bool:
    """Whether there is anything to choose by measurement, on this device with these settings."""
    return len(_ways(config, choices)) > 1


def _ways(config: TrainConfig, choices: Choices) -> list[Choices]:
    """What is worth measuring against one another, that of the rule first."""
    height, width = config.crop_size
    minutes = config.max_minutes
    too_small = config.batch_size * height * width * config.channels < _LEAST_WORK
    if too_small or (minutes is not None and minutes < _LONG_SITTING_MINUTES):
        return [choices]
    if torch.device(choices.device).type != "cpu" or choices.ranks > 1:
        return [choices]
    return [dataclasses.replace(choices, threads=count) for count in threads_to_try()]


def tuning_in_words(rule: Choices, chosen: Choices) -> list[str]:
    """A sentence about what was chosen against the rule, if anything was."""
    if chosen.threads != rule.threads:
        threads = counted(chosen.threads, "thread")
        return [f"It trains with {threads}: measured here, that is faster than {rule.threads}."]
    return []


def fastest(seconds: Mapping[_Way, float]) -> _Way:
    """The way that takes the least time; the first one, unless another is clearly faster."""
    first = next(iter(seconds))
    best = min(seconds, key=lambda way: seconds[way])
    return best if seconds[best] <= (1 - _LEAST_GAIN) * seconds[first] else first


def _measured(
    ways: Sequence[_Way], act: Callable[[_Way], None], clock: Stopwatch
) -> Generator[Preparing, None, dict[_Way, float]]:
    """The least seconds of each way; all take turns, so that a busy moment is nobody's, and the first warms up."""
    least = dict.fromkeys(ways, float("inf"))
    spent, told, turn = 0.0, -_TOLD_SECONDS, 0
    while turn < _ROUNDS or spent < _ENOUGH_SECONDS:
        for way in ways:
            if spent >= told + _TOLD_SECONDS:
                told = spent
                yield from clock.tell(Preparing(MEASURING))
            start = time.perf_counter()
            act(way)
            seconds = time.perf_counter() - start
            least[way] = min(least[way], seconds)
            spent += seconds
        turn += 1
    return least


def _pass(model: CycleGAN, way: Choices) -> None:
    """What a step does most often, forward and back, in this way."""
    config = model.config
    torch.set_num_threads(way.threads)
    # In evaluation nothing is dropped and no statistics move; the next step sets it back.
    generator = model.G_AB.eval()
    weights = [weight for weight in generator.parameters() if weight.requires_grad]
    random = torch.Generator().manual_seed(0)
    shape = (config.batch_size, 1 if config.grey_A else 3, *config.crop_size)
    batch = (torch.rand(shape, generator=random) * 2 - 1).to(model.device, weights[0].dtype)
    with autocast(model.device, model.precision):
        result = generator(batch.contiguous(memory_format=features_format(model.device)))
    torch.autograd.grad(result.float().square().mean(), weights)
