"""What the tests of the commands share: a folder to train on, a training, and what is seen of results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.training import patches
from tests.engine.conftest import draw_folders

TINY = ["--size", "32", "--channels", "4", "--blocks", "1", "--device", "cpu", "--precision", "fp32"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that holds trainA and trainB."""
    return _draw_root(tmp_path)


@pytest.fixture(scope="session")
def _trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a root and of a training on it; both are only to be copied."""
    folder = tmp_path_factory.mktemp("trained")
    root = _draw_root(folder)
    names = ["--names", "Reds", "Blues"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patches, "_PATCHES", 256)
        assert main(["train", str(root), "--run", str(folder / "run"), *names, "--max-steps", "2", *TINY]) == 0
    return folder


@pytest.fixture
def trained(_trained_once: Path, root: Path, tmp_path: Path) -> Path:
    """A training of two steps on `root`."""
    run = tmp_path / "run"
    shutil.copytree(_trained_once / "run", run)
    config = run / "config.json"
    there, here = (json.dumps(str(folder))[1:-1] for folder in (_trained_once, tmp_path))
    config.write_text(config.read_text(encoding="utf-8").replace(there, here), encoding="utf-8")
    return run


def _draw_root(folder: Path) -> Path:
    root = folder / "data"
    for side, drawn in zip(("trainA", "trainB"), draw_folders(folder), strict=True):
        root.mkdir(exist_ok=True)
        drawn.rename(root / side)
    return root


def results_in(folder: Path) -> list[str]:
    """What a user sees of a folder of results."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
