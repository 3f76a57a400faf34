"""How much a conversion will write is guessed well enough to warn, and a full disk is told from other trouble."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from engine.config import ConvertJob
from engine.conversion.space import estimated_bytes, free_bytes, is_full


def job(**values: object) -> ConvertJob:
    return ConvertJob(model=Path("m"), sources=(Path("in"),), to=Path("out"), direction="a2b", **values)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ({}, 1.0, 2.0),
        ({"format": "png"}, 4.0, 10.0),
        ({"format": "avif"}, 0.3, 1.0),
        ({"format": "avif", "lossless": True}, 3.0, 8.0),
        ({"format": "png", "lossless": True}, 4.0, 10.0),
        ({"format": "png", "resize": "training"}, 0.0, 0.05),
        ({"format": "png", "resize": 50_000}, 4.0, 10.0),
        ({"format": "png", "resize": "change"}, 4.0, 10.0),
    ],
)
def test_photographs_grow_and_shrink_with_the_format_and_the_size(values: object, low: float, high: float) -> None:
    found = estimated_bytes([(Path("a.JPG"), 5_000_000), (Path("b.jpeg"), 5_000_000)], job(**values), 256)
    assert low * 10**7 <= found <= high * 10**7


def test_what_is_stored_without_loss_grows_less() -> None:
    assert estimated_bytes([(Path("a.png"), 10**6)], job(format="tiff"), 256) < 2 * 10**6
    assert estimated_bytes([(Path("a.png"), 10**6)], job(format="jpg"), 256) < 10**6


def test_free_space_of_a_folder_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    assert 0 < free_bytes(tmp_path) < 1 << 62
    assert free_bytes(tmp_path / "gone") >= 1 << 62


def test_a_full_disk_is_told_from_other_trouble() -> None:
    assert is_full(OSError(errno.ENOSPC, "x")) and is_full(OSError(errno.EDQUOT, "x"))
    assert not is_full(OSError(errno.EIO, "x")) and not is_full(ValueError())
