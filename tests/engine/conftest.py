"""What the engine's tests share: tiny folders of pictures and a training that takes milliseconds a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.config import TrainConfig
from engine.training import patches

_THREADS = torch.get_num_threads()


def draw_pictures(folder: Path, count: int, *, hue: int, size: int = 40) -> None:
    """Pictures of noise tinted by one channel, different in each file."""
    folder.mkdir(parents=True)
    for number in range(count):
        random = np.random.default_rng((hue, number))
        pixels = random.integers(0, 120, (size, size, 3), dtype=np.uint8)
        pixels[..., hue] += 120
        Image.fromarray(pixels).save(folder / f"{number:03}.png")


def draw_folders(folder: Path) -> tuple[Path, Path]:
    """Six pictures in A, reddish, and five in B, bluish."""
    draw_pictures(folder / "A", 6, hue=0)
    draw_pictures(folder / "B", 5, hue=2)
    return folder / "A", folder / "B"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Six pictures of A, reddish, and five of B, bluish."""
    return draw_folders(tmp_path)


def make_tiny_config(folder: Path, **values: object) -> TrainConfig:
    """The configuration of a training of 12 steps on very small networks, of the pictures in A and B of a folder."""
    defaults: dict[str, object] = {
        "folder_A": folder / "A",
        "folder_B": folder / "B",
        "run": folder / "run",
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


@pytest.fixture
def tiny_config(folders: tuple[Path, Path], tmp_path: Path) -> Callable[..., TrainConfig]:
    """Makes such a configuration."""
    return partial(make_tiny_config, tmp_path)


@pytest.fixture(autouse=True)
def few_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coarse score, since a training of a few steps would spend most of its time on a fine one."""
    monkeypatch.setattr(patches, "_PATCHES", 256)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """A training sets the number of threads for its process."""
    yield
    torch.set_num_threads(_THREADS)
