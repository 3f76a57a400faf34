"""Pictures on disk and trainings that are only events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.config import TrainConfig, preset_config
from engine.events import DirectionQuality, Losses, QualityMeasured, Sample, SamplesDrawn

MakePictures = Callable[[Path, int], Path]
MakeSamples = Callable[..., SamplesDrawn]


@pytest.fixture
def make_pictures() -> MakePictures:
    """Fills a folder with some small pictures."""

    def make(folder: Path, count: int) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", (24, 16), (40 * number % 256, 90, 120)).save(folder / f"{number}.png")
        return folder

    return make


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return preset_config(
        "quick",
        folder_A=tmp_path / "apples",
        folder_B=tmp_path / "oranges",
        run=tmp_path / "Trainings" / "run",
        name_A="Apples",
        name_B="Oranges",
    )


@pytest.fixture
def make_losses() -> Callable[[float], Losses]:
    return lambda value: Losses(*[value] * 8)


@pytest.fixture
def make_samples() -> MakeSamples:
    """Two samples a direction, of the given brightness."""

    def make(step: int = 1, brightness: int = 100, *, held_out: bool = True, name: str = "picture") -> SamplesDrawn:
        picture = np.full((8, 8, 3), brightness, np.uint8)
        samples = tuple(
            Sample(direction, Path(f"{name}_{direction}_{number}.png"), picture, picture, picture)
            for direction in ("a2b", "b2a")
            for number in range(2)
        )
        return SamplesDrawn(step, samples, held_out, ())

    return make


@pytest.fixture
def make_quality() -> Callable[..., QualityMeasured]:
    """A measurement with this mean distance from A to B; it is 1 more from B to A, and 2 more or less at a scale."""

    def make(
        step: int,
        distance: float,
        *,
        best_step: int | None = None,
        cycle_error: float = 0.1,
        held_out: bool = True,
        scales: tuple[int, int] = (64, 32),
    ) -> QualityMeasured:
        def around(mean: float) -> tuple[float, float]:
            return mean * 16 / 15, mean * 14 / 15

        a2b, b2a = (
            DirectionQuality(
                direction, scales, around(distance + more), around(25.0 + more), around(5.0 + more), cycle_error
            )
            for direction, more in (("a2b", 0.0), ("b2a", 1.0))
        )
        return QualityMeasured(step, step / 10, (a2b, b2a), held_out, best_step or step)

    return make
