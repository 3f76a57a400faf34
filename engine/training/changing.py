"""What a training that goes on does otherwise: settings, more epochs, other processes. Imports no torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from engine.config import CHANGEABLE, TrainConfig
from engine.errors import ConfigError, RunError
from engine.options import OPTIONS, Option
from engine.training.run import Choices, Run
from engine.training.schedule import growth, learning_rate, steps_per_epoch
from engine.words import counted, listed

_TITLES = {option.field: option.title for option in OPTIONS} | {
    "size": "Picture size",
    "epochs": "Epochs",
    "decay_epochs": "Decay epochs",
    "device": "Device",
}


def refuse_unchangeable(given: Mapping[str, Any]) -> None:
    """See that a training under way can go on with other values of these settings.

    Raises:
        ConfigError: Some belong to what it has become, or there is no such setting.
    """
    refused = [Option.flag_of(field) for field in given if field not in CHANGEABLE]
    if refused:
        raise ConfigError(
            "resume",
            f"A resumed training keeps what its networks are made of, so {', '.join(refused)} cannot be changed; only "
            f"--more-epochs, --max-minutes, {listed([Option.flag_of(field) for field in CHANGEABLE])} can.",
        )


def changed_config(
    run: Run, changes: Mapping[str, Any], *, max_minutes: float | None = None, more_epochs: int | None = None
) -> tuple[TrainConfig, list[str]]:
    """The settings for the rest of a training, and what the user should know about them.

    Args:
        run: The training.
        changes: Fields of `CHANGEABLE` with their new values. A `size` alone takes the load size and width with it.
        max_minutes: Cap on the minutes of the coming sitting.
        more_epochs: Epochs beyond those that it has; None for none.

    Raises:
        ConfigError: A change makes no sense.
    """
    refuse_unchangeable(changes)
    config = dataclasses.replace(run.config, max_minutes=max_minutes, **_with_sizes(run.config, changes))
    notices = []
    if more_epochs is not None:
        if more_epochs < 1:
            raise ConfigError("more_epochs", f"The number of more epochs is {more_epochs}; it must be at least 1.")
        config, notice = _with_more_epochs(run, config, more_epochs)
        notices.append(notice)
    cap, taken = run.config.max_steps, _steps_taken(run)
    if "max_steps" in changes or cap is None:
        return config, notices
    whole = config.total_epochs * _steps_per_epoch(run, run.config, run.choices) + run.choices.offset
    if cap < whole and (taken >= cap or more_epochs is not None):
        config = dataclasses.replace(config, max_steps=None)
        was = "was reached before" if taken >= cap else "is taken away"
        notices.append(f"Its cap of {cap:,} steps {was}; it now goes on to the end.")
    return config, notices


def _with_sizes(config: TrainConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, and where the size changes alone, the load size and the width in proportion."""
    given = dict(changes)
    size = given.get("size")
    if not isinstance(size, int) or size < 1 or size == config.size:
        return given
    given.setdefault("load_size", max(size, round(config.load_size * size / config.size)))
    if config.width is not None:
        multiple = config.architecture.multiple
        given.setdefault("width", max(1, round(config.width * size / config.size / multiple)) * multiple)
    return given


def _with_more_epochs(run: Run, config: TrainConfig, more: int) -> tuple[TrainConfig, str]:
    """More epochs, of which the same share as before has a falling rate.

    A training whose rate has begun to fall is at the full rate again at once, for its share of the new epochs.
    """
    old, epoch = config, _steps_per_epoch(run, run.config, run.choices)
    position = max(0, _steps_taken(run) - run.choices.offset)
    done = math.ceil(position / epoch)
    at_full_rate = round(more * old.epochs / old.total_epochs)
    epochs = max(old.epochs, min(done, old.total_epochs)) + at_full_rate
    total = max(old.total_epochs, done) + more
    # A training that is no longer small stays so.
    has_grown = old.grow_from is not None and growth(old, position, epoch) == 1
    config = dataclasses.replace(
        old,
        epochs=min(epochs, total),
        decay_epochs=total - min(epochs, total),
        grow_from=None if has_grown else old.grow_from,
    )
    before = learning_rate(old, max(0, min(done, old.total_epochs) - 1))
    after = learning_rate(config, min(done, total - 1))
    words = f"It goes on for {counted(more, 'more epoch')}, to {total:,} in all."
    if after > before:
        words += (
            f" The learning rate comes back from {before:.3g} to {after:.3g} at first, so results may get worse before "
            "they get better."
        )
    return config, words


