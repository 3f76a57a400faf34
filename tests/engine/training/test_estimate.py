from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config import TrainConfig
from engine.errors import DataError
from engine.events import Estimated, Preparing
from engine.training import estimate as module
from engine.training.estimate import estimate


def test_the_estimate_multiplies_measured_steps_and_writes_nothing(
    tiny_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    config = tiny_config(epochs=10, decay_epochs=10)
    before = sorted(tmp_path.rglob("*"))
    *preparing, result = estimate(config)
    assert all(isinstance(event, Preparing) for event in preparing)
    assert isinstance(result, Estimated)
    assert result.total_steps == 120
    assert result.seconds_per_step > 0
    assert result.seconds == pytest.approx(120 * result.seconds_per_step)
    assert sorted(tmp_path.rglob("*")) == before


def test_slow_steps_are_measured_once_after_one_warm_up_and_the_median_counts() -> None:
    assert module._enough([9.0, 5.0])
    assert not module._enough([9.0])
    assert not module._enough([0.5, 0.1, 0.1])
    assert module._typical([9.0, 5.0]) == 5.0
    assert module._typical([3.0, 0.9, 0.2, 0.3, 0.1]) == 0.2


def test_a_cap_on_minutes_caps_the_estimate(tiny_config: Callable[..., TrainConfig]) -> None:
    *_, result = estimate(tiny_config(epochs=10**6, max_minutes=1))
    assert isinstance(result, Estimated)
    assert result.seconds == 60


def test_accumulation_makes_fewer_steps_and_growth_shorter_ones(tiny_config: Callable[..., TrainConfig]) -> None:
    *_, result = estimate(tiny_config(batch_size=2, accumulate=2, epochs=10, decay_epochs=10))
    assert isinstance(result, Estimated)
    assert result.total_steps == 40
    grows = tiny_config(grow_from=16, discriminator_layers=2)
    # Half of the first of two epochs at half the side, a quarter of the pixels.
    assert module._share_of_size(grows, 12, 6) == pytest.approx(0.25 * 0.25 + 0.75)
    assert module._share_of_size(tiny_config(), 12, 6) == 1


def test_folders_that_cannot_be_trained_are_refused_as_by_the_training(
    tiny_config: Callable[..., TrainConfig],
) -> None:
    config = tiny_config()
    for path in config.folder_A.iterdir():
        path.unlink()
    with pytest.raises(DataError) as caught:
        list(estimate(config))
    assert caught.value.field == "folder_A"
