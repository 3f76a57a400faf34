"""Saving a training whole and going on with it: atomic, verified, several generations."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from engine.conversion.model_file import write_model
from engine.device import is_out_of_memory
from engine.errors import DivergedError, ModelFileError, RunError
from engine.model.cyclegan import CycleGAN
from engine.tensor_file import read_tensors, write_tensors
from engine.training.run import Run, checkpoints_in
from engine.training.schedule import PlateauState

GENERATIONS = 3
"""Checkpoints kept: the newest may be on a failing disk, and the one before it may hold what went wrong."""


@dataclass(frozen=True, slots=True)
class Restored:
    """Where a training goes on.

    Attributes:
        step: Steps taken.
        seconds: Time spent on them.
        damaged: Newer checkpoints that could not be read, newest first; they are set aside under another name.
        plateau: Where the schedule "plateau" is; None for other schedules.
        rate_factor: What the learning rate is multiplied with since the training went back; 1 if it never did.
    """

    step: int
    seconds: float
    damaged: tuple[Path, ...]
    plateau: PlateauState | None
    rate_factor: float = 1.0


def save_checkpoint(
    run: Run,
    model: CycleGAN,
    *,
    step: int,
    seconds: float,
    plateau: PlateauState | None = None,
    rate_factor: float = 1.0,
) -> Path:
    """Write a new generation and the model file, then delete the oldest generations.

    Args:
        run: Where.
        model: What; of several ranks the first, whose pools stand for all.
        step: Steps taken.
        seconds: Time spent on them.
        plateau: Where the schedule "plateau" is; None for other schedules.
        rate_factor: What the learning rate is multiplied with since the training went back.

    Raises:
        DivergedError: A weight is not finite; nothing is written.
        OSError: No space, no permission, the folder has gone.
    """
    if not model.is_finite():
        raise DivergedError(
            f"At step {step:,} the training produced numbers that are not finite, so it was stopped and this state was "
            "not saved. Resume from the last checkpoint; if it happens again, use a lower learning rate or fp32."
        )
    tensors, scaler = model.state()
    path = run.checkpoints / f"step_{step:08d}.safetensors"
    metadata = {"kind": "cyclegan-desktop checkpoint", "format_version": "1", "step": str(step)}
    metadata |= {"seconds": repr(seconds), "scaler": json.dumps(scaler)}
    if rate_factor != 1:
        metadata["rate_factor"] = repr(rate_factor)
    if plateau is not None:
        metadata["plateau"] = json.dumps(dataclasses.asdict(plateau))
    write_tensors(path, tensors, metadata)
    write_model(run.model, model.generators_for_use, run.config, steps=step)
    for old in checkpoints_in(run.folder)[GENERATIONS:]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def restore_checkpoint(run: Run, model: CycleGAN) -> Restored:
    """Load the newest checkpoint that is whole.

    Raises:
        RunError: There is none.
        RuntimeError: The memory ran out; see `is_out_of_memory`.
    """
    damaged: list[Path] = []
    for path in checkpoints_in(run.folder):
        try:
            tensors, metadata = read_tensors(path)
            model.load_state(tensors, json.loads(metadata["scaler"]))
            plateau = PlateauState(**json.loads(metadata["plateau"])) if "plateau" in metadata else None
            restored = Restored(
                step=int(metadata["step"]),
                seconds=float(metadata["seconds"]),
                damaged=tuple(damaged),
                plateau=plateau,
                rate_factor=float(metadata.get("rate_factor", 1)),
            )
            _set_aside(damaged)
            return restored
        except (ModelFileError, RuntimeError, KeyError, ValueError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            damaged.append(path)
    if damaged:
        names = ", ".join(path.name for path in damaged)
        raise RunError(f"None of the checkpoints in {run.checkpoints} can be read ({names}); start a new training.")
    raise RunError(f"{run.folder} has no checkpoint yet, so there is nothing to resume; start a new training.")


def _set_aside(damaged: list[Path]) -> None:
    """Rename checkpoints that cannot be read, so that they take no place among the generations that are kept."""
    for path in damaged:
        with contextlib.suppress(OSError):
            path.replace(path.with_name(f"{path.name}.damaged"))
