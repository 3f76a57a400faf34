"""The CycleGAN engine: complete without a screen.

Importing this package imports next to nothing, so that a window is there soon; its names import what they need when
they are first used.

    for event in train(preset_config("quick", folder_A=a, folder_B=b, run=run)): ...
    for event in resume(run): ...
    for event in convert(ConvertJob(model=run, sources=(a,), to=out, direction="a2b")): ...
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.config import ConvertJob, Precision, TrainConfig, preset_config
    from engine.errors import EngineError
    from engine.events import ConvertEvent, EstimateEvent, TrainEvent

    __version__: str

__all__ = [
    "ConvertJob",
    "EngineError",
    "TrainConfig",
    "__version__",
    "convert",
    "estimate",
    "preset_config",
    "resume",
    "train",
]

# Threads that wait by spinning starve each other where other programs use the cores too: measured on two busy cores,
# sleeping ones made convolutions twice as fast. Read by OpenMP when torch is loaded, so it stands before that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOMES = {
    "ConvertJob": "engine.config",
    "TrainConfig": "engine.config",
    "preset_config": "engine.config",
    "EngineError": "engine.errors",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name == "__version__":
        value = _version()
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cyclegan-desktop")
    except PackageNotFoundError:  # Run from a checkout without installation.
        return "0.1.0"


def train(config: TrainConfig) -> Iterator[TrainEvent]:
    """Train a new model; see `engine.training.trainer.train`."""
    from engine.training.trainer import train as _train

    yield from _train(config)


def resume(
    run: Path,
    *,
    epochs: int | None = None,
    decay_epochs: int | None = None,
    max_steps: int | None = None,
    max_minutes: float | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    more_epochs: int | None = None,
    measure_again: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Iterator[TrainEvent]:
    """Go on with a training on disk; see `engine.training.trainer.resume`."""
    from engine.training.trainer import resume as _resume

    yield from _resume(
        run,
        epochs=epochs,
        decay_epochs=decay_epochs,
        max_steps=max_steps,
        max_minutes=max_minutes,
        device=device,
        precision=precision,
        more_epochs=more_epochs,
        measure_again=measure_again,
        changes=changes,
    )


def estimate(config: TrainConfig) -> Iterator[EstimateEvent]:
    """Measure how long a training would take; see `engine.training.estimate.estimate`."""
    from engine.training.estimate import estimate as _estimate

    yield from _estimate(config)


def convert(job: ConvertJob) -> Iterator[ConvertEvent]:
    """Convert pictures; see `engine.conversion.start.convert`."""
    from engine.conversion.start import convert as _convert

    yield from _convert(job)