def changes_in_words(old: TrainConfig, new: TrainConfig) -> str:
    """What a training does otherwise from here on: "Learning rate 0.0001 instead of 0.0002."; "" if nothing."""
    changed = [field for field in CHANGEABLE if getattr(old, field) != getattr(new, field)]
    words = [f"{_TITLES[field]} {_value(new, field)} instead of {_value(old, field)}" for field in changed]
    return f"{', '.join(words)}." if words else ""


def choices_at(run: Run, config: TrainConfig, choices: Choices, step: int) -> tuple[Choices, list[str]]:
    """As far into the schedule as before, though an epoch may have other steps; and a sentence if so.

    Args:
        run: The training, with its settings and choices as they were.
        config: The settings from here on.
        choices: The choices from here on, with the stored offset.
        step: Steps taken.
    """
    stored = run.choices
    old, new = _steps_per_epoch(run, run.config, stored), _steps_per_epoch(run, config, choices)
    if (choices.ranks, new) == (stored.ranks, old):
        return choices, []
    offset = step - (step - stored.offset) * new // old
    choices = dataclasses.replace(choices, offset=offset)
    if choices.ranks == stored.ranks:
        return choices, [
            f"With {counted(_at_once(config), 'picture')} a step, its epochs have {new:,} steps, not {old:,}."
        ]
    return choices, [
        f"This training had {_processes(stored.ranks)} and goes on with {_processes(choices.ranks)}, so its epochs "
        f"have {new:,} steps instead of {old:,}: the result will be as good, but not bit for bit the same."
    ]


def refuse_complete(run: Run, config: TrainConfig, choices: Choices, step: int) -> None:
    """See that there is something left to train.

    Raises:
        RunError: The schedule is done, or the cap on steps is reached.
    """
    epoch = _steps_per_epoch(run, config, choices)
    if step - choices.offset >= config.total_epochs * epoch:
        more = max(config.epochs, math.ceil((step - choices.offset) / epoch)) + max(1, config.epochs // 2)
        raise RunError(
            f"The training in {run.folder} is complete at {step:,} steps ({counted(config.total_epochs, 'epoch')}). "
            f'To train on, give a larger total: cyclegan train --resume "{run.folder}" --epochs {more}. Or give it '
            f"more, falling rate included: --more-epochs {max(1, config.total_epochs // 2)}."
        )
    if config.max_steps is not None and step >= config.max_steps:
        raise RunError(
            f"The training in {run.folder} has already taken {step:,} steps, and the cap is {config.max_steps:,}. "
            f"Give a larger one, such as --max-steps {2 * step}."
        )


def _value(config: TrainConfig, field: str) -> str:
    value = getattr(config, field)
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _at_once(config: TrainConfig) -> int:
    return config.batch_size * config.accumulate


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _steps_per_epoch(run: Run, config: TrainConfig, choices: Choices) -> int:
    return steps_per_epoch(config, len(run.pictures.train_A), len(run.pictures.train_B), choices.ranks)


def _steps_taken(run: Run) -> int:
    """Steps of the newest checkpoint, by its name."""
    names = [path.stem.removeprefix("step_") for path in run.checkpoints.glob("step_*.safetensors")]
    return max((int(name) for name in names if name.isdecimal()), default=0)
