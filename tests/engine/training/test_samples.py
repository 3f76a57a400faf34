from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.config import TrainConfig
from engine.conversion.model_file import load_generator, write_model
from engine.model.cyclegan import CycleGAN
from engine.model.picture_tensors import to_picture, to_tensor
from engine.training.samples import FixedPicture, draw_samples, read_fixed_pictures

MakeConfig = Callable[..., TrainConfig]
CPU = torch.device("cpu")


@pytest.fixture
def striped(tmp_path: Path) -> Path:
    """A picture of 400 x 200 px whose red says how far to the right a pixel is, in steps of 4."""
    pixels = np.zeros((200, 400, 3), np.uint8)
    pixels[..., 0] = np.arange(400) // 4 * 2
    Image.fromarray(pixels).save(tmp_path / "striped.png")
    return tmp_path / "striped.png"


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"size": 32}, (128, 128)),
        ({"size": 64, "load_size": 72}, (128, 128)),
        ({"size": 256, "load_size": 286}, (256, 256)),
        ({"size": 32, "width": 64}, (128, 256)),
        ({"size": 64, "width": 32, "load_size": 72}, (256, 128)),
        ({"size": 96, "load_size": 96, "generator": "unet", "halvings": 5}, (192, 192)),
        ({"size": 64, "load_size": 64, "generator": "unet", "halvings": 6}, (128, 128)),
    ],
)
def test_samples_have_the_shape_of_the_crops_and_a_size_that_generators_take_and_people_see(
    tiny_config: MakeConfig, striped: Path, options: dict[str, object], shape: tuple[int, int]
) -> None:
    config = tiny_config(**options)
    (fixed,) = read_fixed_pictures("a2b", [striped], config)
    assert fixed.pixels.shape == (*shape, 3)
    assert all(side % config.architecture.multiple == 0 for side in shape)
    (sample,) = draw_samples(CycleGAN(config, CPU), [fixed])
    assert sample.original.shape == sample.translated.shape == sample.back.shape == (*shape, 3)


def test_a_sample_is_the_middle_of_its_picture(tiny_config: MakeConfig, striped: Path) -> None:
    (whole,) = read_fixed_pictures("a2b", [striped], tiny_config(size=64, width=128, load_size=72))
    assert (whole.pixels[0, 0, 0], whole.pixels[0, -1, 0]) == (0, 198)
    (square,) = read_fixed_pictures("a2b", [striped], tiny_config())
    # A square of 200 px has another 100 px on either side.
    assert square.pixels[0, 0, 0] == pytest.approx(50, abs=2)
    assert square.pixels[0, -1, 0] == pytest.approx(148, abs=2)


def test_a_training_on_crops_at_their_own_scale_shows_samples_at_that_scale(
    tiny_config: MakeConfig, striped: Path
) -> None:
    with Image.open(striped) as picture:
        pixels = np.asarray(picture)
    for preprocess in ("crop", "none"):
        (fixed,) = read_fixed_pictures("a2b", [striped], tiny_config(preprocess=preprocess))
        assert np.array_equal(fixed.pixels, pixels[36:164, 136:264])
    scaled = tiny_config(preprocess="scale_width_and_crop", load_size=800)
    (fixed,) = read_fixed_pictures("a2b", [striped], scaled)
    assert fixed.pixels[0, 0, 0] == pytest.approx(84, abs=2)


def test_a_grey_domain_is_shown_grey_on_its_side_and_colour_on_the_other(tiny_config: MakeConfig) -> None:
    config = tiny_config(grey_A=True)
    random = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    pictures = [FixedPicture("a2b", Path("a.png"), random), FixedPicture("b2a", Path("b.png"), random)]
    from_A, from_B = draw_samples(CycleGAN(config, CPU), pictures)

    def is_grey(picture: np.ndarray) -> bool:
        return bool((picture == picture[..., :1]).all())

    assert [is_grey(p) for p in (from_A.original, from_A.translated, from_A.back)] == [True, False, True]
    assert [is_grey(p) for p in (from_B.original, from_B.translated, from_B.back)] == [False, True, False]
    assert np.array_equal(from_B.original, random)


@pytest.mark.parametrize("options", [{"ema_decay": 0.5}, {"dropout": True}, {"norm": "batch"}])
def test_samples_show_what_the_model_file_gives(
    tiny_config: MakeConfig, tmp_path: Path, options: dict[str, object]
) -> None:
    config = tiny_config(**options)
    model = CycleGAN(config, CPU)
    random = torch.rand(1, 3, 32, 32) * 2 - 1
    for number in range(3):
        model.step(random, random.flip(1), first_number=number, learning_rate=1e-2, number=number)
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    (sample,) = draw_samples(model, [FixedPicture("a2b", Path("a.png"), pixels)])
    write_model(tmp_path / "m.safetensors", model.generators_for_use, config, steps=3)
    generator, _ = load_generator(tmp_path / "m.safetensors", "a2b", CPU)
    assert np.array_equal(sample.translated, to_picture(generator(to_tensor(pixels, CPU)).detach()))
