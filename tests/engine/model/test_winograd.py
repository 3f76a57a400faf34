from __future__ import annotations

import contextlib
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.config import TrainConfig
from engine.device import autocast
from engine.model import winograd
from engine.model.cyclegan import CycleGAN
from engine.model.generator import ResidualBlock
from engine.model.layers import Layers, ReflectionPad

SHAPES = [(1, 8, 8), (2, 4, 12), (3, 16, 4)]


def picture(shape: tuple[int, int, int], channels: int = 5, dtype: torch.dtype = torch.float64) -> Tensor:
    count, height, width = shape
    x = torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_(True)


def convolution(
    channels: int = 5, out_channels: int = 3, dtype: torch.dtype = torch.float64, **options: object
) -> nn.Conv2d:
    torch.manual_seed(1)
    return nn.Conv2d(channels, out_channels, 3, dtype=dtype, **options)  # type: ignore[arg-type]


def by_torch(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_bias", [True, False])
def test_it_is_a_padded_convolution_with_the_same_gradients(shape: tuple[int, int, int], with_bias: bool) -> None:
    """In 64 bits: what is left then is a difference in the mathematics."""
    conv = convolution(bias=with_bias)
    inputs = [picture(shape), *conv.parameters()]
    ours, theirs = (
        winograd.reflected_conv(inputs[0], conv.weight, conv.bias),
        by_torch(inputs[0], conv.weight, conv.bias),
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    pattern = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for one, other in zip(*(torch.autograd.grad(y, inputs, pattern) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_weights_and_gradients_in_any_order_in_memory_give_the_same(order: torch.memory_format) -> None:
    conv, x = convolution(4, 6).to(memory_format=order), picture((2, 8, 8), 4)
    y = winograd.reflected_conv(x, conv.weight, conv.bias)
    assert y.is_contiguous(memory_format=torch.channels_last)
    pattern = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=y.dtype)
    theirs = by_torch(x, conv.weight, conv.bias)
    expected = torch.autograd.grad(theirs, [x, conv.weight], pattern)
    found = torch.autograd.grad(y, [x, conv.weight], pattern.contiguous(memory_format=order))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    # As the fused kernels of Adam need it.
    assert found[1].stride() == conv.weight.stride()


@pytest.mark.parametrize("wanted", [[0], [1], [2]])
def test_only_the_gradients_that_are_wanted_are_computed(wanted: list[int]) -> None:
    tensors = [picture((1, 8, 8)).detach(), *(p.detach() for p in convolution().parameters())]
    for place in wanted:
        tensors[place].requires_grad_(True)
    winograd.reflected_conv(*tensors).sum().backward()
    assert [place for place, tensor in enumerate(tensors) if tensor.grad is not None] == wanted


def test_32_bits_round_little_more_than_in_a_convolution() -> None:
    """Of the width and with the kind of features that a generator has."""
    x = F.relu(picture((1, 32, 32), 256, torch.float32)).detach().requires_grad_(True)
    conv = convolution(256, 256, torch.float32)
    exact_x, exact_weight = x.detach().double().requires_grad_(True), conv.weight.detach().double().requires_grad_(True)
    theirs = by_torch(exact_x, exact_weight, conv.bias.detach().double())
    ours = winograd.reflected_conv(x, conv.weight, conv.bias)
    assert (ours - theirs).norm() < 3e-6 * theirs.norm()
    pattern = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(2))
    found = torch.autograd.grad(ours, [x, conv.weight], pattern)
    expected = torch.autograd.grad(theirs, [exact_x, exact_weight], pattern.double())
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() < 3e-6 * other.norm()


def test_in_a_workspace_it_computes_the_same_in_the_same_memory() -> None:
    """Convolutions of several sizes after one another, and their gradients, which are computed when all are done."""
    convs = [convolution(4, 6), convolution(6, 3), convolution(3, 5)]
    results: list[list[Tensor]] = []
    for held in (winograd.workspace(), contextlib.nullcontext()):
        with held:
            x = y = picture((2, 8, 12), 4)
            for conv in convs:
                y = winograd.reflected_conv(y, conv.weight, conv.bias)
            weights = [p for conv in convs for p in conv.parameters()]
            results.append([y, *torch.autograd.grad(y.square().sum(), [x, *weights])])
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_a_workspace_is_given_back_at_its_end() -> None:
    with winograd.workspace():
        winograd.reflected_conv(picture((1, 8, 8)), convolution().weight, None)
        rooms = [weakref.ref(room) for room in winograd._held.rooms.values()]
        assert rooms and all(room() is not None for room in rooms)
    assert all(room() is None for room in rooms)
    assert winograd._held.rooms is None


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_again_is_the_same_to_the_last_bit(threads: int) -> None:
    x, conv = picture((1, 16, 16), 128, torch.float32), convolution(128, 128, torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first = None
        for _ in range(5):
            y = winograd.reflected_conv(x, conv.weight, conv.bias)
            found = [y, *torch.autograd.grad(y.square().sum(), [x, *conv.parameters()])]
            first = first or found
            assert all(torch.equal(one, other) for one, other in zip(found, first, strict=True))
            held = torch.empty(1000 + 7 * len(found))  # What is in memory moves meanwhile.
            del held
    finally:
        torch.set_num_threads(before)


def test_a_step_from_a_saved_state_is_the_same_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    conv = winograd.reflected_conv
    monkeypatch.setattr(winograd, "reflected_conv", lambda *tensors: calls.append(tensors) or conv(*tensors))
    monkeypatch.setattr(winograd, "LEAST_TILES", 1)
    config = TrainConfig(
        folder_A=Path("a"), folder_B=Path("b"), run=Path("r"), size=32, load_size=32, blocks=1, channels=32
    )
    random = torch.Generator().manual_seed(0)
    pairs = [torch.rand(2, 1, 3, 32, 32, generator=random) * 2 - 1 for _ in range(3)]

    def step(model: CycleGAN, number: int) -> dict[str, Tensor]:
        return model.step(*pairs[number], first_number=number, learning_rate=2e-4, number=number)

    first = CycleGAN(config, torch.device("cpu"))
    step(first, 0)
    tensors, scaler = first.state()
    saved = {name: tensor.clone() for name, tensor in tensors.items()}
    for number in (1, 2):
        step(first, number)
    second = CycleGAN(config, torch.device("cpu"))
    second.load_state(saved, scaler)
    for number in (1, 2):
        step(second, number)
    assert len(calls) > 0
    for name, tensor in first.state()[0].items():
        assert torch.equal(tensor, second.state()[0][name]), name


def wide(**options: object) -> nn.Conv2d:
    return convolution(128, 128, torch.float32, **options)


def test_it_suits_wide_convolutions_of_32_bits_and_enough_pixels() -> None:
    x, pad = picture((1, 32, 32), 128, torch.float32), ReflectionPad(1)
    assert winograd.suits(pad, wide(), x)
    assert not winograd.suits(ReflectionPad(2), wide(), x)
    assert not winograd.suits(pad, wide(stride=2), x)
    assert not winograd.suits(pad, wide(padding=1), x)
    assert not winograd.suits(pad, wide(dilation=2), x)
    assert not winograd.suits(pad, wide(groups=2), x)
    assert not winograd.suits(pad, nn.Conv2d(128, 128, 5), x)
    assert not winograd.suits(pad, convolution(128, 136, torch.float32), x)
    assert not winograd.suits(pad, convolution(64, 128, torch.float32), x)
    assert not winograd.suits(pad, wide(), x[..., :31])
    assert not winograd.suits(pad, wide(), x[..., :28])
    assert winograd.suits(pad, wide(), x[..., :16].expand(2, -1, -1, -1))
    assert not winograd.suits(pad, wide(), x.double())
    with autocast(torch.device("cpu"), "bf16"):
        assert not winograd.suits(pad, wide(), x)
    with torch.no_grad():
        assert not winograd.suits(pad, wide(), x)


def test_a_residual_block_uses_it_and_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    block, x = ResidualBlock(128), picture((1, 32, 32), 128, torch.float32)
    calls: list[Tensor] = []
    conv = winograd.reflected_conv
    monkeypatch.setattr(winograd, "reflected_conv", lambda *tensors: calls.append(tensors[0]) or conv(*tensors))
    ours = block(x)
    assert len(calls) == 2
    monkeypatch.setattr(winograd, "suits", lambda *_: False)
    theirs = block(x)
    assert len(calls) == 2
    assert (ours - theirs).norm() < 1e-5 * theirs.norm()


def test_a_layer_between_padding_and_convolution_is_not_passed_over() -> None:
    conv = convolution(128, 128, torch.float32)
    x = picture((1, 8, 8), 128, torch.float32)
    layers = Layers(ReflectionPad(1), nn.Tanh(), conv)
    torch.testing.assert_close(layers(x), conv(torch.tanh(F.pad(x, (1, 1, 1, 1), mode="reflect"))))
