from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LRScheduler,
    ReduceLROnPlateau,
    StepLR,
)

from engine.config import TrainConfig
from engine.training.schedule import PlateauState, growth, learning_rate, steps_per_epoch, total_steps


def _config(**values: object) -> TrainConfig:
    return TrainConfig(folder_A=Path("a"), folder_B=Path("b"), run=Path("r"), **values)


def _optimizer() -> Optimizer:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)


def test_the_rate_is_constant_for_100_epochs_and_falls_linearly_over_100_more() -> None:
    config = _config()
    assert {learning_rate(config, epoch) for epoch in range(100)} == {2e-4}
    falling = [learning_rate(config, epoch) for epoch in range(99, 200)]
    steps = {round(a - b, 12) for a, b in itertools.pairwise(falling)}
    assert steps == {round(2e-4 / 101, 12)}
    assert falling[-1] == pytest.approx(2e-4 / 101)


@pytest.mark.parametrize(
    ("schedule", "scheduler"),
    [
        # As the reference makes them for 4 epochs and 3 of decay.
        ("linear", lambda o: LambdaLR(o, lambda epoch: 1.0 - max(0, epoch + 1 - 4) / float(3 + 1))),
        ("step", lambda o: StepLR(o, step_size=2, gamma=0.1)),
        ("cosine", lambda o: CosineAnnealingLR(o, T_max=7, eta_min=0)),
        ("constant", lambda o: LambdaLR(o, lambda epoch: 1.0)),
        ("plateau", lambda o: LambdaLR(o, lambda epoch: 1.0)),
    ],
)
def test_each_schedule_is_that_of_torch(schedule: str, scheduler: Callable[[Optimizer], LRScheduler]) -> None:
    config = _config(schedule=schedule, epochs=4, decay_epochs=3, step_epochs=2)
    optimizer = _optimizer()
    torchs = scheduler(optimizer)
    for epoch in range(7):
        assert learning_rate(config, epoch) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        torchs.step()


def test_the_cosine_begins_at_the_full_rate_is_half_of_it_midway_and_would_end_at_zero() -> None:
    config = _config(schedule="cosine", epochs=5, decay_epochs=5)
    rates = [learning_rate(config, epoch) for epoch in range(11)]
    assert rates[0] == 2e-4
    assert rates[5] == pytest.approx(1e-4)
    assert rates[10] == pytest.approx(0, abs=1e-20)
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("seed", range(5))
def test_the_plateau_is_that_of_torch_as_the_reference_sets_it(seed: int) -> None:
    optimizer = _optimizer()
    torchs = ReduceLROnPlateau(optimizer, mode="min", factor=0.2, threshold=0.01, patience=5)
    state = PlateauState()
    random = torch.Generator().manual_seed(seed)
    rates = set()
    # Falling, then flat with noise: good epochs and bad ones, near the threshold too.
    for epoch in range(60):
        loss = float(max(0.6, 1 - 0.02 * epoch) + 0.02 * torch.rand((), generator=random))
        torchs.step(loss)
        state = state.after_epoch(loss)
        assert 2e-4 * state.factor == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        rates.add(state.factor)
    assert len(rates) > 3


def test_the_rate_falls_at_the_sixth_epoch_in_a_row_that_is_not_one_percent_better() -> None:
    state = PlateauState().after_epoch(1.0)
    for _ in range(5):
        state = state.after_epoch(0.995)
        assert state.factor == 1
    assert state.after_epoch(0.98).bad_epochs == 0
    fallen = state.after_epoch(0.995)
    assert fallen.factor == 0.2
    assert (fallen.best, fallen.bad_epochs) == (1.0, 0)


def test_where_a_plateau_is_survives_being_stored() -> None:
    for state in (PlateauState(), PlateauState(0.2, 1 / 3, 4, 0.1 + 0.2, 7)):
        assert PlateauState(**json.loads(json.dumps(asdict(state)))) == state


def test_a_cap_on_steps_shortens_the_training_but_not_its_schedule() -> None:
    assert total_steps(_config(epochs=3, decay_epochs=1), 10) == 40
    capped = _config(epochs=3, decay_epochs=1, max_steps=25)
    assert total_steps(capped, 10) == 25
    assert learning_rate(capped, 3) == learning_rate(_config(epochs=3, decay_epochs=1), 3)


def test_an_epoch_has_fewer_steps_the_more_pictures_each_step_has() -> None:
    assert steps_per_epoch(_config(), 99, 120) == 120
    assert steps_per_epoch(_config(batch_size=4), 99, 121) == 31
    assert steps_per_epoch(_config(batch_size=4, accumulate=2), 99, 120) == 15
    assert steps_per_epoch(_config(batch_size=4, accumulate=2), 99, 121, ranks=3) == 6


def test_pictures_double_in_equal_shares_of_the_full_rate_epochs() -> None:
    config = _config(size=256, grow_from=64, epochs=30, decay_epochs=10)
    divisors = [growth(config, step, steps_per_epoch=10) for step in range(400)]
    assert divisors == [4] * 100 + [2] * 100 + [1] * 200


def test_without_growth_pictures_have_their_size_at_once() -> None:
    assert {growth(_config(), step, 10) for step in range(0, 2000, 100)} == {1}


def test_the_last_share_of_a_growth_that_does_not_divide_is_the_longest_by_rounding_only() -> None:
    config = _config(size=128, load_size=128, grow_from=32, epochs=1, decay_epochs=1)
    divisors = [growth(config, step, steps_per_epoch=10) for step in range(20)]
    counts = [divisors[:10].count(divisor) for divisor in (4, 2, 1)]
    assert sum(counts) == 10
    assert max(counts) - min(counts) <= 1
    assert divisors == sorted(divisors, reverse=True)
    assert math.prod(divisors[10:]) == 1
