from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.folders import scan_folder
from engine.data.unpaired import UnpairedImages, load_square
from engine.errors import DataError


def _flat_pictures(folder: Path, count: int) -> list[Path]:
    """Pictures whose every pixel is the picture's number, so that a crop tells where it is from."""
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (20, 12), (number, number, number)).save(folder / f"{number:03}.png")
    return list(scan_folder(folder).pictures)


def _images(tmp_path: Path, count_A: int, count_B: int, **values: int) -> UnpairedImages:
    settings = {"size": 8, "load_size": 10, "batch_size": 1, "seed": 3, "cache_bytes": 10**6} | values
    A = sorted((tmp_path / "A").glob("*")) or _flat_pictures(tmp_path / "A", count_A)
    B = sorted((tmp_path / "B").glob("*")) or _flat_pictures(tmp_path / "B", count_B)
    return UnpairedImages(A, B, **settings)


def _numbers(pictures: torch.Tensor) -> list[int]:
    return [int(picture.max()) for picture in pictures]


def test_an_epoch_shows_each_picture_of_the_longer_side_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    images = _images(tmp_path, 20, 6)
    assert images.steps_per_epoch == 20
    epochs = [[_numbers(images.batch(e * 20 + i).real_A)[0] for i in range(20)] for e in range(3)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_shorter_side_of_a_wraps_and_b_is_drawn_uniformly(tmp_path: Path) -> None:
    images = _images(tmp_path, 3, 12)
    shown = [images.batch(step) for step in range(480)]
    assert Counter(n for batch in shown for n in _numbers(batch.real_A)) == {0: 160, 1: 160, 2: 160}
    partners = Counter(n for batch in shown for n in _numbers(batch.real_B))
    assert set(partners) == set(range(12))
    assert max(partners.values()) < 2.2 * 40 and min(partners.values()) > 40 / 2.2


def test_crops_and_flips_are_random_and_each_side_has_its_own(tmp_path: Path) -> None:
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        ramp = np.tile(np.arange(10, dtype=np.uint8) * 20, (10, 1))
        Image.fromarray(np.stack([ramp, ramp.T, ramp], -1)).save(tmp_path / name / "ramp.png")
    images = _images(tmp_path, 1, 1)
    crops_A, crops_B = [], []
    for step in range(200):
        batch = images.batch(step)
        crops_A.append((*tuple(batch.real_A[0, :2, 0, 0].tolist()), bool(batch.real_A[0, 0, 0, 0] < 80)))
        crops_B.append((*tuple(batch.real_B[0, :2, 0, 0].tolist()), bool(batch.real_B[0, 0, 0, 0] < 80)))
    assert len(set(crops_A)) == len(set(crops_B)) == 3 * 3 * 2
    assert crops_A != crops_B


def test_a_step_shows_the_same_pictures_whenever_it_is_asked_for(tmp_path: Path) -> None:
    first, second = (_images(tmp_path, 7, 5, batch_size=2) for _ in range(2))
    with contextlib.closing(first.batches(0)) as batches:
        ahead = [next(batches) for _ in range(9)]
    again = second.batch(8)
    assert ahead[8].first_number == again.first_number
    assert torch.equal(ahead[8].real_A, again.real_A) and torch.equal(ahead[8].real_B, again.real_B)


def test_the_last_batch_of_an_epoch_holds_the_rest(tmp_path: Path) -> None:
    images = _images(tmp_path, 7, 5, batch_size=3)
    assert [len(images.batch(step).real_A) for step in range(4)] == [3, 3, 1, 3]
    assert [images.batch(step).first_number for step in range(4)] == [0, 3, 6, 7]


def test_pictures_that_do_not_fit_the_cache_are_read_again_with_the_same_result(tmp_path: Path) -> None:
    cached, uncached = _images(tmp_path, 5, 5), _images(tmp_path, 5, 5, cache_bytes=0)
    for step in range(10):
        assert torch.equal(cached.batch(step).real_A, uncached.batch(step).real_A)


def test_an_unreadable_picture_is_replaced_and_named_once(tmp_path: Path) -> None:
    images = _images(tmp_path, 4, 4)
    broken = tmp_path / "A" / "002.png"
    broken.write_bytes(broken.read_bytes()[:40])
    shown = {n for step in range(8) for n in _numbers(images.batch(step).real_A)}
    assert shown == {0, 1, 3}
    problems = images.take_problems()
    assert len(problems) == 1 and "002.png" in problems[0]
    assert images.take_problems() == []


def test_a_vanished_folder_is_a_sentence_that_names_it(tmp_path: Path) -> None:
    images = _images(tmp_path, 4, 4)
    for path in (tmp_path / "B").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"None of the 4 pictures.*B"):
        images.batch(0)


def test_a_picture_is_resized_to_a_square_with_bicubic_filtering(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    expected = np.asarray(Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(load_square(tmp_path / "picture.png", 16).permute(1, 2, 0).numpy(), expected)
