"""Pictures on disk and trainings that are only events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from engine.config import TrainConfig, preset_config
from engine.events import DirectionQuality, Losses, QualityMeasured, Sample, SamplesDrawn

# These are imported in the fixtures only: pytest reads this file also where Qt cannot be.
if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from cyclegan_desktop.settings import Settings
    from cyclegan_desktop.training.wizard import Devices, TrainingWizard
    from tests.desktop.training.wizards import FakeEstimate, FakeExamination, Wizard

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


@pytest.fixture
def estimate() -> FakeEstimate:
    from tests.desktop.training.wizards import FakeEstimate

    return FakeEstimate()


@pytest.fixture
def examine() -> FakeExamination:
    from tests.desktop.training.wizards import FakeExamination

    return FakeExamination()


@pytest.fixture
def make_wizard(
    qtbot: QtBot, settings: Settings, estimate: FakeEstimate, examine: FakeExamination
) -> Iterator[Callable[..., Wizard]]:
    from cyclegan_desktop.training.threads import ThreadKeeper
    from cyclegan_desktop.training.wizard import TrainingWizard
    from tests.desktop.training.wizards import Wizard

    keepers = [ThreadKeeper(), ThreadKeeper()]
    made: list[TrainingWizard] = []

    def make(devices: Devices | None = None) -> Wizard:
        dialog = TrainingWizard(
            settings,
            estimate=estimate,
            estimates=keepers[0],
            scans=keepers[1],
            list_devices=lambda: iter([devices or [("cpu", "Processor (CPU)")]]),
            examine=examine,
        )
        made.append(dialog)
        qtbot.addWidget(dialog)
        dialog.show()
        qtbot.waitExposed(dialog)
        return Wizard(dialog, qtbot)

    yield make
    for dialog in made:
        dialog.reject()
    qtbot.waitUntil(lambda: not any(keeper.running for keeper in keepers))


@pytest.fixture
def wizard(make_wizard: Callable[..., Wizard]) -> Wizard:
    return make_wizard()


@pytest.fixture
def folders(tmp_path: Path, make_pictures: MakePictures) -> tuple[Path, Path]:
    return make_pictures(tmp_path / "apples", 5), make_pictures(tmp_path / "oranges", 4)
