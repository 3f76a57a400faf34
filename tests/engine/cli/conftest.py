"""What the tests of the commands share: a folder to train on, a training, and what is seen of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.__main__ import main

TINY = ["--size", "32", "--channels", "4", "--blocks", "1", "--device", "cpu", "--precision", "fp32"]


@pytest.fixture
def root(folders: tuple[Path, Path], tmp_path: Path) -> Path:
    """A folder that holds trainA and trainB."""
    root = tmp_path / "data"
    root.mkdir()
    folders[0].rename(root / "trainA")
    folders[1].rename(root / "trainB")
    return root


@pytest.fixture
def trained(root: Path, tmp_path: Path) -> Path:
    run = tmp_path / "run"
    assert main(["train", str(root), "--run", str(run), "--names", "Reds", "Blues", "--max-steps", "2", *TINY]) == 0
    return run


def results_in(folder: Path) -> list[str]:
    """What a user sees of a folder of results."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
