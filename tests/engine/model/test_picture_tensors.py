"""A picture survives the way to a tensor and back, and no way changes what it was given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from engine.model.picture_tensors import to_picture, to_tensor, unit_range

CPU = torch.device("cpu")
PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_every_level_comes_back_as_it_was() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, -1)
    tensor = to_tensor(levels, CPU)
    assert tensor.shape == (1, 3, 16, 16) and tensor.dtype == torch.float32
    assert float(tensor.min()) == -1 and float(tensor.max()) == 1
    assert np.array_equal(to_picture(tensor), levels)
    assert np.array_equal(to_picture(to_tensor(PICTURE, CPU)), PICTURE)


def test_a_grey_tensor_is_the_luma_that_training_sees_and_comes_back_as_three_channels() -> None:
    tensor = to_tensor(PICTURE, CPU, grey=True)
    assert tensor.shape == (1, 1, 5, 7)
    luma = np.asarray(Image.fromarray(PICTURE).convert("L"))
    back = to_picture(tensor)
    assert back.shape == (5, 7, 3) and back.flags.c_contiguous
    assert np.array_equal(back, luma[..., None].repeat(3, -1))


def test_results_are_rounded_and_clipped() -> None:
    values = torch.tensor([-1.5, -1.0, 0.6 / 127.5 - 1, 1.0, 2.0]).reshape(1, 1, 1, 5)
    assert to_picture(values)[0, :, 0].tolist() == [0, 0, 1, 255, 255]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float16, torch.float32, torch.float64])
def test_levels_of_any_type_become_the_same_range_and_stay_as_they_were(dtype: torch.dtype) -> None:
    levels = torch.tensor([0, 51, 255]).to(dtype).reshape(1, 1, 1, 3)
    kept = levels.clone()
    assert torch.allclose(unit_range(levels), torch.tensor([-1.0, -0.6, 1.0]), atol=1e-6, rtol=0)
    assert unit_range(levels).dtype == torch.float32
    assert torch.equal(levels, kept)


def test_fractions_of_deep_pictures_are_kept() -> None:
    levels = torch.linspace(0, 255, 5000).reshape(1, 1, 50, 100)
    assert len(unit_range(levels).unique()) == 5000


def test_all_65536_levels_come_back_as_they_were() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, -1)
    tensor = to_tensor(levels, CPU)
    assert tensor.shape == (1, 3, 256, 256) and tensor.dtype == torch.float32
    assert float(tensor.min()) == -1 and float(tensor.max()) == 1
    back = to_picture(tensor, bits=16)
    assert back.dtype == np.uint16 and back.flags.c_contiguous
    assert np.array_equal(back, levels)


def test_a_level_of_8_bits_is_257_of_16() -> None:
    assert torch.allclose(to_tensor(PICTURE, CPU), to_tensor(PICTURE.astype(np.uint16) * 257, CPU), atol=1e-6)


def test_the_luma_of_16_bits_is_that_of_8_but_keeps_its_fractions() -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    tensor = to_tensor(deep, CPU, grey=True)
    assert tensor.shape == (1, 1, 40, 50)
    luma = deep.astype(np.float64) @ [0.299, 0.587, 0.114]
    back = to_picture(tensor, bits=16)
    assert back.shape == (40, 50, 3) and (back == back[..., :1]).all()
    assert np.abs(back[..., 0] - luma).max() < 1.5
    grey = deep[..., :1].repeat(3, -1)
    assert np.array_equal(to_picture(to_tensor(grey, CPU, grey=True), bits=16), grey)


def test_pictures_that_cannot_be_written_to_are_left_alone() -> None:
    for picture in (PICTURE.copy(), PICTURE.astype(np.uint16)):
        picture.flags.writeable = False
        to_tensor(picture, CPU).add_(1)
