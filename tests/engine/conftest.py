"""What the engine's tests share: tiny folders of pictures and a training that takes milliseconds a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.config import TrainConfig


def draw_pictures(folder: Path, count: int, *, hue: int, size: int = 40) -> None:
    """Pictures of noise tinted by one channel, different in each file."""
    folder.mkdir(parents=True)
    for number in range(count):
        random = np.random.default_rng((hue, number))
        pixels = random.integers(0, 120, (size, size, 3), dtype=np.uint8)
        pixels[..., hue] += 120
        Image.fromarray(pixels).save(folder / f"{number:03}.png")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Six pictures of A, reddish, and five of B, bluish."""
    draw_pictures(tmp_path / "A", 6, hue=0)
    draw_pictures(tmp_path / "B", 5, hue=2)
    return tmp_path / "A", tmp_path / "B"


@pytest.fixture
def tiny_config(folders: tuple[Path, Path], tmp_path: Path) -> Callable[..., TrainConfig]:
    """Makes the configuration of a training of 12 steps on very small networks."""

    def make(**values: object) -> TrainConfig:
        defaults: dict[str, object] = {
            "folder_A": folders[0],
            "folder_B": folders[1],
            "run": tmp_path / "run",
            "name_A": "Reds",
            "name_B": "Blues",
            "size": 32,
            "load_size": 36,
            "blocks": 1,
            "channels": 4,
            "epochs": 1,
            "decay_epochs": 1,
            "pool_size": 3,
            "precision": "fp32",
            "device": "cpu",
        }
        return TrainConfig(**{**defaults, **values})

    return make


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """A training sets the number of threads for its process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
