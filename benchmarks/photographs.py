"""Pictures of nothing in particular that compress like photographs, for benchmarks that are given none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def photograph(seed: int, size: tuple[int, int] = (256, 256)) -> Image.Image:
    """Coarse and fine structure, different for each seed.

    Args:
        seed: Which one.
        size: Width and height in pixels.
    """
    random = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3), np.float32)
    cells = 2
    while cells <= min(size):
        # Half as strong at half the size, as in photographs, with a little more of it in brightness than in colour.
        noise = random.normal(size=(cells, cells, 1)) + 0.4 * random.normal(size=(cells, cells, 3))
        channels = [Image.fromarray(noise[..., c].astype(np.float32)) for c in range(3)]
        total += np.stack([np.asarray(c.resize(size, Image.Resampling.BICUBIC)) for c in channels], 2) / cells**0.7
        cells *= 2
    total -= total.mean()
    return Image.fromarray((127 + total * (50 / total.std())).clip(0, 255).astype(np.uint8))


def write_photographs(folder: Path, count: int, *, size: tuple[int, int] = (256, 256), first: int = 0) -> Path:
    """So many JPEGs in a folder, which is made; the folder. Only 200 are different, since drawing them takes time."""
    folder.mkdir(parents=True)
    for number in range(min(count, 200)):
        photograph(first + number, size).save(folder / f"{number:06}.jpg", quality=92)
    for number in range(200, count):
        (folder / f"{number:06}.jpg").write_bytes((folder / f"{number % 200:06}.jpg").read_bytes())
    return folder
