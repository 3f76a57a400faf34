"""What needs less memory, the mildest first: for an estimate that does not fit, and for a training that ran out."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from engine.config import TrainConfig
from engine.device import ChosenPrecision, lower_precision
from engine.errors import ConfigError
from engine.remedies import Remedy

_LEAST_CHANNELS = 16


def memory_remedies(config: TrainConfig, device: torch.device, precision: ChosenPrecision) -> tuple[Remedy, ...]:
    """Settings that need less memory than these, those first that change the result least.

    Each stands by itself; who needs more takes one, then asks again with what it gives.

    Args:
        config: The settings that need too much.
        device: Where they are trained.
        precision: That in which they are, which `config` may leave open.
    """
    offered = (
        _in_parts(config),
        # The same numbers, for some more time.
        _turned_on(config, "recompute", "Recompute activations", "The same result; steps take about a third longer."),
        _turned_on(config, "per_direction", "One direction at a time", "The same result; steps take a little longer."),
        _precision(config, device, precision),
        _smaller(config),
        _narrower(config),
    )
    return tuple(remedy for remedy in offered if remedy is not None and _makes_sense(config, remedy))


def with_remedy(config: TrainConfig, remedy: Remedy) -> TrainConfig:
    """The settings with what a remedy changes.

    Raises:
        ConfigError: They make no sense together.
    """
    return dataclasses.replace(config, **dict(remedy.changes))


def _in_parts(config: TrainConfig) -> Remedy | None:
    if config.batch_size < 2:
        return None
    batch, accumulate = config.batch_size // 2, config.accumulate * 2
    if batch * accumulate != config.batch_size * config.accumulate:
        return None
    return Remedy(
        f"Batches of {batch} instead of {config.batch_size}",
        (("batch_size", batch), ("accumulate", accumulate)),
        hint=f"The same result: the gradients of {accumulate} batches make one step. Steps take longer.",
    )


def _turned_on(config: TrainConfig, field: str, text: str, hint: str) -> Remedy | None:
    return Remedy(text, ((field, True),), hint=hint) if getattr(config, field, None) is False else None


def _precision(config: TrainConfig, device: torch.device, precision: ChosenPrecision) -> Remedy | None:
    lower = lower_precision(device, config.generator) if precision == "fp32" else None
    if lower is None:
        return None
    words = {"bf16": "bfloat16", "fp16": "16 bits"}[lower]
    return Remedy(
        f"Precision: {words}",
        (("precision", lower),),
        hint="Activations take half the memory; results are hardly ever told apart.",
    )


def _smaller(config: TrainConfig) -> Remedy | None:
    multiple = config.architecture.multiple
    size = config.size // 2 // multiple * multiple
    if size <= 0:
        return None
    changes: dict[str, Any] = {"size": size, "load_size": max(size, round(config.load_size * size / config.size))}
    if config.width is not None:
        changes["width"] = config.width // 2 // multiple * multiple
    if config.grow_from is not None:
        changes["grow_from"] = None
    words = f"{size} px" if config.width is None else f"{changes['width']} x {size} px"
    return Remedy(
        f"Pictures of {words}",
        tuple(changes.items()),
        hint="About a quarter of the memory and of the time; the model knows pictures of that size.",
    )


def _narrower(config: TrainConfig) -> Remedy | None:
    if config.channels < 2 * _LEAST_CHANNELS or config.start_from is not None:
        return None
    return Remedy(
        f"{config.channels // 2} channels",
        (("channels", config.channels // 2),),
        begins_anew=True,
        hint="Networks half as wide: about half the memory. They learn less.",
    )


def _makes_sense(config: TrainConfig, remedy: Remedy) -> bool:
    try:
        with_remedy(config, remedy)
    except ConfigError:
        return False
    return True
