from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from engine import device as device_module
from engine.config import TrainConfig
from engine.training.memory_remedies import memory_remedies, with_remedy

CPU = torch.device("cpu")


def changes(config: TrainConfig, precision: str = "fp32") -> list[dict[str, object]]:
    return [dict(remedy.changes) for remedy in memory_remedies(config, CPU, precision)]  # type: ignore[arg-type]


def test_what_leaves_the_result_as_it_is_comes_first(tiny_config: Callable[..., TrainConfig]) -> None:
    offered = changes(tiny_config(size=64, load_size=72, batch_size=4, channels=32))
    assert offered[0] == {"batch_size": 2, "accumulate": 2}
    assert offered[-2:] == [{"size": 32, "load_size": 36}, {"channels": 16}]


def test_one_after_the_other_can_be_taken_until_there_is_none(tiny_config: Callable[..., TrainConfig]) -> None:
    config = tiny_config(size=256, load_size=286, batch_size=8, channels=64)
    taken = 0
    while remedies := memory_remedies(config, CPU, "bf16"):
        config = with_remedy(config, remedies[0])
        taken += 1
        assert taken < 20
    assert config.batch_size == 1
    assert config.accumulate == 8
    assert config.size < 64
    assert config.channels == 16


def test_sixteen_bits_are_offered_where_the_device_is_good_at_them(
    tiny_config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    for has_units in (True, False):
        monkeypatch.setattr(device_module, "_has_bf16_units", lambda has_units=has_units: has_units)
        assert ({"precision": "bf16"} in changes(tiny_config())) is has_units
        assert {"precision": "bf16"} not in changes(tiny_config(), "bf16")


def test_nothing_is_offered_that_makes_no_sense(tiny_config: Callable[..., TrainConfig]) -> None:
    # Half of 32 px is less than a discriminator of 3 layers can judge.
    assert not any("size" in change for change in changes(tiny_config()))
    # Whole pictures are trained on one at a time, so their batch has no parts.
    assert not any("accumulate" in change for change in changes(tiny_config(preprocess="none")))
