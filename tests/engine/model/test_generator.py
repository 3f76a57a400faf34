from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.model.architecture import Architecture
from engine.model.generator import Generator, InstanceNorm, init_weights


def _conv_places(blocks: int) -> list[str]:
    """Places of the convolutions in the reference's generator."""
    inner = [f"{10 + i}.conv_block.{j}" for i in range(blocks) for j in (1, 5)]
    end = 10 + blocks
    return ["1", "4", "7", *inner, str(end), str(end + 3), str(end + 7)]


@pytest.mark.parametrize("blocks", [6, 9])
def test_the_state_dict_has_the_keys_of_the_reference(blocks: int) -> None:
    keys = list(Generator(Architecture(blocks=blocks, channels=4)).state_dict())
    assert keys == [f"model.{place}.{part}" for place in _conv_places(blocks) for part in ("weight", "bias")]


def test_the_nine_block_generator_has_the_parameters_of_the_reference() -> None:
    with torch.device("meta"):
        generator = Generator(Architecture())
    assert sum(p.numel() for p in generator.parameters()) == 11_378_179


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 64), (32, 20)])
def test_the_output_has_the_size_of_the_input_and_lies_within_one(height: int, width: int) -> None:
    generator = Generator(Architecture(blocks=1, channels=4))
    y = generator(torch.rand(2, 3, height, width) * 2 - 1)
    assert y.shape == (2, 3, height, width)
    assert y.abs().max() <= 1


def test_a_generator_with_the_long_skip_starts_as_a_slightly_dimmed_identity() -> None:
    generator = Generator(Architecture(blocks=1, channels=4, long_skip=True))
    init_weights(generator, torch.Generator().manual_seed(0))
    generator.start_as_identity()
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(generator(x), 0.9 * x)


def test_a_resize_convolution_leaves_no_chequered_pattern_and_keeps_the_keys() -> None:
    torch.manual_seed(0)
    plain, resizing = (Generator(Architecture(blocks=1, channels=4, resize_conv=on)) for on in (False, True))
    assert list(plain.state_dict()) == list(resizing.state_dict())
    flat = torch.ones(1, 16, 8, 8)
    chequered, smooth = (generator.model[11](flat)[0, :, 2:-2, 2:-2] for generator in (plain, resizing))
    assert chequered.std((1, 2)).max() > 1e-3
    assert smooth.std((1, 2)).max() < 1e-6
    assert resizing(torch.zeros(1, 3, 20, 8)).shape == (1, 3, 20, 8)


def test_the_long_skip_adds_the_change_before_the_tanh() -> None:
    torch.manual_seed(0)
    plain = Generator(Architecture(blocks=1, channels=4))
    skipping = Generator(Architecture(blocks=1, channels=4, long_skip=True))
    skipping.load_state_dict(plain.state_dict())
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(skipping(x), torch.tanh(torch.atanh(0.9 * x) + plain.model(x)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_norm_statistics_survive_values_whose_squares_overflow_half_precision(dtype: torch.dtype) -> None:
    x = (torch.randn(1, 2, 64, 64) * 300).to(dtype)
    y = InstanceNorm()(x)
    assert y.dtype == dtype
    assert y.isfinite().all()
    torch.testing.assert_close(y.float().std(dim=(2, 3)), torch.ones(1, 2), atol=0.02, rtol=0)


def test_float64_stays_float64() -> None:
    generator = Generator(Architecture(blocks=1, channels=4)).double()
    assert generator(torch.rand(1, 3, 8, 8, dtype=torch.float64)).dtype == torch.float64


def test_weights_are_drawn_with_a_deviation_of_002_and_biases_are_zero() -> None:
    generator = Generator(Architecture(blocks=2, channels=16))
    init_weights(generator, torch.Generator().manual_seed(1))
    weights = torch.cat([m.weight.flatten() for m in generator.modules() if isinstance(m, nn.Conv2d)])
    assert abs(weights.std().item() - 0.02) < 2e-4
    assert abs(weights.mean().item()) < 2e-4
    assert all(not m.bias.any() for m in generator.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
