"""Pictures with faults, for tests of the doctor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def photograph(seed: int, size: tuple[int, int] = (72, 64)) -> Image.Image:
    """Something with coarse and fine structure that looks like no other."""
    random = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells in (2, 4, 8, 16, 32):
        noise = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(noise.resize(size, Image.Resampling.BICUBIC), float) / cells**0.5
    total -= total.min()
    return Image.fromarray((total * (255 / total.max())).astype(np.uint8))


def photographs(folder: Path, count: int, first_seed: int, **options: object) -> Path:
    """A folder with so many of them, called 000.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        photograph(first_seed + number, **options).save(folder / f"{number:03}.png")  # type: ignore[arg-type]
    return folder
