from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.config import TrainConfig
from engine.training.measuring import Measured, QualityMeter
from engine.training.patches import PatchDistance, scales_of
from engine.training.preparing import find_pictures
from tests.engine.conftest import draw_pictures

CPU = torch.device("cpu")
MakeConfig = Callable[..., TrainConfig]


@pytest.fixture(autouse=True)
def few_patches() -> None:
    """Here all patches count: scores are judged."""


def landscapes(count: int, seed: int, *, size: int = 32) -> Tensor:
    """Smooth pictures with some grain, [N, 3, size, size] in [-1, 1]."""
    random = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.rand(count, 3, 5, 5, generator=random) * 1.4 - 0.7, size=size, mode="bicubic")
    return (coarse + 0.1 * torch.randn(coarse.shape, generator=random)).clamp(-1, 1)


def measure(config: TrainConfig, a2b: Callable[[Tensor], Tensor], b2a: Callable[[Tensor], Tensor]) -> Measured:
    meter = QualityMeter(config, find_pictures(config))
    measured = meter.measure({"a2b": a2b, "b2a": b2a}, CPU, "fp32")  # type: ignore[dict-item]
    assert measured is not None
    return measured


def nothing(pictures: Tensor) -> Tensor:
    return pictures


def to_blue(pictures: Tensor) -> Tensor:
    return pictures.flip(1)


def test_the_same_pictures_are_at_no_distance_and_others_of_their_kind_near() -> None:
    real = landscapes(40, 0)
    distance = PatchDistance(real, seed=0)
    assert distance.to(real) == (0.0, 0.0)
    assert max(distance.to(landscapes(40, 1))) < 0.3 * min(distance.to(torch.rand(40, 3, 32, 32) * 2 - 1))
    assert distance.to(landscapes(40, 1)) == PatchDistance(real, seed=0).to(landscapes(40, 1))
    assert distance.to(landscapes(40, 1)) != PatchDistance(real, seed=1).to(landscapes(40, 1))


def test_a_blur_shows_at_the_finest_scale_and_a_tint_at_the_coarsest() -> None:
    real, other = landscapes(40, 0), landscapes(40, 1)
    distance = PatchDistance(real, seed=0)
    honest, blurred, tinted = (distance.to(each) for each in (other, F.avg_pool2d(other, 3, 1, 1), other + 0.3))
    assert blurred[0] > 5 * honest[0] and blurred[1] < 3 * honest[1]
    assert tinted[0] < 1.1 * honest[0] and tinted[1] > 3 * honest[1]


def test_pictures_are_halved_down_to_sixteen_pixels() -> None:
    assert scales_of(256, 512) == (256, 128, 64, 32, 16)
    assert scales_of(36, 36) == (36, 18)
    odd = landscapes(4, 0, size=36)
    assert len(PatchDistance(odd, seed=0).to(odd)) == 2


def test_untranslated_pictures_score_the_start_line_and_a_good_translation_nears_the_finish(
    tiny_config: MakeConfig,
) -> None:
    untranslated = measure(tiny_config(), nothing, nothing)
    for quality in untranslated.directions:
        assert quality.distances == pytest.approx(quality.start) and quality.cycle_error == 0
        assert quality.start[-1] > 3 * quality.finish[-1] > 0 and quality.start_line > quality.finish_line
    translated = measure(tiny_config(), to_blue, to_blue)
    for quality in translated.directions:
        assert quality.distances[-1] < 0.5 * quality.start[-1] and quality.distance < 0.7 * quality.start_line
    half = measure(tiny_config(), to_blue, nothing).directions
    assert half[0].distance < 0.7 * half[0].start_line and half[1].distance == half[1].start_line
    assert half[0].cycle_error > 0.3


def test_trained_on_pictures_are_measured_and_said_to_be_where_nothing_is_held_out(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    assert not QualityMeter(tiny_config(), find_pictures(tiny_config())).held_out
    for name, hue in (("testA", 0), ("testB", 2)):
        draw_pictures(tmp_path / name, 3, hue=hue)
    config = tiny_config(test_A=tmp_path / "testA", test_B=tmp_path / "testB")
    assert QualityMeter(config, find_pictures(config)).held_out


@pytest.mark.parametrize("values", [{"grey_A": True}, {"grey_A": True, "grey_B": True}, {"preprocess": "none"}])
def test_grey_and_whole_pictures_are_measured_too(tiny_config: MakeConfig, values: dict[str, Any]) -> None:
    config = tiny_config(**values)

    def spread(pictures: Tensor) -> Tensor:
        return pictures.mean(1, keepdim=True).expand(-1, 1 if config.grey_B else 3, -1, -1)

    def narrow(pictures: Tensor) -> Tensor:
        return pictures.mean(1, keepdim=True).expand(-1, 1 if config.grey_A else 3, -1, -1)

    measured = measure(config, spread, narrow)
    assert all(np.isfinite(quality.distance) for quality in measured.directions)


def test_pictures_that_cannot_be_read_are_left_out(tiny_config: MakeConfig, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "A" / f"{number:03}.png").write_bytes(b"no picture")
    assert measure(tiny_config(), nothing, nothing).directions[0].start_line > 0
    for path in (tmp_path / "A").iterdir():
        path.write_bytes(b"no picture")
    config = tiny_config()
    meter = QualityMeter(config, find_pictures(config))
    assert meter.measure({"a2b": nothing, "b2a": nothing}, CPU, "fp32") is None  # type: ignore[dict-item]


def test_a_little_blur_is_told_from_what_it_does_to_honest_pictures(tiny_config: MakeConfig) -> None:
    look = measure(tiny_config(), nothing, nothing).looks[0]
    assert look.change == 0 and look.likeness == pytest.approx(1, abs=1e-3) and look.cycle_error == 0
    assert look.disturbed_error == pytest.approx(look.honest_error, rel=0.5)
