from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.events import Sample
from engine.training.sheets import read_sheet, write_sheet


def _samples(sources: list[Path], height: int = 8, width: int = 16) -> list[Sample]:
    random = np.random.default_rng(0)
    draw = lambda: random.integers(0, 256, (height, width, 3), np.uint8)  # noqa: E731
    return [Sample("b2a", source, draw(), draw(), draw()) for source in sources]


def _assert_equal(one: tuple[Sample, ...], other: list[Sample]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert (a.direction, a.source) == (b.direction, b.source)
        for name in ("original", "translated", "back"):
            assert np.array_equal(getattr(a, name), getattr(b, name))


def test_a_sheet_gives_its_samples_back_and_knows_its_sources(tmp_path: Path) -> None:
    sources = [tmp_path / "B/Äpfel \udcff.png", tmp_path / "B/deep/b.png", Path("/elsewhere/c.png")]
    samples = _samples(sources)
    write_sheet(tmp_path / "step_00000001_b2a.png", samples, tmp_path / "B")
    _assert_equal(read_sheet(tmp_path / "step_00000001_b2a.png", tmp_path / "B"), samples)


def test_sources_move_with_their_folder_but_for_those_elsewhere(tmp_path: Path) -> None:
    write_sheet(tmp_path / "s_b2a.png", _samples([tmp_path / "B/b.png", Path("/elsewhere/c.png")]), tmp_path / "B")
    moved = read_sheet(tmp_path / "s_b2a.png", tmp_path / "new")
    assert [sample.source for sample in moved] == [tmp_path / "new/b.png", Path("/elsewhere/c.png")]


@pytest.mark.parametrize(("height", "width", "crop_size"), [(8, 16, (64, 128)), (16, 16, (64, 64)), (16, 8, (64, 32))])
def test_a_sheet_of_the_first_release_shows_the_first_of_the_pictures_that_it_may_show(
    tmp_path: Path, height: int, width: int, crop_size: tuple[int, int]
) -> None:
    supposed = [tmp_path / f"{number}.png" for number in range(8)]
    samples = _samples(supposed[:3], height, width)
    write_sheet(tmp_path / "s_b2a.png", samples, tmp_path)
    with Image.open(tmp_path / "s_b2a.png") as image:
        image.info.clear()
        image.save(tmp_path / "old_b2a.png")
    _assert_equal(read_sheet(tmp_path / "old_b2a.png", tmp_path, supposed=supposed, crop_size=crop_size), samples)
    with pytest.raises(ValueError, match="does not say which"):
        read_sheet(tmp_path / "old_b2a.png", tmp_path)


def test_a_damaged_sheet_is_one_error_or_the_other(tmp_path: Path) -> None:
    write_sheet(tmp_path / "s_b2a.png", _samples([tmp_path / "b.png"]), tmp_path)
    whole = (tmp_path / "s_b2a.png").read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            damaged[place] ^= int(random.integers(1, 256))
        (tmp_path / "s_b2a.png").write_bytes(damaged[: random.integers(1, len(whole))])
        try:
            read_sheet(tmp_path / "s_b2a.png", tmp_path)
        except (OSError, ValueError):
            refused += 1
    assert refused > 150
