from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from engine.config import TrainConfig
from engine.training.schedule import learning_rate, total_steps


def _config(**values: object) -> TrainConfig:
    return TrainConfig(folder_A=Path("a"), folder_B=Path("b"), run=Path("r"), **values)


def test_the_rate_is_constant_for_100_epochs_and_falls_linearly_over_100_more() -> None:
    config = _config()
    assert {learning_rate(config, epoch) for epoch in range(100)} == {2e-4}
    falling = [learning_rate(config, epoch) for epoch in range(99, 200)]
    steps = {round(a - b, 12) for a, b in itertools.pairwise(falling)}
    assert steps == {round(2e-4 / 101, 12)}
    assert falling[-1] == pytest.approx(2e-4 / 101)


def test_a_cap_on_steps_shortens_the_training_but_not_its_schedule() -> None:
    assert total_steps(_config(epochs=3, decay_epochs=1), 10) == 40
    capped = _config(epochs=3, decay_epochs=1, max_steps=25)
    assert total_steps(capped, 10) == 25
    assert learning_rate(capped, 3) == learning_rate(_config(epochs=3, decay_epochs=1), 3)
