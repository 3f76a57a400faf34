from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

RESOURCES = Path(__file__).parents[2] / "resources"
SAMPLE = RESOURCES / "sample"
COUNTS = {"trainA": 100, "trainB": 100, "testA": 20, "testB": 20}


@pytest.fixture(scope="module")
def draw_sample() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("draw_sample", RESOURCES / "draw_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["draw_sample"] = module  # Dataclasses look their module up.
    spec.loader.exec_module(module)
    yield module
    del sys.modules["draw_sample"]


def test_the_sample_holds_what_a_first_training_needs() -> None:
    assert {folder.name: len(list(folder.glob("*.jpg"))) for folder in SAMPLE.iterdir()} == COUNTS


def test_every_sample_picture_is_a_square_colour_jpeg() -> None:
    for path in SAMPLE.rglob("*.jpg"):
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (128, 128)), path.name


def test_the_sample_stays_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) <= 3_000_000


def test_no_sample_picture_is_held_out_and_trained_on() -> None:
    digests = {hashlib.sha256(path.read_bytes()).digest() for path in SAMPLE.rglob("*.jpg")}

    assert len(digests) == sum(COUNTS.values())


def test_drawing_a_scene_twice_gives_the_same_pixels(draw_sample: ModuleType) -> None:
    first, second = (draw_sample.draw(draw_sample.compose("winter", 2_004)) for _ in range(2))

    assert first.size == (128, 128)
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("folder", ["testA", "testB"])
def test_the_script_draws_the_pictures_that_are_shipped(draw_sample: ModuleType, folder: str) -> None:
    season, _, first_seed = draw_sample.FOLDERS[folder]
    drawn = np.asarray(draw_sample.draw(draw_sample.compose(season, first_seed)), dtype=np.float32)

    with Image.open(SAMPLE / folder / f"{season}_001.jpg") as picture:
        shipped = np.asarray(picture, dtype=np.float32)

    assert np.abs(drawn - shipped).mean() < 5  # What JPEG leaves out; another landscape is 20 or more away.
