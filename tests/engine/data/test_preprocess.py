"""Each mode's geometry is its definition, and a picture is what the file shows, in the depth of the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.config import TrainConfig
from engine.data.preprocess import crop_and_flip, read_resized, training_size


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., TrainConfig]:
    def make(**values: object) -> TrainConfig:
        defaults: dict[str, object] = {"size": 64, "load_size": 72}
        folders = {"folder_A": tmp_path / "A", "folder_B": tmp_path / "B", "run": tmp_path / "run"}
        return TrainConfig(**{**defaults, **folders, **values})

    return make


def _noise(path: Path, height: int, width: int) -> Image.Image:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    image.save(path)
    return image


@pytest.mark.parametrize(
    ("values", "own", "expected"),
    [
        # The aspect is ignored.
        ({}, (100, 50), (72, 72)),
        ({}, (10, 500), (72, 72)),
        # The margin of the height is that of the width: 72 / 64 * 96.
        ({"width": 96}, (100, 50), (72, 108)),
        ({"width": 32}, (100, 50), (72, 36)),
        # Its own scale; smaller ones are enlarged just enough.
        ({"preprocess": "crop"}, (100, 150), (100, 150)),
        ({"preprocess": "crop"}, (64, 64), (64, 64)),
        ({"preprocess": "crop"}, (32, 100), (64, 200)),
        ({"preprocess": "crop"}, (100, 16), (400, 64)),
        ({"preprocess": "crop", "width": 128}, (64, 64), (128, 128)),
        ({"preprocess": "crop", "width": 96}, (50, 90), (64, 115)),
        # The width is the load size, the height follows, cut to a whole number, and is at least the crop's.
        ({"preprocess": "scale_width_and_crop"}, (100, 50), (144, 72)),
        ({"preprocess": "scale_width_and_crop"}, (101, 70), (103, 72)),
        ({"preprocess": "scale_width_and_crop"}, (50, 100), (64, 72)),
        ({"preprocess": "scale_width_and_crop", "width": 32}, (50, 100), (64, 72)),
        # The same, whole, with sides that the generators take.
        ({"preprocess": "scale_width"}, (100, 50), (144, 72)),
        ({"preprocess": "scale_width"}, (101, 70), (104, 72)),
        ({"preprocess": "scale_width"}, (50, 100), (64, 72)),
        ({"preprocess": "scale_width", "load_size": 94}, (100, 50), (188, 96)),
        ({"preprocess": "scale_width", "generator": "unet", "halvings": 6}, (150, 70), (128, 64)),
        # Its own size, with sides that the generators take, and no smaller than the discriminators take.
        ({"preprocess": "none"}, (100, 48), (100, 48)),
        ({"preprocess": "none"}, (101, 51), (100, 52)),
        ({"preprocess": "none", "generator": "unet", "halvings": 5}, (101, 51), (96, 64)),
        ({"preprocess": "none"}, (10, 500), (32, 500)),
        ({"preprocess": "none", "discriminator_layers": 4}, (10, 500), (48, 500)),
        ({"preprocess": "none", "discriminator_layers": 4, "discriminator": "pixel"}, (10, 500), (32, 500)),
    ],
)
def test_each_mode_resizes_as_it_is_defined(
    tmp_path: Path,
    config: Callable[..., TrainConfig],
    values: dict[str, object],
    own: tuple[int, int],
    expected: tuple[int, int],
) -> None:
    made = config(**values)
    assert training_size(*own, made) == expected
    _noise(tmp_path / "a.png", *own)
    picture = read_resized(tmp_path / "a.png", made, grey=False)
    assert picture.shape == (3, *expected)
    shown = crop_and_flip(picture.numpy(), made, np.random.default_rng(0))
    assert shown.shape[1:] == (expected if made.preprocess in ("scale_width", "none") else made.crop_size)


@pytest.mark.parametrize(
    ("preprocess", "expected"),
    [
        ("resize_and_crop", (64, 96)),
        ("crop", (64, 96)),
        ("scale_width_and_crop", (64, 96)),
        ("scale_width", (144, 96)),
        ("none", (152, 100)),
    ],
)
def test_without_jitter_what_would_be_cropped_has_the_size_of_a_crop(
    config: Callable[..., TrainConfig], preprocess: str, expected: tuple[int, int]
) -> None:
    made = config(preprocess=preprocess, width=96, load_size=96)
    assert training_size(150, 100, made, jitter=False) == expected


def test_crops_are_at_every_place_and_of_the_resized_picture(config: Callable[..., TrainConfig]) -> None:
    made = config(size=32, width=36, load_size=36, preprocess="crop")
    picture = np.arange(34 * 39).reshape(1, 34, 39)
    seen = set()
    for number in range(400):
        shown = crop_and_flip(picture, made, np.random.default_rng(number))
        flipped = bool(shown[0, 0, 0] > shown[0, 0, 1])
        first = int(shown[0, 0].min())
        assert np.array_equal(
            shown[..., ::-1] if flipped else shown, picture[:, first // 39 :, first % 39 :][:, :32, :36]
        )
        seen.add((first // 39, first % 39, flipped))
    assert len(seen) == 3 * 4 * 2


def test_whole_pictures_are_mirrored_half_of_the_time_and_never_with_flips_off(
    config: Callable[..., TrainConfig],
) -> None:
    picture = np.arange(12).reshape(1, 3, 4)
    mirrored = picture[..., ::-1]
    for values, low, high in (({}, 160, 240), ({"flip": False}, 0, 0)):
        made = config(preprocess="none", **values)
        shown = [crop_and_flip(picture, made, np.random.default_rng(number)) for number in range(400)]
        assert low <= sum(np.array_equal(s, mirrored) for s in shown) <= high
        assert all(np.array_equal(s, picture) or np.array_equal(s, mirrored) for s in shown)


def test_eight_bit_pictures_are_resized_with_the_bicubic_filter_of_pillow(
    tmp_path: Path, config: Callable[..., TrainConfig]
) -> None:
    image = _noise(tmp_path / "a.png", 30, 50)
    expected = np.asarray(image.resize((72, 72), Image.Resampling.BICUBIC))
    picture = read_resized(tmp_path / "a.png", config(), grey=False)
    assert picture.dtype == torch.uint8
    assert np.array_equal(picture.permute(1, 2, 0).numpy(), expected)


def test_a_colour_picture_of_a_grey_domain_is_its_luma(tmp_path: Path, config: Callable[..., TrainConfig]) -> None:
    image = _noise(tmp_path / "a.png", 64, 48)
    grey = read_resized(tmp_path / "a.png", config(preprocess="none"), grey=True)
    assert grey.shape == (1, 64, 48) and grey.dtype == torch.uint8
    luma = np.asarray(image) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey[0].numpy() - luma).max() <= 0.51


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_grey_picture_of_a_colour_domain_has_three_equal_channels(
    tmp_path: Path, config: Callable[..., TrainConfig], name: str
) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (64, 48), dtype=np.uint8)
    for array in (levels, levels.astype(np.uint16) * 250):
        Image.fromarray(array).save(tmp_path / name)
        picture = read_resized(tmp_path / name, config(preprocess="none"), grey=False)
        assert picture.shape == (3, 64, 48)
        assert torch.equal(picture[0], picture[1]) and torch.equal(picture[0], picture[2])
        grey = read_resized(tmp_path / name, config(preprocess="none"), grey=True)
        assert torch.allclose(grey[0].float(), picture[0].float(), atol=1e-4, rtol=0)


def test_a_deep_gradient_keeps_more_levels_than_eight_bits_have(
    tmp_path: Path, config: Callable[..., TrainConfig]
) -> None:
    gradient = np.linspace(0, 65535, 96 * 96).astype(np.uint16).reshape(96, 96)
    Image.fromarray(gradient).save(tmp_path / "a.png")
    whole = read_resized(tmp_path / "a.png", config(preprocess="none"), grey=True)
    assert whole.dtype == torch.float32 and len(whole.unique()) == 96 * 96
    assert np.abs(whole[0].numpy() - gradient / 257).max() < 1e-4
    resized = read_resized(tmp_path / "a.png", config(), grey=False)
    assert resized.shape == (3, 72, 72) and len(resized[0].unique()) > 2500
    assert float(resized.min()) >= 0 and float(resized.max()) <= 255


@pytest.mark.parametrize(("height", "width"), [(30, 50), (200, 150)])
def test_deep_pictures_are_resized_with_the_same_filter(
    tmp_path: Path, config: Callable[..., TrainConfig], height: int, width: int
) -> None:
    # Away from black and white, where Pillow clips between its two passes, too.
    levels = np.random.default_rng(0).integers(80, 176, (height, width), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    shallow, deep = (read_resized(tmp_path / name, config(), grey=True) for name in ("a.png", "deep.png"))
    assert deep.dtype == torch.float32
    # Pillow rounds after each of them.
    assert float((deep - shallow).abs().max()) <= 1.1
