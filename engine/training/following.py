"""What the processes of a training that only follow do: they take the steps that the first one decides on."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from engine.config import TrainConfig
from engine.device import choose_device, use_threads
from engine.model.cyclegan import CycleGAN
from engine.ranks import Ranks
from engine.training.preparing import make_model
from engine.training.run import Choices, Pictures, Run
from engine.training.schedule import PlateauState
from engine.training.steps import Steps, training_errors

# What the processes of a training agree on before each step: bits of one word. All that report, save or draw samples
# lets the others wait until rank 0 is ready.
GO, REPORT, SAMPLES, SAVE, END, NO_PICTURES, STOP, BACK = 0, 1, 2, 4, 8, 16, 32, 64
QUALITY, NEW_SIZE = 128, 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What all processes of a training must know before the first step, and rank 0 has found out."""

    config: TrainConfig
    choices: Choices
    pictures: Pictures
    step: int
    plateau: PlateauState | None
    rate_factor: float
    tensors: dict[str, Tensor]
    scaler: dict[str, Any]


def plan_of(run: Run, model: CycleGAN, *, step: int, plateau: PlateauState | None, rate_factor: float) -> Plan:
    """For the other processes; waits for the device."""
    tensors, scaler = model.state()
    return Plan(
        config=run.config,
        choices=run.choices,
        pictures=run.pictures,
        step=step,
        plateau=plateau,
        rate_factor=rate_factor,
        tensors={name: tensor.cpu() for name, tensor in tensors.items()},
        scaler=scaler,
    )


def follow(ranks: Ranks) -> None:
    """What every process but the first does.

    Raises:
        EngineError: Something went wrong in this process, or another one ended.
    """
    no_plan: Plan | None = None
    plan = ranks.share(no_plan)
    if plan is None:
        return
    config = plan.config
    choices = dataclasses.replace(plan.choices, device=str(choose_device(config.device)))
    use_threads(choices.threads)
    with training_errors(config, choices), ranks.losing_others():
        model = make_model(config, choices)
        model.load_state(plan.tensors, plan.scaler)
        model.use_ranks()
    # Wait until rank 0 has begun. (When it goes back, it is ready once it shares its plan.)
    word = ranks.agree(GO)
    while plan is not None:
        steps = Steps(
            model,
            config,
            choices,
            plan.pictures,
            ranks,
            step=plan.step,
            plateau=plan.plateau,
            rate_factor=plan.rate_factor,
        )
        with contextlib.closing(steps):
            goes_back = _follow_steps(steps, ranks, word)
        word = GO
        plan = ranks.share(no_plan) if goes_back else None
        if plan is not None:
            with training_errors(config, choices), ranks.losing_others():
                model.load_state(plan.tensors, plan.scaler)


def _follow_steps(steps: Steps, ranks: Ranks, word: int) -> bool:
    """Take the steps that the first process takes; returns whether it goes back to a checkpoint."""
    while not word & (END | NO_PICTURES | STOP):
        problem = steps.fetch()
        word = ranks.agree(GO if problem is None else NO_PICTURES)
        if word != GO:
            steps.take_losses()
            word |= ranks.agree(GO)
        if word & BACK:
            return True
        if problem is not None:
            raise problem
        if not word & (END | NO_PICTURES | STOP):
            steps.take()
    return False
