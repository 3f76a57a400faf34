"""What the tests of whole conversions share: a tiny model, pictures, and what lies in a folder."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.config import ConvertJob, Direction, TrainConfig
from engine.conversion.ledger import LEDGER_NAME, LOCK_NAME
from engine.conversion.model_file import write_model
from engine.events import ConvertEvent
from engine.model.architecture import Architecture
from engine.model.generator import Generator, make_generator


def tiny_generator() -> Generator:
    """Turns every picture into 90% of its contrast around grey: the long skip without a change."""
    generator = Generator(Architecture(blocks=1, channels=2, long_skip=True))
    with torch.no_grad():
        for weights in generator.parameters():
            weights.normal_(0.0, 0.02)
    generator.start_as_identity()
    return generator


def make_job(model: Path, tmp_path: Path, *sources: Path, **values: object) -> ConvertJob:
    defaults: dict[str, object] = {
        "model": model,
        "sources": sources,
        "to": tmp_path / "out",
        "direction": "a2b",
        "device": "cpu",
        "precision": "fp32",
    }
    return ConvertJob(**{**defaults, **values})


def draw(path: Path, size: tuple[int, int] = (20, 14), **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4])
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def tree(folder: Path) -> list[str]:
    """Every file but the ledger and its lock: what is left of an unfinished one shows."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in files if name not in (LEDGER_NAME, LOCK_NAME)]


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {name: ((folder / name).read_bytes(), (folder / name).stat().st_mtime_ns) for name in tree(folder)}


def of_kind(events: list[ConvertEvent], kind: type) -> list[ConvertEvent]:
    return [event for event in events if isinstance(event, kind)]


def expected(pixels: np.ndarray) -> np.ndarray:
    return np.rint((0.9 * (pixels / 127.5 - 1) + 1) * 127.5).astype(int)


def write_unusual(
    path: Path, tmp_path: Path, directions: tuple[Direction, ...] = ("a2b", "b2a"), **values: object
) -> Path:
    """A model whose generators have the long skip and change nothing."""
    config = TrainConfig(
        **{"folder_A": tmp_path, "folder_B": tmp_path, "run": tmp_path, "size": 64, "load_size": 64, "channels": 2,
           "blocks": 1, "long_skip": True, **values}
    )  # fmt: skip
    generators = {direction: make_generator(config.architecture, direction) for direction in directions}
    for generator in generators.values():
        generator.start_as_identity()
    write_model(path, generators, config, steps=1)
    return path


needs_permissions = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind this user"
)


def refuse(monkeypatch: pytest.MonkeyPatch, part: str, code: int) -> None:
    """Have the disk refuse folders with this in their names."""
    whole = Path.mkdir

    def mkdir(self: Path, *args: object, **values: object) -> None:
        if part in str(self):
            raise OSError(code, os.strerror(code), str(self))
        whole(self, *args, **values)

    monkeypatch.setattr(Path, "mkdir", mkdir)
